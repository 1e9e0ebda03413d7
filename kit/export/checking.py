"""What comes back from Kaggle: is it what the proof wrote, and how is it shown?"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from kit.competition import Competition
from kit.errors import SubmissionError
from kit.export.proof import TOLERANCE
from kit.providers.grading import read_cells
from kit.submission.checking import validate
from kit.submission.shape import expected


def check_output(found: Path, proof: Path, competition: Competition) -> None:
    """Compare a kernel's submission file, for the public test rows, with that of the proof.

    Args:
        found: the file that was fetched.
        proof: the file the bundle wrote here.
        competition: whose sample submission it must fit.

    Raises:
        SubmissionError: it would be rejected, or it holds something else.
    """
    if found.suffix == ".csv":
        validate(found, competition)
    ours, theirs = _cells(proof), _cells(found)
    if list(ours.columns) != list(theirs.columns) or len(ours) != len(theirs):
        raise SubmissionError(
            f"the kernel's {found.name} has {len(theirs)} rows of {list(theirs.columns)[:5]}, the "
            f"proof's {len(ours)} of {list(ours.columns)[:5]}"
        )
    differing = _differing(ours, theirs, competition)
    if differing:
        raise SubmissionError(
            f"the kernel predicts something else than the proof: {differing} of {ours.size} cells "
            f"of {found.name} differ by more than {TOLERANCE:g} of the largest.\n  Does Kaggle's "
            "image have other versions of the packages? Export again with --image."
        )


def _cells(file: Path) -> pd.DataFrame:
    if file.suffix == ".parquet":
        return pd.read_parquet(file).astype("str")
    return read_cells(file)


def _differing(ours: pd.DataFrame, theirs: pd.DataFrame, competition: Competition) -> int:
    """Cells that differ: predicted values by more than the tolerance, the rest at all.

    Scales are those of the proof (`kit.export.proof.TOLERANCE`): a public test of few rows may hold
    a class that is nowhere probable, and rounding must not be measured by that class alone.
    """
    labels = competition.settings.submission.wants == "label"
    predicted = set() if labels else {name.strip() for name in expected(competition).columns}
    numbers = {
        name: tuple(pd.to_numeric(c[name], errors="coerce").to_numpy() for c in (ours, theirs))
        for name in ours.columns
        if name.strip() in predicted
    }
    numbers = {name: pair for name, pair in numbers.items() if np.isfinite(pair).all()}
    largest = {name: float(np.abs(pair[0]).max()) for name, pair in numbers.items()}
    together = competition.settings.task.type != "multitarget"
    most = max(largest.values(), default=0.0)
    off = sum(
        int((np.abs(a - b) > TOLERANCE * (most if together else largest[name])).sum())
        for name, (a, b) in numbers.items()
    )
    exact = [name for name in ours.columns if name not in numbers]
    return off + int((ours[exact].to_numpy() != theirs[exact].to_numpy()).sum())


def plain(text: str) -> str:
    """Text of a server as one plain line: no escape sequences, no control characters."""
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)", "", text)
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:500]
