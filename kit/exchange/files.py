"""The exchanged file: one table of out-of-fold and test predictions, and where they come from.

===========  =====================================================================
part         "oof" or "test"
id           as in the data
fold         of the model that predicted the row; -1 for test rows
pred …       `pred`, or `pred_<class>`, `pred_<target>`
===========  =====================================================================

The facts (digest of the folds, metric, classes in order, version of kit) are the parquet file's
metadata, or the first line of the CSV, ``# kit.oof {…}``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import kit
from kit.atomic import atomic_path, parse_json
from kit.errors import ConfigError, DataError, RunError
from kit.runs import Run
from kit.tables import read_table

FORMAT = "kit.oof/1"
_MARK = "# kit.oof "
_KEY = b"kit.oof"
_SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True, kw_only=True)
class Exchanged:
    """A file that was read, before anything is believed.

    Attributes:
        path: for messages.
        oof, test: the two parts, columns as they are in the file; `test` None where there is none.
        facts: what kit wrote beside; empty for files of others.
    """

    path: Path
    oof: pd.DataFrame
    test: pd.DataFrame | None
    facts: Mapping[str, Any] = field(default_factory=dict)


def export_run(run: Run, path: Path) -> None:
    """Write the predictions of a run for others.

    Args:
        run: a run of kind "cv" or "import".
        path: the file, which ends in .parquet or .csv.

    Raises:
        ConfigError: it ends otherwise.
        RunError: it is of another kind, or its predictions are damaged.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"FILE must end in .parquet or .csv. Received: {str(path)!r}")
    if run.kind == "fit":
        parent = ", ".join(run.record["parents"])
        raise RunError(
            f"{run.id} was fitted on all rows: its out-of-fold predictions are those of {parent}.\n"
            f"  Export that run."
        )
    if run.kind == "blend":
        members = " ".join(name for name, w in (run.record["weights"] or {}).items() if w)
        raise RunError(
            f"{run.id} is a blend: its members say more on the other side, where they are weighed "
            f"anew.\n  Export its members: {members}"
        )
    oof, test = run.oof(), run.test()
    oof.insert(0, "part", "oof")
    test.insert(0, "part", "test")
    test.insert(2, "fold", -1)
    both = pd.concat([oof, test], ignore_index=True)
    both["fold"] = both["fold"].astype("int8")
    facts = json.dumps(facts_of(run), ensure_ascii=False)
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".csv":
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(f"{_MARK}{facts}\n")
                both.to_csv(file, index=False, lineterminator="\n")
        else:
            _write_parquet(both, temporary, facts)


def facts_of(run: Run) -> dict[str, Any]:
    """What the receiver has to know of a run."""
    record = run.record
    return {
        "format": FORMAT,
        "kit": kit.__version__,
        "run": run.id,
        "hash": run.hash,
        "model": run.model,
        "kind": run.kind,
        "competition": record["competition"],
        "task": record["task"],
        "metric": dict(record["metric"]),
        "classes": record.get("classes", []),
        "outputs": record.get("outputs", []),
        "folds": run.folds,
        "data": record["digests"].get("data", ""),
        "score": run.score,
        "early_stopping": record.get("early_stopping", ""),
        "transductive": bool(record.get("transductive")),
    }


def read_exchanged(path: Path, test: Path | None = None) -> Exchanged:
    """Read a file, whoever wrote it; nothing in it is executed.

    Args:
        path: out-of-fold predictions, and those of the test rows where kit wrote it.
        test: the test predictions, where they are a file of their own.

    Raises:
        DataError: it cannot be read, or was written by a newer kit.
    """
    frame, facts = _read(path)
    if facts and facts.get("format") != FORMAT:
        raise DataError(
            f"{path} has the format {facts.get('format')!r}, this kit reads {FORMAT!r}.\n"
            "  Update kit, or ask for a file of this version."
        )
    part = None
    if "part" in frame.columns:
        known = frame["part"].astype("str")
        wrong = known[~known.isin(["oof", "test"])]
        if len(wrong):
            raise DataError(f"{path}: part must be oof or test. Received: {wrong.iloc[0]!r}")
        part = frame[known == "test"].drop(columns=["part", "fold"], errors="ignore")
        frame = frame[known == "oof"].drop(columns="part")
    if test is not None:
        if part is not None and len(part):
            raise DataError(f"{path} holds test predictions already, {test} is one too many")
        part, _ = _read(test)
    return Exchanged(path=path, oof=frame, test=part, facts=facts)


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{path} must be a .parquet or .csv file; pickles and the like are not read, since "
            "they run what they hold"
        )
    if suffix == ".parquet":
        return _read_parquet(path)
    with path.open("rb") as file:
        first = file.readline(1_000_000)
    if not first.startswith(_MARK.encode()):
        return read_table(path, as_text=_ids(path)), {}
    facts = _facts(first.removeprefix(_MARK.encode()), path)
    try:
        body = path.read_text(encoding="utf-8").partition("\n")[2]
        frame = pd.read_csv(io.StringIO(body), dtype="str", keep_default_na=False)
        numbers = [name for name in frame.columns if name not in ("id", "part")]
        frame[numbers] = frame[numbers].astype("float64")  # to the last bit, as no CSV reader is
    except ValueError as error:  # pandas' and Unicode's errors derive from it
        raise DataError(f"{path} cannot be read: {error}") from error
    return frame, facts


def _ids(path: Path) -> list[str]:
    """The columns that are no numbers: whatever stands first, and `id`."""
    return ["id", *map(str, read_table(path, nrows=1).columns[:1])]


def _read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        frame = table.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} is not a readable parquet file: {str(error).splitlines()[0]}"
        ) from error
    written = (table.schema.metadata or {}).get(_KEY)
    return frame, _facts(written, path) if written else {}


def _facts(written: bytes, path: Path) -> dict[str, Any]:
    try:
        facts = parse_json(written)
    except ValueError as error:
        raise DataError(f"{path}: what kit wrote of its origin is damaged: {error}") from error
    kinds = {"metric": dict, "classes": list, "folds": str}
    if not isinstance(facts, dict) or not all(
        isinstance(facts.get(k), t) for k, t in kinds.items()
    ):
        raise DataError(f"{path}: what kit wrote of its origin is damaged: {str(facts)[:80]}")
    return facts


def _write_parquet(frame: pd.DataFrame, path: Path, facts: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: facts.encode()})
    pq.write_table(table, path, compression="zstd")
