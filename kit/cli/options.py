"""Options that every command has, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only results, no progress.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="More detail.")]
