"""`kit cv`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, On, Quiet, Set, Verbose, with_on

if TYPE_CHECKING:
    from kit.cli.output import Output
    from kit.errors import KitError
    from kit.runs import Run
    from kit.session import Session


def cv(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Names from [models] in kit.toml, built-in models (`kit plugins`), or "
            "module:attribute. Default: cv.models of kit.toml, else a short list of the portfolio.",
        ),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Number of folds.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of folds and models.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start no fold that would end later: 90s, 10m."),
    ] = None,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep the fitted models in the run.")
    ] = False,
    on: On = None,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cross-validate models on the same folds.

    Finished folds are kept: after Ctrl-C, a crash or a power cut the same command goes on where it
    was. A run that is already there is not computed again.
    """
    from kit.cli.output import Output, score_format
    from kit.competition import Competition
    from kit.cv import check_models
    from kit.duration import parse_duration
    from kit.portfolio import find_model, short_list
    from kit.session import open_session

    out = Output(json=json, quiet=quiet)
    flags = with_on(set_, on)
    flags += [] if folds is None else [f"cv.n_splits={folds}"]
    flags += [] if seed is None else [f"cv.seed={seed}"]
    competition = Competition.find(directory, flags)
    kinds = competition.settings.columns.kinds.values()
    names = list(models or competition.settings.cv.models or short_list(kinds))
    check_models(names)
    if len(names) == 1:  # of several, a failed one does not stop the others
        find_model(competition, names[0])
    limit = None if budget is None else parse_duration(budget)
    with (
        out.folds(names, score_format) as listen,
        open_session(competition, listen=listen, budget=limit, keep_models=keep_models) as session,
    ):
        out.remark(header(session) + planned_memory(session, names))
        done, failed = _validate_all(session, names, out)
    _report(out, done, failed, verbose)
    if failed:
        raise typer.Exit(max(error.exit_code for _, error in failed))


def _validate_all(
    session: Session, names: list[str], out: Output
) -> tuple[list[Run], list[tuple[str, KitError]]]:
    """One model after the other; a failed one does not stop the others."""
    from kit.cv import cross_validate
    from kit.errors import DiskFull, KitError

    done: list[Run] = []
    failed: list[tuple[str, KitError]] = []
    for name in names:
        try:
            run = cross_validate(session, name)
        except DiskFull:
            raise
        except KitError as error:
            if len(names) == 1:
                raise
            failed.append((name, error))
            out.problem(f"{name} failed: {error}")
            continue
        if run is not None:
            done.append(run)
    return done, failed


def header(session: Session) -> str:
    """Data, folds and metric in two lines."""
    data, metric = session.context.dataset, session.context.metric
    spec = session.competition.settings.cv
    direction = "higher is better" if metric.greater_is_better else "lower is better"
    notes = "".join(f"\nnote: {note}" for note in data.notes)
    if session.competition.settings.execution.on:
        notes += f"\non the cluster {session.competition.settings.execution.on}"
    return (
        f"{session.competition.slug}: {len(data.X)} rows x {data.X.shape[1]} features, "
        f"{len(data.X_test)} test rows; {data.task}\n"
        f"{session.context.folds.n_splits} folds by {spec.splitter}; {metric.name}, {direction}"
        f"{notes}"
    )


def planned_memory(session: Session, names: list[str]) -> str:
    """What a process will take with each model, of a table on the disk; else nothing."""
    from contextlib import suppress

    from kit.errors import KitError
    from kit.execution.memory import stated
    from kit.plan import make_plan

    data, needs = session.context.dataset, {}
    if not data.on_disk or session.competition.settings.execution.on:
        return ""
    for name in names:
        with suppress(KitError):  # said when its turn comes
            needs[name] = make_plan(session, name).memory
    return f"\n{stated(data, needs)}"


def _report(
    out: Output, done: list[Run], failed: list[tuple[str, KitError]], verbose: bool
) -> None:
    from kit.cli.runs import run_rows, spare

    out.document(
        {
            "runs": [dict(run.record) for run in done],
            "failed": [{"model": name, "error": str(error)} for name, error in failed],
        }
    )
    if not done:
        return
    out.say()
    headers, rows = run_rows(done, verbose=verbose, short=out.narrow)
    out.table(headers, rows, spare=spare(verbose=verbose))
    if any(run.record["early_stopping"] == "fold" for run in done):
        out.say("* stopped early on the scored fold itself: optimistic")
    overrides = done[0].record["overrides"]
    flags = "".join(f" --set {key}={value}" for key, value in overrides.items() if key[:3] == "cv.")
    out.next(
        f"kit blend{flags}" if len(done) > 1 else f"kit cv MODEL for another, then kit blend{flags}"
    )
