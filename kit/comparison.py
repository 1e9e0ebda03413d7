"""Two runs beside each other: settings that differ, and the paired difference of their folds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.decimals import score_text
from kit.runs import Run

_BESIDE = ("model", "seed", "early_stopping", "kit", "task")
_DIGESTS = ("data", "features", "folds", "code")

Pair = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs between run A and run B.

    Attributes:
        settings: key -> (A, B), only where they differ.
        folds: scores per fold; empty where the runs cannot be compared.
        summary: mean paired difference B - A and its standard error, where there are folds.
        reason: why the scores cannot be compared, or "".
        verdict: the difference in words.
    """

    settings: dict[str, tuple[Any, Any]]
    folds: list[Pair]
    summary: dict[str, float]
    reason: str
    verdict: str


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs; scores only where folds and metric are the same."""
    settings = _differences(_facts(a), _facts(b))
    reason = ""
    if a.folds != b.folds:
        reason = (
            f"The scores cannot be compared: A was validated on the folds {a.folds}, "
            f"B on {b.folds}."
        )
    elif a.metric != b.metric:
        (one, _), (two, _) = a.metric, b.metric
        reason = f"The scores cannot be compared: A has {one}, B has {two}."
        if one == two:
            reason = f"The scores cannot be compared: the code of {one} has changed in between."
    if reason:
        return Comparison(settings=settings, folds=[], summary={}, reason=reason, verdict="")
    folds = list(zip(a.record["score"]["folds"], b.record["score"]["folds"], strict=True))
    gains = [new - old for old, new in folds if old is not None and new is not None]
    up = bool(a.record["metric"]["greater_is_better"])
    summary, verdict = _verdict(gains, up, like=a.score)
    return Comparison(settings=settings, folds=folds, summary=summary, reason="", verdict=verdict)


def _verdict(gains: list[float], up: bool, like: float) -> tuple[dict[str, float], str]:
    if len(gains) < 2:
        return {}, "Too few folds to say how sure the difference is."
    mean = statistics.fmean(gains)
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    better = sum((gain > 0) == up and gain != 0 for gain in gains)
    side = "no difference" if mean == 0 else "B is better" if (mean > 0) == up else "A is better"
    sure = "clearly" if abs(mean) > 2 * error and mean else "within the noise of the folds"
    text = (
        f"{side}: {score_text(mean, like, signed=True)} ± {score_text(error, like)} (standard "
        f"error) per fold, B ahead in {better} of {len(gains)}; {sure}."
    )
    return {"mean_difference": mean, "standard_error": error}, text


def _facts(run: Run) -> dict[str, Any]:
    record = run.record
    facts = {key: record.get(key) for key in _BESIDE}
    facts |= {f"digest of {key}": record["digests"].get(key) for key in _DIGESTS}
    facts |= {f"params.{key}": value for key, value in record.get("params", {}).items()}
    return facts | {key: v for key, v in _flat(run.config).items() if _concerns(key, run)}


def _concerns(key: str, run: Run) -> bool:
    """Whether a key of kit.toml says something about the run that its parameters do not say."""
    if not key.startswith("models.") or not run.record.get("params"):
        return True
    own = f"models.{run.model}."
    return key.startswith(own) and not key.startswith(f"{own}params.")


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = [*a, *(key for key in b if key not in a)]
    return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)}
