"""Options that every command has, declared once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kit.competition import Competition

RUNS_CODE = "Runs Python files of the competition's folder (features.py, model.py, ...)."
"""Stands below the help of every command that does."""

Directory = Annotated[
    Path | None,
    typer.Option(
        "-C",
        "--directory",
        metavar="DIR",
        help="The competition: its folder, or its name below competitions/. "
        "Default: the nearest kit.toml from here upwards.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of kit.toml for this call, e.g. cv.n_splits=10. Repeatable.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ADDRESS",
        help="Compute the folds on a Dask cluster: its scheduler's address, host:port. The "
        "competition's files and code are sent to its workers and run there. Default: "
        "execution.on of kit.toml, else here.",
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only results, no progress.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="More detail.")]


def with_on(set_: list[str] | None, on: str | None) -> list[str]:
    """The overrides, and that of --on."""
    return [*(set_ or []), *([] if on is None else [f"execution.on={json.dumps(on)}"])]


def competition_or_none(
    directory: Path | None, set_: list[str] | None, tell: Callable[[str], None]
) -> Competition | None:
    """The competition that is named, or the one around; some commands work without one, too.

    Args:
        directory: of -C.
        set_: of --set.
        tell: takes the message where the `kit.toml` around is broken.

    Raises:
        ConfigError: one is named that is not there, or an override is wrong.
    """
    from kit.competition import Competition
    from kit.errors import ConfigError, NoCompetition

    try:
        return Competition.find(directory, set_ or [])
    except ConfigError as error:
        if directory is not None or set_:
            raise
        if not isinstance(error, NoCompetition):
            tell(str(error))
        return None
