"""Files that kit does not read: sound, films, medical images, records of tensors.

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

_SOUND = (".wav", ".aif", ".aiff", ".mp3", ".ogg", ".flac", ".m4a", ".au")
_FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_MEDICAL = (".dcm", ".dicom", ".nii", ".mha", ".mhd")
_RECORDS = (".tfrec", ".tfrecord", ".tfrecords")
_ARRAYS = (".npy", ".npz", ".h5", ".hdf5", ".mat")

_WAYS = {
    "sound": (
        _SOUND,
        "Turn each recording into a spectrogram saved as an image (.png), or into a row of numbers "
        "(means and deviations of its bands)",
    ),
    "films": (_FILMS, "Save some frames of each film as images, or turn it into a row of numbers"),
    "medical images": (_MEDICAL, "Save each as an image (.png), in the shades that matter"),
    "records of tensors": (_RECORDS, "Save what is in them as images (.png) or a table"),
    "arrays": (_ARRAYS, "Save what is in them as images (.png) or a table"),
}
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
        return ""
    suffixes, way = _WAYS[kind]
    shown = max(suffixes, key=lambda suffix: counts[suffix])
    return (
        f"{kinds[kind]} files are {kind} ({shown}), which kit does not read.\n  {way}, in copies "
        "of the files with a train table, a test table and the sample submission, and name that "
        "folder with --from"
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
