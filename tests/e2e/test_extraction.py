"""Pieces of texts: `kit new` knows them, and the script goes from there to a submission."""

from __future__ import annotations

import json
import runpy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.metrics.words import jaccard
from kit.models.neural.spans import SpanNetwork
from kit.models.neural.words import name
from kit.tables import read_table

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings

N, N_TEST = 120, 24
FILLER = ["we", "saw", "the", "boats", "at", "noon", "and", "then", "it", "began", "to", "rain"]


def row(seed: int) -> tuple[str, str, str]:
    """Text, answer and mood: "glad" is the marker and the word behind it, "none" is all of it."""
    rng = np.random.default_rng(seed)
    words = [str(word) for word in rng.choice(FILLER, rng.integers(9, 15))]
    at = int(rng.integers(0, len(words) - 1))
    words[at] = ["good", "Good,", 'so-"good"'][seed % 5 % 3]
    glad = seed % 3 > 0
    return " ".join(words), " ".join(words[at : at + 2] if glad else words), ["none", "glad"][glad]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three tables; ids with leading zeros; some odd rows, and a sample in an order of its own."""
    folder = tmp_path / "files"
    folder.mkdir()
    rows = [(f"{k:04}", *row(k)) for k in range(N + N_TEST)]
    table = pd.DataFrame(rows, columns=["key", "said", "piece", "mood"])
    train, test = table[:N].copy(), table[N:].drop(columns="piece")
    train.loc[3, "piece"] = "nowhere to be found"
    train.loc[4, ["said", "piece"]] = [None, None]
    train.loc[5, "piece"] = None
    train.loc[6, ["said", "piece"]] = ["only here here, onlyhere", "onlyhere"]
    train.loc[[8, 9], "said"] = train.loc[7, "said"]  # one text, three rows
    train.loc[[8, 9], ["piece", "mood"]] = train.loc[7, ["piece", "mood"]].tolist()
    train.loc[10, "mood"] = "odd"  # no other row has it
    said = test.columns.get_loc("said")
    test.iloc[:5, said] = ["", "NA", 'one, "two"\nthree', "  good", "four\r five"]
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    sample = test[["key"]].iloc[::-1].assign(piece="")
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def make(run_kit: Any, root: Path, files: Path) -> dict[str, Any]:
    """The folder of `kit new`, with a small network; returns what `kit new` said."""
    done = run_kit("new", root.name, "-C", root.parent, "--from", files, "--json")
    assert done.code == 0, done.err
    text = (root / "settings.toml").read_text()
    text = text.replace('encoder = "package"', 'encoder = ""')
    small = {
        "width = 64": "width = 8", "units = 96": "units = 16",
        "epochs = 6": "epochs = 20", "batch = 64": "batch = 12", "folds = 5": "folds = 2",
        "learning_rate = 0.002": "learning_rate = 0.01",
    }  # fmt: skip
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (root / "settings.toml").write_text(text)
    return json.loads(done.out)


def run(root: Path, capsys: Any) -> str:
    capsys.readouterr()
    runpy.run_path(str(root / "train.py"), run_name="__main__")
    return str(capsys.readouterr().out)


@pytest.mark.slow
def test_from_files_to_a_submission_that_fits(
    run_kit: Any, tmp_path: Path, files: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "moods"
    make(run_kit, root, files)
    settings = tomllib.loads((root / "settings.toml").read_text())
    assert [settings[key] for key in ("id", "text", "answer")] == ["key", "said", "piece"]
    assert settings["conditions"] == ["mood"]
    assert not (root / "kit.toml").exists()

    # interrupted in the second fold: the first one is kept
    fits: list[tuple[set[str], set[str]]] = []
    fit = SpanNetwork.fit

    def watched(self: SpanNetwork, **given: Any) -> SpanNetwork:
        if len(fits) == 1 and "again" not in settings:
            raise KeyboardInterrupt
        fit(self, **given)
        fits.append(({*given["texts"]}, {*self.words_}))
        return self

    monkeypatch.setattr(SpanNetwork, "fit", watched)
    with pytest.raises(KeyboardInterrupt):
        run(root, capsys)
    assert not (root / "submission.csv").exists()
    (folder,) = (root / "runs").iterdir()
    kept = (folder / "fold-0.npz").stat().st_mtime_ns
    settings["again"] = True
    said = run(root, capsys)
    assert len(fits) == 2
    assert (folder / "fold-0.npz").stat().st_mtime_ns == kept

    # what the network of a fold knows is from the texts it was trained on, and from them alone
    (first, known), (second, other) = fits
    assert not first & second
    assert len(first | second) == N - 5  # odd rows, and copies that are in one fold together
    assert known <= {name(word) for text in first for word in text.split()}
    assert "onlyhere" not in known | other  # in one text only
    assert sum("only here here, onlyhere" in texts for texts, _ in fits) == 1

    assert "1 of 120 rows of train have no text" in said
    assert "1 of 120 rows of train have no answer" in said
    assert "1 of 120 rows of train have an answer that is no piece of their text" in said
    assert "glad: Jaccard" in said
    assert float(said.split("all folds: Jaccard ")[1].split()[0]) > 0.85
    whole = float(said.split("whole text ")[-1].split()[0])
    assert whole < 0.55
    check_submission(root, files)

    # all folds are there: nothing is computed, and the result is the same
    written = (root / "submission.csv").read_bytes()
    assert run(root, capsys) == said
    assert len(fits) == 2
    assert (root / "submission.csv").read_bytes() == written


def check_submission(root: Path, files: Path) -> None:
    """Ids, order, no missing answer however it is read, pieces of their texts, and good ones."""
    sample = pd.read_csv(files / "sample_submission.csv", dtype="str")
    texts = read_table(files / "test.csv", as_text=["key", "said"]).set_index("key")["said"]
    careless = pd.read_csv(root / "submission.csv", dtype={"key": "str"})
    assert list(careless.columns) == ["key", "piece"]
    assert careless["key"].tolist() == sample["key"].tolist()
    assert careless["piece"].notna().all()
    found = careless.set_index("key")["piece"]
    assert found[f"{N:04}"].strip() == ""
    assert found[f"{N + 1:04}"].strip() == "NA"
    assert found[f"{N + 3:04}"] == "good"
    for key, piece in found.items():
        assert piece.strip() in (texts[key] if isinstance(texts[key], str) else "")
    plain = range(N + 5, N + N_TEST)
    assert np.mean([jaccard(row(k)[1], found[f"{k:04}"]) for k in plain]) > 0.85


def test_bad_input_of_the_script_is_one_clear_line(
    run_kit: Any, tmp_path: Path, files: Path, capsys: Any
) -> None:
    root = tmp_path / "moods"
    make(run_kit, root, files)
    raw, settings = root / "data" / "raw", (root / "settings.toml").read_text()

    def refused(rule: str) -> None:
        with pytest.raises(SystemExit, match=rule):
            run(root, capsys)
        assert not (root / "submission.csv").exists()
        assert not [*root.glob("runs/*/*")]

    for old, new, rule in (
        ('text = "said"', 'text = "told"', r"train\.csv must have the column 'told'.*said"),
        (
            'answer = "piece"',
            'answer = "mood"',
            "4 answers at least must be pieces of 'said', however 0 of 120",
        ),
        ('conditions = ["mood"]', 'conditions = ["no"]', "the column 'no'"),
        ("folds = 2", "folds = 150", "300 answers at least must be pieces"),
        ('encoder = ""', 'encoder = "nowhere"', r"config\.json"),
    ):
        assert old in settings
        (root / "settings.toml").write_text(settings.replace(old, new))
        refused(rule)
    (root / "settings.toml").write_text(settings)
    sample = pd.read_csv(raw / "sample_submission.csv", dtype="str")
    sample.assign(key="x" + sample["key"]).to_csv(raw / "sample_submission.csv", index=False)
    refused("every id .* must be in test.csv, however 'x0143' is not")
    sample.assign(more=1).to_csv(raw / "sample_submission.csv", index=False)
    refused("an id and the answer, however it has: key, piece, more")


def test_the_whole_text_is_handed_in_only_where_it_is_surely_better(capsys: Any) -> None:
    from kit.scaffold.templates import template_path

    script = runpy.run_path(str(template_path("extraction") / "train.py"), run_name="read")
    texts = np.array(["a b c d"] * 40, dtype=object)
    answers = pd.Series(["a b c d"] * 10 + ["a b"] * 20 + ["a b c d", "b"] * 5)
    pieces = np.array(["a b c"] * 10 + ["a b"] * 20 + ["b c"] * 10, dtype=object)
    strata = pd.Series(["none"] * 10 + ["glad"] * 20 + ["sad"] * 10)
    scored = np.ones(40, dtype=bool)
    assert script["report"](answers, texts, pieces, strata, scored) == ["none"]
    said = capsys.readouterr().out
    assert "none: the whole text is better by 0.2500, so it is handed in" in said
    assert "sad: Jaccard 0.5000, whole text 0.6250" in said  # better, however by luck
    assert "all folds: Jaccard 0.8750 (out of fold), whole text 0.6562" in said


def test_a_table_is_made_for_whoever_asks_for_one(
    run_kit: Any, tmp_path: Path, files: Path
) -> None:
    done = run_kit("new", "moods", "-C", tmp_path, "--from", files, "--target", "mood")
    assert "script of its own" not in done.out
    done = run_kit("new", "pieces", "-C", tmp_path, "--from", files, "--target", "piece")
    assert done.code == 0, done.err
    assert "script of its own" in done.out
    assert "python train.py" in done.out
    for flags in (["--task", "multiclass"], ["--set", "task.type=multiclass"]):
        done = run_kit("new", "classes", "-C", tmp_path, "--from", files, *flags)
        assert "script of its own" not in done.out


def test_templates_that_do_not_suit_are_refused(run_kit: Any, tmp_path: Path, files: Path) -> None:
    done = run_kit("new", "moods", "-C", tmp_path, "--from", files, "--template", "text")
    assert done.code == 1
    assert "'piece' holds pieces of 'said'" in done.err
    done = run_kit("new", "iris", "-C", tmp_path, "--from", "sample", "--template", "extraction")
    assert done.code == 1
    assert "no column of them" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_flags_that_the_script_does_not_follow_are_named(
    run_kit: Any, tmp_path: Path, files: Path
) -> None:
    done = run_kit("new", "moods", "-C", tmp_path, "--from", files, "--metric", "accuracy")
    assert done.code == 0, done.err
    assert "--metric: not used" in done.out


def test_free_texts_that_are_no_pieces_are_refused_as_ever(
    run_kit: Any, tmp_path: Path, files: Path
) -> None:
    table = pd.read_csv(files / "train.csv", dtype="str")
    table["piece"] = [f"{text} indeed {k}" for k, text in enumerate(table["said"])]
    table.to_csv(files / "train.csv", index=False)
    done = run_kit("new", "moods", "-C", tmp_path, "--from", files)
    assert done.code == 1
    assert "kit predicts classes and numbers, no texts" in done.err
    assert "different texts in 120 rows" in done.err


@pytest.mark.parametrize(
    ("texts", "answers"),
    [
        (["red car", "a red car", "blue car"] * 30, ["red", "red", "blue"] * 30),  # classes
        ([f"{k} {k + 1}" for k in range(90)], [str(k) for k in range(90)]),  # numbers
        ([f"say{k}" for k in range(90)], [f"ay{k}" for k in range(90)]),  # of one word
        ([f"say what {k}" for k in range(90)], [f"say what {k}" for k in range(90)]),  # copies
        ([f"text {k}x of" for k in range(90)], [f"xt {k}" for k in range(90)]),  # cut anywhere
        ([f"some text {k}" for k in range(90)], [f"other {k}" for k in range(90)]),
        ([None] * 90, [None] * 90),
    ],
)
def test_other_columns_are_no_pieces(texts: list[str], answers: list[str]) -> None:
    from kit.scaffold.extraction import _share

    assert _share(pd.Series(texts, dtype="str"), pd.Series(answers, dtype="str")) < 0.95


def test_pieces_with_some_noise_are_pieces() -> None:
    from kit.scaffold.extraction import _share

    texts = [f"it was a very good day {k} for us" for k in range(100)]
    answers = [f"good day {k}" for k in range(97)] + ["ood da", "nowhere", None]
    share = _share(pd.Series(texts, dtype="str"), pd.Series(answers, dtype="str"))
    assert share == pytest.approx(98 / 99)
