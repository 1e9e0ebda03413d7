"""Does `features.py` look at one row at a time?

kit applies `features` before the folds are cut. A function that looks at other rows (a mean, a
rank, a group's size, the row before) carries what is scored into what is learned. It is run on all
rows, on a random half and on shuffled rows; a row must get the same values every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.errors import KitError
from kit.features import NoFeatures, apply_features
from kit.usercode import HINT, UserCode

_MOST_ROWS = 200_000
# A row's own arithmetic may differ in the last bits, as a matrix product adds up in blocks.
_TOLERANCE = {2: 1e-2, 4: 1e-5, 8: 1e-9}  # relative, by bytes per float

Function = Callable[[pd.DataFrame], pd.DataFrame]


def failing(m: Material) -> Iterator[Evidence]:
    """`features.py` raises, or nothing is left to learn from."""
    error = m.problems.get("features")
    if error is None:
        return
    if isinstance(error, NoFeatures):
        yield Evidence(text=_reason(error), remedy="a model needs one column to learn from")
    else:
        yield Evidence(text=_reason(error), remedy=f"mend features.py. {HINT.strip()}")


def _reason(error: KitError) -> str:
    """The message without the hint, which is said once."""
    return str(error).removesuffix(HINT).rstrip()


def not_repeatable(m: Material) -> Iterator[Evidence]:
    """The same rows get other features the second time."""
    found = _setting(m)
    if found is None:
        return
    function, rows = found
    for name, count in _differing(function(rows), function(rows)).items():
        yield Evidence(
            text=f"{name!r} differs in {count} of {len(rows)} rows when features() runs twice",
            remedy="train and test, and every run, would differ: no random numbers, clocks or "
            "counters in features.py; fix a seed per row if it must be",
            column=name,
        )


def not_row_by_row(m: Material) -> Iterator[Evidence]:
    """Features of a row that depend on which other rows there are."""
    found = _setting(m)
    if found is None:
        return
    function, rows = found
    complete = function(rows)
    unsteady = _differing(complete, function(rows))
    rng = np.random.default_rng(0)
    n = len(rows)
    trials = {
        "a random half of the rows": np.sort(rng.choice(n, max(1, n // 2), replace=False)),
        "the rows in another order": rng.permutation(n),
    }
    guilty: dict[str, str] = {}
    failed: dict[str, list[str]] = {}
    for what, taken in trials.items():
        try:
            part = function(rows.iloc[taken].reset_index(drop=True))
        except KitError as error:
            failed.setdefault(_reason(error), []).append(what)
            continue
        for name, count in _differing(complete, part, taken).items():
            text = f"{name!r} differs in {count} of {len(taken)} rows when features() sees {what}"
            if name not in unsteady:
                guilty.setdefault(name, text)
    for reason, parts in failed.items():
        yield Evidence(
            text=f"features() works on all rows and fails on {' and on '.join(parts)}: {reason}",
            remedy="one row at a time must be enough for it",
        )
    for name, text in guilty.items():
        yield Evidence(
            text=text,
            remedy="it looks at other rows, so what is scored leaks into what is learned: compute "
            "{columns} from a row's own values, or in a transformer inside model.py, which is "
            "fitted on training rows only",
            column=name,
        )


def _setting(m: Material) -> tuple[Function, pd.DataFrame] | None:
    """The function, and train rows as kit hands them to it; None without a `features.py`."""
    found = UserCode(m.competition.root).features()
    if found is None:
        return None
    user: Any = found
    aside = {*m.columns.target, *m.columns.drop, *m.train_only}
    rows = m.train[[c for c in m.train.columns if c not in aside]]
    note = "features.py"
    if len(rows) > _MOST_ROWS and not any(text.startswith(note) for text in m.sampled):
        # the first ones, not random ones: rows that belong together are often neighbours
        m.sampled.append(f"{note}: the first {_MOST_ROWS} of {len(rows)} rows")
    rows = rows.head(_MOST_ROWS)
    return (lambda frame: apply_features(user, m.competition, frame)), rows


def _differing(
    whole: pd.DataFrame, part: pd.DataFrame, taken: NDArray[np.int64] | None = None
) -> dict[str, int]:
    """Columns of `part` that are not the rows `taken` of `whole`, and in how many rows."""
    found: dict[str, int] = {}
    for name in dict.fromkeys([*whole.columns, *part.columns]):
        if name not in whole.columns or name not in part.columns:
            found[str(name)] = len(part)
            continue
        expected = whole[name] if taken is None else whole[name].iloc[taken]
        count = int((~_equal(expected, part[name])).sum())
        if count:
            found[str(name)] = count
    return found


def _equal(a: pd.Series, b: pd.Series) -> NDArray[np.bool_]:
    """Row by row; missing equals missing, categories are compared by value."""
    absent = a.isna().to_numpy(), b.isna().to_numpy()
    numbers = pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b)
    sizes = [_float_size(column) for column in (a, b)]
    same: NDArray[np.bool_]
    if numbers and any(sizes):
        x, y = (column.to_numpy(dtype=np.float64, na_value=np.nan) for column in (a, b))
        same = np.isclose(x, y, rtol=_TOLERANCE[min(filter(None, sizes))], atol=0.0)
    elif numbers or (a.dtype == b.dtype and not isinstance(a.dtype, pd.CategoricalDtype)):
        same = np.asarray(a.to_numpy() == b.to_numpy(), dtype=bool)
    else:
        same = a.astype("str").to_numpy() == b.astype("str").to_numpy()
    return np.asarray((same & ~absent[0] & ~absent[1]) | (absent[0] & absent[1]))


def _float_size(column: pd.Series) -> int:
    """Bytes per float, at most 8; 0 for other columns."""
    if not pd.api.types.is_float_dtype(column):
        return 0
    return min(8, int(getattr(column.dtype, "itemsize", 8)))
