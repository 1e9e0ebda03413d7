"""What the kernel calls: models and a test file in, a checked submission file out.

Only the test file and the sample submission are read. How the models know rows was written down
when they were exported, so the hidden test file may be any other than the public one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import atomic_path, write_json
from kit.competition import Competition
from kit.dataset import text_columns
from kit.errors import SubmissionError
from kit.images.attach import Images
from kit.joins import Joins
from kit.refit.predict import CHUNK
from kit.refit.rows import NewRows, RowFormat
from kit.refit.saved import Predictor, Scale, load_plan, read_plan
from kit.runs import Run
from kit.submission.building import written
from kit.submission.checking import validate
from kit.submission.shape import Shape, expected
from kit.tables import read_table
from kit.usercode import UserCode

ROWS = "rows.json"
"""How rows are read, beside the models."""
BACKBONES = "backbones.json"
"""Files of the weights that turn images into numbers, by column; none where no image is read."""
REPORT, PREDICTIONS = "report.json", "predictions.npy"
_PACE_ROWS, _PACE_SECONDS = 200_000, 60.0
"""At most so much is predicted to learn how long a row takes."""
_PACE_SHARE, _PACE_GROWTH = 2, 20
"""It is known from a file that takes so many times as long; each is so much longer at most."""
_FEW_ROWS, _FEW_SHARE = 1000, 3
"""Of so few rows the time may have nothing to do with them: the search may take so much of it."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things lie on the machine that predicts.

    Attributes:
        code: folder of `kit.toml` and the competition's Python files.
        models: folder of the plan and the fitted models.
        test, sample: the competition's files; None where there is no sample submission.
        out: the submission file to write.
        report: folder for predictions and facts, to compare them with; None: none are written.
    """

    code: Path
    models: Path
    test: Path
    sample: Path | None
    out: Path
    report: Path | None = None


def infer(record: Mapping[str, Any], places: Places) -> list[str]:
    """Predict the test file, write the submission file, check it against the sample submission.

    Args:
        record: of the bundle: "run", "task", "transform", "decision", "flags".
        places: where things lie.

    Returns:
        Notes on what was unusual.

    Raises:
        KitError: the file, the models or the code do not fit together; nothing is written.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        competition = _competition(Path(folder) / record["run"], record, places)
        shape = expected(competition)
        known = json.loads((places.models / ROWS).read_text(encoding="utf-8"))
        images, joins = _images(competition, places), _joins(competition, places)
        reader = NewRows(competition, RowFormat.from_json(known), images, joins)
        predictor = load_plan(
            read_plan(places.models),
            places.models,
            Scale(record["transform"], record["task"]),
            UserCode(competition.root),
        )
        loaded = time.perf_counter()
        ids, values = _predicted(reader, predictor, places.test, shape)
        done = time.perf_counter()
        run = Run(places.models / record["run"], {"id": record["run"], **record})
        table = written(*_ordered(values, ids, shape), competition, run, shape, rows_of_sample=True)
        _write(table, places, competition)
        notes = [*reader.notes.sentences(), *images.notes]
        if places.report is not None:
            seconds = {"load": loaded - started, "predict": done - loaded}
            fresh = _images(competition, places, each=True)
            again = NewRows(competition, reader.format, fresh, joins)
            seconds |= _pace(again, predictor, places.test, len(ids), done - loaded)
            _report(places.report, ids, values, {"seconds": seconds, "notes": notes})
    return notes


def _competition(root: Path, record: Mapping[str, Any], places: Places) -> Competition:
    """A competition's folder of its code and the files found here."""
    root.mkdir(parents=True)
    for path in places.code.iterdir():
        if path.is_file():
            (root / path.name).write_bytes(path.read_bytes())
    competition = Competition.load(root, record["flags"])
    files = competition.settings.files
    found: dict[str, Path | None] = {
        files.test: places.test,
        files.sample_submission: places.sample,
    }
    for name in (name for spec in competition.settings.joins.values() for name in spec.file):
        table = _mounted(competition, places) / name
        found.setdefault(name, table if table.is_file() else None)
    for name, mounted in found.items():
        if name and mounted is not None:
            link = competition.raw / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(mounted.resolve())
    return competition


def _mounted(competition: Competition, places: Places) -> Path:
    """The folder of the competition's files, by where its test file was found."""
    depth = len(Path(competition.settings.files.test).parts)
    return places.test.parents[min(depth, len(places.test.parents)) - 1]


def _images(competition: Competition, places: Places, *, each: bool = False) -> Images:
    """The competition's images where its test file was found, and the bundle's backbones."""
    file = places.models / BACKBONES
    names = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    weights = {column: places.models / name for column, name in names.items()}
    mounted = _mounted(competition, places)
    return Images(competition, mounted=mounted, weights=weights, each=each)


def _joins(competition: Competition, places: Places) -> Joins:
    """Joined tables as they are here, where hidden rows may have rows of their own in them.

    Those that are not here are the bundle's. They are read now, so that the pace of rows is theirs.
    """
    joins = Joins(competition, text_columns(competition), prepared=places.models)
    _ = joins.tables
    return joins


def _predicted(
    reader: NewRows, predictor: Predictor, test: Path, shape: Shape
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Ids ``(n,)`` and predictions ``(n, k)`` of the test file, in its order."""
    pieces = [(ids, predictor.predict(X)) for ids, X in reader.read(test, CHUNK)]
    ids = np.concatenate([piece[0] for piece in pieces])
    if not reader.id and shape.ids is not None:  # rows without ids are those of the sample
        ids = shape.ids.str.strip().to_numpy(dtype=np.str_)
    values = np.concatenate([piece[1] for piece in pieces])
    if len(ids) != len(values):
        raise SubmissionError(
            f"{test.name} has {len(values)} rows and no ids, the sample submission {len(ids)}"
        )
    return ids, values


def _ordered(
    values: NDArray[np.float64], ids: NDArray[np.str_], shape: Shape
) -> tuple[NDArray[np.float64], Any]:
    """Predictions and ids as the sample submission has them."""
    if shape.ids is None:
        return values, ids
    rows = pd.Index(ids).get_indexer(pd.Index(shape.ids.str.strip()))
    if (rows < 0).any():
        missing = shape.ids[rows < 0]
        raise SubmissionError(
            f"the test file lacks {len(missing)} of {len(rows)} ids of the sample submission, "
            f"first: {', '.join(map(repr, missing[:3]))}"
        )
    return values[rows], shape.ids


def _pace(
    reader: NewRows, predictor: Predictor, test: Path, rows: int, seconds: float
) -> dict[str, float]:
    """Seconds per further row, from files of the same rows many times over.

    A small test file tells little: most of its time passes however few rows there are. So files
    become longer until their rows take half of the time, or no more time may be spent.
    """
    started = time.perf_counter()
    table = read_table(test, as_text=reader.text)
    texts = [str(name) for name in table if reader.kinds.get(str(name)) == "text"]
    times, took = 1, seconds
    left = max(_PACE_SECONDS, _FEW_SHARE * seconds if rows <= _FEW_ROWS else 0.0)
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        longer = Path(folder) / "rows.csv"
        while took < _PACE_SHARE * seconds:
            of_rows = max(took - seconds, took / _PACE_GROWTH, 1e-3)
            if times == 1 and rows > _FEW_ROWS:
                of_rows = took
            most = min(_PACE_GROWTH, _PACE_ROWS / (rows * times))
            growth = int(min(most, (left - seconds) / of_rows))
            if growth < 2:
                break
            times *= growth
            # texts may hold "\r" alone, which is quoted only where the ends of lines have it, too
            _repeated(table, times, texts).to_csv(longer, index=False, lineterminator="\r\n")
            before = time.perf_counter()
            for _, X in reader.read(longer, CHUNK):
                predictor.predict(X)
            took = time.perf_counter() - before
            left -= took
    per_row = seconds / rows
    if times > 1:
        per_row = max(took - seconds, 0.0) / (rows * (times - 1))
        per_row = max(per_row, took / (rows * times) / 20)
    return {"per_row": per_row, "pace": time.perf_counter() - started}


def _repeated(table: pd.DataFrame, times: int, texts: Sequence[str]) -> pd.DataFrame:
    """The same rows many times over; texts differ by a number: vectors of equal ones are kept."""
    longer = pd.concat([table] * times, ignore_index=True)
    for name in texts:
        number = " " + pd.Series(np.arange(len(longer)) // len(table)).astype("str")
        longer[name] = longer[name].astype("str").where(longer[name].notna()) + number
    return longer


def _write(table: pd.DataFrame, places: Places, competition: Competition) -> None:
    """Write and check; a file under the final name is one that passed."""
    checked = competition.root / "submission.csv"
    expected(competition).write(table, checked)
    validate(checked, competition)
    with atomic_path(places.out) as temporary:
        if places.out.suffix == ".parquet":
            table.apply(_as_number).to_parquet(temporary, index=False)
        else:
            temporary.write_bytes(checked.read_bytes())


def _as_number(column: pd.Series) -> pd.Series:
    """Ids and labels as numbers where a CSV file of them is read as such; "007" stays a text.

    Parquet has types, and numbers spelled out are not the ids of a solution that holds numbers.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    same = (numbers.astype("str").to_numpy() == column.astype("str").to_numpy()).all()
    return numbers if same else column


def _report(
    folder: Path, ids: NDArray[np.str_], values: NDArray[np.float64], facts: dict[str, Any]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / PREDICTIONS, values)
    document = {**facts, "rows": len(ids), "packages": packages_used(), "ids": ids.tolist()}
    write_json(folder / REPORT, document)


def packages_used(modules: Sequence[str] | None = None) -> dict[str, str]:
    """Version of every installed package of which something has been imported, kit's own left out.

    Args:
        modules: names of modules; None: all that this process has imported.
    """
    names = {name.partition(".")[0] for name in (sys.modules if modules is None else modules)}
    names -= {"_distutils_hack"}  # a .pth file of setuptools loads it into every process
    found = packages_distributions()
    used = sorted({dist for name in names for dist in found.get(name, ())})
    return {dist: version(dist) for dist in used if dist != "kit-competitions"}
