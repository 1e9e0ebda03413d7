"""The data of a competition: all of it in one archive, or single files and folders.

Owns: ``.<name>.download`` beside the competition's folder, where parts wait for the next try (they
outlive a `kit new` that failed), and ``data/kaggle.json``, the record of a complete fetch.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from kit.atomic import disk_errors, parse_json, write_json
from kit.errors import ProviderError, nearest
from kit.providers.base import Progress
from kit.providers.kaggle.client import Client, Raw
from kit.providers.kaggle.download import Order, Part, Stored, download, unchanged
from kit.providers.kaggle.reading import count, items
from kit.providers.kaggle.refusals import SITE
from kit.providers.kaggle.text import line
from kit.providers.record import prepare
from kit.providers.unpacking import (
    UNREADABLE,
    Member,
    check_space,
    name_fault,
    safe_members,
    take,
    unpack,
)

RECORD = "kaggle.json"
_PAGE = 200
# of a listing that is walked
_MOST_FILES, _MOST_FOLDERS, _DEEPEST = 100_000, 5_000, 32


def fetch_all(
    client: Client, workplace: Path, destination: Path, progress: Progress, *, keep: bool
) -> list[Path]:
    """Fetch the archive of all files and unpack it; nothing is done where nothing changed.

    Args:
        client: to ask.
        workplace: where the archive is collected.
        destination: where the files go.
        progress: told of the archive, then of every file.
        keep: leave the archive where it is; asked for again, it is only unpacked.

    Raises:
        ProviderError: refused, cut off (the part is kept), damaged or unsafe.
        DiskFull: archive and files do not fit; nothing was written.
    """
    record = destination.parent / RECORD
    name = f"{client.slug}.zip"
    order = Order(
        address=lambda: _address(client, "competitions/DownloadDataFiles"),
        part=workplace / "archive.zip.part",
        name=name,
        progress=lambda done, total: progress(name, done, total),
        room=_room(client, workplace),
        patience=client.patience,
    )
    known = _complete(record, destination)
    if known and unchanged(order, client.slug, known[0]):
        return [destination / file for file in known[1]]
    with _workplace(workplace):
        part, _ = download(order, client.slug)
        try:
            _check(part.path, name)
            paths = unpack(part.path, destination, progress, folder_off=False)
        except ProviderError as error:
            part.drop()
            raise _named(error, part.path, name) from error
        sizes = {p.relative_to(destination).as_posix(): p.stat().st_size for p in paths}
        write_json(record, {"schema": 1, "archive": asdict(part.stored), "files": sizes})
        if not keep:
            part.drop()
    return paths


def fetch_some(
    client: Client, names: Sequence[str], workplace: Path, destination: Path, progress: Progress
) -> list[Path]:
    """Fetch these files and folders; those that are there in the right size are left alone.

    Raises:
        ProviderError: there is no such file; or see `fetch_all`.
    """
    wanted = dict(file for name in names for file in _matching(client, name.strip("/")))
    needed = [(name, size) for name, size in wanted.items() if not _there(destination / name, size)]
    if needed:
        with _workplace(workplace):
            check_space(sum(size for _, size in needed), workplace)
            unsure = [
                name
                for name, size in needed
                if not _fetch_one(client, name, size, workplace, destination, progress)
            ]
        if unsure:
            more = f" and {len(unsure) - 1} more" if unsure[1:] else ""
            client.notes.append(
                f"Kaggle gives no checksum for {line(unsure[0])}{more}: "
                "only the size could be checked"
            )
    return [destination / name for name in wanted]


def listing(client: Client, folder: str = "") -> Iterator[tuple[str, int]]:
    """Every file below a folder: name with `/`, bytes (0: none, or not said).

    Raises:
        ProviderError: the server refused, a name would leave the data folder, or there is no end.
    """
    waiting, files = [folder], 0
    known = {folder}
    while waiting:
        for name, size in _level(client, waiting.pop()):
            if size is not None:
                files += 1
                yield name, size
            elif name not in known:
                known.add(name)
                waiting.append(name)
            deep = name.count("/") - folder.count("/") > _DEEPEST
            if deep or files > _MOST_FILES or len(known) > _MOST_FOLDERS:
                raise _endless(client, folder)


def _level(client: Client, folder: str) -> Iterator[tuple[str, int | None]]:
    """What lies in a folder itself: files with their bytes, folders with None."""
    token, tokens = "", {""}
    while True:
        fields: dict[str, Any] = {"path": folder} if folder else {}
        answer = client.call(
            "competitions/ListDataTreeFiles", competition_name=client.slug, page_size=_PAGE,
            page_token=token, **fields,
        )  # fmt: skip
        for entry in items(answer, "files"):
            yield _below(folder, entry), count(entry.get("totalBytes")) or 0
        for entry in items(answer, "directories"):
            yield _below(folder, entry), None
        token = str(answer.get("nextPageToken") or "")
        if not token:
            return
        if token in tokens or len(tokens) > _MOST_FILES // _PAGE:
            raise _endless(client, folder)
        tokens.add(token)


def _endless(client: Client, folder: str) -> ProviderError:
    return ProviderError(
        f"Kaggle's list of the files in {line(folder) or client.slug} does not end: more than "
        f"{_MOST_FILES:,} files, or folders without end.\n"
        "  `kit data` without names fetches them all in one archive."
    )


def _below(folder: str, entry: dict[str, Any]) -> str:
    name = str(entry.get("name") or "")
    fault = name_fault(name)
    if any(part in ("", ".") for part in name.split("/")):
        fault = fault or "is empty, or has an empty part"
    if fault:
        raise ProviderError(f"Kaggle lists a file whose name {fault}: {line(name)!r}")
    return f"{folder}/{name}" if folder else name


def _matching(client: Client, name: str) -> list[tuple[str, int]]:
    """The file of that name, or all files of that folder."""
    parent = str(PurePosixPath(name).parent) if "/" in name else ""
    known = []
    for entry, size in _level(client, parent):
        if entry == name:
            return list(listing(client, name)) if size is None else [(entry, size)]
        known.append(entry)
    raise ProviderError(
        f"{client.slug} has no file or folder {name!r}. {nearest(name, known[:200])}\n"
        f"  {SITE}/competitions/{client.slug}/data shows them."
    )


def _fetch_one(
    client: Client, name: str, size: int, workplace: Path, destination: Path, progress: Progress
) -> bool:
    """Fetch a file; whether a checksum tells that it is the right one."""
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    order = Order(
        address=lambda: _address(client, "competitions/DownloadDataFile", file_name=name),
        part=workplace / f"{key}.part",
        name=name,
        progress=lambda done, total: progress(name, done, total),
        room=lambda more: check_space(more, workplace),
        patience=client.patience,
    )
    part, sent = download(order, client.slug)
    packed = sent == f"{PurePosixPath(name).name}.zip"
    sure = packed or bool(part.stored.checksum)
    try:
        if packed:  # large files are packed by the server
            with zipfile.ZipFile(part.path) as archive:
                members = safe_members(archive, part.path)
                if len(members) != 1:
                    raise ProviderError(f"{sent} holds {len(members)} files instead of one")
                only = Member(name=name, size=members[0].size, open=members[0].open)
                take([only], destination, lambda *_: None)
        else:
            if not sure:
                _check_size(part, name, size)
            only = Member(name=name, size=part.size, open=lambda: part.path.open("rb"))
            take([only], destination, lambda *_: None)
    except UNREADABLE as error:
        part.drop()
        raise ProviderError(f"{sent} is damaged: {error}. Run the command again.") from error
    except ProviderError as error:
        part.drop()
        raise _named(error, part.path, sent) from error
    part.drop()
    return sure


def _check_size(part: Part, name: str, size: int) -> None:
    """Where the storage has no checksum for a file, the size in the list must do (0: not known)."""
    if size and part.size != size:
        raise ProviderError(
            f"{name} is not what Kaggle lists: {part.size:,} bytes came, {size:,} are listed.\n"
            "  Nothing of it was kept. It may have been changed just now, or on the way: run the "
            "same command again."
        )


def _address(client: Client, call: str, **fields: Any) -> str:
    """The signed address that a download call redirects to."""
    with closing(client.call(call, reads=Raw, competition_name=client.slug, **fields)) as answer:
        address = str(answer.headers.get("Location") or "")
    if not address.startswith(("http://", "https://")):
        raise ProviderError(
            f"Kaggle's answer to {call.partition('/')[2]} names no address to download from "
            f"(HTTP {answer.status_code}).\n  A login page of the network, a proxy?"
        )
    return address


def _room(client: Client, workplace: Path) -> Callable[[int], None]:
    """Before the first byte: room for the rest of the archive and for what is in it."""

    @cache
    def unpacked() -> int:
        try:
            answer = client.call(
                "competitions/GetCompetitionDataFilesSummary",
                repeat=False,
                competition_name=client.slug,
            )
        except ProviderError:
            return 0  # an estimate is not worth a failure
        kinds = items(answer.get("fileSummaryInfo"), "fileTypes")
        return sum(count(kind.get("totalSize")) or 0 for kind in kinds)

    return lambda more: check_space(more + max(unpacked(), more), workplace)


def _check(archive: Path, name: str) -> None:
    """An archive without a checksum may be anything; a login page is no zip."""
    if not zipfile.is_zipfile(archive):
        raise ProviderError(
            f"{name} is no zip, whatever it is; it was removed.\n"
            "  A login page of the network, a proxy? Run the same command again."
        )


def _named(error: ProviderError, path: Path, name: str) -> ProviderError:
    return type(error)(str(error).replace(str(path), name))


def _there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _complete(record: Path, destination: Path) -> tuple[Stored, list[str]] | None:
    """The archive of the last fetch, if all its files are still there."""
    try:
        document = parse_json(record.read_text(encoding="utf-8"))
        files = {str(name): int(size) for name, size in document["files"].items()}
        stored = Stored(**document["archive"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not all(_there(destination / name, size) for name, size in files.items()):
        return None
    return stored, list(files)


@contextmanager
def _workplace(folder: Path) -> Iterator[None]:
    """The folder for parts, for one process at a time; gone in the end if nothing waits there."""
    from filelock import FileLock, Timeout

    lock = folder / ".lock"
    try:
        while True:
            with disk_errors(folder):
                prepare(folder)
            with FileLock(lock, timeout=0):
                if not lock.exists():
                    continue  # whoever had it removed the folder since `prepare`
                try:
                    yield
                finally:
                    _tidy(folder)
                return
    except Timeout:
        raise ProviderError(
            f"another kit is downloading into {folder}.\n  Wait for it, or end it."
        ) from None


def _tidy(folder: Path) -> None:
    """Remove the folder while the lock is held, unless a part waits there for the next try."""
    own = {".lock", ".gitignore"}
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= own:
            for name in own:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
