"""Texts from `kit new` to predictions for new rows: odd bytes, gaps, lists, no words at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

N, N_TEST = 160, 40


def recipes(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Dishes: a list of ingredients decides, the description says nothing."""
    pools = {
        "soup": ["red onion", "salt", "water", "leek"],
        "cake": ["brown sugar", "flour", "egg"],
    }
    made = []
    for number in range(n):
        dish = ["soup", "cake"][number % 2]
        some = [str(item) for item in rng.choice(pools[dish], 3)]
        story = f"Grandma wrote page {number} down on a café's paper in spring" * (number % 3)
        made.append({"id": number, "items": some, "story": story or None, "dish": dish})
    return made


@pytest.mark.slow
def test_lists_and_stories_in_json_records_go_all_the_way(run_kit: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "files"
    source.mkdir()
    rows = recipes(rng, N + N_TEST)
    (source / "train.json").write_text(json.dumps(rows[:N]))
    test = [{k: v for k, v in row.items() if k != "dish"} for row in rows[N:]]
    test[0]["items"], test[1]["story"], test[2]["story"] = [], "", "long " * 50_000
    (source / "test.json").write_text(json.dumps(test))
    sample = pd.DataFrame({"id": range(N, N + N_TEST), "dish": "cake"})
    sample.to_csv(source / "sample_submission.csv", index=False)
    root = tmp_path / "dishes"
    made = run_kit("new", "dishes", "--from", source, "-C", tmp_path, "--metric", "accuracy")
    assert made.code == 0, made.err
    settings = (root / "kit.toml").read_text()
    assert 'items = "text"' in settings
    assert 'story = "text"' in settings
    assert "kit cv words" in (root / "README.md").read_text()
    checked = run_kit("check", "-C", root)
    assert "longer than 100,000 characters" in " ".join((checked.out + checked.err).split())
    done = run_kit("cv", "words", "words-ratios", "-C", root, "--set", "execution.threads=1")
    assert done.code == 0, done.err
    assert run_kit("blend", "-C", root).code == 0
    assert run_kit("submit", "words", "--dry-run", "-C", root).code == 0
    assert run_kit("fit", "words", "--seeds", "1", "-C", root).code == 0
    new = source / "new.json"
    new.write_text(json.dumps([{"id": 900, "items": ["leek", "water"], "story": None}]))
    out = tmp_path / "out.csv"
    predicted = run_kit("predict", "words-fit", new, "--out", out, "-C", root)
    assert predicted.code == 0, predicted.err
    assert pd.read_csv(out)["dish"].tolist() == ["soup"]


def test_latin_1_is_read_and_said(run_kit: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    source = tmp_path / "files"
    source.mkdir()
    y = rng.integers(0, 2, N)
    said = [f"Das Wetter ist heute {['schön', 'übel'][k]} und morgen wohl {k + 5} Grad" for k in y]
    said[0], said[1] = "", "\x85"
    frame = pd.DataFrame({"id": range(N), "said": said, "good": 1 - y})
    frame.to_csv(source / "train.csv", index=False, encoding="latin-1")
    frame.drop(columns="good").assign(id=range(N, 2 * N)).to_csv(
        source / "test.csv", index=False, encoding="latin-1"
    )
    sample = pd.DataFrame({"id": range(N, 2 * N), "good": 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)
    made = run_kit("new", "weather", "--from", source, "-C", tmp_path, "--metric", "roc_auc")
    assert made.code == 0, made.err
    root = tmp_path / "weather"
    checked = run_kit("check", "-C", root)
    assert "read as Latin-1" in " ".join((checked.out + checked.err).split())
    done = run_kit("cv", "words", "-C", root, "--set", "execution.threads=1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["runs"][0]["score"]["value"] > 0.95
