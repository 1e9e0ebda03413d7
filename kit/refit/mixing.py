"""How a blend makes one prediction of its parents', applied to other rows and other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.blending.saved import FILE, from_json
from kit.errors import KitError, RunError
from kit.metrics.transforms import transform_pair
from kit.runs import Run, prediction_columns

Array = NDArray[np.float64]
How = Literal["values", "ranks", "saved"]

_CLOSE = 1e-3  # weights are recorded with six decimals


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """A blend's combination, for those of its parents that have a weight.

    Attributes:
        how: the mean of values, the mean of ranks, or what the blend saved.
        weights: per used parent, none of them 0.
        positions: of the used parents among all `size`.
        size: number of parents.
        transform, task: the scale of means of values.
        saved: the blend's own document, for "saved".
    """

    how: How
    weights: tuple[float, ...]
    positions: tuple[int, ...]
    size: int
    transform: str
    task: str
    saved: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Mixing:
        """What `to_json` made."""
        numbers = {key: tuple(document[key]) for key in ("weights", "positions")}
        return cls(**{**document, **numbers})

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    def predict(self, parts: Sequence[Array], reference: Sequence[Array] = ()) -> Array:
        """One prediction of those of the used parents.

        Args:
            parts: per used parent ``(n, k)``.
            reference: for "ranks", per used parent the predictions among which rows are ranked, so
                that a row's rank does not depend on the rows beside it. ``(r, k)`` each.

        Returns:
            ``(n, k)``
        """
        if self.how == "ranks":
            ranked = [ranks(p, known) for p, known in zip(parts, reference, strict=True)]
            return _mean(self.weights, np.stack(ranked), "", "regression")
        if self.how == "values" or self.saved is None:
            return _mean(self.weights, np.stack(parts), self.transform, self.task)
        # parents without weight are not asked; something finite stands in their place
        all_parts = [parts[0]] * self.size
        for position, part in zip(self.positions, parts, strict=True):
            all_parts[position] = part
        return np.asarray(from_json(self.saved).predict(np.stack(all_parts)))


def mixing_of(
    run: Run, parents: Sequence[Run], weights: Mapping[str, float], transform: str
) -> Mixing:
    """How a blend mixes its parents.

    Args:
        run: the blend.
        parents: its parents that have a weight.
        weights: of all parents.
        transform: that of the metric.

    Raises:
        RunError: the blend saved no combination, and a weighted mean does not give its predictions.
    """
    used: dict[str, Any] = {
        "weights": tuple(weights[parent.id] for parent in parents),
        "positions": tuple(list(weights).index(parent.id) for parent in parents),
        "size": len(weights),
        "transform": transform,
        "task": str(run.record["task"]),
    }
    path = run.path / "models" / FILE
    if path.is_file():
        try:
            saved = parse_json(path.read_text(encoding="utf-8"))
            from_json(saved)
        except (OSError, ValueError, KeyError, TypeError, KitError) as error:
            raise RunError(f"{path} is damaged: {error}\n  Run `kit blend` again.") from error
        how: How = "ranks" if saved["kind"] == "ranks" else "saved"
        return Mixing(how=how, saved=saved, **used)
    return _recognised(run, parents, used)


def ranks(values: Array, reference: Array) -> Array:
    """Mean rank of every value among those of `reference`, as a share in (0, 1].

    Shape:
        `values` ``(n, k)``, `reference` ``(r, k)``; result ``(n, k)``.
    """
    columns = []
    for column, known in zip(values.T, np.sort(reference, axis=0).T, strict=True):
        below = np.searchsorted(known, column, "left")
        upto = np.searchsorted(known, column, "right")
        columns.append((below + np.maximum(upto, below + 1) + 1) / (2 * len(known)))
    return np.clip(np.column_stack(columns), 0.0, 1.0)


def _mean(weights: Sequence[float], parts: Array, transform: str, task: str) -> Array:
    """The weighted mean, on the scale the metric trains on; probabilities stay probabilities.

    Shape:
        ``(m, n, k)`` -> ``(n, k)``
    """
    link, unlink = transform_pair(transform, task)
    mixed = np.asarray(unlink(np.tensordot(weights, link(parts), axes=1)), dtype=np.float64)
    if task in ("regression", "multitarget"):
        return mixed
    mixed = np.clip(mixed, 0.0, 1.0)  # weights below 0 may leave the range
    total = mixed.sum(axis=1, keepdims=True)
    return mixed / np.where(total > 0, total, 1.0) if task == "multiclass" else mixed


def _recognised(run: Run, parents: Sequence[Run], used: dict[str, Any]) -> Mixing:
    """The mean of its parents that gives a blend's own test predictions."""
    names = prediction_columns(run.record["outputs"])
    test = run.test()
    parts = [_aligned(parent.test(), test["id"], names, parent) for parent in parents]
    wanted = test[names].to_numpy(dtype=np.float64)
    ways: tuple[How, ...] = ("values", "ranks")
    for how in ways:
        mixing = Mixing(how=how, **used)
        if _alike(mixing.predict(parts, parts), wanted):
            return mixing
    method = run.record.get("params", {}).get("method", "?")
    raise RunError(
        f"{run.id} (method {method!r}) is more than a weighted mean of its parents and has not "
        "saved what it is.\n  Run `kit blend` again, or fit one of its parents."
    )


def _aligned(frame: pd.DataFrame, ids: Any, names: list[str], run: Run) -> Array:
    """A run's predictions in the order of `ids`."""
    if not set(names) <= set(frame.columns):
        raise RunError(f"{run.path / 'test.parquet'} lacks {names[:5]}; run `kit cv` again.")
    position = pd.Index(frame["id"]).get_indexer(pd.Index(ids))
    if len(frame) != len(ids) or (position < 0).any():
        raise RunError(f"{run.id} predicts other test rows than its blend; run `kit cv` again.")
    return frame[names].to_numpy(dtype=np.float64)[position]


def _alike(found: Array, wanted: Array) -> bool:
    return bool(np.allclose(found, wanted, rtol=_CLOSE, atol=_CLOSE * float(np.std(wanted))))
