"""A folder -> the files to upload: files as they are, each folder packed into one zip.

Kaggle takes no folders. It unpacks ``models.zip`` into ``models/``, and has not always done that to
the same depth: what reads a dataset must look for its files.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.atomic import disk_errors, token
from kit.providers.unpacking import check_space


@contextmanager
def archived(folder: Path, without: Collection[str] = ()) -> Iterator[list[Path]]:
    """The files to upload, by name; archives lie beside the folder and go when the block ends.

    Args:
        folder: what to upload; empty folders are left out.
        without: names of files that stay here.

    Raises:
        DiskFull: the archives do not fit.
    """
    aside = folder.with_name(f".{folder.name}.{token()}.upload")
    inside = [path for path in sorted(folder.iterdir()) if not path.is_symlink()]
    full = [path for path in inside if path.is_dir() and any(_files(path))]
    check_space(sum(file.stat().st_size for path in full for file in _files(path)), folder)
    try:
        with disk_errors(aside):
            aside.mkdir()
            archives = [_pack(path, aside / f"{path.name}.zip") for path in full]
        plain = [path for path in inside if path.is_file() and path.name not in without]
        yield sorted([*plain, *archives], key=lambda path: path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(
        archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as target:
        for path in _files(folder):
            target.write(path, path.relative_to(folder).as_posix())
    return archive


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, in order; links are not followed out of it."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if not path.is_symlink():
                yield path
