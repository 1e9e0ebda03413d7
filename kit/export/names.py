"""Names and limits of Kaggle's datasets and kernels, and the two metadata files.

The numbers are those of Kaggle's documentation and client (2.2), and what competitors report;
a competition's own text may ask for less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from kit.errors import ConfigError

TITLE = range(6, 51)
"""Characters of a dataset's slug and title; kernels allow one less."""
SOURCE_BYTES = 1_000_000
"""A kernel's source must be smaller."""
DATASET_BYTES = 100 * 10**9
"""What an account may keep in private datasets."""
HOURS = 9.0
"""What most code competitions allow a notebook."""

_SUFFIX = "-inference"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_USER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
PLACEHOLDER = "your-kaggle-name"
"""Stands for the user until somebody says who that is."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """What things are called on Kaggle.

    Attributes:
        user: whose they are.
        slug: of the dataset; the kernel's is made of it.
        competition: the competition's reference.
        file: the submission file that the competition demands.
    """

    user: str
    slug: str
    competition: str
    file: str

    @property
    def dataset(self) -> str:
        """``user/slug`` of the dataset."""
        return f"{self.user}/{self.slug}"

    @property
    def kernel(self) -> str:
        """``user/slug`` of the kernel."""
        return f"{self.dataset}{_SUFFIX}"

    @property
    def complete(self) -> bool:
        """Whether the user is known."""
        return self.user != PLACEHOLDER


def names_of(slug: str, id_: str | None, competition: str | None, file: str) -> Names:
    """Check what was asked for, and choose the rest.

    Args:
        slug: the competition's, as in `kit.toml`.
        id_: ``user/slug`` of the dataset; None: the slug is made of the competition's.
        competition: its reference on Kaggle; None: `slug`.
        file: the submission file's name.

    Raises:
        ConfigError: a name that Kaggle would refuse.
    """
    chosen = _slugified(f"kit-{slug}")[: TITLE[-1] - len(_SUFFIX)].strip("-")
    user, _, name = (id_ or f"{PLACEHOLDER}/{chosen}").partition("/")
    if not _USER.fullmatch(user) or not _SLUG.fullmatch(name):
        raise ConfigError(
            "--id must be USER/SLUG: your name on Kaggle and small letters, digits and single "
            f"dashes. Received: {id_!r}"
        )
    if len(name) not in TITLE or len(name + _SUFFIX) not in TITLE:
        raise ConfigError(
            f"--id: the slug must have {TITLE[0]} to {TITLE[-1] - len(_SUFFIX)} characters "
            f"(Kaggle allows {TITLE[-1]}, and the kernel is called {name[:8]}…{_SUFFIX}). "
            f"Received: {name!r}, {len(name)} characters"
        )
    if not re.fullmatch(r"[\w.-]+\.(csv|parquet)", file) or file.startswith("."):
        raise ConfigError(
            "--file must be the plain name of a .csv or .parquet file, as the competition demands "
            f"it. Received: {file!r}"
        )
    reference = competition or slug
    if not re.fullmatch(r"[\w-]+", reference):
        raise ConfigError(f"--competition must be a slug of Kaggle. Received: {reference!r}")
    return Names(user=user, slug=name, competition=reference, file=file)


def dataset_metadata(names: Names) -> dict[str, Any]:
    """`dataset-metadata.json`: private, and exactly one licence."""
    return {
        "title": _title(names.dataset),
        "id": names.dataset,
        "licenses": [{"name": "other"}],
        "isPrivate": True,
    }


def kernel_metadata(names: Names, code_file: str, *, gpu: bool = False) -> dict[str, Any]:
    """`kernel-metadata.json`; every key is written, since some have defaults that differ.

    `enable_internet` above all: without the key the official client sends true.
    """
    return {
        "id": names.kernel,
        "title": _title(names.kernel),
        "code_file": code_file,
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": gpu,
        "enable_tpu": False,
        "enable_internet": False,
        **({"machine_shape": "NvidiaTeslaT4"} if gpu else {}),
        "keywords": [],
        "dataset_sources": [names.dataset],
        "competition_sources": [names.competition],
        "kernel_sources": [],
        "model_sources": [],
    }


def _title(reference: str) -> str:
    """A title that Kaggle turns into the same slug again."""
    return reference.partition("/")[2].replace("-", " ")


def _slugified(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
