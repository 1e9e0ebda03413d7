"""Cleaner texts and columns of your own, made row by row.

kit calls `features` once with the training rows and once with the test rows, before the data are
split into folds. That is why the function must not look at other rows: a vocabulary, a word's
frequency or a mean over the column would carry what a fold is scored on into what it learns from.
`kit check` tries it out and tells you. (What kit itself learns from texts, it learns in each fold.)
"""

import re

LINK = re.compile(r"https?://\S+|www\.\S+")
MENTION = re.compile(r"@\w+")


def clean(text):
    """One text, with what differs from text to text and means the same made the same."""
    text = LINK.sub(" link ", text)
    return MENTION.sub(" mention ", text)


def features(df):
    """Return `df` with changed or new columns.

    `df` holds the columns of train and test that both have, without the target; texts are strings,
    missing ones are missing. Do not drop, sort or re-index rows.

    Take the '#' away from a line, put your own column names in, and run `kit cv words` again.
    """
    # Cleaning: try it, and keep it only if the score says so. Links and names may be evidence.
    # df["text"] = df["text"].map(clean, na_action="ignore")

    # Several short texts as one: models then see the words of all of them together
    # df["all"] = df["title"].fillna("") + " " + df["body"].fillna("")

    # What you saw while reading (lengths, capitals, "!", "?", links and "#" kit counts anyway)
    # df["asks_for_money"] = df["text"].str.contains(r"\bmoney|\$", case=False).fillna(False)

    # The kind of a new column is guessed: numbers are numbers, strings are categories.
    # Say it in kit.toml where that is wrong:  [columns.kinds]  all = "text"
    return df
