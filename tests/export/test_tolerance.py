"""What the trial and the kernel may differ by, and what the trial is given to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.errors import RunError, SubmissionError
from kit.export import inference
from kit.export.bundle import Bundle
from kit.export.checking import check_output
from kit.export.inference import Places, _pace, _write
from kit.export.names import names_of
from kit.export.proof import _compared, _lay_out
from kit.refit.rows import NewRows
from kit.refit.saved import Predictor
from kit.runs import Run
from kit.tables import read_chunks

Make = Callable[..., Competition]
NAMES = names_of("toy", "ann/toy-models", "toy", "submission.csv")


def predicted(task: str, values: np.ndarray) -> Run:
    table = pd.DataFrame({"id": ["a", "b"], "pred_big": values[:, 0], "pred_small": values[:, 1]})
    record = {"task": task, "outputs": ["big", "small"]}
    return cast(Run, SimpleNamespace(id="r", record=record, test=lambda: table))


def test_each_target_is_compared_on_its_own_scale() -> None:
    values = np.array([[1e6, 0.5], [2e6, 0.4]])
    run = predicted("multitarget", values)
    near = values[::-1] * [1, 1 + 1e-7]
    assert _compared(run, ["b", "a"], near) == pytest.approx((5e-8, 5e-6))
    with pytest.raises(RunError, match=r"difference of 'small' is 5, .*1 of 2 rows.* id 'b'"):
        _compared(run, ["a", "b"], values + np.array([[0, 0], [0, 5.0]]))


def test_a_class_that_is_nowhere_probable_is_measured_by_all() -> None:
    values = np.array([[0.9, 1e-9], [0.8, 1e-9]])
    difference, allowed = _compared(predicted("multiclass", values), ["a", "b"], values + 1e-12)
    assert 0 < difference < allowed == pytest.approx(9e-6)
    with pytest.raises(RunError, match="predicts something else"):
        _compared(predicted("multiclass", values), ["a", "b"], values * np.nan)


@pytest.fixture
def classes(make_competition: Make) -> Competition:
    frame = pd.DataFrame({"id": range(6), "a": range(6), "y": list("pqr") * 2})
    return make_competition(
        frame,
        frame[:2].drop(columns="y"),
        sample=pd.DataFrame({"id": range(2), **dict.fromkeys("pqr", 0.3)}),
        task={"type": "multiclass", "metric": "log_loss", "classes": list("pqr")},
        submission={"wants": "probability", "columns": list("pqr"), "classes": list("pqr")},
    )


@pytest.mark.parametrize(
    ("ids", "kinds"), [(["7", "8"], ["int64", "int64"]), (["007", "8"], ["str", "int64"])]
)
def test_parquet_holds_numbers_where_a_csv_file_is_read_as_such(
    make_competition: Make, tmp_path: Path, ids: list[str], kinds: list[str]
) -> None:
    frame = pd.DataFrame({"id": ["1", "2", *ids], "a": range(4), "y": [0, 1] * 2})
    competition = make_competition(
        frame[:2], frame[2:].drop(columns="y"), submission={"wants": "label", "columns": ["y"]}
    )
    out = tmp_path / "submission.parquet"
    table = pd.DataFrame({"id": ids, "y": np.array(["0", "1"])})
    _write(
        table,
        Places(code=tmp_path, models=tmp_path, test=tmp_path, sample=None, out=out),
        competition,
    )
    written = pd.read_parquet(out)
    assert [str(written[name].dtype) for name in ("id", "y")] == kinds
    assert list(written["id"].astype("str")) == ids


@pytest.mark.parametrize(
    ("cells", "same"),
    [
        ("0,0.9,0.1,0.0000000012\n1,0.8,0.2,0.000000001", True),  # r is nowhere probable
        ("0,0.9001,0.0999,0.000000001\n1,0.8,0.2,0.000000001", False),
        ("0,0.9,0.1,nan\n1,0.8,0.2,0.000000001", False),
    ],
)
def test_the_kernel_s_output_is_measured_as_in_the_trial(
    classes: Competition, tmp_path: Path, cells: str, same: bool
) -> None:
    proof, found = tmp_path / "proof.txt", tmp_path / "found.txt"  # as is: validated elsewhere
    proof.write_text("id,p,q,r\n0,0.9,0.1,0.000000001\n1,0.8,0.2,0.000000001\n")
    found.write_text(f"id,p,q,r\n{cells}\n")
    if same:
        check_output(found, proof, classes)
        return
    with pytest.raises(SubmissionError, match="predicts something else"):
        check_output(found, proof, classes)


def test_labels_and_ids_that_are_large_numbers_are_not_rounded(
    make_competition: Make, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"id": range(4), "a": range(4), "y": [900_001, 900_002] * 2})
    competition = make_competition(
        frame,
        frame[:2].drop(columns="y"),
        task={"type": "binary", "metric": "accuracy", "classes": ["900001", "900002"]},
        submission={"wants": "label", "columns": ["y"]},
    )
    proof, found = tmp_path / "proof.txt", tmp_path / "found.txt"
    proof.write_text("id,y\n800000,900001\n800001,900002\n")
    for content in ("id,y\n800000,900002\n800001,900002\n", "id,y\n800002,900001\n800001,900002\n"):
        found.write_text(content)
        with pytest.raises(SubmissionError, match="1 of 4 cells"):
            check_output(found, proof, competition)


def test_the_trial_reads_folders_that_are_links(classes: Competition, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "one.png").write_bytes(b"x")
    (classes.raw / "images").symlink_to(tmp_path / "disk", target_is_directory=True)
    (classes.raw / "round").symlink_to(classes.raw, target_is_directory=True)
    bundle = Bundle(folder=tmp_path / "export", names=NAMES, digest="d" * 32)
    bundle.dataset.mkdir(parents=True)
    workspace = tmp_path / "work"
    _lay_out(classes, bundle, workspace, wheels=False)
    mounted = workspace / "input" / "competitions" / "toy"
    assert (mounted / "images" / "one.png").read_bytes() == b"x"
    assert (mounted / "train.csv").is_file()
    assert not (mounted / "round").exists()


class Reader:
    """Reads files as they are, and keeps the texts."""

    text, kinds = ("id", "t"), {"t": "text"}

    def __init__(self) -> None:
        self.seen: list[str] = []

    def read(self, path: Path, rows: int) -> Iterator[tuple[Any, pd.DataFrame]]:
        for frame in read_chunks(path, rows, as_text=self.text):
            self.seen.extend(frame["t"])
            yield frame["id"], frame


def test_the_pace_is_measured_on_texts_that_differ_whatever_is_in_them(tmp_path: Path) -> None:
    test, reader = tmp_path / "test.csv", Reader()
    texts = ["a\rb", "c\r\nd", 'e"\n,f']
    pd.DataFrame({"id": range(3), "t": texts}).to_csv(test, index=False, lineterminator="\r\n")
    predictor = cast(Predictor, SimpleNamespace(predict=len))
    _pace(cast(NewRows, reader), predictor, test, rows=3, seconds=1e-4)
    assert len(reader.seen) >= 60
    assert reader.seen[:30] == [f"{text} {k}" for k in range(10) for text in texts]


@pytest.mark.parametrize("fixed", [0.01, 10.0, 40.0])
def test_few_rows_that_take_long_to_begin_with_tell_the_pace(
    fixed: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty seconds whatever the rows, a thousandth for each: not ten seconds for one more."""
    test, clock = tmp_path / "test.csv", SimpleNamespace(now=0.0)
    pd.DataFrame({"id": range(3), "t": ["a", "b", None]}).to_csv(test, index=False)
    monkeypatch.setattr(inference, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def predict(rows: pd.DataFrame) -> None:
        clock.now += fixed + 0.001 * len(rows)

    predictor = cast(Predictor, SimpleNamespace(predict=predict))
    found = _pace(cast(NewRows, Reader()), predictor, test, rows=3, seconds=fixed + 0.003)
    assert 0.00099 < found["per_row"] < 0.002
    assert found["pace"] == clock.now < max(60, 3 * fixed)
