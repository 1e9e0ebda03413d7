"""Columns of your own, made row by row.

kit calls `features` once with the training rows and once with the test rows, before the data are
split into folds. That is why the function must not look at other rows: a mean over the column, a
rank, a group size or a filled-in median would carry what a fold is scored on into what it learns
from, and the score would look better than it is. `kit check` tries it out and tells you.

(Statistics over rows are not forbidden, they only belong into the model, which kit fits inside
each fold.)
"""


def features(df):
    """Return `df` with new columns.

    `df` holds the columns of train and test that both have, without the target. Numbers are
    numbers; everything listed under [columns.kinds] in kit.toml is still the text of the file.
    Do not drop, sort or re-index rows.

    Take the '#' away from a line, put your own column names in, and run `kit cv` again.
    """
    # Numbers: ratios, sums, "is it there at all"
    # df["price_per_room"] = df["price"] / df["rooms"]
    # df["family"] = df["siblings"] + df["parents"] + 1
    # df["age_known"] = df["age"].notna().astype(int)

    # Texts and codes: length, a part of them
    # df["title"] = df["name"].str.extract(r" ([A-Za-z]+)\.", expand=False)
    # df["deck"] = df["cabin"].str[0]
    # df["n_words"] = df["text"].str.split().str.len()

    # Dates (kit already makes year, month, weekday and hour of every datetime column)
    # when = pd.to_datetime(df["start"])          # needs: import pandas as pd
    # df["days"] = (pd.to_datetime(df["end"]) - when).dt.days

    # Not like this: it looks at other rows
    # df["age"] = df["age"].fillna(df["age"].mean())
    # df["city_size"] = df.groupby("city")["city"].transform("size")
    return df
