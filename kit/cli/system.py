"""`kit plugins` and `kit doctor`: what is registered, what is wrong with this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose, competition_or_none

if TYPE_CHECKING:
    from kit.registry import Entry


def plugins(
    kind: Annotated[
        str | None, typer.Argument(help="Only models, metrics, splitters or providers.")
    ] = None,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List models, metrics, splitters and providers."""
    from kit.cli.output import Output
    from kit.errors import ConfigError, nearest
    from kit.registry import ALL

    out = Output(json=json, quiet=quiet)
    competition_or_none(directory, set_, out.problem)
    known = {f"{registry.kind}s": registry for registry in ALL}
    if kind is not None and kind not in known:
        raise ConfigError(f"unknown kind {kind!r}. {nearest(kind, known)}")
    entries = [
        entry
        for name, registry in known.items()
        if kind in (None, name)
        for entry in registry.entries()
    ]
    out.document(
        [
            {
                "kind": e.kind,
                "name": e.name,
                "reference": e.reference,
                "source": e.source,
                "about": e.about,
            }
            for e in entries
        ]
    )
    out.table(
        ["kind", "name", "what it is", "from"],
        [[e.kind, e.name, _about(e, verbose=verbose), e.source] for e in entries],
    )
    out.say(
        '\nYour own: module:attribute of a file beside kit.toml (use = "model:build"), or an '
        "entry point\nof an installed package in the group kit.models, kit.metrics, kit.splitters "
        "or kit.providers."
    )


def _about(entry: Entry, *, verbose: bool) -> str:
    """One line on an entry; where it is, when there is none or it is asked for."""
    if not entry.about:
        return entry.reference
    return f"{entry.about}; {entry.reference}" if verbose else entry.about


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe to mend in the competition's folder.")
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what this machine has and what is wrong with it and with the competition's folder.

    Exit code 1 if kit cannot work here.
    """
    from pathlib import Path

    from kit.cli.output import Output
    from kit.competition import CONFIG_NAME
    from kit.diagnosis import Fact, diagnose
    from kit.errors import ConfigError
    from kit.mending import examine, mend
    from kit.providers.kaggle.doctor import credential_facts

    broken: list[str] = []
    competition = competition_or_none(directory, set_, broken.append)
    out = Output(json=json, quiet=quiet)
    if fix and competition is None:
        raise ConfigError(f"--fix needs a competition. {' '.join(broken) or 'None is here.'}")
    mended = mend(competition) if fix and competition else []
    facts = [*diagnose(competition.root if competition else Path.cwd()), *credential_facts()]
    facts += examine(competition) if competition else []
    facts += [Fact(name="mended", value=each) for each in mended]
    facts += [Fact(name=CONFIG_NAME, value="", problem=text, serious=True) for text in broken]
    out.document([{"name": f.name, "value": f.value, "problem": f.problem} for f in facts])
    out.table(
        ["", "", "problem"],
        [[fact.name, fact.value, fact.problem] for fact in facts],
    )
    problems = [fact for fact in facts if fact.problem]
    plural = "s" * (len(problems) != 1)
    out.say(f"\n{len(problems)} problem{plural} found." if problems else "\nAll well.")
    if any(fact.serious for fact in problems):
        raise typer.Exit(1)
