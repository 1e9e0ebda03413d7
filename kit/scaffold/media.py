"""Files that kit does not read: packed sound, films, medical images, records of tensors.

Owns: what `kit new` says of them, so that nobody takes a missing table for the whole trouble.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from kit.images.files import SUFFIXES
from kit.tables import TABLE_SUFFIXES

_SOUND = (".mp3", ".ogg", ".flac", ".m4a", ".au", ".aifc")
_FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_MEDICAL = (".dcm", ".dicom", ".nii", ".mha", ".mhd")
_RECORDS = (".tfrec", ".tfrecord", ".tfrecords")
_ARRAYS = (".npy", ".npz", ".h5", ".hdf5", ".mat")

_WAYS = {
    "sound": (_SOUND, "Write each recording as .wav (ffmpeg, sox), which kit reads"),
    "films": (_FILMS, "Save some frames of each film as images, or turn it into a row of numbers"),
    "medical images": (_MEDICAL, "Save each as an image (.png), in the shades that matter"),
    "records of tensors": (_RECORDS, "Save what is in them as images (.png) or a table"),
    "arrays": (_ARRAYS, "Save what is in them as images (.png) or a table"),
}
_BESIDE = (".zip", ".gz", ".md", ".pdf", ".html", ".py", ".ipynb")
_PACKED = (".7z", ".rar", ".bz2", ".xz", ".tar", ".tgz")
_FEWEST = 10  # files; fewer are no data set


def unread(raw: Path) -> str:
    """What most files below a folder are and kit does not read, and the way out; "": nothing.

    Where as many are images that kit does read, the others are copies of them.
    """
    counts = Counter(suffix for suffix in map(_suffix, _names(raw)) if suffix)
    images = sum(counts[suffix] for suffix in SUFFIXES)
    kinds = {kind: sum(counts[s] for s in suffixes) for kind, (suffixes, _) in _WAYS.items()}
    kind = max(kinds, key=lambda each: kinds[each])
    if kinds[kind] < _FEWEST or kinds[kind] <= images:
        return _others(raw, counts)
    suffixes, way = _WAYS[kind]
    shown = max(suffixes, key=lambda suffix: counts[suffix])
    return (
        f"{kinds[kind]} files are {kind} ({shown}), which kit does not read.\n  {way}, in copies "
        "of the files with a train table, a test table and the sample submission, and name that "
        "folder with --from"
    )


def _others(raw: Path, counts: Counter[str]) -> str:
    """Files of a kind that nobody here looks at, and tables too deep to be looked at."""
    known = {*SUFFIXES, *TABLE_SUFFIXES, *_BESIDE}.union(*(ways for ways, _ in _WAYS.values()))
    found = {
        suffix: n
        for suffix, n in counts.items()
        if suffix not in known and n >= (1 if suffix in _PACKED else _FEWEST)
    }
    named = [f"{n} files ({suffix})" for suffix, n in sorted(found.items())]
    deep = sum(
        suffix in TABLE_SUFFIXES
        for base, _, names in os.walk(raw)
        if len(Path(base).relative_to(raw).parts) > 1
        for suffix in map(_suffix, names)
    )
    named += [f"{deep} tables more than one folder down"] if deep else []
    if not named:
        return ""
    unpack = "Unpack what kit cannot (it reads .zip and .gz). " if {*_PACKED} & {*found} else ""
    return (
        f"not used: {', '.join(named)}.\n  {unpack}What helps in them, make columns of it in "
        "copies of train and test, and name their folder with --from"
    )


def _suffix(name: str) -> str:
    return PurePosixPath(name.removesuffix(".gz")).suffix.lower()


def _names(raw: Path) -> Iterator[str]:
    """Names of all files, members of zips included."""
    for base, _, names in os.walk(raw):
        for name in names:
            yield name
            if name.lower().endswith(".zip"):
                path = Path(base, name)
                with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
                    yield from archive.namelist()
