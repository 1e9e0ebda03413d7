"""A folder or a zip with Kaggle-shaped files plays the server; it grades if it has the answers.

Owns: taking over files (whole or not at all, equal ones skipped) and unpacking without ever leaving
the destination. State (earlier submissions) lies in ``<root>/.local``.
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
from kit.competition import Competition, ProviderSpec
from kit.errors import DiskFull, ProviderError, SubmissionError
from kit.providers.base import Contest, Description, Limits, Progress, Standing, Submitted
from kit.providers.manifest import files_below
from kit.providers.record import Record

_CHUNK = 1 << 20
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
# Deflate cannot pack tighter than 1032:1; tables, even constant ones, stay far below
_MAX_RATIO, _RATIO_FROM = 500, 16 << 20


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One file of the source: name with `/`, size in bytes, and how to read it."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


class LocalProvider:
    """Takes data from ``spec.source`` and grades with ``spec.solution`` where that is set.

    Args:
        slug: the competition's short name.
        spec: `source`, a folder or zip; `solution`, a CSV file with the answers, or empty.
        root: the competition's folder.
    """

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None:
        self.slug, self.spec, self.root = slug, spec, root
        self.record = Record(root / ".local")

    def describe(self) -> Description:
        """The slug; a folder of files says nothing else."""
        return Description(slug=self.slug, title=self.slug, about=f"Files from {self.spec.source}")

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Copy or unpack the source; files that are there already, byte for byte, are skipped.

        Args:
            destination: usually `data/raw`.
            progress: called with a file's name, the bytes of it done so far, and all of them.

        Raises:
            ProviderError: the source is missing, empty, unsafe or lies in the competition.
            DiskFull: it does not fit; nothing was written.
        """
        source = self._source()
        if source.is_dir():
            return _take(self._members(source), destination, progress)
        try:
            with zipfile.ZipFile(source) as archive:
                return _take(safe_members(archive, source), destination, progress)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
        ) as error:
            raise ProviderError(
                f"{source} cannot be unpacked: {error}. It may be truncated; fetch it again."
            ) from error

    def submit(self, path: Path, message: str) -> Submitted:
        """Grade the file if a solution is configured; note it in any case."""
        if not self.spec.solution:
            ungraded = "(nothing grades here: kit.toml names no provider.solution)"
            return self.record.add(
                status="complete", file_name=path.name, message=f"{message} {ungraded}".strip()
            )
        from kit.providers.grading import Grade, Rules, grade, read_cells
        from kit.usercode import UserCode

        solution = self._path(self.spec.solution)
        if not solution.is_file():
            raise ProviderError(
                f"provider.solution is not a file: {solution}.\n"
                "  Correct it in kit.toml, or remove it: then nothing is graded."
            )
        settings = Competition.load(self.root).settings
        rules = Rules(
            task=settings.task,
            submission=settings.submission,
            target=settings.columns.target,
            local=UserCode(self.root).resolve,
        )
        answers = read_cells(solution)
        try:
            result, error = grade(read_cells(path), answers, rules), ""
        except SubmissionError as problem:
            result, error = Grade(public=None), str(problem)
        return self.record.add(
            status="error" if error else "complete",
            file_name=path.name,
            message=message,
            public=result.public,
            private=result.private,
            error=error,
        )

    def submissions(self) -> list[Submitted]:
        """Everything handed in so far, newest first."""
        return self.record.read()

    def limits(self) -> Limits:
        """There are none."""
        return Limits()

    def contest(self) -> Contest:
        """A board of one's own, played here; nothing ends."""
        return Contest(category="local")

    def leaderboard(self) -> list[Standing]:
        """One's own graded submissions, best first; empty where nothing grades."""
        scored = [(entry.public, entry) for entry in self.submissions() if entry.public is not None]
        if not scored:
            return []
        from kit.metrics.base import load_metric
        from kit.usercode import UserCode

        task = Competition.load(self.root).settings.task
        metric = load_metric(task.metric, task.type, UserCode(self.root).resolve)
        scored.sort(key=lambda pair: pair[0], reverse=metric.greater_is_better)
        return [
            Standing(rank=rank, team=entry.message or entry.file_name, score=score, mine=True)
            for rank, (score, entry) in enumerate(scored, start=1)
        ]

    def _path(self, text: str) -> Path:
        return (self.root / Path(text).expanduser()).resolve()

    def _source(self) -> Path:
        """The source, if it is a folder or zip that the competition does not contain."""
        if not self.spec.source:
            raise ProviderError("provider.source is empty; name a folder or a zip with the files")
        source, root = self._path(self.spec.source), self.root.resolve()
        if not source.exists():
            raise ProviderError(
                f"the source does not exist: {source}.\n  Correct provider.source in kit.toml."
            )
        if source.is_relative_to(root) or root.is_relative_to(source):
            raise ProviderError(
                f"source and competition must lie apart, however one contains the other: {source} "
                f"and {root}.\n  Move the files elsewhere; kit copies them into data/raw."
            )
        if source.is_file() and not zipfile.is_zipfile(source):
            raise ProviderError(f"the source must be a folder or a zip. Received: {source}")
        return source

    def _members(self, source: Path) -> list[_Member]:
        """The files of a folder; the answers are left where they are."""
        hidden = self._path(self.spec.solution) if self.spec.solution else None
        members = [
            _Member(
                name=path.relative_to(source).as_posix(),
                size=path.stat().st_size,
                open=lambda path=path: path.open("rb"),  # type: ignore[misc]
            )
            for path in files_below(source)
            if path.is_file() and path.resolve() != hidden
        ]
        if not members:
            raise ProviderError(f"the folder {source} has no files (hidden ones do not count)")
        return members


def safe_members(archive: zipfile.ZipFile, source: Path) -> list[_Member]:
    """The files of a zip that may be unpacked; a folder around all of them is taken off.

    Raises:
        ProviderError: a member would leave the destination, is a link, encrypted or a bomb, or two
            members would become the same file on a disk that ignores case.
    """
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        fault = _fault(info)
        if fault:
            raise ProviderError(
                f"{source}: the member {info.filename!r} {fault}; nothing was unpacked.\n"
                "  If you trust the file, unpack it yourself and name the folder."
            )
    infos = [info for info in infos if not _hidden(info.filename)]
    if not infos:
        raise ProviderError(f"{source} holds no files (hidden ones do not count)")
    names = _without_common_folder([str(PurePosixPath(info.filename)) for info in infos])
    _check_collisions(names, source)
    return [
        _Member(name=name, size=info.file_size, open=lambda info=info: archive.open(info))  # type: ignore[misc]
        for name, info in zip(names, infos, strict=True)
    ]


def _fault(info: zipfile.ZipInfo) -> str:
    """What is wrong with a member, or an empty string."""
    name = info.filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ":" in parts[0] or "\\" in name:
        return "has an absolute or a Windows path"
    if ".." in parts:
        return 'has ".." in its path'
    if any(ord(character) < 32 for character in name):
        return "has control characters in its name"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    packed = max(info.compress_size, 1)
    if info.file_size > _RATIO_FROM and info.file_size / packed > _MAX_RATIO:
        return f"claims to unpack to {info.file_size:,} bytes from {info.compress_size:,}"
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


def _take(members: Sequence[_Member], destination: Path, progress: Progress) -> list[Path]:
    """Write what is not there yet, each file whole or not at all."""
    needed = [member for member in members if not _same(member, destination / member.name)]
    _check_space(sum(member.size for member in needed), destination)
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


def _same(member: _Member, path: Path) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    digest = hashlib.sha256()
    with member.open() as source:
        for chunk in _chunks(source):
            digest.update(chunk)
    return digest.hexdigest() == sha256(path)


def _check_space(needed: int, destination: Path) -> None:
    existing = next(path for path in (destination, *destination.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"the files need {needed:,} bytes, however only {free:,} are free at {existing}.\n"
            "  Nothing was written. Free some space and run the same command again."
        )
