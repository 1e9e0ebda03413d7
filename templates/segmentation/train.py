"""From images and masks to submission.csv, in one script: `python train.py`.

A U-Net is trained on all folds but one and predicts the images of that one, for every fold; the
mean Dice of these predictions is your own leaderboard. Every fold is kept in `runs/` when it is
finished: interrupted, the same command goes on with the next one. Other settings, other code or
other data are another run.
"""

import hashlib
import tomllib
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

import kit
from kit.atomic import atomic_path
from kit.errors import DataError, KitError
from kit.images.decode import Fault, neutral
from kit.images.decode import decode as decode_image
from kit.images.files import ImageFolder
from kit.images.masks import decode, encode, resized
from kit.metrics.masks import dice
from kit.models.neural.unet import UNet

HERE = Path(__file__).resolve().parent
RAW = HERE / "data" / "raw"


def main():
    settings = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))
    train = pd.read_csv(RAW / settings["train"], dtype="str")
    sample = pd.read_csv(RAW / settings["sample"], dtype="str")
    key, column = sample.columns  # the id and the mask

    ids = train[settings["id"]].unique()
    images, shapes = read_images(settings, ids, "train")
    masks = read_masks(settings, train, dict(zip(ids, shapes)))
    test_ids = sample[key].unique()
    test_images, test_shapes = read_images(settings, test_ids, "test")

    # Small versions of the masks are what the network learns; scores use the original ones.
    side = (settings["size"], settings["size"])
    targets = np.array([resized(mask, side) > 0.5 for mask in masks])
    folds = make_folds(settings, targets)
    folder = HERE / "runs" / digest(settings)
    folder.mkdir(parents=True, exist_ok=True)

    dices, test_probability = np.zeros(len(ids)), 0.0
    for k in range(settings["folds"]):
        rows = folds == k
        held, new = finished_fold(
            folder / f"fold-{k}.npz",
            lambda: train_fold(
                settings, k, images[~rows], targets[~rows], images[rows], test_images
            ),
        )
        for row, probability in zip(np.flatnonzero(rows), held):
            dices[row] = dice(masks[row], as_mask(settings, probability, shapes[row]))
        test_probability = test_probability + new / settings["folds"]
        print(f"fold {k}: Dice {dices[rows].mean():.4f} on {rows.sum()} images it has not seen")
    print(f"all folds: Dice {dices.mean():.4f} (out of fold)")

    codes = {
        name: encode(as_mask(settings, probability, shape))
        for name, probability, shape in zip(test_ids, test_probability, test_shapes)
    }
    write_submission(sample, key, column, codes, dict(zip(test_ids, test_shapes)))


def read_images(settings, ids, part):
    """Pixels `(n, size, size, channels)`, and the (height, width) that every image had."""
    from PIL import Image

    folder, size, channels = ImageFolder(RAW), settings["size"], settings["channels"]
    pixels, shapes, faults = [], [], {}
    for path in folder.named(settings[f"{part}_images"], ids):
        try:
            content = folder.read(path)
            pixels.append(decode_image(content, size, channels, upright=False))  # as the mask
            width, height = Image.open(BytesIO(content)).size
            shapes.append((height, width))
        except (KeyError, OSError, BadZipFile, Fault) as error:
            faults[path] = "missing" if isinstance(error, KeyError) else str(error)
            pixels.append(neutral(size, channels))  # gray stands for it
            shapes.append(None)
    if faults:
        path, reason = next(iter(faults.items()))
        message = f"{len(faults)} of {len(ids)} {part} images cannot be used ({path}: {reason})"
        if len(faults) > 0.05 * len(ids):
            raise DataError(f"{message}.\n  Correct {part}_images in settings.toml, or the files.")
        print(f"{message}; gray ones stand for them")
    known = [shape for shape in shapes if shape is not None]
    usual = max(set(known), key=known.count)
    return np.array(pixels), [shape or usual for shape in shapes]


def read_masks(settings, train, shapes):
    """One mask per image, in the size of the image; several rows of one image are put together."""
    masks = {name: np.zeros(shape, dtype=bool) for name, shape in shapes.items()}
    for name, code in zip(train[settings["id"]], train[settings["mask"]]):
        try:
            masks[name] |= decode(code, shapes[name])
        except DataError as error:
            raise DataError(f"{settings['train']}, image {name}: {error}") from None
    return [masks[name] for name in shapes]


def make_folds(settings, targets):
    """A fold per image; every fold gets as many large and small masks as the others."""
    covered = targets.mean(axis=(1, 2))
    bins = np.ceil(covered * 5).astype(int)  # 0: nothing is there
    splitter = StratifiedKFold(settings["folds"], shuffle=True, random_state=settings["seed"])
    folds = np.zeros(len(targets), dtype=int)
    for k, (_, rows) in enumerate(splitter.split(targets, rank_rare(bins, settings["folds"]))):
        folds[rows] = k
    return folds


def rank_rare(bins, folds):
    """Bins with fewer images than folds join the one below."""
    bins = bins.copy()
    for value in sorted(set(bins), reverse=True):
        if (bins == value).sum() < folds and value > bins.min():
            bins[bins == value] = max(b for b in bins if b < value)
    return bins


def train_fold(settings, k, images, targets, held_images, test_images):
    """Probabilities of the fold's own images and of the test images, as bytes 0 to 255.

    There is no early stopping: nothing that is scored here has been looked at before.
    """
    network = UNet(**settings["network"], seed=1000 * settings["seed"] + k).fit(images, targets)
    return [np.round(255 * network.predict(x)).astype(np.uint8) for x in (held_images, test_images)]


def finished_fold(path, compute):
    """The fold as it was computed earlier, or now; written whole or not at all."""
    if not path.exists():
        held, test = compute()
        with atomic_path(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, held=held, test=test)
    with np.load(path) as kept:
        return kept["held"] / np.float32(255), kept["test"] / np.float32(255)


def as_mask(settings, probability, shape):
    """The mask of an image, in its own size."""
    return resized(probability, shape) > settings["threshold"]


def write_submission(sample, key, column, codes, shapes):
    """Write it in the form of the sample submission, and read it again as the server will."""
    table = sample.copy()
    table[column] = table[key].map(codes)
    with atomic_path(HERE / "submission.csv") as aside:
        table.to_csv(aside, index=False)
        again = pd.read_csv(aside, dtype="str")
        if list(again.columns) != list(sample.columns) or not again[key].equals(sample[key]):
            raise DataError("the submission has other columns or ids than the sample submission")
        for name, code in zip(again[key], again[column]):
            decode(code, shapes[name])  # raises where it is no mask of this image
    empty = again[column].isna().mean()
    print(f"submission.csv: {len(again)} masks, {empty:.0%} of them empty; fits the sample")


def digest(settings):
    """Eight digits of everything the folds depend on but the threshold."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(repr({**settings, "threshold": None, "kit": kit.__version__}).encode())
    for name in (settings["train"], settings["sample"]):
        found.update((RAW / name).read_bytes())
    for name, content in sorted(ImageFolder(RAW, HERE / "runs").digests().items()):
        found.update(f"{name} {content}".encode())
    return found.hexdigest()[:8]


if __name__ == "__main__":
    try:
        main()
    except KitError as error:
        raise SystemExit(f"error: {error}")
