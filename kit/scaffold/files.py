"""Which file is train, which is test, which is the sample submission.

Owns: the names under which competitions hand out their tables, and reading them for inference.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import ConfigError, DataError, nearest
from kit.sampled import Counts, Sample, of_the_same_rows, read_columns, read_sample
from kit.scaffold.absent import unnamed_samples, way_to_rows
from kit.scaffold.facts import Inference, Wishes
from kit.scaffold.no_tables import (
    holds_no_records,
    may_be_tables,
    outside_crowds,
    way_from_crowds,
)
from kit.spelling import find_name, normal
from kit.tables import TABLE_SUFFIXES, read_header, read_table, table_format

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_SAMPLE = re.compile(
    r"sample.*(sub|entry|solution)|(sub|entry).*(sample|example|format|template)"
    r"|example.*(sub|entry)|^gender_?submission$|^gendermodel$|^(sample|submission)$"
)
_TRAIN = re.compile(r"^train|(^|[_\-. ])train(ing)?([_\-. ]|$)")
_TEST = re.compile(r"^test|(^|[_\-. ])test(ing)?([_\-. ]|$)")
ANSWERS = "answers_per_id.csv"
"""An id and its answer in each row: `kit.scaffold.made` makes it of several rows for an id."""

_ALIKE = 0.6  # share of the columns of either that train and test have in common
_CANONICAL = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "sample": ("samplesubmission", "gendersubmission", "submission"),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The three files; `sample` is None where there is none. `others` are tables no model sees."""

    train: Path
    test: Path
    sample: Path | None
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The three tables.

    In `sample` every column is text as spelled; in `train` the ids and whatever test lacks, in
    `test` the ids. Of large files these are some rows; what was counted over all rows of train is
    in `counts`, by column of strings. `joined` are the columns that other tables brought.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    paths: Found
    n_train: int
    counts: Mapping[str, Counts] = field(default_factory=dict)
    joined: frozenset[str] = frozenset()

    @property
    def sampled(self) -> bool:
        """Whether `train` is some rows only."""
        return self.n_train > len(self.train)

    def whole(self, names: Collection[str]) -> pd.DataFrame:
        """Columns of train, all rows."""
        return read_columns(self.paths.train, names) if self.sampled else self.train[[*names]]

    def cut(self, kept: NDArray[np.bool_], n_train: int) -> Tables:
        """The same with these rows of `train` only, of a file that has `n_train` such rows."""
        return replace(self, train=self.train[kept].reset_index(drop=True), n_train=n_train)


def find_files(raw: Path, wishes: Wishes, inference: Inference) -> Found:
    """Find the tables in `raw` and one level of folders below it.

    Raises:
        ConfigError: none or several files could be meant; names them and the flag.
    """
    tables = tables_in(raw)
    if not tables:
        bare = [path.name for path in sorted(raw.glob("*.gz")) if len(path.suffixes) == 1]
        way_out = "Is it the folder with the competition's files?"
        if bare:
            way_out = f"What is a table of {', '.join(bare[:6])}, call .csv.gz in a copy of it."
        raise ConfigError(
            f"{raw} holds no table ({', '.join(TABLE_SUFFIXES)}, or one of them in a zip or gz).\n"
            f"  {way_out}"
        )
    called = by_name(tables)

    def pick(role: str, candidates: list[Path]) -> tuple[Path | None, str]:
        wish = wishes.get(role)
        if wish:
            return _named(raw, str(wish.value), wish.flag, tables), wish.because
        chosen = _choose(raw, role, candidates, tables, called["sample"])
        return chosen, "by its name" if chosen in called[role] else "its columns are those of train"

    sample, why_sample = pick("sample", called["sample"])
    made = [path for path in tables if path.name == ANSWERS]
    train, why_train = pick("train", made or _by_columns(called, tables, sample))
    tests = _partner(called["test"], train) or _like_train(tables, train, sample)
    test, why_test = pick("test", tests)
    if train is None or test is None:
        raise AssertionError("unreachable: _choose raises for train and test")
    if sample and not wishes.get("test") and _labels_alone(train, test, sample, tables):
        test, why_test = sample, f"its ids: {train.name} has labels only, the rest is joined"
    few = [] if sample or wishes.get("sample") else outside_crowds(tables)
    unnamed = unnamed_samples(few, train, test)
    if len(unnamed) == 1:
        sample, why_sample = unnamed[0], "a row per id of test, with the columns that test lacks"
    inference.add("files.train", train.relative_to(raw).as_posix(), why_train)
    inference.add("files.test", test.relative_to(raw).as_posix(), why_test)
    if sample is None:
        inference.add("files.sample_submission", "", "there is none", sure=False)
        listed = ", ".join(path.relative_to(raw).as_posix() for path in unnamed)
        more = f"; {listed} look like one" if listed else ""
        inference.ask(f"there is no sample submission; name it with --sample if there is one{more}")
    else:
        inference.add("files.sample_submission", sample.relative_to(raw).as_posix(), why_sample)
    used = {_stem(train), _stem(test)}
    # other packings of a used table are none of them
    others = [p for p in tables if p not in (*called["sample"], sample) and _stem(p) not in used]
    return Found(train=train, test=test, sample=sample, others=tuple(others))


def tables_in(raw: Path) -> list[Path]:
    """The tables in `raw` and one level of folders below it; JSON without records is none."""
    found = sorted(path for path in (*raw.glob("*"), *raw.glob("*/*")) if is_table(path))
    no_tables = {path for path in outside_crowds(found) if holds_no_records(path)}
    return [path for path in found if path not in no_tables]


def by_name(tables: Collection[Path]) -> dict[str, list[Path]]:
    """The tables called sample, train and test; "labeledTrainData" counts where no name is plain.

    >>> by_name([Path("labels.csv"), Path("Train.csv")])
    {'sample': [], 'train': [PosixPath('Train.csv')], 'test': []}
    """
    found: dict[str, list[Path]] = {"sample": [path for path in tables if is_sample(path)]}
    found["sample"] = found["sample"] or [p for p in tables if "submission" in _stem(p)]
    rest = [path for path in tables if path not in found["sample"]]
    for role, pattern in (("train", _TRAIN), ("test", _TEST)):
        found[role] = [path for path in rest if pattern.search(_stem(path))]
        found[role] = found[role] or [path for path in rest if role in _stem(path)]
        rest = [path for path in rest if path not in found[role]]
    return found


def is_sample(path: Path) -> bool:
    """Whether a table is called like a sample submission."""
    return _SAMPLE.search(_stem(path)) is not None


def _by_columns(
    called: dict[str, list[Path]], tables: list[Path], sample: Path | None
) -> list[Path]:
    """Candidates for train: those with a column to predict, where names say too little.

    "labels.csv" may be the train table; of "train_transaction.csv" and "train_identity.csv" one
    holds the target.
    """
    if sample is None or len(called["train"]) == 1:
        return called["train"]
    others = [path for path in tables if path not in (*called["sample"], *called["test"])]
    candidates = called["train"] or others
    names_of = cache(read_header)  # of hundreds of targets each is looked for
    header = [name.strip() for name in names_of(sample)]
    for wanted in (header[1:], header[:1]):
        having = [p for p in candidates if any(find_name(w, names_of(p)) for w in wanted)]
        if having:
            break
    having = having or called["train"]
    if len(having) < 2 or not called["test"]:
        return having
    # what test has as well, under whatever name, is not to be predicted
    in_test = {name.strip() for path in called["test"] for name in names_of(path)}
    own = [p for p in having if not all(find_name(name, in_test) for name in names_of(p))]
    return own or having


def _partner(tests: list[Path], train: Path | None) -> list[Path]:
    """Of several tests the one called as train is: "test_transaction" for "train_transaction"."""
    if train is None or len(tests) < 2:
        return tests
    wanted = _without_part(train)
    return [path for path in tests if _without_part(path) == wanted] or tests


def _without_part(path: Path) -> str:
    return re.sub(r"(train|test)(ing)?", "", _stem(path))


def _like_train(tables: list[Path], train: Path | None, sample: Path | None) -> list[Path]:
    """Tables that may be test by their columns: those of train, but for what is to be predicted."""
    if train is None:
        return []
    names = read_header(train)
    answers = [] if sample is None else read_header(sample)[1:]
    found = []
    for path in outside_crowds([path for path in tables if path not in (train, sample)]):
        header = read_header(path)
        known = [name for name in header if find_name(name, names)]
        asked = any(find_name(name, header) for name in answers)
        if 2 <= len(known) < len(names) and len(known) >= _ALIKE * max(map(len, (header, names))):
            found += [] if asked else [path]
    return found


def _labels_alone(train: Path, test: Path, sample: Path, tables: list[Path]) -> bool:
    """Whether train is ids and labels, while a third table has for train what test has for test."""
    if train.name == ANSWERS:
        return True
    names, in_test, in_sample = (list(map(normal, read_header(p))) for p in (train, test, sample))
    if {*names} & {*in_test} != {in_sample[0]} or len(in_test) < 2:
        return False
    others = [path for path in tables if path not in (train, test, sample)]
    return any(list(map(normal, read_header(path))) == in_test for path in others)


def read(
    paths: Found,
    inference: Inference,
    *,
    train: Collection[str],
    test: Collection[str],
    sample: Collection[str],
) -> Tables:
    """Read the files, or some rows of large ones.

    Args:
        paths: of the files.
        inference: where it is noted that a file was too large.
        train: its columns that are kept as they are spelled.
        test: likewise.
        sample: likewise.

    Raises:
        DataError: a table is unreadable or has no row.
    """
    samples = {"train": read_sample(paths.train, as_text=train, count=True)}
    samples["test"] = read_sample(paths.test, as_text=test)
    found = None if paths.sample is None else read_table(paths.sample, as_text=sample)
    if paths.test == paths.sample:  # of answers that nobody has given yet
        samples["test"] = replace(samples["test"], frame=samples["test"].frame.iloc[:, :1])
    for path, frame in (
        (paths.train, samples["train"].frame),
        (paths.test, samples["test"].frame),
        (paths.sample, found),
    ):
        if frame is not None and frame.empty:
            raise DataError(f"{path} has a header and no rows, so nothing can be told of it.")
    inference.sampled += [
        f"{len(each.frame)} of the {each.rows} rows of {path.name}"
        for each, path in zip(samples.values(), (paths.train, paths.test), strict=True)
        if each.positions is not None
    ]
    if found is not None and samples["test"].positions is not None:
        found = _matching(found, samples["test"], paths.test)
    return Tables(
        train=samples["train"].frame,
        test=samples["test"].frame,
        sample=found,
        paths=paths,
        n_train=samples["train"].rows,
        counts=samples["train"].counts,
    )


def _matching(sample: pd.DataFrame, test: Sample, path: Path) -> pd.DataFrame:
    """The rows of the sample submission that go with the sampled rows of test."""
    for name in map(str, sample.columns):
        same = find_name(name, test.frame.columns)
        if same:
            return of_the_same_rows(sample, name, test, read_columns(path, [same])[same])
    if test.positions is not None and len(sample) == test.rows:  # then the order is all there is
        return sample.iloc[test.positions].reset_index(drop=True)
    return sample


def is_table(path: Path) -> bool:
    """A table, or a zip of exactly one; images, whole downloads and torn zips may lie beside it."""
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        return table_format(path) is not None
    except (DataError, zipfile.BadZipFile, OSError):
        return False


def _stem(path: Path) -> str:
    """The name without the suffixes of tables and archives, in lower case."""
    name = path.name.lower()
    cut: Callable[[str], str] = lambda n: re.sub(r"\.(zip|gz|csv|tsv|json|jsonl|parquet)$", "", n)  # noqa: E731
    while cut(name) != name:
        name = cut(name)
    return name


def _choose(
    raw: Path, role: str, candidates: list[Path], tables: list[Path], samples: list[Path]
) -> Path | None:
    best = _best(raw, role, candidates)
    if len(best) == 1:
        return best[0]
    if not best and role == "sample":
        return None
    few = outside_crowds(tables)
    listed = ", ".join(path.relative_to(raw).as_posix() for path in (best or few)[:12])
    what = "several files could be" if best else "no file looks like"
    noun = "sample submission" if role == "sample" else f"{role} table"
    way_out = f"Name it with --{role} FILE."
    if best and role == "train":
        way_out += (
            " Where one has the target and others many rows of each id, name the one and the "
            "sample submission with --test: kit sums up the others."
        )
    if not best and role != "sample":
        if not samples:
            way_out += " Where one of these is the sample submission, say so with --sample FILE."
        way_out += way_to_rows(role, few, samples) + may_be_tables(raw)
        way_out += way_from_crowds(tables, raw)
    raise ConfigError(f"{raw}: {what} the {noun}. Received: {listed}.\n  {way_out}")


def _best(raw: Path, role: str, candidates: list[Path]) -> list[Path]:
    """Plain names before long ones, upper folders before lower, unpacked before packed."""
    canonical = [
        path for path in candidates if re.sub(r"[\W_]", "", _stem(path)) in _CANONICAL[role]
    ]
    left = canonical or candidates
    if len({_stem(path) for path in left}) == 1:
        depth = min(len(path.relative_to(raw).parts) for path in left)
        left = [path for path in left if len(path.relative_to(raw).parts) == depth]
        packed = min(len(path.suffixes) + (path.suffix.lower() == ".zip") for path in left)
        left = [p for p in left if len(p.suffixes) + (p.suffix.lower() == ".zip") == packed]
    return left


def _named(raw: Path, name: str, flag: str, tables: list[Path]) -> Path:
    known = {path.relative_to(raw).as_posix(): path for path in tables}
    for key, path in known.items():
        if name in (key, path.name, str(path)):
            return path
    raise ConfigError(f"{flag} {name!r}: no such table in {raw}. {nearest(name, known)}")
