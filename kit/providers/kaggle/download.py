"""One object of Kaggle's storage -> one whole, checked file, whatever happens on the way.

Owns: the part file and the note beside it (``<part>.json``: size, ETag, checksums), which let a
later process go on where this one stopped. Bytes are appended only while the server says that they
belong to the same object (If-Range, Content-Range, ETag); at the end size and MD5 must agree, or
the CRC32C, which is all there is for objects that Google put together from pieces. Where the
storage gives neither, the size is checked here, the CRC of every member when an archive is
unpacked, and a single file against the size in the competition's listing. A web page, or bytes that
something on the way packed once more, are refused before any is kept.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import google_crc32c
import requests
import urllib3

from kit.atomic import disk_errors, parse_json, write_json
from kit.errors import ProviderError
from kit.providers.kaggle.client import (
    MISSHAPEN,
    USER_AGENT,
    Patience,
    failure_in,
    failure_of,
    misshapen,
)
from kit.providers.kaggle.refusals import Failure, explained
from kit.providers.kaggle.text import line

_CHUNK = 1 << 20
_RENEWALS = 3  # addresses that may expire in one download
_DAMAGED = 2  # downloads with wrong bytes before kit gives up


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the storage says of an object; "" or None: not said. Checksums are hex."""

    size: int | None = None
    etag: str = ""
    modified: str = ""
    md5: str = ""
    crc32c: str = ""

    @property
    def validator(self) -> str:
        """What If-Range takes: a strong ETag, else the date."""
        strong = self.etag.startswith('"')
        return self.etag if strong else self.modified

    @property
    def checksum(self) -> str:
        """What tells that bytes are the object's: the MD5, else the CRC32C, else nothing."""
        return self.md5 or self.crc32c

    def differs(self, other: Stored) -> bool:
        """Whether both cannot be the same object."""
        names = ("size", "etag", "md5", "crc32c")
        pairs = ((getattr(self, name), getattr(other, name)) for name in names)
        return any(a and b and a != b for a, b in pairs)

    def adding(self) -> Any:
        """What adds up the checksum; like the objects of `hashlib`."""
        if self.crc32c and not self.md5:
            return google_crc32c.Checksum()
        return hashlib.md5(usedforsecurity=False)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to fetch.

    Attributes:
        address: asks for the signed address; called again when one expires.
        part: where the bytes are collected.
        name: for progress and messages.
        progress: called with bytes done and bytes in all.
        room: called with the bytes still to come before any is written; raises `DiskFull`.
        patience: how long to wait.
    """

    address: Callable[[], str]
    part: Path
    name: str
    progress: Callable[[int, int], None]
    room: Callable[[int], None]
    patience: Patience


class Part:
    """The bytes so far and what they are a part of."""

    def __init__(self, path: Path) -> None:
        self.path, self.note = path, path.with_name(f"{path.name}.json")
        self.stored = Stored()
        self.size = 0
        self._sum = self.stored.adding()
        self._resume()

    def start(self, stored: Stored) -> None:
        """Begin anew with another object."""
        self.drop()
        self.stored, self._sum = stored, stored.adding()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.note, asdict(stored))

    def take(self, pieces: Any, done: Callable[[int], None]) -> None:
        """Append what arrives."""
        with disk_errors(self.path), self.path.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                self._sum.update(piece)
                self.size += len(piece)
                done(self.size)
            file.flush()
            os.fsync(file.fileno())

    def damage(self) -> str:
        """Why these are not the object's bytes, or ""."""
        if self.stored.size is not None and self.size != self.stored.size:
            return f"{self.size:,} bytes came, {self.stored.size:,} were announced"
        found, wanted = self._sum.digest().hex(), self.stored.checksum
        if wanted and found != wanted:
            return f"the {'MD5' if self.stored.md5 else 'CRC32C'} is {found}, not {wanted}"
        return ""

    def drop(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.stored, self.size = Stored(), 0
        self._sum = self.stored.adding()

    def _resume(self) -> None:
        """Bytes without a note beside them, or the reverse, are of no use."""
        try:
            document = parse_json(self.note.read_text(encoding="utf-8"))
            stored = Stored(**document)
            usable = bool(stored.validator) and self.path.is_file()
        except (OSError, ValueError, TypeError, AttributeError):
            usable = False
        if not usable or (stored.size is not None and self.path.stat().st_size > stored.size):
            self.drop()
            return
        self.stored, self._sum = stored, stored.adding()
        with self.path.open("rb") as file:
            while piece := file.read(_CHUNK):
                self._sum.update(piece)
                self.size += len(piece)


def download(order: Order, slug: str) -> tuple[Part, str]:
    """Fetch an object, as often as it takes.

    Returns:
        The whole part, and the name in the address it came from ("train.csv.zip").

    Raises:
        ProviderError: the storage refused, or nothing more came; the part is kept.
        DiskFull: it does not fit; the part is kept.
    """
    part = Part(order.part)
    tries = renewals = damaged = 0
    address = ""
    with closing(_session()) as session, _nothing_empty(part):
        while True:
            before = part.size
            try:
                address = address or order.address()
                _continue(session, address, part, order)
            except Failure as failure:
                tries = 1 if part.size > before else tries + 1
                if failure.status in (400, 401, 403, 404, 410) and renewals < _RENEWALS:
                    address, renewals = "", renewals + 1  # signed addresses expire
                    continue
                if failure.passing and order.patience.pause(tries, failure.retry_after):
                    continue
                raise _gave_up(failure, part, order.name, slug) from failure
            wrong = part.damage()
            if not wrong:
                return part, name_in(address)
            part.drop()
            damaged, address = damaged + 1, ""
            if damaged >= _DAMAGED:
                raise ProviderError(
                    f"{order.name} arrived damaged {damaged} times: {wrong}.\n"
                    "  Nothing of it was kept. A proxy on the way that changes files? Try again "
                    "later, or from another network."
                )


@contextmanager
def _nothing_empty(part: Part) -> Iterator[None]:
    """Where it fails before the first byte, no note is left of a part that is not there."""
    try:
        yield
    except BaseException:
        if not part.size:
            part.drop()
        raise


def _gave_up(failure: Failure, part: Part, name: str, slug: str) -> ProviderError:
    error = explained(failure, f"the download of {name}", slug)
    kept = f"\n  {part.size:,} bytes are kept; the same command goes on from there."
    return type(error)(f"{error}{kept if part.size else ''}")


def _session() -> requests.Session:
    """A session without credentials: signed addresses need none, and another host gets none."""
    session = requests.Session()
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    return session


def _continue(session: requests.Session, address: str, part: Part, order: Order) -> None:
    """One request: append what comes; raises `Failure` where it is not the rest."""
    response = _get(session, address, part.size, part.stored.validator, order.patience)
    with closing(response):
        stored = stored_of(response.headers)
        if response.status_code in (200, 206):
            _check_kind(response.headers, order.name)
        if response.status_code == 206:
            start, total = _range(response.headers)
            if start != part.size or part.stored.differs(_sized(stored, total)):
                part.drop()
                raise Failure(how="lost", message="the file changed on the way")
        elif response.status_code == 416:
            if part.size == part.stored.size == _whole(_total(response.headers)):
                return  # all was there already, and it is still the same
            part.drop()
            raise Failure(how="lost", message="the file changed on the way")
        elif response.status_code == 200:
            part.start(stored)  # the first request, or not the object we have a part of
        else:
            raise failure_in(response)
        total = part.stored.size or part.size
        order.room(total - part.size)
        order.progress(part.size, max(total, part.size))
        part.take(_pieces(response), lambda done: order.progress(done, max(total, done)))
    if part.stored.size is not None and part.size < part.stored.size:
        raise Failure(how="lost", message="the connection was cut")


def _check_kind(headers: Mapping[str, str], name: str) -> None:
    """Raise `ProviderError` where what comes is not the file as it is stored."""
    packed = headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise ProviderError(
            f"{name} comes packed once more (Content-Encoding: {line(packed, 40)}), which was not "
            "asked for.\n  A proxy on the way that changes files? Try from another network."
        )
    page = headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml"))
    named = name.lower().endswith((".html", ".htm", ".xhtml"))
    if page and not named and not stored_of(headers).checksum:
        raise ProviderError(
            f"a web page came instead of {name}; nothing of it was kept.\n"
            "  A login page of the network, a proxy? Open https://www.kaggle.com in a browser, "
            "then run the same command again."
        )


def unchanged(order: Order, slug: str, known: Stored) -> bool:
    """Whether the storage still has the object that `known` describes; reads no byte of it.

    Raises:
        ProviderError: the storage does not answer.
    """
    tries = 0
    with closing(_session()) as session:
        while True:
            tries += 1
            try:
                with closing(_get(session, order.address(), 0, "", order.patience)) as response:
                    if response.status_code != 200:
                        raise failure_in(response)
                    now = stored_of(response.headers)
                    same = bool(known.validator) and known.validator == now.validator
                    return same and not known.differs(now)
            except Failure as failure:
                if failure.passing and order.patience.pause(tries, failure.retry_after):
                    continue
                if failure.how == "answer" and not failure.passing:
                    return False  # the download asks for another address, or tells why not
                raise explained(failure, f"the download of {order.name}", slug) from failure


def _get(
    session: requests.Session, address: str, start: int, validator: str, patience: Patience
) -> requests.Response:
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start and validator else {}
    try:
        return session.get(
            address, headers=headers, stream=True, timeout=(patience.connect, patience.transfer)
        )
    except requests.RequestException as error:
        raise failure_of(error) from error
    except MISSHAPEN as error:
        raise misshapen() from error


def _pieces(response: requests.Response) -> Any:
    """The body as it arrives, down to the last byte before a cut."""
    try:
        while piece := response.raw.read1(_CHUNK, decode_content=False):
            yield piece
    except urllib3.exceptions.ReadTimeoutError as error:
        raise Failure(how="lost", message="timed out") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Failure(how="lost", message="the connection was cut") from error


def stored_of(headers: Mapping[str, str]) -> Stored:
    """What the headers say of the whole object."""
    said = headers.get("x-goog-hash", "")
    if headers.get("x-goog-stored-content-encoding", "identity") not in ("", "identity"):
        said = ""  # of the bytes in the storage, which are unpacked before they are sent
    return Stored(
        size=_whole(headers.get("Content-Length")),
        etag=headers.get("ETag", ""),
        modified=headers.get("Last-Modified", ""),
        md5=_hex(said, r"\bmd5=([A-Za-z0-9+/]{22}==)"),
        crc32c=_hex(said, r"\bcrc32c=([A-Za-z0-9+/]{6}==)"),
    )


def _hex(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return base64.b64decode(found.group(1)).hex() if found else ""


def _sized(stored: Stored, size: int | None) -> Stored:
    return replace(stored, size=size)


def _range(headers: Mapping[str, str]) -> tuple[int, int | None]:
    found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if not found:
        return -1, None
    return int(found.group(1)), _whole(found.group(2))


def _total(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Range", "").rpartition("/")[2]


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def name_in(address: str) -> str:
    """The last part of an address: what the storage calls the file. Never used as a path."""
    return unquote(urlsplit(address).path).rpartition("/")[2]
