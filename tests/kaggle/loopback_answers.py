"""What the loopback Kaggle answers with, and places to upload to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c


class Refusal(Exception):
    """An error answer."""

    def __init__(
        self, status: int, message: str, *, reason: str = "", headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.headers = status, message, reason, headers


@dataclass(frozen=True)
class Redirect:
    """302 to an object of the storage."""

    name: str


@dataclass(frozen=True)
class Zip:
    """A zip as the body."""

    name: str
    content: bytes


@dataclass
class Upload:
    """A place to PUT a file to."""

    name: str
    size: int
    content: bytes = b""
    whole: bool = False


def summed(file: BinaryIO) -> tuple[bytes, bytes]:
    """MD5 and CRC32C of a file."""
    sums = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()
    while piece := file.read(1 << 20):
        for each in sums:
            each.update(piece)
    return sums[0].digest(), sums[1].digest()
