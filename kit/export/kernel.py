"""Predict the competition's test file with models that `kit export` put into a dataset.

Nothing is downloaded. Where Kaggle mounts things has changed more than once, so they are looked
for; KIT_EXPORT_INPUT and KIT_EXPORT_WORKING name other folders than Kaggle's.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

SETTINGS: dict[str, Any] = {}  # written by `kit export`: competition, dataset, digest, files

INPUT, WORKING = "/kaggle/input", "/kaggle/working"


def main() -> None:
    """Find everything, then hand over to the kit of the bundle."""
    if sys.version_info.minor < 11:
        stop(f"kit needs Python 3.11, this is 3.{sys.version_info.minor}; choose a newer image")
    inputs = Path(os.environ.get("KIT_EXPORT_INPUT") or INPUT)
    working = Path(os.environ.get("KIT_EXPORT_WORKING") or WORKING)
    report = os.environ.get("KIT_EXPORT_REPORT")
    bundle, root = find_bundle(inputs)
    parts = {name: find_part(root, name, facts) for name, facts in bundle["parts"].items()}
    check_python(bundle)
    install_wheels(bundle, root)
    sys.path.insert(0, str(parts["source"]))
    os.environ.setdefault("KIT_PLUGINS", "0")
    test = find_file(inputs, root, SETTINGS["test"])
    sample = find_file(inputs, root, SETTINGS["sample"]) if SETTINGS["sample"] else None
    say(f"test file: {test}")

    import kit
    from kit.export.inference import Places, infer

    if Path(kit.__file__).resolve().parent.parent != parts["source"].resolve():
        stop(f"another kit is imported than the bundle's: {kit.__file__}")
    places = Places(
        code=parts["competition"],
        models=parts["models"],
        test=test,
        sample=sample,
        out=working / SETTINGS["file"],
        report=Path(report) if report else None,
    )
    for note in infer(bundle["record"], places):
        say(f"note: {note}")
    say(f"written and checked: {places.out}")


def find_bundle(inputs: Path) -> tuple[dict[str, Any], Path]:
    """The description of the bundle this script was made for, and the folder it lies in."""
    others = []
    for folder in (*mounts(inputs, "datasets", SETTINGS["dataset"]), inputs):
        for path in shallowest(folder, "bundle.json"):
            bundle: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if bundle.get("digest") == SETTINGS["digest"]:
                return bundle, path.parent
            others.append(str(path))
    if others:
        stop(
            f"{others[0]} is another version of the bundle than this script was made for. "
            "Attach the newest version of the dataset, or push the kernel of that export."
        )
    stop(f"no bundle.json below {inputs}: is the dataset {SETTINGS['dataset']} attached?")


def find_part(root: Path, name: str, facts: dict[str, Any]) -> Path:
    """The folder of a part of the bundle, all of whose files are there and unchanged.

    Folders are uploaded as archives, and how deep Kaggle unpacks them differs: a marker is looked
    for, not a path.
    """
    marker = Path(facts["marker"])
    for path in shallowest(root, marker.name):
        folder = path.parents[len(marker.parts) - 1]
        if path == folder / marker and same(path, facts["files"][facts["marker"]]):
            break
    else:
        stop(f"the bundle lacks {facts['marker']} (part {name!r}); upload it again")
    for relative, stamp in facts["files"].items():
        if not (folder / relative).is_file():
            stop(f"the bundle lacks {relative} (part {name!r}); upload it again")
        if not same(folder / relative, stamp):
            stop(f"{relative} (part {name!r}) is not the file that was exported; upload it again")
    return folder


def find_file(inputs: Path, bundle: Path, name: str) -> Path:
    """A file of the competition's, by name; old and new mount points, any depth."""
    competition = mounts(inputs, "competitions", SETTINGS["competition"])
    for folder in (*competition, inputs):
        direct = folder / name
        if direct.is_file():
            return direct
        for path in shallowest(folder, Path(name).name):
            if bundle not in path.parents:
                return path
    stop(
        f"no {name} below {inputs}: is the competition {SETTINGS['competition']} attached, and are "
        "its rules accepted?"
    )


def mounts(inputs: Path, kind: str, reference: str) -> Iterator[Path]:
    """Folders where Kaggle may have mounted something, newest layout first; case is ignored."""
    slug = reference.rpartition("/")[2]
    for parts in ((kind, *reference.split("/")), (kind, slug), (slug,)):
        folder: Path | None = inputs
        for part in parts:
            below = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
            folder = next((p for p in below if p.name.lower() == part.lower()), None)
        if folder is not None and folder.is_dir():
            yield folder


def shallowest(folder: Path, name: str) -> list[Path]:
    """Files of that name at any depth, the least deep first."""
    found = [path for path in folder.rglob(name) if path.is_file()]
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def same(path: Path, stamp: list[Any]) -> bool:
    """Whether a file has that size and SHA-256."""
    if path.stat().st_size != stamp[0]:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == stamp[1]


def check_python(bundle: dict[str, Any]) -> None:
    """Wheels of another version of Python cannot be installed."""
    here = "{}.{}".format(*sys.version_info)
    if bundle["wheels"] and bundle["python"] != here:
        stop(
            f"this is Python {here}, the wheels of the bundle are for {bundle['python']}: "
            f"`kit export` again with --python {here}"
        )


def install_wheels(bundle: dict[str, Any], root: Path) -> None:
    """Install what is missing or of another version into a folder of its own, offline."""
    wanted = {name: file for file, name in bundle["wheels"].items()}
    lacking = [name for name in bundle["packages"] if installed(name) != bundle["packages"][name]]
    files = [str(p) for n in lacking if n in wanted for p in shallowest(root, wanted[n])[:1]]
    missing = [n for n in lacking if n not in wanted and installed(n) is None]
    if missing:
        stop(f"this image lacks {', '.join(missing)}, and so does the bundle")
    for name in sorted(set(lacking) - set(wanted)):
        say(f"note: {name} {installed(name)}, tried with {bundle['packages'][name]}")
    if files:
        target = tempfile.mkdtemp(prefix="kit-packages-")
        atexit.register(shutil.rmtree, target, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        subprocess.run([*pip, "--target", target, *files], check=True)
        sys.path.insert(0, target)


def installed(name: str) -> str | None:
    """The version of a package, None where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def say(text: str) -> None:
    """A line of the kernel's log."""
    sys.stderr.write(f"{text}\n")


def stop(text: str) -> NoReturn:
    """End with one sentence; the kernel's status is an error then."""
    raise SystemExit(f"kit export: {text}")


if __name__ == "__main__":
    main()
