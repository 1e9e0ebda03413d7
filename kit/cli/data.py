"""`kit data`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def data(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Only these files and folders of the competition."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again, whatever is there.")] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring the data files, or verify those that are there.

    A file that was changed since is named and left alone; --force fetches it again.
    """
    if names:
        _some(names, force, directory, set_, json=json, quiet=quiet)
        return
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.providers.base import load_provider, notes_of
    from kit.providers.manifest import (
        Known,
        compare,
        fetch_anew,
        fetch_beside,
        manifest,
        write_manifest,
    )

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    raw, record = competition.raw, competition.root / "data" / "manifest.json"
    there = record.is_file() and raw.is_dir() and not force
    known = compare(raw, record) if there else Known([], {}, {}, whole=False)
    _refuse_changed(known.changed.values(), "all files")
    fetched = not known.whole or bool(known.missing)
    for problem in known.missing.values():
        out.remark(f"kit: {problem}; fetching it again")
    if fetched:
        provider = load_provider(competition.slug, competition.settings.provider, competition.root)
        raw.mkdir(parents=True, exist_ok=True)
        with out.transfer("fetched") as progress:
            if force:
                fetch_anew(provider, raw, progress)
            elif known.whole:
                provider.fetch(raw, progress)
            else:
                fetch_beside(lambda aside: provider.fetch(aside, progress), raw, known.good)
        for note in notes_of(provider):
            out.remark(f"kit: {note}")
        files = write_manifest(raw, record)
    else:
        files = manifest(raw)
    missing = list(known.missing.values())
    out.document({"fetched": fetched, "problems": missing, "files": files})
    headers = ["file", "size", "sha256"] if verbose else ["file", "size"]
    rows = [
        [name, size(int(fact["bytes"])), *([str(fact["sha256"])] if verbose else [])]
        for name, fact in files.items()
    ]
    out.table(headers, rows)
    if not fetched:
        out.say("\nAll files are as they were fetched.")


def _refuse_changed(changed: Iterable[str], what: str) -> None:
    """Raise `DataError` where files were changed since they were fetched."""
    from kit.errors import DataError

    sentences = list(changed)
    command = "" if what == "all files" else " FILE"
    if sentences:
        raise DataError(
            "\n".join(sentences)
            + f"\n  It stays as it is. `kit data{command} --force` fetches {what} "
            "again and gives up yours."
        )


def _some(
    names: list[str],
    force: bool,
    directory: Path | None,
    set_: list[str] | None,
    *,
    json: bool,
    quiet: bool,
) -> None:
    """Fetch single files and folders; the record of all files is brought up to date."""
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.providers.base import Selects, load_provider, notes_of
    from kit.providers.manifest import Known, compare, fetch_beside, update_manifest

    if not all(name.strip("/ ") for name in names):
        raise ConfigError(
            "FILE must be the name of a file or folder of the competition. Received: an empty one."
            "\n  `kit data` without names fetches all files."
        )
    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    if not isinstance(provider, Selects):
        raise ConfigError(
            f"the provider {competition.settings.provider.name!r} gives all files or none: "
            "`kit data` without names"
        )
    selects: Selects = provider
    raw, record = competition.raw, competition.root / "data" / "manifest.json"
    there = record.is_file()
    known = compare(raw, record, names) if there else Known([], {}, {}, whole=False)
    if not force:
        _refuse_changed(known.changed.values(), "these files")
    raw.mkdir(parents=True, exist_ok=True)
    with out.transfer("fetched") as progress:
        found = fetch_beside(
            lambda aside: selects.fetch_some(names, aside, progress), raw, known.good, force=force
        )
    for note in notes_of(provider):
        out.remark(f"kit: {note}")
    files = update_manifest(raw, record, found)
    out.document({"fetched": sorted(found), "files": files})
    out.table(["file", "size"], [[name, size(int(fact["bytes"]))] for name, fact in files.items()])
