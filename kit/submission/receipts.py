"""Receipts: what was handed in, on which evidence, and what the server said.

Owns: ``submissions/<stem>.json`` (schema 1). A receipt is written *before* the server is called,
with status "sent", and rewritten with the answer; one that stays "sent" tells of an answer that
never came. Standard library only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kit.atomic import parse_json, write_json

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One submission.

    Attributes:
        file: the file that was handed in, relative to the competition where it lies inside.
        sha256: of its content.
        message: the description it was given.
        created: UTC, ISO 8601, when it was sent.
        provider: the provider's name.
        run, run_hash: the run it was built from, None for a file given by path.
        cv: ``{"value", "oof", "mean", "std", "folds"}`` of that run, leaderboard units.
        folds: digest of the folds it was validated on; "" of a file, and of earlier kits.
        metric, greater_is_better: what the scores are.
        kernel: "user/slug, version 3" where that was handed in, and `file` is what it wrote for the
            public test rows; "" for a file.
        account: who handed it in, and
        mark: what its description ends with there; both "" where the provider has no such thing.
        ref: the server's name for the submission.
        status: "sent" (no answer yet), "pending", "complete", "error", or "dry-run".
        public, private: scores, None until (or unless) known.
        error: what the server refused, or how the sending failed.
        notes: what was unusual about the file.
        path: where the receipt lies; None for a dry run.
    """

    file: str
    sha256: str
    message: str
    created: str
    provider: str
    run: str | None = None
    run_hash: str | None = None
    cv: dict[str, Any] | None = None
    folds: str = ""
    metric: str = ""
    greater_is_better: bool = True
    kernel: str = ""
    account: str = ""
    mark: str = ""
    ref: str = ""
    status: str = "sent"
    public: float | None = None
    private: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    path: Path | None = dataclasses.field(default=None, compare=False)

    @property
    def content(self) -> str:
        """What is handed in, as 64 hex digits, by which it is known again.

        Of a file its SHA-256. What a kernel writes for the hidden rows nobody sees, and for the
        public ones it may differ in the last bit; what counts is the run, which it predicts with.
        """
        if not self.kernel:
            return self.sha256
        return hashlib.sha256(f"kernel of run {self.run_hash}".encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The document as it is stored."""
        document = dataclasses.asdict(self)
        del document["path"]
        return {"schema": SCHEMA, **document, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, document: dict[str, Any], path: Path) -> Receipt:
        """Read a stored document; keys of a later kit are left out.

        Raises:
            KeyError, TypeError, ValueError: it is not a receipt.
        """
        if not isinstance(document, dict) or int(document["schema"]) > SCHEMA:
            raise ValueError("not a receipt of this version of kit")
        known = {field.name for field in dataclasses.fields(cls)} - {"path"}
        facts = {key: value for key, value in document.items() if key in known}
        facts["notes"] = tuple(facts.get("notes", ()))
        for name in ("public", "private"):
            facts[name] = None if facts.get(name) is None else float(facts[name])
        if facts.get("cv") is not None:
            float(facts["cv"]["value"])
        made = cls(path=path, **facts)
        made.check()
        return made

    def check(self) -> None:
        """Raise `ValueError` where a field is not what its name says."""
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.type == "str" and not isinstance(value, str):
                raise ValueError(f"{each.name} is no text: {value!r}")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 is no digest: {self.sha256!r}")
        datetime.fromisoformat(self.created)


def read_receipts(folder: Path) -> tuple[list[Receipt], list[str]]:
    """All receipts, newest first, and a sentence for each file that cannot be used."""
    receipts, problems = [], []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("._"):  # what macOS leaves beside files on foreign disks
            continue
        try:
            document = parse_json(path.read_text(encoding="utf-8"))
            if document and "schema" not in document:
                continue  # somebody's own notes
            receipts.append(Receipt.from_json(document, path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{path.name} is damaged ({error}), left out")
    receipts.sort(key=lambda receipt: (receipt.created, str(receipt.path)), reverse=True)
    return receipts, problems


def write_receipt(receipt: Receipt) -> Receipt:
    """Store a receipt under its path, atomically."""
    if receipt.path is None:
        raise AssertionError("unreachable: a receipt without a path is never stored")
    write_json(receipt.path, receipt.to_json())
    return receipt


def free_path(folder: Path, stem: str) -> Path:
    """``<stem>.json``, or ``<stem>-2.json`` where an earlier submission has that name.

    Dots in front and the end of a very long stem are left off.
    """
    stem = os.fsencode(stem.lstrip("."))[:150].decode(errors="ignore") or "file"
    number = 1
    while True:
        path = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
        if not path.exists():
            return path
        number += 1
