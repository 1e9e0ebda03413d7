"""Copies of a competition's folder in which the labels have changed places.

Everything but code, `kit.toml` and the train file is a link to what the competition has.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import chdir, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import token
from kit.competition import CONFIG_NAME, Competition
from kit.execution.context import FOLDS_NAME, load_context
from kit.folds import Folds
from kit.permutation.chance import shuffled
from kit.tables import file_form, read_header, read_table, table_format

MOST_ROWS = 3_000
"""Rows of train, and of test, that the proof uses. The standard error of an AUC is 0.01 then."""

_AGAIN = ("data", "runs", "submissions", "exports", CONFIG_NAME, FOLDS_NAME)

Array = NDArray[Any]


class Source:
    """What copies are made of: the files, the rows that are used, the groups to permute by."""

    def __init__(self, competition: Competition) -> None:
        self.competition, settings = competition, competition.settings
        self.context = load_context(competition)
        data, n = self.context.dataset, len(self.context.dataset.y)
        forward = self.context.folds.forward
        # rows of a later time may follow those of an earlier one of their group: no leak
        groups = None if data.groups is None or forward else pd.factorize(data.groups)[0]
        self.groups: Array | None = groups
        self.rows = chosen_rows(data.y, groups, settings.task.type, settings.cv.n_splits)
        self.train, self.test = settings.files.train, settings.files.test
        has_ids = (settings.columns.test_id or settings.columns.id) != ""
        self.cut_test = has_ids and len(data.X_test) > MOST_ROWS
        used = len(self.rows)
        self.sampled = f"null labels: {used} of {n} rows" if used < n else ""

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The files with every value as it is spelled; of train the rows that have a target."""
        raw = self.competition.raw
        frames = {name: _as_spelled(raw / name) for name in {self.train, self.test}}
        rows = self.context.dataset.rows
        if rows is not None:
            frames[self.train] = frames[self.train].iloc[rows].reset_index(drop=True)
        return frames

    @contextmanager
    def permuted(
        self, seed: int, *, grouped: bool = True, flags: Sequence[str] = ()
    ) -> Iterator[Competition]:
        """A copy whose labels have changed places, as the present folder while it is open.

        Args:
            seed: of the permutation.
            grouped: the labels of a group move together, so that what a group has in common stays.
            flags: further overrides of `kit.toml`.
        """
        root = self.competition.cache / f"null-labels-{token()}"
        try:
            self._write(root, seed, grouped)
            copy = Competition.load(root, [*self.competition.flags, *flags])
            with chdir(root):  # the competition's code may read files by relative names
                yield copy
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def _write(self, root: Path, seed: int, grouped: bool) -> None:
        here, raw = self.competition.root, root / "data" / "raw"
        _link(here, root, [here / name for name in _AGAIN])
        shutil.copy(here / CONFIG_NAME, root)
        for path in here.glob("*.py"):  # code belongs to its folder
            (root / path.name).unlink()
            shutil.copy(path, root)
        own = [self.train, *([self.test] if self.cut_test else [])]
        ours = {name: self.competition.raw / name for name in own}
        _link(self.competition.raw, raw, [*ours.values()], deep=True)
        if self.cut_test:
            _write_table(self.frames[self.test].head(MOST_ROWS), raw / self.test, ours[self.test])
        groups = None if self.groups is None or not grouped else self.groups[self.rows]
        order = self.rows[shuffled(len(self.rows), groups, np.random.default_rng(seed))]
        train = self.frames[self.train].iloc[self.rows].reset_index(drop=True)
        for name in self.competition.settings.columns.target:
            train[name] = self.frames[self.train][name].iloc[order].to_numpy()
        _write_table(train, raw / self.train, ours[self.train])
        if self.competition.settings.cv.splitter == "file":
            folds = self.context.folds
            numbered = not self.competition.settings.columns.id  # ids are the numbers of rows
            ids = pd.Series(range(len(train))) if numbered else folds.ids.iloc[self.rows]
            purged = None if folds.purged is None else folds.purged[self.rows]
            Folds(ids, folds.fold[self.rows], folds.forward, purged).save(root / FOLDS_NAME)


def chosen_rows(y: Array, groups: Array | None, task: str, n_splits: int) -> NDArray[np.int64]:
    """At most `MOST_ROWS` positions, in order: whole groups; some rows at least of every class."""
    n = len(y)
    if n <= MOST_ROWS:
        return np.arange(n)
    rng = np.random.default_rng(0)
    if groups is not None and groups.max() >= 2 * n_splits:
        turn = rng.permutation(groups.max() + 1)[groups]
        order = np.argsort(turn, kind="stable")
        enough = max(turn[order[MOST_ROWS]], 2 * n_splits)
        return np.flatnonzero(turn < enough)
    order = rng.permutation(n)
    if task in ("binary", "multiclass"):
        rank = pd.Series(y[order]).groupby(y[order]).cumcount().to_numpy()
        order = np.concatenate([order[rank < 2 * n_splits], order[rank >= 2 * n_splits]])
    return np.sort(order[:MOST_ROWS])


def _link(source: Path, folder: Path, but: Collection[Path], *, deep: bool = False) -> None:
    """Links to everything in a folder but what is hidden or named.

    A folder that holds something named becomes a folder of links: what is written beside them must
    not end up in the competition's own. With `deep` every folder does: images are not looked for
    behind a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name.startswith(".") or path in but:
            continue
        within = deep and path.is_dir() and not path.is_symlink()
        if within or any(path in named.parents for named in but):
            _link(path, folder / path.name, but, deep=deep)
        else:
            (folder / path.name).symlink_to(path, target_is_directory=path.is_dir())


def _as_spelled(path: Path) -> pd.DataFrame:
    """A table whose values are written as they were read."""
    text = read_header(path) if table_format(path) in (".csv", ".tsv", None) else ()
    return read_table(path, as_text=text)


def _write_table(frame: pd.DataFrame, path: Path, like: Path) -> None:
    """A table in the format of its name, with the separator of another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = table_format(path)
    if kind == ".parquet":
        frame.to_parquet(path, index=False)
    elif kind in (".json", ".jsonl"):
        frame.to_json(path, orient="records", lines=kind == ".jsonl")
    else:
        # texts may hold "\r" alone, which is quoted only where the ends of lines have it, too
        separator = file_form(like).separator
        frame.to_csv(path, index=False, sep=separator, lineterminator="\r\n")
