"""From stained images and their clean versions to submission.csv, in one script: `python train.py`.

A network is trained on all folds but one and cleans the images of that one, for every fold; the
error of their pixels is your own leaderboard. Every fold is kept in `runs/` when it is finished:
interrupted, the same command goes on with the next one. Other settings, other code or other data
are another run.
"""

import hashlib
import tomllib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

import kit
from kit.atomic import atomic_path
from kit.errors import DataError, KitError
from kit.images.decode import Fault, decode
from kit.images.files import ImageFolder
from kit.images.shades import places, values_at
from kit.models.neural.restorer import Restorer

HERE = Path(__file__).resolve().parent
RAW = HERE / "data" / "raw"


def main():
    settings = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))
    folder = ImageFolder(RAW)
    sample = pd.read_csv(RAW / settings["sample"], dtype="str")
    key, column = sample.columns  # the place and its shade
    where = places(sample[key])

    names = names_in(folder, settings["train_images"])
    stained = read_images(folder, settings["train_images"], names, settings["channels"])
    clean = [image[..., 0] / np.float32(255) for image in
             read_images(folder, settings["clean_images"], names, 1)]  # fmt: skip
    check_sides(names, stained, clean)
    test_names = list(where["image"].unique())
    test_images = read_images(folder, settings["test_images"], test_names, settings["channels"])

    folds = make_folds(settings, clean)
    runs = HERE / "runs" / digest(settings)
    runs.mkdir(parents=True, exist_ok=True)
    found, cleaned = [None] * len(names), [np.float32(0)] * len(test_names)
    for k in range(settings["folds"]):
        rows = np.flatnonzero(folds == k)
        held, new = finished_fold(
            runs / f"fold-{k}.npz",
            lambda: train_fold(settings, k, folds, stained, clean, test_images),
        )
        for row, image in zip(rows, held):
            found[row] = image
        cleaned = [sum_ + image / settings["folds"] for sum_, image in zip(cleaned, new)]
        error = rmse(held, [clean[row] for row in rows])
        print(f"fold {k}: RMSE {error:.5f} on {len(rows)} images it has not seen")
    as_they_are = [image.mean(axis=2, dtype=np.float32) / np.float32(255) for image in stained]
    print(f"all folds: RMSE {rmse(found, clean):.5f} (out of fold)")
    print(f"nothing done: RMSE {rmse(as_they_are, clean):.5f} (the stained images themselves)")
    write_submission(sample, key, column, values_at(where, dict(zip(test_names, cleaned))))


def names_in(folder, pattern):
    """The images of a folder, by what stands at {} in its pattern."""
    before, after = pattern.split("{}")
    names = [
        name.removeprefix(before).removesuffix(after)
        for name in folder.files
        if name.startswith(before) and name.endswith(after)
    ]
    names = sorted(name for name in names if "/" not in name)
    if len(names) < 2:
        raise DataError(f"there are {len(names)} images {pattern} below data/raw; two are needed")
    return names


def read_images(folder, pattern, names, channels):
    """Pixels `(height, width, channels)` of each image, in its own size."""
    images = []
    for path in folder.named(pattern, names):
        try:
            images.append(decode(folder.read(path), None, channels, upright=False))
        except KeyError:
            raise DataError(f"{path} is missing; correct {pattern} in settings.toml") from None
        except (OSError, BadZipFile, Fault) as error:
            raise DataError(f"{path} cannot be used ({error}); mend it or take it out") from None
    return images


def check_sides(names, stained, clean):
    for name, one, other in zip(names, stained, clean):
        if one.shape[:2] != other.shape:
            raise DataError(
                f"image {name}: stained {one.shape[:2]}, clean {other.shape}; sides must be equal"
            )


def make_folds(settings, clean):
    """A fold per image. The same page under other stains must not be learned and scored."""
    pages = [hashlib.sha256(image.tobytes()).hexdigest() for image in clean]
    if len(set(pages)) < settings["folds"]:
        raise DataError(f"{len(set(pages))} different clean images: fewer than folds")
    splitter = GroupKFold(settings["folds"], shuffle=True, random_state=settings["seed"])
    folds = np.zeros(len(clean), dtype=int)
    for k, (_, rows) in enumerate(splitter.split(pages, groups=pages)):
        folds[rows] = k
    return folds


def train_fold(settings, k, folds, stained, clean, test_images):
    """Clean versions of the fold's own images and of the test images.

    There is no early stopping: nothing that is scored here has been looked at before.
    """
    rows, held = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
    network = Restorer(**settings["network"], seed=1000 * settings["seed"] + k)
    network.fit([stained[row] for row in rows], [clean[row] for row in rows])
    return [network.predict(x) for x in ([stained[row] for row in held], test_images)]


def finished_fold(path, compute):
    """The fold as it was computed earlier, or now; written whole or not at all."""
    if not path.exists():
        parts = dict(zip(("held", "test"), compute()))
        arrays = {f"{part}{k}": image for part in parts for k, image in enumerate(parts[part])}
        with atomic_path(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, **{k: v.astype(np.float16) for k, v in arrays.items()})
    with np.load(path) as kept:
        return [
            [kept[f"{part}{k}"].astype(np.float32)
             for k in range(sum(name.startswith(part) for name in kept.files))]
            for part in ("held", "test")
        ]  # fmt: skip


def rmse(found, truth):
    """Root of the mean squared error over all pixels of all images."""
    squares = sum(float(((a - b) ** 2).sum(dtype=np.float64)) for a, b in zip(found, truth))
    return np.sqrt(squares / sum(image.size for image in truth))


def write_submission(sample, key, column, values):
    """Write it in the form of the sample submission, and read it again as the server will."""
    table = sample.assign(**{column: np.clip(values, 0, 1)})
    with atomic_path(HERE / "submission.csv") as aside:
        table.to_csv(aside, index=False, float_format="%.4f")
        again = pd.read_csv(aside, dtype={key: "str"})
        if list(again.columns) != list(sample.columns) or not again[key].equals(sample[key]):
            raise DataError("the submission has other columns or ids than the sample submission")
        if not again[column].between(0, 1).all():
            raise DataError("a shade is missing, or not between 0 and 1")
    print(f"submission.csv: {len(again)} pixels; fits the sample")


def digest(settings):
    """Eight digits of everything the folds depend on."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(repr({**settings, "kit": kit.__version__}).encode())
    tops = {PurePosixPath(settings[f"{part}_images"]).parent for part in ("train", "clean", "test")}
    for name, content in sorted(ImageFolder(RAW, HERE / "runs").digests().items()):
        if PurePosixPath(name).parent in tops:
            found.update(f"{name} {content}".encode())
    return found.hexdigest()[:8]


if __name__ == "__main__":
    try:
        main()
    except KitError as error:
        raise SystemExit(f"error: {error}")
