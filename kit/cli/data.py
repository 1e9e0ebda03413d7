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
    """Bring the data files, or verify those that are there."""
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.providers.base import load_provider
    from kit.providers.manifest import files_below, manifest, verify, write_manifest

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    record = competition.root / "data" / "manifest.json"
    whole = record.is_file() and competition.raw.is_dir() and not force
    problems = verify(competition.raw, record) if whole else []
    fetched = force or not whole or bool(problems)
    for problem in problems:
        out.remark(f"kit: {problem}; fetching it again")
    if fetched:
        provider = load_provider(competition.slug, competition.settings.provider, competition.root)
        competition.raw.mkdir(parents=True, exist_ok=True)
        if force:
            for path in list(files_below(competition.raw)):
                path.unlink()
        with out.transfer("fetched") as progress:
            provider.fetch(competition.raw, progress)
        files = write_manifest(competition.raw, record)
    else:
        files = manifest(competition.raw)
    out.document({"fetched": fetched, "problems": problems, "files": files})
    headers = ["file", "size", "sha256"] if verbose else ["file", "size"]
    rows = [
        [name, size(int(fact["bytes"])), *([str(fact["sha256"])] if verbose else [])]
        for name, fact in files.items()
    ]
    out.table(headers, rows)
    if not fetched:
        out.say("\nAll files are as they were fetched.")
