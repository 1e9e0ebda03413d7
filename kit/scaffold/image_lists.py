"""Tables that list the training images where folders or names say their classes.

Owns: finding such a table. Who or what is in a picture (a driver, a camera) stands nowhere else,
and decides the folds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pandas as pd

from kit.errors import DataError
from kit.scaffold.no_tables import outside_crowds
from kit.tables import read_header, read_table


def with_list(labels: Mapping[str, str], tables: Collection[Path]) -> pd.DataFrame:
    """The training images and their classes, with the columns of the table that lists them all.

    Args:
        labels: the class of each image by the name of its file.
        tables: what may be such a list: a row per image, one column of names (the file's, without
            folders or suffix where these differ).

    Returns:
        A row per image: "file", "label" or what the list calls it, and the other columns of the
        list as they are spelled.
    """
    frame = pd.DataFrame({"file": list(labels), "label": list(labels.values())}, dtype="str")
    for path in outside_crowds(tables):
        with suppress(DataError):  # no table of kit's: nothing depends on it
            found = _list_of([*labels], path)
            if found is None:
                continue
            same = [name for name in found if (found[name] == frame["label"]).all()]
            frame = frame.rename(columns={"label": same[0]}) if same else frame
            again = [n for n in found if n in frame or _spells(found[n], frame.iloc[:, 1])]
            return frame.join(found.drop(columns=again))
    return frame


def _list_of(names: list[str], path: Path) -> pd.DataFrame | None:
    """A table's rows in the order of the images, where it has one for each."""
    table = read_table(path, as_text=[name.strip() for name in read_header(path)])
    paths = [PurePosixPath(name) for name in names]
    for spelled in (names, [p.name for p in paths], [p.stem for p in paths]):
        if len({*spelled}) < len(spelled) or len(table) < len(spelled):
            continue
        for column in table:
            known = table[column]
            if known.iloc[0] in {*spelled} and known.is_unique and {*spelled} <= {*known}:
                return table.set_axis(known).loc[spelled].reset_index(drop=True)
    return None


def _spells(values: pd.Series, labels: pd.Series) -> bool:
    """Whether each class has one value, and each value one class."""
    pairs = len(pd.DataFrame({"value": values, "label": labels}).drop_duplicates())
    return pairs == values.nunique(dropna=False) == labels.nunique()
