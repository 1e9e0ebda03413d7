"""How models are validated: the splitter that copies the way train and test were split.

Owns: splitter, number of folds, the default models, and the question about groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from kit.errors import ConfigError, counted, nearest
from kit.portfolio import SHORT_SERIES, short_list
from kit.registry import SPLITTERS
from kit.scaffold.facts import Inference, Wishes
from kit.scaffold.files import Tables
from kit.scaffold.groups import FEWEST, train_group
from kit.scaffold.ids import Ids
from kit.scaffold.kinds import NAMED_ID
from kit.scaffold.series import find_series, note_series
from kit.scaffold.timing import MIXED, TimeSplit, column_split
from kit.spelling import find_name

_FOLDS = 5
_MORE_FOLDS = 8  # for few rows: each model learns from 7/8 of them
_FEW_ROWS = 10_000
_FEWEST_TIMES = 3  # of train: two folds are validated on what is later than something
_SMALL = 100_000
_QUICK_MODELS = ("lightgbm", "linear")
_QUICK_TEXT = ("words-only", "lightgbm")
_STRATIFIED = ("binary", "multiclass", "multilabel")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What the splitter has to respect.

    Attributes:
        tables: the files.
        ids: the id column of each file.
        task: the task's type.
        class_counts: rows of train per class, empty without classes.
        kinds: kind per feature, and of an id that is a date.
        targets: columns to predict.
    """

    tables: Tables
    ids: Ids
    task: str
    class_counts: Sequence[int]
    kinds: Mapping[str, str]
    targets: Sequence[str] = ()

    @property
    def own(self) -> dict[str, str]:
        """Kinds of what train and test have themselves: only that can be a group or a time."""
        return {name: kind for name, kind in self.kinds.items() if name not in self.tables.joined}


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A splitter, why, and the most folds that it allows."""

    splitter: str
    because: str
    sure: bool = True
    split: TimeSplit = MIXED
    most: int = _MORE_FOLDS
    noun: str = ""
    horizon: str = ""
    gap: str = ""


def asked_column(tables: Tables, wishes: Wishes, name: str) -> str | None:
    """The train column that `--group` or `--time` names.

    Raises:
        ConfigError: train has no such column.
    """
    wish = wishes.get(name)
    if wish is None:
        return None
    found = find_name(str(wish.value), tables.train.columns)
    if found is None:
        raise ConfigError(
            f"{wish.flag} {wish.value!r} is no column of train. "
            f"{nearest(str(wish.value), map(str, tables.train.columns))}"
        )
    return found


def find_validation(rows: Rows, wishes: Wishes, inference: Inference) -> None:
    """Decide and note the splitter, the folds and the models.

    Raises:
        UnknownName: `--splitter` names one that no registry knows.
        ConfigError: `--folds` is less than 2; `--group` or `--time` is no column.
    """
    group, time = (asked_column(rows.tables, wishes, name) for name in ("group", "time"))
    for name, column in (("group", group), ("time", time)):
        wish = wishes.get(name)
        if column is not None and wish is not None:
            inference.add(f"columns.{name}", column, wish.because)
    choice = _choose(rows, group, time, inference)
    wish = wishes.get("splitter")
    if wish is not None:
        SPLITTERS.check(str(wish.value))
        choice = replace(
            choice, splitter=str(wish.value), because=wish.because, most=_MORE_FOLDS, sure=True
        )
        for role in ("group", "time"):
            if role in choice.splitter and inference.get(f"columns.{role}") is None:
                inference.ask(
                    f"{wish.flag} {wish.value} needs --{role} COLUMN, else kit cv refuses it"
                )
    inference.add("cv.splitter", choice.splitter, choice.because, sure=choice.sure)
    _note_folds(rows, choice, wishes, inference)
    if choice.splitter == "time_blocks" and choice.split.block:
        why = "typical length of the test blocks: folds bridge gaps like theirs"
        inference.add("cv.block", choice.split.block, why)
    # a name or title beside a table does not make it a matter of texts
    kinds = rows.kinds.values() if inference.template == "text" else ()
    short = list(short_list(kinds))
    if choice.splitter in ("time_windows", "group_time") and choice.horizon:
        why = "length of the test period: folds look as far ahead"
        inference.add("cv.horizon", choice.horizon, why)
        if choice.gap:
            why = "nothing is known between train and test for so long: folds keep that distance"
            inference.add("cv.gap", choice.gap, why)
    if inference.get("cv.models") is not None:
        pass  # the kind of data says which
    elif inference.get("series.horizon") is not None:
        why = "the baselines to beat, then one of each family (kit portfolio)"
        inference.add("cv.models", [*SHORT_SERIES, *short], why)
    elif rows.tables.n_train <= _SMALL:
        inference.add("cv.models", short, "one of each family (kit portfolio)")
    else:
        why = f"the quick ones, as train has over {_SMALL} rows; add others at will"
        quick = _QUICK_TEXT if kinds else _QUICK_MODELS
        inference.add("cv.models", list(quick), why)
    if group is None:
        _ask_about_new_values(rows, inference)
    if inference.get("columns.group") is None:
        _ask_about_id_parts(rows, inference)
    if inference.get("columns.time") is None:
        _ask_about_later(rows, inference)


def _choose(rows: Rows, group: str | None, time: str | None, inference: Inference) -> _Choice:
    stratified = rows.task in _STRATIFIED
    if time is not None:
        if group is not None:
            inference.ask(
                "--time goes before --group: rows of one group may be in two folds; if groups "
                "matter more, say --splitter group_kfold"
            )
        split = _split_by(rows, time)
        if split.relation == "blocks":
            return _blocks(time, split)
        if split.relation == "after":
            return _after(rows, time, split, inference)
        return _Choice(
            splitter="time_series",
            because=f"rows have a time ({time!r}): folds are validated on what comes later",
            most=rows.tables.train[time].nunique() - 1,
            noun="steps from one time to the next",
        )
    if group is not None:
        return _together(rows, group, f"rows of one {group!r} stay together")
    unseen = new_groups(rows.tables, rows.own, rows.ids.train)
    for name in (name for name, kind in rows.own.items() if kind == "datetime"):
        split = _split_by(rows, name)
        if split.relation == "after" and split.periods < _FEWEST_TIMES:
            inference.ask(
                f"every test row is later than train, by {name!r}; train has {split.periods} times "
                "only, too few for folds that look ahead: they are random, and may be too kind"
            )
            continue
        if split.relation == "after":
            inference.add("columns.time", name, "test starts where train ends")
            return _after(rows, name, split, inference)
        if split.relation == "blocks":
            inference.add("columns.time", name, "train and test take turns along it")
            return _blocks(name, split)
    if unseen:
        name = unseen[0]
        inference.add("columns.group", name, "no value of test occurs in train")
        return _together(rows, name, f"test holds unseen groups ({name!r}), so does every fold")
    name = train_group(rows.tables, rows.ids.train, rows.targets)
    if name:
        _note_train_group(name, rows, inference)
        return _together(rows, name, f"rows of one {name!r} stay together", sure=False)
    if stratified:
        return _Choice(
            splitter="stratified_kfold", because="rows at random, classes in equal parts"
        )
    return _Choice(splitter="kfold", because="rows at random; train and test are not split in time")


def _together(rows: Rows, group: str, because: str, *, sure: bool = True) -> _Choice:
    return _Choice(
        splitter="stratified_group_kfold" if rows.task in _STRATIFIED else "group_kfold",
        because=because,
        sure=sure,
        most=rows.tables.train[group].nunique(),
        noun="groups",
    )


def _note_train_group(name: str, rows: Rows, inference: Inference) -> None:
    groups = counted(rows.tables.train[name].nunique(), "group", "groups")
    because = f"test lacks it; {groups} of rows in train, by its name"
    inference.add("columns.group", name, because, sure=False)
    dropped = inference.get("columns.drop", [])
    left = [column for column in dropped if column != name]
    because = "test lacks them: a model cannot use them" if left else "nothing"
    inference.settle("columns.drop", left, because)
    inference.ask(
        f"rows of one {name!r} are kept in one fold, as rows of it may be alike and test may hold "
        "other ones; if test has the same ones: --splitter "
        + ("stratified_kfold" if rows.task in _STRATIFIED else "kfold")
    )


def _after(rows: Rows, time: str, split: TimeSplit, inference: Inference) -> _Choice:
    """Windows as long as the test period, where train has room for two; series where there are."""
    in_test = rows.ids.test if time == rows.ids.train else time
    look = None
    if rows.task == "regression" and rows.tables.sampled:
        inference.ask(
            "whether train holds series cannot be told from some of its rows: if it does, add a "
            "[series] table to kit.toml"
        )
    elif rows.task == "regression":
        look = find_series(rows.tables, time, in_test, rows.kinds, rows.targets)
    because = f"every test row is later than train, by {time!r}"
    if look is not None:
        note_series(look, inference)
        room, skipped = look.windows, look.gap if split.gap else 0
        horizon, gap = look.length(look.horizon - skipped), look.length(skipped) if skipped else ""
        because += f", and {look.n_series} series go on: windows as long as the test period"
    else:
        room, horizon, gap = split.windows, split.horizon, split.gap
    noun = "windows of the test period" + (" that leave enough to learn from" if look else "")
    unseen = new_groups(rows.tables, rows.own, rows.ids.train)
    if unseen and room > 1:
        inference.add("columns.group", unseen[0], "no value of test occurs in train")
        because = f"test holds unseen groups ({unseen[0]!r}) and is later than train, by {time!r}"
        return _Choice(splitter="group_time", because=because, split=split, most=room,
                       noun=noun, horizon=horizon, gap=gap)  # fmt: skip
    if room < 2:
        return _Choice(splitter="time_series", because=because, split=split,
                       most=split.periods - 1, noun="steps from one time to the next")  # fmt: skip
    return _Choice(splitter="time_windows", because=because, split=split, most=room,
                   noun=noun, horizon=horizon, gap=gap)  # fmt: skip


def _blocks(name: str, split: TimeSplit) -> _Choice:
    return _Choice(
        splitter="time_blocks",
        because=f"train and test take turns along {name!r}: {split.blocks} test blocks beside "
        "those of train",
        split=split,
        most=split.periods,
        noun=f"blocks of {split.block}",
    )


def _split_by(rows: Rows, name: str) -> TimeSplit:
    in_test = rows.ids.test if name == rows.ids.train else name
    if in_test not in rows.tables.test.columns:
        return MIXED
    return column_split(rows.tables.train[name], rows.tables.test[in_test])


def _note_folds(rows: Rows, choice: _Choice, wishes: Wishes, inference: Inference) -> None:
    wish = wishes.get("folds")
    if wish is not None:
        if int(wish.value) < 2:
            raise ConfigError(f"{wish.flag} must be 2 or more. Received: {wish.value}")
        inference.add("cv.n_splits", int(wish.value), wish.because)
        return
    n_splits, because = _FOLDS, "the usual number"
    n_rows = rows.tables.n_train
    if n_rows <= _FEW_ROWS and not choice.splitter.startswith("time"):
        n_splits, because = _MORE_FOLDS, f"{n_rows} rows: more folds leave more to learn from"
    if choice.most < n_splits:
        n_splits, because = choice.most, f"train has only {choice.most} {choice.noun}"
    counts = sorted(rows.class_counts)
    if choice.splitter == "stratified_kfold" and len(counts) > 2:
        _ask_about_rare(rows, inference)
        counts = counts[-2:]  # rarer classes than these need not be in every fold
    rarest = min(counts, default=n_splits)
    if rarest < n_splits and choice.splitter.startswith("stratified"):
        n_splits, because = rarest, f"the rarest class has {counted(rarest, 'row', 'rows')}"
    if n_splits < 2:
        inference.ask(
            f"two folds are not possible: {because}. Leave out such rows, or take another "
            "--splitter or --target"
        )
    inference.add("cv.n_splits", max(2, n_splits), because)


def _ask_about_rare(rows: Rows, inference: Inference) -> None:
    lone = sum(count == 1 for count in rows.class_counts)
    if lone:
        inference.ask(
            f"{counted(lone, 'class has', 'classes have')} one row only: such rows are learned "
            "from and never scored, so the score is that of the other classes"
        )


def new_groups(tables: Tables, kinds: Mapping[str, str], id_: str | None) -> list[str]:
    """Columns of names, or of numbers named like ids, that repeat in train and are new in test."""
    return [
        name
        for name in _all_new(tables, kinds, id_)
        if kinds[name] in ("category", "code") or NAMED_ID.search(name)
    ]


def _all_new(tables: Tables, kinds: Mapping[str, str], id_: str | None) -> Iterator[str]:
    for name, kind in kinds.items():
        if kind not in ("numeric", "category", "code") or name == id_:
            continue
        train, test = tables.train[name].dropna(), tables.test[name].dropna()
        different = int(train.nunique())
        if pd.api.types.is_float_dtype(train) or not FEWEST <= different <= 0.5 * len(train):
            continue
        if test.nunique() >= 5 and not test.isin(set(train.unique())).any():
            yield name


def _ask_about_new_values(rows: Rows, inference: Inference) -> None:
    """Numbers whose values repeat in train and are all new in test; choosing is the user's."""
    for name in _all_new(rows.tables, rows.own, rows.ids.train):
        if name in (inference.get("columns.group"), inference.get("columns.time")):
            continue
        train, test = rows.tables.train[name], rows.tables.test[name]
        told = f"no value of {name!r} in test occurs in train ({train.nunique()} different there): "
        numeric = all(map(pd.api.types.is_numeric_dtype, (train, test)))
        if numeric and test.min() > train.max():
            inference.ask(
                f"{told}all are larger. If it tells the time, folds should look ahead, too: "
                f"--time {name}; if it names things, test has new ones, and so should a fold: "
                f"--group {name}"
            )
        else:
            inference.ask(
                f"{told}the test rows belong to new ones, and so should a fold's: --group {name}"
            )


def _ask_about_later(rows: Rows, inference: Inference) -> None:
    """Numbers that are larger in test than anywhere in train: seconds since some day, perhaps."""
    asked = {inference.get("columns.group"), *_all_new(rows.tables, rows.own, rows.ids.train)}
    for name in (name for name, kind in rows.own.items() if kind == "numeric"):
        train, test = rows.tables.train[name], rows.tables.test[name].dropna()
        numeric = all(map(pd.api.types.is_numeric_dtype, (train, test)))
        if not numeric or name in asked or train.isna().any() or test.empty:
            continue
        if train.nunique() >= FEWEST and test.min() >= train.max():
            inference.ask(
                f"{name!r} is {test.min():g} or more in test and {train.max():g} at most in train: "
                f"if it tells the time, folds should look ahead as test does: --time {name}"
            )


def _ask_about_id_parts(rows: Rows, inference: Inference) -> None:
    """Ids such as "0013_01": rows that share a part may belong together."""
    name = rows.ids.train
    if not name or not isinstance(rows.tables.train[name].dtype, pd.StringDtype):
        return
    if rows.kinds.get(name) == "datetime":
        return
    ids = rows.tables.train[name].str.strip()
    parts = ids.str.extract(r"^(.*[^\W_])[_\-/.]\w+$")[0]
    different = int(parts.nunique())
    if parts.isna().any() or not FEWEST <= different <= 0.95 * len(parts):
        return
    inference.ask(
        f"ids such as {ids.iloc[0]!r} share their first part ({different} parts, {len(parts)} "
        "rows): such rows may belong together. To keep them in one fold, make that part a column "
        "of train and test and say --group NAME"
    )
