"""The result of a fold: one parquet file, whole or not there."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kit.atomic import atomic_path, parse_json


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What a fold produced.

    Attributes:
        fold: number of the fold.
        rows: positions of the validated training rows.
        oof: their predictions. ``(n_valid, n_outputs)``
        test: predictions for all test rows; none where folds go forward, but in the last one.
            ``(n_test, n_outputs)``
        sealed: those for the sealed rows, in their order. ``(n_sealed, n_outputs)``
        seconds: ``{"fit", "predict"}``.
        peak_memory_mb: of the process so far.
        best_iteration: where the model stopped, None for models that do not.
        curve: loss per iteration.
        all_rows: whether a fit on all rows predicted the test rows, not the fold's model.
        device: the GPU that a network was fitted on; "" for a processor.
        cut: whether a deadline made the model stop earlier or hurry.
        resumed: whether it was read from an earlier, interrupted call.
    """

    fold: int
    rows: NDArray[np.int64]
    oof: NDArray[np.float64]
    test: NDArray[np.float64]
    seconds: Mapping[str, float]
    sealed: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 1)))
    peak_memory_mb: float = 0.0
    best_iteration: int | None = None
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    all_rows: bool = False
    device: str = ""
    cut: bool = False
    resumed: bool = False


def write_result(path: Path, result: FoldResult) -> None:
    """One parquet file: rows of both parts, facts in the schema's metadata."""
    parts = [result.oof, result.test, *([result.sealed] if len(result.sealed) else [])]
    rows = np.concatenate([result.rows, *(np.arange(len(values)) for values in parts[1:])])
    part = np.repeat(np.arange(len(parts), dtype=np.int8), [len(values) for values in parts])
    columns = {f"p{k}": column for k, column in enumerate(np.vstack(parts).T)}
    table = pa.table({"part": part, "row": rows, **columns})
    facts = asdict(result)
    for array in ("rows", "oof", "test", "sealed", "resumed"):
        del facts[array]
    with atomic_path(path) as temporary:
        metadata = {b"kit": json.dumps(facts).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_result(path: Path) -> FoldResult | None:
    """Read a result file; None where it is missing or not whole."""
    try:
        table = pq.read_table(path)
        facts = parse_json((table.schema.metadata or {})[b"kit"])
        part, rows = table["part"].to_numpy(), table["row"].to_numpy()
        values = np.column_stack([table[f"p{k}"].to_numpy() for k in range(len(table.schema) - 2)])
        return FoldResult(
            rows=rows[part == 0],
            oof=values[part == 0],
            test=values[part == 1],
            sealed=values[part == 2],
            resumed=True,
            **facts,
        )
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def peak_memory_mb() -> float:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
