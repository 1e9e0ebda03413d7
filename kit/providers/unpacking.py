"""Taking over files, whole or not at all, and unpacking without ever leaving the destination.

Owns: which members of a zip are refused (paths that leave the destination, links, devices, bombs,
encrypted ones, names that become one file), and the check for free space. Standard library only.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kit.atomic import atomic_path, sha256
from kit.errors import DiskFull, ProviderError
from kit.providers.base import Progress

UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
_CHUNK = 1 << 20
# they are not seen, or turn the direction of what follows: "gpj.exe" reads as "exe.jpg"
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF}
# Deflate cannot pack tighter than 1032:1; tables, even constant ones, stay far below
_MAX_RATIO, _RATIO_FROM = 500, 16 << 20
_MOST_MEMBERS = 5_000_000  # the largest collections of images have half of it
_LONGEST = 255  # bytes of a name, on nearly every disk
_LONGEST_PATH = 2000  # of the 4,096 that Linux takes, with the folders above


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of the source: name with `/`, size in bytes, and how to read it."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def unpack(
    source: Path, destination: Path, progress: Progress, *, folder_off: bool = True
) -> list[Path]:
    """Unpack a zip; files that are there already, byte for byte, are skipped.

    Args:
        source: the zip.
        destination: where the files go; nothing is written elsewhere.
        progress: told of every file.
        folder_off: take off a folder around all files.

    Raises:
        ProviderError: the zip is damaged, empty or unsafe (see `safe_members`).
        DiskFull: it does not fit; nothing was written.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = safe_members(archive, source, folder_off=folder_off)
            return take(members, destination, progress)
    except UNREADABLE as error:
        raise ProviderError(
            f"{source} cannot be unpacked: {error}. It may be truncated; fetch it again."
        ) from error


def safe_members(
    archive: zipfile.ZipFile, source: Path, *, folder_off: bool = True
) -> list[Member]:
    """The files of a zip that may be unpacked.

    Args:
        archive: the open zip.
        source: its path, for messages.
        folder_off: take off a folder around all files.

    Raises:
        ProviderError: a member would leave the destination, is a link, encrypted or a bomb, or two
            members would become the same file on a disk that ignores case; or all of it is a bomb.
    """
    # not `is_dir`, which fails for an empty name
    infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    for info in infos:
        fault = _fault(info)
        if fault:
            raise ProviderError(
                f"{source}: the member {info.filename!r} {fault}; nothing was unpacked.\n"
                "  If you trust the file, unpack it yourself and name the folder."
            )
    _refuse_bomb(infos, source)
    infos = [info for info in infos if not _hidden(info.filename)]
    if not infos:
        raise ProviderError(f"{source} holds no files (hidden ones do not count)")
    names = [str(PurePosixPath(info.filename)) for info in infos]
    names = _without_common_folder(names) if folder_off else names
    _check_collisions(names, source)
    return [
        Member(name=name, size=info.file_size, open=lambda info=info: archive.open(info))  # type: ignore[misc]
        for name, info in zip(names, infos, strict=True)
    ]


def _refuse_bomb(infos: Sequence[zipfile.ZipInfo], source: Path) -> None:
    """Refuse what many small members come to; their packed bytes may be the same ones each time."""
    if len(infos) > _MOST_MEMBERS:
        raise ProviderError(
            f"{source} lists {len(infos):,} files, {_MOST_MEMBERS:,} may be; nothing was unpacked."
        )
    size, packed = sum(info.file_size for info in infos), source.stat().st_size
    if size > _RATIO_FROM and size / max(packed, 1) > _MAX_RATIO:
        raise ProviderError(
            f"{source} claims to unpack to {size:,} bytes from {packed:,}; nothing was unpacked.\n"
            "  If you trust the file, unpack it yourself and name the folder."
        )


def _fault(info: zipfile.ZipInfo) -> str:
    """What is wrong with a member, or an empty string."""
    fault = name_fault(info.filename)
    if fault:
        return fault
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    packed = max(info.compress_size, 1)
    if info.file_size > _RATIO_FROM and info.file_size / packed > _MAX_RATIO:
        return f"claims to unpack to {info.file_size:,} bytes from {info.compress_size:,}"
    return ""


def name_fault(name: str) -> str:
    """Why a name with `/` must not become a path, or an empty string."""
    parts = name.replace("\\", "/").split("/")
    if not PurePosixPath(name).parts:
        return "names no file"
    if any(len(part.encode(errors="surrogatepass")) > _LONGEST for part in parts):
        return f"has a part of more than {_LONGEST} bytes"
    if len(name.encode(errors="surrogatepass")) > _LONGEST_PATH:
        return f"is longer than {_LONGEST_PATH} bytes"
    if name.startswith(("/", "\\")) or ":" in parts[0] or "\\" in name:
        return "has an absolute or a Windows path"
    if ".." in parts:
        return 'has ".." in its path'
    if any(unicodedata.category(c) in ("Cc", "Cs") or ord(c) in _TURNING for c in name):
        return "has control characters in its name, or such as are not seen"
    return ""


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _without_common_folder(names: Sequence[str]) -> list[str]:
    first = {PurePosixPath(name).parts[0] for name in names}
    if len(first) != 1 or any("/" not in name for name in names):
        return list(names)
    return [name.partition("/")[2] for name in names]


def _check_collisions(names: Sequence[str], source: Path) -> None:
    seen: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise ProviderError(
                f"{source}: two members would become one file on some disks: {seen[key]!r} and "
                f"{name!r}; nothing was unpacked."
            )
        seen[key] = name
    for key, name in seen.items():
        above = next((str(p) for p in PurePosixPath(key).parents if str(p) in seen), None)
        if above is not None:
            raise ProviderError(f"{source}: {seen[above]!r} is a file and the folder of {name!r}")


def take(members: Sequence[Member], destination: Path, progress: Progress) -> list[Path]:
    """Write what is not there yet, each file whole or not at all.

    Raises:
        DiskFull: it does not fit; nothing was written.
    """
    needed = [member for member in members if not _same(member, destination / member.name)]
    check_space(sum(member.size for member in needed), destination)
    for member in needed:
        done = 0
        with (
            atomic_path(destination / member.name) as temporary,
            member.open() as source,
            temporary.open("wb") as target,
        ):
            for chunk in _chunks(source):
                target.write(chunk)
                done += len(chunk)
                progress(member.name, done, member.size)
            if not member.size:
                progress(member.name, 0, 0)
    return [destination / member.name for member in members]


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _same(member: Member, path: Path) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    digest = hashlib.sha256()
    with member.open() as source:
        for chunk in _chunks(source):
            digest.update(chunk)
    return digest.hexdigest() == sha256(path)


def check_space(needed: int, destination: Path) -> None:
    """Raise `DiskFull` where fewer than `needed` bytes are free."""
    existing = next(path for path in (destination, *destination.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"the files need {needed:,} bytes, however only {free:,} are free at {existing}.\n"
            "  Nothing was written. Free some space and run the same command again."
        )
