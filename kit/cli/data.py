"""`kit data`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Output
    from kit.competition import Competition


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
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.errors import ConfigError

    if not all(name.strip("/ ") for name in names or ()):
        raise ConfigError(
            "FILE must be the name of a file or folder of the competition. Received: an empty one."
            "\n  `kit data` without names fetches all files."
        )
    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    if names:
        _some(competition, names, out, force=force)
    else:
        _all(competition, out, force=force, verbose=verbose)


def _all(competition: Competition, out: Output, *, force: bool, verbose: bool) -> None:
    """Fetch all files where some are missing or none is known, else say that all is well."""
    from kit.cli.output import size
    from kit.providers.base import load_provider
    from kit.providers.fetching import fetch_anew, fetch_beside
    from kit.providers.manifest import NOTHING_KNOWN, compare, manifest, write_manifest

    raw, record = competition.raw, competition.root / "data" / "manifest.json"
    there = record.is_file() and raw.is_dir() and not force
    known = compare(raw, record) if there else NOTHING_KNOWN
    _refuse_changed(known.changed)
    fetched = not known.whole or bool(known.missing)
    for problem in known.missing.values():
        out.remark(f"kit: {problem}; fetching it again")
    if fetched:
        provider = load_provider(competition.slug, competition.settings.provider, competition.root)
        raw.mkdir(parents=True, exist_ok=True)
        with out.notes(provider), out.transfer("fetched") as progress:
            if force:
                fetch_anew(provider, raw, progress)
            elif known.whole:
                provider.fetch(raw, progress)
            else:
                fetch_beside(lambda aside: provider.fetch(aside, progress), raw, known.good)
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


def _some(competition: Competition, names: list[str], out: Output, *, force: bool) -> None:
    """Fetch single files and folders; the record of all files is brought up to date."""
    from kit.cli.output import size
    from kit.errors import ConfigError
    from kit.providers.base import Selects, load_provider
    from kit.providers.fetching import fetch_beside
    from kit.providers.manifest import NOTHING_KNOWN, compare, update_manifest

    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    if not isinstance(provider, Selects):
        raise ConfigError(
            f"the provider {competition.settings.provider.name!r} gives all files or none: "
            "`kit data` without names"
        )
    selects: Selects = provider
    raw, record = competition.raw, competition.root / "data" / "manifest.json"
    known = compare(raw, record, names) if record.is_file() else NOTHING_KNOWN
    if not force:
        _refuse_changed(known.changed, names)
    raw.mkdir(parents=True, exist_ok=True)
    with out.notes(provider), out.transfer("fetched") as progress:
        found = fetch_beside(
            lambda aside: selects.fetch_some(names, aside, progress), raw, known.good, force=force
        )
    files = update_manifest(raw, record, found)
    out.document({"fetched": sorted(found), "files": files})
    out.table(["file", "size"], [[name, size(int(fact["bytes"]))] for name, fact in files.items()])


def _refuse_changed(changed: Mapping[str, str], names: Sequence[str] = ()) -> None:
    """Raise `DataError` where files were changed since they were fetched.

    Args:
        changed: a sentence by file.
        names: those that were asked for; empty: all.
    """
    from kit.errors import DataError

    if changed:
        command = shlex.join(["kit", "data", *names, "--force"])
        what = "" if names else "all files "
        raise DataError(
            "\n".join(changed.values())
            + f"\n  What is there stays. `{command}` fetches {what}again and gives up yours."
        )
