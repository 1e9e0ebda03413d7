"""Write the two folders: a dataset with models, code and wheels, and a kernel with a script.

```
<folder>/
  dataset/
    dataset-metadata.json
    bundle.json          what is in here: every file with size and SHA-256, and how to use it
    source/kit/...       this kit
    competition/         kit.toml and the competition's own code, as far as it predicts
    models/              predictor.json, rows.json, <run id>/fold-0/..., in native formats; for
                         images backbones.json and the weights that it names
    wheels/              packages that the image lacks
  kernel/
    kernel-metadata.json
    inference.py
```
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kit
from kit.atomic import disk_errors, sha256, write_json, write_text
from kit.competition import CONFIG_NAME, Competition
from kit.errors import ConfigError, DiskFull
from kit.export.exportable import Exportable
from kit.export.inference import BACKBONES, ROWS
from kit.export.names import (
    DATASET_BYTES,
    SOURCE_BYTES,
    Names,
    dataset_metadata,
    kernel_metadata,
)
from kit.refit.saved import PLAN
from kit.usercode import UserCode

SCRIPT = "inference.py"
BUNDLE = "bundle.json"
METADATA = "kernel-metadata.json"
_MARKERS = {"source": "kit/__init__.py", "competition": CONFIG_NAME, "models": PLAN}
_EMPTY = "SETTINGS: dict[str, Any] = {}"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The two folders.

    Attributes:
        folder: holds them.
        names: what they are called on Kaggle.
        digest: of all that predicts.
    """

    folder: Path
    names: Names
    digest: str

    @property
    def dataset(self) -> Path:
        """The folder that becomes a dataset."""
        return self.folder / "dataset"

    @property
    def kernel(self) -> Path:
        """The folder that becomes a kernel."""
        return self.folder / "kernel"

    @property
    def script(self) -> Path:
        """The kernel's source."""
        return self.kernel / SCRIPT

    @property
    def wheels(self) -> Path:
        """Packages that the image lacks."""
        return self.dataset / "wheels"

    def facts(self) -> dict[str, Any]:
        """The description of the dataset."""
        text = (self.dataset / BUNDLE).read_text(encoding="utf-8")
        facts: dict[str, Any] = json.loads(text)
        return facts

    def size(self) -> int:
        """Bytes of the dataset."""
        return sum(path.stat().st_size for path in self.dataset.rglob("*") if path.is_file())

    def describe_packages(self, packages: Mapping[str, str], wheels: Mapping[str, str]) -> None:
        """Write down what predicts, and which of it is in `wheels`.

        Args:
            packages: versions by name.
            wheels: package by file name.
        """
        described = {**self.facts(), "packages": dict(packages), "wheels": dict(wheels)}
        write_json(self.dataset / BUNDLE, described)


def write_bundle(
    competition: Competition,
    source: Exportable,
    names: Names,
    folder: Path,
    *,
    python: str,
    gpu: bool = False,
) -> Bundle:
    """Write both folders into a new one.

    Args:
        competition: whose code goes along.
        source: what predicts.
        names: what things are called.
        folder: is made.
        python: the version that wheels are for, e.g. "3.12".
        gpu: ask for one.

    Raises:
        ConfigError: dataset or script are larger than Kaggle takes.
        DiskFull: there is no room for them.
    """
    _refuse_size(source, folder)
    dataset, kernel = folder / "dataset", folder / "kernel"
    with disk_errors(folder):
        kernel.mkdir(parents=True)
        _write_source(dataset / "source")
        _write_code(competition, source.modules, dataset / "competition")
        _write_models(source, dataset / "models")
        parts = {name: _part(dataset / name, marker) for name, marker in _MARKERS.items()}
        record = _record(competition, source)
        digest = hashlib.sha256(json.dumps([record, parts]).encode()).hexdigest()[:32]
        document = {
            "schema": 1,
            "digest": digest,
            "kit": kit.__version__,
            "python": python,
            "record": record,
            "parts": parts,
            "packages": {},
            "wheels": {},
        }
        write_json(dataset / BUNDLE, document)
        write_json(dataset / "dataset-metadata.json", dataset_metadata(names))
        write_json(kernel / METADATA, kernel_metadata(names, SCRIPT, gpu=gpu))
        text = script(competition, names, digest)
        if len(text.encode()) >= SOURCE_BYTES:
            raise ConfigError(f"the script has {len(text)} bytes, Kaggle takes {SOURCE_BYTES}")
        write_text(kernel / SCRIPT, text)
    return Bundle(folder=folder, names=names, digest=digest)


def script(competition: Competition, names: Names, digest: str) -> str:
    """The kernel's source: `kit/export/kernel.py` with its settings filled in."""
    settings = {
        "competition": names.competition,
        "dataset": names.dataset,
        "digest": digest,
        "file": names.file,
        "test": competition.settings.files.test,
        "sample": competition.settings.files.sample_submission,
    }
    source = (Path(__file__).parent / "kernel.py").read_text(encoding="utf-8")
    if source.count(_EMPTY) != 1:
        raise AssertionError("unreachable: the script has one place for its settings")
    return source.replace(_EMPTY, f"SETTINGS: dict[str, Any] = {json.dumps(settings, indent=4)}")


def _refuse_size(source: Exportable, folder: Path) -> None:
    """Before anything is copied: what Kaggle takes, and what the disk has."""
    size = source.size()
    if size > DATASET_BYTES:
        raise ConfigError(
            f"the models of {source.run.id} have {size / 1e9:.0f} GB, private datasets may have "
            f"{DATASET_BYTES / 1e9:.0f} GB.\n  Export a run of fewer models, or"
            " `kit fit --seeds 1`."
        )
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < 1.1 * size + 50e6:
        raise DiskFull(
            f"the bundle needs {size / 1e9 + 0.05:.2f} GB below {there}, {free / 1e9:.2f} GB are "
            "free. Nothing was written."
        )


def _write_source(folder: Path) -> None:
    """Every module of this kit."""
    package = Path(kit.__file__).parent
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.parts[0] != "_templates":
            target = folder / "kit" / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _write_code(competition: Competition, modules: tuple[str, ...], folder: Path) -> None:
    """kit.toml and what predicts; other files of the folder are nobody's business."""
    folder.mkdir(parents=True)
    own = UserCode(competition.root).files(*modules)
    for path in (competition.root / CONFIG_NAME, *sorted(own)):
        shutil.copyfile(path, folder / path.name)


def _write_models(source: Exportable, folder: Path) -> None:
    for run, models in source.folders.items():
        for fitted in models:
            shutil.copytree(fitted, folder / run / fitted.name, copy_function=_linked)
    for run, values in source.references.items():
        np.save(folder / f"{run}.npy", values)
    write_json(folder / PLAN, json.loads(json.dumps(source.plan, default=list)))
    write_json(folder / ROWS, source.rows.to_json())
    source.joins.save(folder)
    if source.backbones:
        names = {c: f"backbone-{k}{p.suffix}" for k, (c, p) in enumerate(source.backbones.items())}
        for column, path in source.backbones.items():
            shutil.copyfile(path, folder / names[column])
        write_json(folder / BACKBONES, names)


def _linked(source: str, target: str) -> None:
    """Models are never written to again, so that a second name for them is as good as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _part(folder: Path, marker: str) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stamps = {p.relative_to(folder).as_posix(): [p.stat().st_size, sha256(p)] for p in files}
    return {"marker": marker, "files": stamps}


def _record(competition: Competition, source: Exportable) -> dict[str, Any]:
    run = source.run
    return {
        "run": run.id,
        "hash": run.hash,
        "task": str(run.record["task"]),
        "transform": source.transform,
        "decision": run.record["decision"],
        "flags": list(competition.flags),
    }


def this_python() -> str:
    """The running version of Python, e.g. "3.12"."""
    return "{}.{}".format(*sys.version_info)
