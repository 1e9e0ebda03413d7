"""`kit new` and `kit auto` on series, on texts beside a table, on images beside a table."""

from __future__ import annotations

import io
import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.competition import Competition
from kit.submission import validate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def hand_out(folder: Path, train: pd.DataFrame, test: pd.DataFrame, target: str) -> Path:
    folder.mkdir()
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns=target).to_csv(folder / "test.csv", index=False)
    sample = test[["id"]].assign(**{target: train[target].iloc[0]})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def series(folder: Path, rng: np.random.Generator) -> tuple[Path, str, list[str]]:
    """Four shops by day with a week in them; two count twice."""
    days, shops = pd.date_range("2024-01-01", periods=126), np.arange(4)
    frame = pd.MultiIndex.from_product([days, shops], names=["day", "shop"]).to_frame(index=False)
    week = np.sin(2 * np.pi * frame["day"].dt.day_of_week / 7)
    frame["sold"] = 20 * (1 + frame["shop"]) + 5 * week + rng.normal(size=len(frame))
    frame["shop"] = "shop " + frame["shop"].astype("str")
    frame.insert(0, "id", range(len(frame)))
    last = frame["day"] >= days[-14]
    train = frame[~last].assign(w=1 + (frame["shop"] > "shop 1"))
    return (
        hand_out(folder, train, frame[last], "sold"),
        "rmse",
        ["naive", "seasonal_naive", "lightgbm-change"],
    )


def texts(folder: Path, rng: np.random.Generator) -> tuple[Path, str, list[str]]:
    """What was said and a number decide together."""
    n = 240
    good = rng.integers(0, 2, n)
    price = rng.uniform(1, 9, n).round(2)
    tales = [
        ["it broke and was sent back to the shop", "it works and was kept at home"][k] for k in good
    ]
    frame = pd.DataFrame({"id": range(n), "said": tales, "price": price})
    frame["said"] += [f" on day {k} of {rng.choice(['May', 'June', 'July'])}" for k in range(n)]
    frame["again"] = ((good == 1) & (price < 6)).astype(int)
    return hand_out(folder, frame[:180], frame[180:], "again"), "roc_auc", ["words", "lightgbm"]


def images(folder: Path, rng: np.random.Generator) -> tuple[Path, str, list[str]]:
    """The brightness of a picture and a number add up."""
    n = 160
    shade, size = rng.uniform(20, 230, n), rng.normal(size=n).round(3)
    frame = pd.DataFrame({"id": [f"p{k}" for k in range(n)], "size": size})
    frame["price"] = (shade / 50 + size).round(3)
    source = hand_out(folder, frame[:120], frame[120:], "price")
    with zipfile.ZipFile(source / "images.zip", "w") as archive:
        for k, name in enumerate(frame["id"]):
            pixels = np.clip(shade[k] + rng.normal(scale=20, size=(12, 12, 3)), 0, 255)
            buffer = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
            archive.writestr(f"images/{name}.png", buffer.getvalue())
    return source, "rmse", ["image-linear", "extra_trees"]


def texts_and_images(folder: Path, rng: np.random.Generator) -> tuple[Path, str, list[str]]:
    """What is said and what is seen decide together."""
    n = 160
    said, shade = rng.integers(0, 2, n), rng.choice([60, 200], n)
    tales = [["a quiet day at the old harbour", "a storm over the old harbour"][k] for k in said]
    frame = pd.DataFrame({"id": [f"p{k}" for k in range(n)], "tale": tales})
    frame["tale"] += [f" seen on the {k}th of {rng.choice(['May', 'June'])}" for k in range(n)]
    frame["wet"] = ((said == 1) & (shade == 60)).astype(int)
    source = hand_out(folder, frame[:120], frame[120:], "wet")
    (source / "images").mkdir()
    for k, name in enumerate(frame["id"]):
        pixels = np.clip(shade[k] + rng.normal(scale=10, size=(12, 12, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(source / "images" / f"{name}.png")
    return source, "roc_auc", ["lightgbm", "linear"]


@pytest.mark.parametrize("make", [series, texts, images, texts_and_images])
def test_kit_auto_blends_models_of_every_kind_of_data(
    make: Any, run_kit: Any, launch: Any, tmp_path: Path
) -> None:
    source, metric, models = make(tmp_path / "files", np.random.default_rng(0))
    made = run_kit("new", "c", "--from", source, "-C", tmp_path, "--metric", metric, "--folds", "2")
    assert made.code == 0, made.err
    if make is series:
        kept = (tmp_path / "c" / "kit.toml").read_text()
        (tmp_path / "c" / "kit.toml").write_text(
            kept.replace("[columns]", '[columns]\nweight = "w"')
        )
    competition = Competition.load(tmp_path / "c")
    started = launch(competition, "auto", *models, "--budget", "120s", "--json")
    assert started.wait() == 0, started.err
    told = json.loads(started.out)
    scores = {run["model"]: run["score"]["value"] for run in told["runs"]}
    assert set(scores) >= set(models)
    assert validate(Path(told["submission"]), competition) == []
    if make is series:
        assert max(scores["lightgbm-change"], scores["seasonal_naive"]) < scores["naive"] / 2
    elif make in (texts, texts_and_images):
        kinds = set(competition.settings.columns.kinds.values())
        assert kinds >= ({"text"} if make is texts else {"text", "image"})
        assert told["run"]["score"]["value"] > 0.95  # neither of the two alone
    else:
        assert scores["image-linear"] < 0.9  # 1.2 without the pictures


def test_kit_auto_leaves_a_submission_where_a_pretrained_network_is_too_slow(
    run_kit: Any, launch: Any, tmp_path: Path
) -> None:
    source, metric, models = images(tmp_path / "files", np.random.default_rng(0))
    made = run_kit("new", "c", "--from", source, "-C", tmp_path, "--metric", metric, "--folds", "2")
    assert made.code == 0, made.err
    (tmp_path / "c" / "w.pth").write_bytes(b"weights that nobody has the time to load")
    toml = tmp_path / "c" / "kit.toml"
    toml.write_text(toml.read_text().replace('backbone = "pixels"', 'backbone = "w.pth"'))
    competition = Competition.load(tmp_path / "c")
    slow = "import kit.auto.images; kit.auto.images.too_slow = lambda *_: 1e6"
    started = launch(competition, "auto", *models, "--budget", "120s", "--json", before=slow)
    assert started.wait() == 0, started.err
    told = json.loads(started.out)
    assert "images are seen as tiny ones, without a network" in started.err
    assert {run["model"] for run in told["runs"]} == set(models)
    (seen,) = {tuple(run["overrides"].values()) for run in told["runs"]}
    assert seen == ("pixels",)
    assert validate(Path(told["submission"]), competition) == []
    fit = ["fit", "image-linear", "-C", competition.root]
    refused = run_kit(*fit)
    (flags,) = re.findall(r"saw the images otherwise than kit.toml says.\n +Add (.*)", refused.err)
    fitted = run_kit(*fit, *shlex.split(flags))
    assert (refused.code, fitted.code) == (1, 0), refused.err + fitted.err
