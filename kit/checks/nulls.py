"""What the null-label proof found, as evidence. The proof itself is `kit.permutation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.checks.finding import Evidence

if TYPE_CHECKING:
    from kit.checks.material import Material


@dataclass(frozen=True, kw_only=True)
class NullScore:
    """One model, or the blend, on permuted labels.

    Attributes:
        model: its name; "blend" for all of them together.
        metric: name of the metric.
        scores: one per permutation; a second one only where the first lay beyond the band.
        bands: what chance explains of each, 99 % of it: ``(low, high)``.
        beyond: whether every score is better than its band.
        culprit: where the labels leak, as far as that could be told.
        remedy: what to do.
        rows: how many training rows were used.
    """

    model: str
    metric: str
    scores: tuple[float, ...]
    bands: tuple[tuple[float, float], ...]
    beyond: bool
    rows: int
    culprit: str = ""
    remedy: str = ""


def above_chance(m: Material) -> Iterator[Evidence]:
    """Models that predict labels which nothing can predict."""
    for found in m.null:
        if not found.beyond:
            continue
        pairs = zip(found.scores, found.bands, strict=True)
        told = " and ".join(f"{score:.4f} (chance: {a:.4f} to {b:.4f})" for score, (a, b) in pairs)
        where = f"; {found.culprit}" if found.culprit else ""
        yield Evidence(
            text=f"{found.model}: {found.metric} {told} on permuted labels of {found.rows} "
            f"rows{where}",
            remedy=found.remedy,
        )
