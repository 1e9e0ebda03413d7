"""`kit new`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Output
    from kit.scaffold.facts import Inference
    from kit.settings import ProviderSpec

# tables of kit.toml that are inferred: `--set` may name any of their keys
_SECTIONS = ("files", "columns", "task", "submission", "cv", "series")

# templates with a script instead of kit.toml, by what their target is
_SCRIPTED = {
    "segmentation": "a mask per image",
    "extraction": "a piece of a text",
    "restoration": "an image per image",
}


# The options, in the order of the help text.
Name = Annotated[
    str, typer.Argument(metavar="COMPETITION", help="Its short name; becomes the folder.")
]
Source = Annotated[
    str,
    typer.Option(
        "--from", metavar="SOURCE", help="sample, a folder or zip with the files, or kaggle."
    ),
]
Template = Annotated[
    str | None,
    typer.Option(help="Folder of templates/ to start from; else the one that suits the data."),
]
Solution = Annotated[
    str, typer.Option(metavar="FILE", help="Hidden answers to grade against (a local source).")
]
Train = Annotated[str | None, typer.Option(metavar="FILE", help="Name of the train file.")]
Test = Annotated[str | None, typer.Option(metavar="FILE", help="Name of the test file.")]
Sample = Annotated[str | None, typer.Option(metavar="FILE", help="Name of the sample submission.")]
Target = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="What to predict. Repeatable.")
]
Id = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="The row id.")]
Group = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Rows of one group stay in one fold.")
]
Time = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="When a row happened; test lies later.")
]
MetricName = Annotated[
    str | None, typer.Option(help="How the competition scores (`kit plugins` lists them).")
]
TaskName = Annotated[
    str | None,
    typer.Option(help="binary, multiclass, multilabel, regression or multitarget."),
]
Submission = Annotated[
    str | None, typer.Option(help="What the submission holds: label, probability or value.")
]
Splitter = Annotated[str | None, typer.Option(help="How rows are cut into folds.")]
Folds = Annotated[int | None, typer.Option(help="Number of folds.")]
Holdout = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Seal so many of the rows, 0.1: nothing sees them."),
]
ExistOk = Annotated[
    bool, typer.Option("--exist-ok", help="Do nothing if the competition is already there.")
]
Place = Annotated[
    Path | None,
    typer.Option("-C", "--directory", metavar="DIR", help="Folder to make it in."),
]


def new(
    competition: Name,
    source: Source = "kaggle",
    template: Template = None,
    solution: Solution = "",
    train: Train = None,
    test: Test = None,
    sample: Sample = None,
    target: Target = None,
    id_: Id = None,
    group: Group = None,
    time: Time = None,
    metric: MetricName = None,
    task: TaskName = None,
    submission: Submission = None,
    splitter: Splitter = None,
    folds: Folds = None,
    holdout: Holdout = None,
    exist_ok: ExistOk = False,
    directory: Place = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a competition's folder: data, kit.toml, template."""
    from kit.cli.output import Output
    from kit.competition import CONFIG_NAME
    from kit.providers.base import load_provider
    from kit.scaffold.write import create

    out = Output(json=json, quiet=quiet)
    root = _place(_slug(competition), directory)
    if exist_ok and any((root / name).is_file() for name in (CONFIG_NAME, "settings.toml")):
        out.document({"root": str(root), "created": False})
        return out.say(f"{_short(root)} is already there; nothing was changed.")
    flags: dict[str, Any] = {
        "train": train,
        "test": test,
        "sample": sample,
        "target": target,
        "id": id_,
        "group": group,
        "time": time,
        "metric": metric,
        "task": task,
        "submission": submission,
        "splitter": splitter,
        "folds": folds,
    }
    sealed = [f"cv.holdout={holdout}"] if holdout is not None else []
    overrides = _overrides([*(set_ or []), *sealed])
    spec = _provider(source, solution)
    provider = load_provider(root.name, spec, root)
    with out.notes(provider), out.transfer("fetched") as progress:
        inference = create(
            root, provider, spec,
            flags=flags, overrides=overrides, template=template, progress=progress,
        )  # fmt: skip
    _report(out, root, inference, verbose)


def _slug(competition: str) -> str:
    """The name in an address of Kaggle, as copied from a browser."""
    found = re.match(r"https?://(?:www\.)?kaggle\.com/(?:c|competitions)/([\w-]+)", competition)
    return found.group(1) if found else competition


def _report(out: Output, root: Path, inference: Inference, verbose: bool) -> None:
    from shlex import quote

    values = [
        {"key": v.key, "value": v.value, "because": v.because, "sure": v.sure}
        for v in inference.values
    ]
    out.document(
        {
            "root": str(root),
            "created": True,
            "values": values,
            "questions": inference.questions,
            "sampled": inference.sampled,
        }
    )
    rows = [
        [v["key"], _plain(v["value"]), str(v["because"]) + ("" if v["sure"] else " (?)")]
        for v in values
        if v["value"] not in (None, "", [], {}) and (verbose or not _detail(str(v["key"])))
    ]
    scripted = _SCRIPTED.get(inference.template)
    if scripted:
        out.say(
            f"The target is {scripted}, which kit cv is not for: this folder has a script of "
            "its own.\n"
        )
    file = "settings.toml" if scripted else "kit.toml"
    out.say(f"{_short(root)} is ready. What {file} says, and where it came from:\n")
    out.table(["", "value", "because"], rows)
    if inference.sampled:
        out.say(f"\nToo large to be looked at as a whole: {'; '.join(inference.sampled)}.")
    for question in inference.questions:
        out.say(f"\n? {question}")
    then = "python train.py" if scripted else "kit check and kit cv"
    out.next(f"cd {quote(_short(root))}, look at {file}, then {then}")


def _place(competition: str, directory: Path | None) -> Path:
    """Where the folder goes: below `competitions/` where there is one, else right here."""
    from kit.errors import ConfigError

    base = directory or Path()
    path = Path(competition)
    if path.name in ("", ".", "..") or any(c in path.name for c in '<>:"|?*\\'):
        raise ConfigError(f"a competition needs a plain name for its folder: {competition!r}")
    plain = len(path.parts) == 1 and directory is None
    return Path("competitions") / path if plain and Path("competitions").is_dir() else base / path


def _provider(source: str, solution: str) -> ProviderSpec:
    from kit.errors import ConfigError
    from kit.settings import ProviderSpec

    if solution and source in ("sample", "kaggle"):
        raise ConfigError("--solution belongs to a local source: --from PATH --solution FILE")
    if source in ("sample", "kaggle"):
        return ProviderSpec(name=source)
    path = Path(source).expanduser().resolve()
    answers = str(Path(solution).expanduser().resolve()) if solution else ""
    if not path.exists():
        raise ConfigError(
            f"--from {source}: there is no such folder or zip ({path}); else sample or kaggle"
        )
    if answers and not Path(answers).is_file():
        raise ConfigError(f"--solution {solution}: there is no such file ({answers})")
    return ProviderSpec(name="local", source=str(path), solution=answers)


def _overrides(given: list[str]) -> dict[str, Any]:
    """What `--set` says, by dotted key; only keys that `kit new` writes."""
    from kit.config import apply_overrides
    from kit.errors import ConfigError

    applied = apply_overrides({}, given)
    for key in applied:
        if key.partition(".")[0] not in _SECTIONS:
            raise ConfigError(
                f"kit new --set {key}: it writes {', '.join(_SECTIONS)} only. Edit kit.toml then."
            )
    return applied


def _detail(key: str) -> bool:
    """Kinds of single columns and file names are in kit.toml; the table shows the rest."""
    return key.startswith(("columns.kinds.", "files."))


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(str(item) for item in value[:6])
        return f"{shown}, … ({len(value)})" if len(value) > 6 else shown
    return repr(value) if str(value).isspace() else str(value)


def _short(path: Path) -> str:
    """The path as one would type it from here."""
    here = Path.cwd()
    full = path.resolve()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)
