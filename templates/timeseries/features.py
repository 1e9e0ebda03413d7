"""Columns of your own, made row by row, of what is known of a row on the day it is predicted.

kit calls `features` once with the training rows and once with the test rows. It does not see the
target: lags, moving averages and seasons of the target are made by kit inside each fold, as [series]
in kit.toml says, because which of them are known depends on the fold and on the horizon.

What helps here is the calendar and what was planned in advance. `kit check` tries the function out
and tells you if it looks at other rows.
"""


def features(df):
    """Return `df` with new columns.

    Do not drop, sort or re-index rows. Take the '#' away from a line, put your own column names in,
    and run `kit cv lightgbm` again. kit already makes year, month, day, weekday and hour of every
    datetime column.
    """
    # when = pd.to_datetime(df["date"])             # needs: import pandas as pd
    # df["days_to_month_end"] = when.dt.days_in_month - when.dt.day
    # df["payday"] = when.dt.day.isin([1, 15]).astype(int)
    # df["christmas"] = ((when.dt.month == 12) & (when.dt.day >= 20)).astype(int)

    # what was planned: a price against the list price, a running promotion
    # df["discount"] = 1 - df["price"] / df["list_price"]

    # Not like this: it looks at other rows, some of them in the future
    # df["price_change"] = df["price"] - df.groupby("store")["price"].shift(1)
    return df
