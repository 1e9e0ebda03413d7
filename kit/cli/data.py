"""`kit data`."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def data(
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
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.errors import DataError
    from kit.providers.base import load_provider
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
