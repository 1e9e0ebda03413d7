"""Test takes turns with train in time: are the gaps that folds fill as long as those of test?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.checks.validation import shuffled_time
from kit.scaffold.timing import duration, time_split

_EASIER = 0.5  # of the distance that test rows have to the nearest training row


def easier(m: Material) -> Iterator[Evidence]:
    """Scored rows lie much nearer to what their fold trains on than test rows lie to train."""
    if m.folds.forward or any(shuffled_time(m)):
        return  # nothing later is learned from; KIT303 says it
    for name, kind in m.kinds.items():
        if kind != "datetime" or name not in m.X_test or m.X[name].isna().any():
            continue
        split = time_split(m.X[name], m.X_test[name])
        if split.relation != "blocks":
            continue
        train, test = m.X[name].to_numpy(), m.X_test[name].dropna().to_numpy()
        asked = float(np.median(nearest(test, train)))
        pairs = [
            (train[m.folds.valid(k)], train[m.folds.train(k)]) for k in range(m.folds.n_splits)
        ]
        found = float(np.median(np.concatenate([nearest(*pair) for pair in pairs])))
        if found < _EASIER * asked:
            yield Evidence(
                text=f"{name!r}: test fills {split.blocks} gaps of about {split.block} in train; "
                f"its rows lie {_told(asked)} from the nearest training row in the median, however "
                f"those that folds score only {_told(found)}; cv.splitter = "
                f"{m.settings.cv.splitter!r}",
                remedy="the score tells how well shorter gaps are filled: [columns] time = "
                f'"{name}" with [cv] splitter = "time_blocks" and block = "{split.block}"',
                columns=(name,),
            )


def nearest(times: NDArray[np.datetime64], known: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Seconds from each time to the nearest known one, before or after. ``(n,)``, ``(m,)``."""
    known = np.unique(known)
    place = np.searchsorted(known, times)
    before = np.abs(times - known[np.maximum(place - 1, 0)])
    after = np.abs(known[np.minimum(place, len(known) - 1)] - times)
    seconds: NDArray[np.float64] = np.minimum(before, after) / np.timedelta64(1, "s")
    return seconds


def _told(seconds: float) -> str:
    return duration(pd.Timedelta(seconds=seconds)) if seconds >= 1 else "0s"
