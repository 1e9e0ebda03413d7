"""From a run to a bundle that may be pushed: limits, folders, proof, wheels, and a verdict."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.atomic import disk_errors, token, write_json
from kit.competition import Competition
from kit.errors import ConfigError, RunError
from kit.export.bundle import Bundle, this_python, write_bundle
from kit.export.exportable import exportable
from kit.export.names import DATASET_BYTES, HOURS, Names
from kit.export.proof import Proof, prove
from kit.export.rehearsal import impossible, rehearse
from kit.export.wheels import Wheels, collect, count, lacking, read_image
from kit.runs import Run, ignore
from kit.submission.claiming import exclusive

Tell = Callable[[str], None]
PROOF = "proof.json"
"""The verdict, beside the two folders."""
OUTPUT = "output"
"""What the kernel wrote on Kaggle; `kit.export.publishing` puts it there."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for.

    Attributes:
        names: what things are called on Kaggle.
        out: the folder to write; None: ``exports/<run>`` of the competition's folder.
        proof: whether to run the bundle.
        hidden_rows: how many rows the hidden test file has; None: not known.
        hours: how long the competition lets a notebook run.
        image: what `pip freeze` printed on Kaggle; None: not known.
        wheels: folder to take wheels from; None: the package index.
        python: version of Python on Kaggle; None: the one that runs.
        gpu: ask for one.
    """

    names: Names
    out: Path | None = None
    proof: bool = True
    hidden_rows: int | None = None
    hours: float = HOURS
    image: Path | None = None
    wheels: Path | None = None
    python: str | None = None
    gpu: bool = False


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        bundle: the two folders.
        proof: what the clean run showed; None: it was not run.
        wheels: packages that go along; None: not known without a proof.
        bytes: size of the dataset.
        hours: what the hidden rows would take; None: not known.
        missing: why the bundle is not ready, in sentences; empty: it is.
        notes: remarks.
    """

    bundle: Bundle
    proof: Proof | None
    wheels: Wheels | None
    bytes: int
    hours: float | None
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether it may be pushed."""
        return not self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        names = self.bundle.names
        return {
            "folder": str(self.bundle.folder),
            "dataset": names.dataset,
            "kernel": names.kernel,
            "competition": names.competition,
            "file": names.file,
            "digest": self.bundle.digest,
            "bytes": self.bytes,
            "proof": self.proof.to_json() if self.proof else None,
            "wheels": dict(self.wheels.files) if self.wheels else None,
            "hidden_hours": self.hours,
            "ready": self.ready,
            "missing": list(self.missing),
            "notes": list(self.notes),
        }


def export(
    competition: Competition, run: Run, wishes: Wishes, tell: Tell = lambda text: None
) -> Exported:
    """Write a bundle and try it.

    Args:
        competition: the competition.
        run: of kind "fit", or "cv" or "blend" whose models were kept.
        wishes: names and limits.
        tell: told what happens.

    Returns:
        What was written; `ready` says whether it may be pushed.

    Raises:
        KitError: the run cannot be exported, a limit is broken, or the proof failed. Nothing is
            there under the final name then; what failed is kept as ``<name>.failed``.
    """
    _refuse_wishes(wishes)
    image = read_image(wishes.image) if wishes.image else None
    source = exportable(competition, run)
    python = wishes.python or this_python()
    if wishes.out is None:
        ignore(competition.root / "exports")
    final = _final(competition, run, wishes)
    _refuse_place(final)
    aside = final.with_name(f".{final.name}.{token()}.part")
    try:
        with disk_errors(aside):
            aside.mkdir(parents=True)
        bundle = write_bundle(
            competition, source, wishes.names, aside, python=python, gpu=wishes.gpu
        )
        tell(f"  dataset {bundle.size() / 1e6:.1f} MB")
        proof = _proven(competition, run, bundle, wishes, tell) if wishes.proof else None
        wheels = _with_wheels(bundle, proof, image, wishes, python, tell) if proof else None
        notes = list(source.notes)
        if proof and wheels and wheels.files and not wheels.missing:
            notes += _rehearsed(competition, run, bundle, proof, wheels, wishes, tell)
        exported = _verdict(bundle, proof, wheels, wishes, image, notes)
        write_json(aside / PROOF, {**exported.to_json(), "folder": str(final)})
    except BaseException as error:
        _keep_failed(aside, final, isinstance(error, RunError))
        raise
    _replace(aside, final)
    moved = Bundle(folder=final, names=bundle.names, digest=bundle.digest)
    return Exported(**{**vars(exported), "bundle": moved})


@contextmanager
def alone(competition: Competition, run: Run, wishes: Wishes) -> Iterator[None]:
    """Keep others from exporting into the same folder, from the first file to the last upload.

    Raises:
        RunError: another process is at it.
    """
    folder = _final(competition, run, wishes)
    busy = RunError(f"another `kit export` is at work on {folder}.\n  Wait until it is done.")
    digits = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    with exclusive(competition.submissions / f".{digits}.lock", busy):
        yield


def _final(competition: Competition, run: Run, wishes: Wishes) -> Path:
    return (wishes.out or competition.root / "exports" / run.id).resolve()


def _refuse_wishes(wishes: Wishes) -> None:
    if wishes.hidden_rows is not None and wishes.hidden_rows < 1:
        raise ConfigError(f"--hidden-rows must be 1 or more. Received: {wishes.hidden_rows}")
    if not wishes.hours > 0:
        raise ConfigError(f"--hours must be more than 0. Received: {wishes.hours}")
    parts = (wishes.python or "3.11").split(".")
    if len(parts) != 2 or not all(p.isdigit() for p in parts) or tuple(map(int, parts)) < (3, 11):
        raise ConfigError(f"--python must be like 3.12, and 3.11 or newer: {wishes.python!r}")


def _refuse_place(final: Path) -> None:
    """Only an earlier export is replaced."""
    if final.exists() and not (final.is_dir() and _earlier(final)):
        raise ConfigError(f"--out: {final} is there and no export of kit; name another folder")


def _earlier(folder: Path) -> bool:
    return (folder / PROOF).is_file() or not any(folder.iterdir())


def _proven(
    competition: Competition, run: Run, bundle: Bundle, wishes: Wishes, tell: Tell
) -> Proof:
    tell("  trying it in a clean environment, without network ...")
    proof = prove(competition, run, bundle, timeout=wishes.hours * 3600)
    if wishes.hidden_rows is not None:
        hours = proof.seconds_for(wishes.hidden_rows) / 3600
        if hours > wishes.hours:
            raise RunError(
                f"{wishes.hidden_rows} hidden rows would take {hours:.1f} h on this machine, "
                f"{wishes.hours:g} h are allowed ({1e6 * proof.row_seconds:.0f} s per "
                f"million rows).\n  Export a blend of fewer or quicker models."
            )
    return proof


def _with_wheels(
    bundle: Bundle,
    proof: Proof,
    image: dict[str, str] | None,
    wishes: Wishes,
    python: str,
    tell: Tell,
) -> Wheels:
    wanted = lacking(proof.packages, image or {})
    if wanted:
        tell(f"  collecting {count(wanted, 'package')} ...")
    wheels = collect(wanted, bundle.wheels, python=python, source=wishes.wheels)
    bundle.describe_packages(proof.packages, wheels.files)
    return wheels


def _rehearsed(
    competition: Competition,
    run: Run,
    bundle: Bundle,
    proof: Proof,
    wheels: Wheels,
    wishes: Wishes,
    tell: Tell,
) -> list[str]:
    """Try the wheels; a remark where that cannot be done on this machine."""
    why = impossible(wishes.python or this_python())
    if why:
        return [f"whether the wheels can be installed was not tried: {why}"]
    tell(
        f"  installing {count(wheels.files, 'wheel')} without network, and trying it once more ..."
    )
    rehearse(competition, run, bundle, wheels, proof.packages, timeout=wishes.hours * 3600)
    return []


def _verdict(
    bundle: Bundle,
    proof: Proof | None,
    wheels: Wheels | None,
    wishes: Wishes,
    image: dict[str, str] | None,
    notes: list[str],
) -> Exported:
    missing, remarks, size = [], [*notes], bundle.size()
    if proof is None:
        missing.append(
            "it was not tried (--no-proof), so that neither its predictions nor the packages it "
            "needs are known"
        )
    if wheels is not None and wheels.missing:
        missing.append(wheels.way_out(Path("dataset") / "wheels", wishes.python or this_python()))
    if size > DATASET_BYTES:
        missing.append(f"the dataset has {size / 1e9:.0f} GB, {DATASET_BYTES / 1e9:.0f} may be")
    if proof is not None and image is None:
        remarks.append(
            "what Kaggle's image has is not known, so every package that predicts goes along; "
            "--image FILE (what `pip freeze` prints there) makes that fewer"
        )
    if not bundle.names.complete:
        remarks.append(f"no --id: the metadata name {bundle.names.user!r}; it must be your name")
    hours = None
    if proof is not None and wishes.hidden_rows is not None:
        hours = proof.seconds_for(wishes.hidden_rows) / 3600
    return Exported(
        bundle=bundle,
        proof=proof,
        wheels=wheels,
        bytes=size,
        hours=hours,
        missing=tuple(missing),
        notes=(*remarks, *(proof.notes if proof else ())),
    )


def _keep_failed(aside: Path, final: Path, worth_a_look: bool) -> None:
    """What failed stays beside the final name, for a look at it; an earlier one goes."""
    failed = final.with_name(f"{final.name}.failed")
    if worth_a_look and aside.is_dir():
        shutil.rmtree(failed, ignore_errors=True)
        with suppress(OSError):
            os.rename(aside, failed)
    shutil.rmtree(aside, ignore_errors=True)


def _replace(aside: Path, final: Path) -> None:
    """Put a finished folder under its name; an earlier export of that name makes room."""
    old = aside.with_suffix(".old")
    if final.exists():
        with suppress(FileNotFoundError):
            os.rename(final / OUTPUT, aside / OUTPUT)
        os.rename(final, old)
    os.rename(aside, final)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(final.with_name(f"{final.name}.failed"), ignore_errors=True)
