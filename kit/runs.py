"""A run is an immutable folder, published by one rename. Listing runs is reading small JSON files.

```
runs/
  20261123T101530-lightgbm-3f9a2c/     UTC time - model - first digits of the run hash
    run.json       what was done and what it scored (schema 1, standard-library readable)
    curves.json    loss per iteration, by fold
    config.json    the whole configuration as it was, overrides applied
    oof.parquet    id | fold | pred   or   pred_<class>, pred_<target>
    test.parquet   id | pred ...      mean over the folds; folds in time order: fitted on all rows
    holdout.parquet  the same for the sealed rows, with cv.holdout only
    code/          kit.toml, features.py, ... as they ran
    models/fold-0/ native formats, with --keep-models only; models/all-rows/ where folds go forward
  .partial/<run hash>/fold-0.parquet   finished folds of a run that is not
```

Owns: this layout. Imports pandas only where predictions are read or written.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.atomic import disk_errors, flush_below, parse_json, sha256, token
from kit.errors import RunError, nearest

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
_SHAPES: dict[str, type] = {
    "best_iterations": list, "cut": list, "digests": dict, "files": dict,
    "fold_weights": list, "metric": dict,
    "overrides": dict,
    "packages": dict, "params": dict, "parents": list, "resumed": list, "score": dict,
    "seconds": dict, "weights": dict,
}  # fmt: skip
_IGNORE = "*\n"  # runs never belong into version control

ALL_FOLDS, LAST_FOLD, ALL_ROWS = "mean of the folds", "last fold", "all rows"
"""Whose models predict rows that were not validated: the value of "new_rows" in a record.

Where folds go forward that is a fit on all rows; the last fold's where the clock cut that."""


@dataclass(frozen=True)
class Run:
    """A published run: its folder and its record."""

    path: Path
    record: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def short(self) -> str:
        """The end of the id: enough to name the run in a command."""
        return self.hash[:6]

    @property
    def hash(self) -> str:
        """What the predictions depend on: data, folds, features, configuration, seed."""
        return str(self.record["hash"])

    @property
    def kind(self) -> str:
        """How it came to be: "cv", "blend", "fit", or "import"."""
        return str(self.record["kind"])

    @property
    def model(self) -> str:
        """The model's name in `kit.toml`, or "blend"."""
        return str(self.record["model"])

    @property
    def folds(self) -> str:
        """Digest of the folds the run was validated on."""
        return str(self.record["digests"]["folds"])

    @property
    def score(self) -> float:
        """The out-of-fold score runs are ranked by, in leaderboard units (see `kit.scoring`)."""
        return float(self.record["score"]["value"])

    @property
    def metric(self) -> tuple[str, str]:
        """Name of the metric, and digest of its code where that is the competition's own."""
        return str(self.record["metric"]["name"]), str(self.record["metric"].get("code", ""))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration the run was made with.

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self.path / "config.json"
        try:
            config: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
            if any(not isinstance(part, dict) for key, part in config.items() if key != "schema"):
                raise ValueError("a part of it is no table")
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(self._damaged(path, error)) from error
        return config

    @cached_property
    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Losses per fold, ``{"0": {"train": [...], "valid": [...]}}``; empty where none were kept.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / "curves.json"
        try:
            curves: dict[str, dict[str, list[float]]] = parse_json(path.read_text(encoding="utf-8"))
            for curve in curves.values():
                for losses in curve.values():
                    sum(losses)  # TypeError where one is no number
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise RunError(self._damaged(path, error)) from error
        return curves

    def altered(self) -> list[str]:
        """Files of predictions that are missing or not as published, by their SHA-256.

        A parquet file has no check sum of its own: a changed byte, or a value somebody edited, is
        read as a prediction. Runs of older versions of kit have none on record.
        """
        known: dict[str, str] = self.record.get("files") or {}
        return [name for name in known if not _same(self.path / name, known[name])]

    def oof(self) -> pd.DataFrame:
        """Out-of-fold predictions, one row per validated training row.

        Returns:
            Columns `id` (str), `fold` (int8), then the predictions as float64.

        Raises:
            RunError: the file is missing or truncated.
        """
        return self._read("oof.parquet")

    def test(self) -> pd.DataFrame:
        """Predictions for the test rows, mean over the folds: `id`, then the predictions."""
        return self._read("test.parquet")

    def holdout(self) -> pd.DataFrame:
        """Predictions for the sealed rows (`cv.holdout`), as `test`."""
        return self._read("holdout.parquet")

    def _read(self, name: str) -> pd.DataFrame:
        import pandas as pd

        path = self.path / name
        roles = ["id", "fold"] if name == "oof.parquet" else ["id"]
        try:
            frame = pd.read_parquet(path)
            kinds = frame.drop(columns=roles).dtypes  # KeyError where one is not there
            if not len(kinds) or any(kind.kind not in "fiu" for kind in kinds):
                raise ValueError("it holds no predictions")
            largest = frame[kinds.index].abs().max(skipna=False)
            if len(frame) and not largest.lt(math.inf).all():
                raise ValueError("not all predictions are finite numbers")
            if not frame["id"].is_unique:  # TypeError where ids are lists
                raise ValueError("an id is in it twice")
            known = (self.record.get("files") or {}).get(name)
            if known is not None and not _same(path, known):
                raise ValueError("it is not what was published: its SHA-256 is another")
        except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's derive from these
            raise RunError(self._damaged(path, error)) from error
        return frame

    def _damaged(self, path: Path, error: Exception) -> str:
        again = {"cv": f"kit cv {self.model}", "import": "kit oof import"}.get(
            self.kind, f"kit {self.kind}"
        )
        return (
            f"{path} is damaged or missing: {str(error).splitlines()[0]}\n"
            f"  Delete the folder {self.path} and run `{again}` again."
        )


def prediction_columns(names: Sequence[str]) -> list[str]:
    """Column names of the predictions: `pred`, or `pred_<name>` for several outputs."""
    return ["pred"] if len(names) == 1 else [f"pred_{name}" for name in names]


def list_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """All published runs, oldest first, and a sentence for each folder that cannot be used."""
    runs: list[Run] = []
    problems: list[str] = []
    if not folder.is_dir():
        return runs, problems
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        try:
            with open(os.path.join(entry.path, "run.json"), encoding="utf-8") as file:
                record = parse_json(file.read())
            if record["schema"] > SCHEMA:
                problems.append(f"{entry.name}: written by a newer kit, left out; update kit")
                continue
            _check_record(record)
        except FileNotFoundError:
            problems.append(f"{entry.name}: has no run.json: not a run, left out")
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            problems.append(
                f"{entry.name}: run.json is damaged ({reason}), left out; delete the folder "
                "and compute it again"
            )
            continue
        runs.append(Run(Path(entry.path), record))
    # ids tell seconds: of two runs of one second the record says which came first
    return sorted(runs, key=lambda run: (str(run.record["created"]), run.id)), problems


def _check_record(record: Mapping[str, Any]) -> None:
    """Raise `KeyError`, `TypeError` or `ValueError` unless a record can be listed and compared."""
    for key in ("hash", "kind", "model", "created"):
        record[key]
    for key, kind in _SHAPES.items():
        if record.get(key) is not None and not isinstance(record[key], kind):
            raise TypeError(f"{key} must be a {kind.__name__}")
    for key in ("cut", "resumed"):
        if not all(type(fold) is int for fold in record.get(key) or ()):
            raise TypeError(f"{key} must be numbers of folds")
    float(record["score"]["value"]), len(record["score"]["folds"])
    record["digests"]["folds"], record["metric"]["name"], record["metric"]["greater_is_better"]


def find_run(folder: Path, name: str) -> Run:
    """The run that `name` means.

    Args:
        folder: the competition's `runs` folder.
        name: an id or an unambiguous part of one, a model (its newest run), or `last`.

    Raises:
        RunError: no run, or several, match.
    """
    runs, problems = list_runs(folder)
    if name == "last" and runs:
        return runs[-1]
    exact = [run for run in runs if run.id == name]
    of_model = [run for run in runs if run.model == name]
    if of_model and not exact:
        return of_model[-1]
    found = exact or [run for run in runs if name in run.id]
    if len(found) == 1:
        return found[0]
    broken = next((problem for problem in problems if name in problem.split(":")[0]), None)
    if broken and not found:
        raise RunError(f"the run cannot be used: {broken}")
    if not found:
        known = [run.id for run in runs[-5:]]
        hint = nearest(name, known) if known else "There are none yet: `kit cv` makes one."
        raise RunError(f"no run matches {name!r}. {hint}")
    raise RunError(
        f"{name!r} fits {len(found)} runs: {', '.join(run.id for run in found[:5])}. Be more exact."
    )


def publish(
    folder: Path,
    record: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    frames: Mapping[str, pd.DataFrame],
    code: Mapping[str, bytes],
    models: Path | None = None,
    curves: Mapping[str, Any] | None = None,
) -> Run:
    """Write a run aside and rename it into place; nobody ever sees half of it.

    Args:
        folder: the competition's `runs` folder.
        record: `run.json` without `schema`, `id` and `created`.
        config: the configuration, overrides applied.
        frames: file stem -> predictions ("oof", "test").
        code: file name -> content of the competition's code.
        models: a folder of saved models, moved into the run.
        curves: loss per iteration and fold, for the record.

    Raises:
        DiskFull: nothing was published; the finished folds are still there.
    """
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%dT%H%M%S}-{_safe(str(record['model']))}-{str(record['hash'])[:6]}"
    aside = folder / ".tmp" / token()
    with disk_errors(folder / run_id):
        aside.mkdir(parents=True)
        ignore(folder)
        try:
            full = {
                "schema": SCHEMA,
                "id": run_id,
                "created": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
                **record,
            }
            _dump(aside / "config.json", config)
            if curves:
                _dump(aside / "curves.json", curves)
            for stem, frame in frames.items():
                frame.to_parquet(aside / f"{stem}.parquet", index=False, compression="zstd")
            written = [f"{stem}.parquet" for stem in frames]
            full["files"] = {name: sha256(aside / name) for name in written}
            _dump(aside / "run.json", full)
            (aside / "code").mkdir()
            for name, content in code.items():
                (aside / "code" / name).write_bytes(content)
            if models is not None and models.is_dir():
                shutil.move(models, aside / "models")
            flush_below(aside)  # the finished folds go when the run is there
            final = _rename(aside, folder / run_id)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return Run(final, {**full, "id": final.name})


def _same(path: Path, digest: str) -> bool:
    with suppress(OSError):
        return sha256(path) == digest
    return False


def ignore(folder: Path) -> None:
    """Keep the content of a folder out of version control."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / ".gitignore"
    if not marker.exists():
        marker.write_text(_IGNORE, encoding="utf-8")


def _rename(aside: Path, final: Path) -> Path:
    """Rename; a second run of the same second and hash gets a name of its own."""
    for attempt in range(100):
        target = final if attempt == 0 else final.with_name(f"{final.name}-{attempt + 1}")
        if target.exists():
            continue
        try:
            os.rename(aside, target)
        except OSError:
            if target.exists():
                continue
            raise
        return target
    raise RunError(f"{final.parent} holds a hundred runs named {final.name}")


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_." else "-" for c in name)
