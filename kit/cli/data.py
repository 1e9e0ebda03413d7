"""`kit data`."""

from __future__ import annotations

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
        _some(names, directory, set_, json=json, quiet=quiet)
        return
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.errors import DataError
    from kit.providers.base import load_provider, notes_of
    from kit.providers.manifest import Differences, fetch_anew, manifest, verify, write_manifest

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    raw, record = competition.raw, competition.root / "data" / "manifest.json"
    known = record.is_file() and raw.is_dir() and not force
    found = verify(raw, record) if known else Differences([], [])
    if found.changed:
        raise DataError(
            "\n".join(found.changed)
            + "\n  It stays as it is. `kit data --force` fetches all files "
            "again and gives up yours."
        )
    fetched = not known or bool(found.missing)
    for problem in found.missing:
        out.remark(f"kit: {problem}; fetching it again")
    if fetched:
        provider = load_provider(competition.slug, competition.settings.provider, competition.root)
        raw.mkdir(parents=True, exist_ok=True)
        with out.transfer("fetched") as progress:
            if force:
                fetch_anew(provider, raw, progress)
            else:
                provider.fetch(raw, progress)
        for note in notes_of(provider):
            out.remark(f"kit: {note}")
        files = write_manifest(raw, record)
    else:
        files = manifest(raw)
    out.document({"fetched": fetched, "problems": found.missing, "files": files})
    headers = ["file", "size", "sha256"] if verbose else ["file", "size"]
    rows = [
        [name, size(int(fact["bytes"])), *([str(fact["sha256"])] if verbose else [])]
        for name, fact in files.items()
    ]
    out.table(headers, rows)
    if not fetched:
        out.say("\nAll files are as they were fetched.")


def _some(
    names: list[str], directory: Path | None, set_: list[str] | None, *, json: bool, quiet: bool
) -> None:
    """Fetch single files and folders; the record of all files is brought up to date."""
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.providers.base import Selects, load_provider, notes_of
    from kit.providers.manifest import write_manifest

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    if not isinstance(provider, Selects):
        raise ConfigError(
            f"the provider {competition.settings.provider.name!r} gives all files or none: "
            "`kit data` without names"
        )
    competition.raw.mkdir(parents=True, exist_ok=True)
    with out.transfer("fetched") as progress:
        paths = provider.fetch_some(names, competition.raw, progress)
    for note in notes_of(provider):
        out.remark(f"kit: {note}")
    files = write_manifest(competition.raw, competition.root / "data" / "manifest.json")
    found = {path.relative_to(competition.raw).as_posix() for path in paths}
    out.document(
        {"fetched": sorted(found), "files": {n: f for n, f in files.items() if n in found}}
    )
    rows = [[name, size(int(fact["bytes"]))] for name, fact in files.items() if name in found]
    out.table(["file", "size"], rows)
