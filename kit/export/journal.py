"""What was uploaded of a bundle, written down before and after: dataset and kernel.

Owns: ``submissions/push/USER--SLUG.json``, outside of the bundle's folder, so that neither another
export nor `kit gc` touches it. What was submitted is not in here but in a receipt, as for a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.atomic import parse_json, sha256, write_json
from kit.competition import Competition
from kit.errors import RunError
from kit.export.bundle import BUNDLE, METADATA, Bundle
from kit.providers.base import Submitted
from kit.submission.claiming import exclusive


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is on Kaggle now.

    Attributes:
        dataset_version, kernel_version: numbers.
        output: the submission file that the kernel wrote, fetched and checked; None: it was
            submitted by an earlier call, and is not here any more.
        submitted: what the server said to the submission; None: nothing was submitted.
    """

    dataset_version: int
    kernel_version: int
    output: Path | None
    submitted: Submitted | None = None


class Journal:
    """Of one bundle, for its dataset and kernel.

    Args:
        competition: whose folder keeps it.
        bundle: the bundle; what is written of another one does not count for it.
    """

    def __init__(self, competition: Competition, bundle: Bundle) -> None:
        self.bundle, self.folder = bundle, competition.submissions
        name = bundle.names.dataset.replace("/", "--")
        self.path = self.folder / "push" / f"{name}.json"
        self._entries: dict[str, Any] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Read it; until the block ends no other process pushes this kernel.

        Raises:
            RunError: another one does, or the file is damaged.
        """
        kernel = self.bundle.names.kernel
        busy = RunError(
            f"another `kit export` is pushing {kernel} right now.\n  Wait until it is done; then "
            "the same command goes on from there."
        )
        digits = hashlib.sha256(kernel.encode()).hexdigest()[:12]
        with exclusive(self.folder / f".{digits}.lock", busy):
            self._entries = self._read()
            yield

    def __getitem__(self, step: str) -> dict[str, Any]:
        """What is known of "dataset" or "kernel"; empty: it was not sent, or was refused."""
        entry: dict[str, Any] = self._entries.get(step, {})
        return entry

    def __setitem__(self, step: str, entry: dict[str, Any]) -> None:
        self._entries[step] = entry
        write_json(self.path, {"digest": self._digest, **self._entries})

    @property
    def _digest(self) -> str:
        """Of the whole bundle: wheels, the script, and what the kernel asks for (a GPU, data)."""
        parts = (self.bundle.dataset / BUNDLE, self.bundle.script, self.bundle.kernel / METADATA)
        return "".join(sha256(part)[:16] for part in parts)

    def _read(self) -> dict[str, Any]:
        try:
            entries: dict[str, Any] = parse_json(self.path.read_text(encoding="utf-8"))
            same = entries.pop("digest", "") == self._digest
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError) as error:
            raise RunError(
                f"{self.path} is damaged, so that it is not known what was uploaded: {error}\n"
                "  Look at Kaggle, then delete the file; what was submitted is in the receipts."
            ) from error
        return entries if same else {}
