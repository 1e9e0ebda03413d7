"""The contract of a publisher: datasets and kernels, for competitions that take no files.

What is uploaded, in which order and with which checks, is the business of `kit.export.publishing`;
a publisher only talks to the server. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from kit.errors import ProviderError
from kit.providers.base import Attempt, Limits, Submitted


class LostAnswer(ProviderError):
    """Something was sent, and it is not known whether it arrived."""


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """The answer to a pushed kernel.

    Attributes:
        version: its number; None where the answer does not say.
        error: why it was refused; "" where it was not.
        invalid: sources that were left out, by kind. Kaggle runs the kernel without them.
    """

    version: int | None
    error: str = ""
    invalid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a dataset's newest version, or the run of a kernel's version, is."""

    status: Literal["waiting", "done", "failed"]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a version of a kernel wrote.

    Attributes:
        path: the file that was asked for, fetched; None: it did not write one of that name.
        names: of all files, as the server spells them. They are shown, and never become a path.
    """

    path: Path | None
    names: tuple[str, ...]


class Publisher(Protocol):
    """What talks to Kaggle. References are ``user/slug``; every refusal is a `ProviderError`.

    `put_dataset`, `push_kernel` and `submit_kernel` send once and raise `LostAnswer` where it is
    not known whether that arrived; any other `ProviderError` of theirs means that it did not.
    """

    def account(self) -> str:
        """The user name in whose name things are uploaded; "" where it is not known."""

    def dataset_version(self, dataset: str) -> int | None:
        """Number of its newest version; None: there is no such dataset."""

    def put_dataset(self, folder: Path, dataset: str, message: str) -> int | None:
        """Make it or a new version of it, folders as archives; the version where it is told."""

    def dataset_state(self, dataset: str) -> State:
        """Whether the newest version can be used."""

    def kernel_version(self, kernel: str) -> int | None:
        """Number of its newest version; None: there is no such kernel."""

    def push_kernel(self, folder: Path) -> Pushed:
        """Save a new version and run it."""

    def kernel_state(self, kernel: str, version: int) -> State:
        """How the run of this version goes."""

    def kernel_output(self, kernel: str, version: int, file: str, folder: Path) -> Written:
        """Fetch the file of this name, of what this version wrote, into the folder."""

    def limits(self) -> Limits:
        """How many submissions are left today."""

    def submissions(self) -> list[Submitted]:
        """All submissions so far, newest first."""

    def same(self, content: str) -> list[Submitted]:
        """Submissions of the same content (`Receipt.content`), by their marks."""

    def attempt(self, content: str) -> Attempt:
        """A new attempt to submit this content; nothing is sent by that."""

    def submit_kernel(self, kernel: str, version: int, file: str, message: str) -> Submitted:
        """Submit the output file of a version."""


@runtime_checkable
class Publishes(Protocol):
    """A provider whose competitions may take kernels."""

    def publisher(self) -> Publisher:
        """What uploads datasets and kernels, as the account of the provider."""
