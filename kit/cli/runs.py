"""`kit runs`, `kit show`, `kit diff`: what was tried and what it scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.curves import Verdict
    from kit.runs import Run

_SHOWN = 30


def runs(
    everything: Annotated[bool, typer.Option("--all", help="All runs, not the best 30.")] = False,
    by: Annotated[str, typer.Option(help="Order: score (best first) or time (newest first).")] = (
        "score"
    ),
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List the runs, best first.

    Scores compare only where the folds are the same.
    """
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.runs import list_runs

    if by not in ("score", "time"):
        raise ConfigError(f"--by is score or time. Received: {by!r}")
    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    found, problems = list_runs(competition.runs)
    ordered = _best_first(found) if by == "score" else found[::-1]
    if json:
        out.document({"runs": [dict(run.record) for run in ordered], "problems": problems})
        return
    for problem in problems:
        out.remark(f"kit: {problem}")
    if not found:
        out.say(f"No runs in {competition.runs} yet.")
        out.next("kit cv")
        return
    shown = ordered if everything or not out.fancy else ordered[:_SHOWN]
    headers, rows = run_rows(shown, verbose=verbose, short=out.narrow)
    out.table(headers, rows, spare=spare(verbose=verbose))
    if len(shown) < len(ordered):
        out.say(f"{len(ordered) - len(shown)} more: kit runs --all")
    if any(run.kind == "fit" for run in shown):
        out.say("( ) fitted on all rows: the score of the run it was made from")
    if any(run.record.get("early_stopping") == "fold" for run in shown):
        out.say("* stopped early on the scored fold itself: optimistic")


def spare(*, verbose: bool) -> tuple[str, ...]:
    """Columns that a narrow terminal does without, the first to go first.

    With `verbose` the scores of the folds stand below "mean ± sd", which stays then.
    """
    return ("fit s", "folds", "age", *(() if verbose else ("mean ± sd",)))


def run_rows(
    found: Sequence[Run], *, verbose: bool, short: bool = False
) -> tuple[list[str], list[list[Cell]]]:
    """Headers and rows of a table of runs; `short`: with the end of their ids only."""
    from kit.cli.output import age, score_format, spread_format

    newest = max(found, key=lambda run: str(run.record["created"])).metric if found else ("", "")
    same = all(run.metric[0] == newest[0] for run in found)
    headers = [
        "model",
        (newest[0] or "score") if same else "score",
        "mean ± sd",
        "folds",
        "fit s",
        "age",
        "run",
    ]
    rows: list[list[Cell]] = []
    for run in found:
        score = run.record["score"]
        star = "*" if run.record.get("early_stopping") == "fold" else ""
        mean, std = score.get("mean"), score.get("std")
        spread = spread_format(mean, std)
        name = run.model if same else f"{run.model} ({run.metric[0]})"
        if run.metric[0] == newest[0] and run.metric != newest:
            name = f"{run.model} (earlier {newest[0].partition(':')[0]}.py)"
        seconds = run.record.get("seconds", {}).get("fit")
        rows.append(
            [
                name,
                f"({score_format(run.score)})"
                if run.kind == "fit"
                else score_format(run.score) + star,
                spread,
                run.folds[:4],
                "" if seconds is None else f"{seconds:.1f}",
                age(str(run.record["created"])),
                run.short if short else run.id,
            ]
        )
        if verbose:
            folds = ", ".join(score_format(value) for value in score["folds"])
            rows.append(["", "", folds, "", "", "", ""])
    return headers, rows


def show(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="A run id, a part of one, a model, or last.")
    ],
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Draw the learning curves into this file."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            "--tensorboard",
            metavar="FOLDER",
            help="Write the learning curves as TensorBoard logs below this folder.",
        ),
    ] = None,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show everything a run recorded, and how its models learned."""
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.curves import step_of, verdict
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    run = find_run(Competition.find(directory, set_ or []).runs, name)
    told = verdict(run.curves, step_of(run.record))
    _write_curves(run, png, tensorboard, out)
    if json:
        learned = None if told is None else asdict(told)
        out.document({**run.record, "config": run.config, "learning": learned})
        return
    record = run.record
    out.say(run.id)
    out.table(["", ""], _facts(run))
    if record.get("weights"):
        out.say()
        out.table(["weight", "run"], [[w, parent] for parent, w in record["weights"].items()])
    if record.get("params"):
        out.say()
        out.table(["parameter", "value"], [[k, _plain(v)] for k, v in record["params"].items()])
    if told is not None:
        _say_learning(run, told, out)
    out.say(f"\n{run.path}")


def _facts(run: Run) -> list[list[Cell]]:
    """What a run is and what it scored, a line each."""
    from kit.cli.output import score_format, spread_format

    record, score = run.record, run.record["score"]
    facts: list[list[Cell]] = [
        ["model", f"{run.model} ({run.kind})"],
        *([["scores of", record["score_of"]]] if run.kind == "fit" else []),
        [record["metric"]["name"], score_format(run.score)],
        ["all rows pooled", score_format(score["oof"])],
        ["mean ± sd", spread_format(score["mean"], score["std"])],
        ["folds", ", ".join(score_format(value) for value in score["folds"])],
    ]
    if score.get("plain") is not None:
        facts.append(["plain score", f"{score_format(score['plain'])} (weights saw these rows)"])
    if held := record.get("holdout"):
        sealed = score_format(held["score"], run.score)
        near = f"; {held['near']} too near them to be in a fold" if held.get("near") else ""
        told = f"{held['rows']} rows that nothing was chosen by{near}"
        facts.append(["sealed rows", f"{sealed} ({told})"])
    decision = record.get("decision", {})
    if decision.get("kind", "none") != "none":
        values = ", ".join(f"{value:.4g}" for value in decision["values"])
        default = score["default"]
        gain = "" if default == score["oof"] else f", {score_format(default)} without"
        facts.append(["decision", f"{decision['kind']} {values}{gain}"])
    facts += [[key, _plain(record[key])] for key in _SHOWN_KEYS if _says(record.get(key))]
    return facts


def _write_curves(run: Run, png: Path | None, tensorboard: Path | None, out: Output) -> None:
    """The learning curves as a picture, as logs, or both."""
    from kit.errors import RunError

    if (png or tensorboard) and not run.curves:
        raise RunError(
            f"{run.id} has no learning curves: only boosting and networks with validation rows "
            "record them"
        )
    if png is not None:
        from kit.report.export import write_png

        write_png(run, png)
        out.remark(f"{png} written")
    if tensorboard is not None:
        from kit.report.export import write_tensorboard

        write_tensorboard(run, tensorboard)
        out.remark(f"{tensorboard} written: tensorboard --logdir {tensorboard}")


def _say_learning(run: Run, told: Verdict, out: Output) -> None:
    """A line of bars per fold, and the verdict."""
    from kit.cli.output import score_format
    from kit.curves import sparkline

    rows: list[list[Cell]] = []
    for fold, curve in run.curves.items():
        valid = curve.get("valid") or []
        if len(valid) < 2:
            continue
        best = min(range(len(valid)), key=valid.__getitem__)
        span = f"{score_format(valid[0])} → {score_format(valid[best])}"
        rows.append(
            [f"fold {int(fold) + 1}", sparkline(valid), span, f"{best + 1} of {len(valid)}"]
        )
    out.say()
    out.table(["curve", "validation loss", "first → best", "best at"], rows)
    agree, of = told.folds
    out.say(f"\n{told.kind}: {told.text} ({agree} of {of} folds).")
    if told.remedy:
        out.say(f"  To try: {told.remedy}.")


def _says(value: Any) -> bool:
    """Whether there is something to show: not nothing, and not a list of nothing."""
    return any(item is not None for item in value) if isinstance(value, list) else bool(value)


_SHOWN_KEYS = (
    "fold_weights", "task", "transductive", "seed", "early_stopping", "best_iterations", "new_rows",
    "overrides", "seconds",
    "peak_memory_mb", "device", "resumed", "digests", "kit", "created", "hash",
)  # fmt: skip


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A run.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another run.")],
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare two runs: settings and scores, fold by fold."""
    from kit.cli.output import Output, score_format
    from kit.comparison import compare
    from kit.competition import Competition
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    folder = Competition.find(directory, set_ or []).runs
    a, b = find_run(folder, first), find_run(folder, second)
    found = compare(a, b)
    out.document(
        {"a": a.id, "b": b.id, "settings": found.settings, "folds": found.folds, **found.summary}
    )
    out.say(f"A  {a.id}\nB  {b.id}\n")
    settings = [[key, _plain(old), _plain(new)] for key, (old, new) in found.settings.items()]
    out.table(["setting", "A", "B"], settings or [["(the same)", "", ""]])
    out.say()
    if found.reason:
        out.say(found.reason)
        return
    rows: list[list[Cell]] = [
        [f"fold {k + 1}", *(score_format(v) for v in pair), _signed(pair)]
        for k, pair in enumerate(found.folds)
    ]
    pooled = (a.score, b.score)
    rows.append(["all rows", *(score_format(v) for v in pooled), _signed(pooled)])
    out.table(["", "A", "B", "B - A"], rows)
    out.say(f"\n{found.verdict}")


def _signed(pair: tuple[float | None, float | None]) -> str:
    from kit.cli.output import score_format

    old, new = pair
    return "" if old is None or new is None else score_format(new - old, like=old, signed=True)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "" if value is None else str(value)


def _best_first(found: Sequence[Run]) -> list[Run]:
    """By score; what is scored otherwise than the newest run stands below."""
    newest = max((str(run.record["created"]), run.metric) for run in found)[1] if found else None

    def key(run: Run) -> tuple[bool, str, float]:
        up = run.record["metric"]["greater_is_better"]
        return run.metric != newest, run.metric[0], -run.score if up else run.score

    return sorted(found, key=key)
