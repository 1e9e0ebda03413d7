"""`kit tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kit.cli.options import Directory, Json, On, Quiet, Set, Verbose, competition_or_none, with_on

if TYPE_CHECKING:
    from pathlib import Path

    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.spaces import Axis
    from kit.tune.loop import Asked, Outcome, Told


Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="What to search: names as in kit cv. Several share one study.",
    ),
]
Method = Annotated[
    Literal["manual", "grid", "random", "bayes"],
    typer.Option(
        help="manual: the points of --try. grid: every combination of lists. random: drawn "
        "from the space. bayes: drawn where earlier trials were good (TPE)."
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Until the study has so many trials, those of earlier calls and of other "
        "processes included. Default: 50; with --budget no limit.",
    ),
]
Time = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="How long it may take in all: 90s, 10m, 1h."),
]
Points = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        metavar="VALUES",
        help='Try this first: "learning_rate=0.05,num_leaves=31". With --method grid lists: '
        '"num_leaves=[15,31,63]". With several models add model=NAME. Repeatable.',
    ),
]
StudyName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Name of the study. Default: made of the models and of what scores depend on.",
    ),
]
ShowSpace = Annotated[
    bool, typer.Option("--show-space", help="Show what would be searched, and stop.")
]
Apply = Annotated[
    bool,
    typer.Option(
        "--apply",
        help="Write the winner into kit.toml. Without --trials, --budget and --try nothing "
        "more is searched.",
    ),
]


def tune(
    models: Models,
    method: Method = "bayes",
    trials: Trials = None,
    budget: Time = None,
    points: Points = None,
    study: StudyName = "",
    show_space: ShowSpace = False,
    apply: Apply = False,
    on: On = None,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for better hyper-parameters, on the competition's own folds.

    Every finished trial is a run, so kit blend takes it. The first trials are the known good
    configurations; unpromising ones end after a fold; the best are scored again on other folds,
    since the best of many is always a little lucky. After Ctrl-C, a crash or a power cut the same
    command goes on where it was; several processes may search at once.
    """
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.cv import check_models
    from kit.duration import parse_duration

    out = Output(json=json, quiet=quiet)
    check_models(models)
    if show_space:
        _show_spaces(out, models, competition_or_none(directory, set_, out.problem))
        return
    seconds = None if budget is None else parse_duration(budget)
    competition = Competition.find(directory, with_on(set_, on))
    from kit.auto.budget import Budget
    from kit.tune.loop import Asked
    from kit.tune.loop import tune as search

    if seconds is not None:
        seconds = max(1.0, seconds - Budget(seconds).spent)  # the imports count, too
    asked = Asked(
        models=models,
        method=method,
        trials=trials,
        seconds=seconds,
        points=points or [],
        study=study,
        search=not apply or trials is not None or seconds is not None or bool(points),
    )
    told = _told(out, _plan_of(asked, budget))
    outcome = search(competition, asked, told)
    _tell(out, competition, outcome, apply=apply, verbose=verbose)
    if outcome.errors and method in ("manual", "grid"):  # every one was asked for
        raise typer.Exit(max(error.exit_code for error in outcome.errors))


def _plan_of(asked: Asked, budget: str | None) -> str:
    """What will happen, in one line; empty where nothing is searched."""
    from kit.tune.loop import TRIALS

    if not asked.search:
        return ""
    if asked.method in ("manual", "grid"):
        what = "the points of --try" if asked.points else "the choices of the space"
    else:
        what = f"known configurations first, then {asked.method} search"
    ends = [f"for {budget}"] if budget else []
    if asked.trials or (not budget and asked.method in ("random", "bayes")):
        ends.append(f"until there are {asked.trials or TRIALS} trials")
    limit = f" {', or '.join(ends)}" if ends else ""
    again = "the last third of it is for scoring the best again" if budget else ""
    return f"{what}{limit}" + (f"; {again}" if again else "")


def _tell(
    out: Output, competition: Competition, outcome: Outcome, *, apply: bool, verbose: bool
) -> None:
    """Write the report, and the winner into `kit.toml` if asked to; show what was found."""
    from kit.errors import KitError
    from kit.tune.report import importances, write_report

    weights = importances(outcome)
    report: Path | None = None
    try:
        report = write_report(outcome, competition.root / "reports", competition.cache)
    except KitError as error:
        out.problem(str(error))
    written = None
    if apply:
        from kit.tune.applying import apply as apply_winner

        written = apply_winner(competition.root, outcome.winner.model, outcome.winner.spec)
    out.document(_document(outcome, weights, report, written))
    _report(out, outcome, weights, verbose)
    if report is not None:
        out.say(f"report: {report}")
    _next(out, outcome, written)


def _told(out: Output, plan: str) -> Told:
    """One line per trial, with the time since the start."""
    import time

    from kit.cli.cv import header, planned_memory
    from kit.cli.output import score_format
    from kit.tune.loop import Told
    from kit.tune.search import Ended

    began = time.monotonic()

    def line(text: str) -> None:
        out.remark(f"{time.monotonic() - began:6.0f} s  {text}")

    def opened(session: Any, study: Any, models: Any) -> None:
        from kit.tune.study import finished

        out.remark(header(session) + planned_memory(session, [model.name for model in models]))
        out.remark(f"study {study.name}: {study.path}")
        if plan:
            out.remark(plan)
        counts = {state: count for state, count in finished(study.trials).items() if count}
        if counts:
            there = ", ".join(f"{count} {state}" for state, count in counts.items())
            out.remark(f"there from earlier: {there}")

    def ended(trial: Ended) -> None:
        what = score_format(trial.score) if trial.score is not None else trial.state
        took = f"({trial.seconds:.1f} s)" if trial.seconds else "already there" * (not trial.why)
        why = " ".join(part for part in (took, trial.why) if part)
        if trial.state == "failed":
            out.problem(f"trial {trial.number}, {trial.name}, failed: {trial.why}")
        else:
            line(f"trial {trial.number:<4} {trial.name:<20}{what:>10}  {why}")

    def rescored(name: str, seed: int, score: float) -> None:
        line(f"{name} on the folds of seed {seed}: {score_format(score)}")

    return Told(opened=opened, ended=ended, rescored=rescored)


def _document(
    outcome: Outcome,
    weights: dict[str, dict[str, float]],
    report: Path | None,
    written: Path | None,
) -> dict[str, object]:
    from dataclasses import asdict

    def candidate(each: Any) -> dict[str, Any]:
        sealed = {"sealed_rows": outcome.sealed[each.run]} if each.run in outcome.sealed else {}
        return {**asdict(each), "other_folds": outcome.honest.get(each.run), **sealed}

    return {
        "study": outcome.study.name,
        "storage": str(outcome.study.path),
        "metric": outcome.metric,
        "greater_is_better": outcome.study.up,
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value,
                "params": trial.params,
                **{k: v for k, v in trial.user_attrs.items() if k in ("name", "run", "error")},
            }
            for trial in outcome.trials
        ],
        "winner": candidate(outcome.winner),
        "baseline": None if outcome.baseline is None else candidate(outcome.baseline),
        "candidates": [candidate(each) for each in outcome.candidates],
        "seeds": outcome.seeds,
        "doubt": outcome.doubt,
        "importance": weights,
        "report": None if report is None else str(report),
        "applied": None if written is None else str(written),
    }


def _report(
    out: Output, outcome: Outcome, weights: dict[str, dict[str, float]], verbose: bool
) -> None:
    from kit.cli.output import score_format
    from kit.tune.report import again, ended_how, named, verdict, written

    rows: list[list[Cell]] = []
    for trial in outcome.study.best[: None if verbose else 10]:
        spec = trial.user_attrs["spec"]
        shown = written(spec["recipe"], spec["params"])
        rows.append([trial.number, trial.user_attrs["name"], score_format(trial.value), shown])
    out.say()
    out.table(["trial", "run", outcome.metric, "parameters"], rows, spare=["parameters"])
    out.say(ended_how(outcome))
    out.say()
    where, scores = again(outcome)
    rows = [
        [named(each, outcome), score_format(each.score), score_format(scores.get(each.run))]
        for each in outcome.candidates
    ]
    title = f"the best again, on {where.split()[-1]} that did not choose them"
    out.table(["", "folds of the search", where], rows, title=title)
    if outcome.doubt:
        out.say(outcome.doubt)
    for name, found in weights.items():
        most = ", ".join(f"{key} {weight:.2f}" for key, weight in list(found.items())[:6])
        out.say(f"importance, {name}: {most}")
    if weights:
        out.say("  (what sets the better trials apart; with few trials mostly chance)")
    out.say()
    out.say(verdict(outcome))


def _next(out: Output, outcome: Outcome, written: Path | None) -> None:
    from kit.tune.applying import header

    if written is not None:
        out.say(f"written: {header(outcome.winner.model)} in {written}")
        out.next(f"kit cv {outcome.winner.model}, then kit blend")
    elif outcome.winner is not outcome.baseline:
        names = " ".join(model.name for model in outcome.models)
        out.next(f"kit tune {names} --apply writes the winner into kit.toml; kit blend uses all")
    else:
        out.next("kit blend uses all trials")


def _show_spaces(out: Output, models: list[str], competition: Any) -> None:
    from pathlib import Path

    from kit.errors import ConfigError
    from kit.portfolio import find_model
    from kit.registry import MODELS
    from kit.spaces import SOURCES
    from kit.tune.space import space_of
    from kit.usercode import UserCode

    code = UserCode(competition.root if competition is not None else Path.cwd())
    documents: dict[str, Any] = {}
    for name in models:
        use = name if competition is None else find_model(competition, name).use
        MODELS.check(use)
        try:
            space = space_of(competition, name, code)
        except ConfigError as error:  # the others are shown all the same
            out.problem(str(error))
            continue
        documents[name] = {
            "source": SOURCES.get(use, "kit.toml"),
            "space": {key: _axis(axis) for key, axis in space.items()},
        }
        rows: list[list[Cell]] = [[key, _written(axis), _only(axis)] for key, axis in space.items()]
        out.table(["parameter", "values", "only"], rows, title=name)
        out.say(f"source: {documents[name]['source']}")
        out.say()
    out.document(documents)
    if len(documents) < len(models):
        raise typer.Exit(1)
    out.next(f"[tune.{models[0]}.PARAMETER] in kit.toml changes it: low, high, log, choices, when")


def _axis(axis: Axis) -> dict[str, Any]:
    from dataclasses import asdict

    return {key: value for key, value in asdict(axis).items() if value not in ("", None, {}, False)}


def _written(axis: Axis) -> str:
    from kit.spaces import Choice

    if isinstance(axis, Choice):
        values = dict.fromkeys(str(list(v) if isinstance(v, tuple) else v) for v in axis.values)
        return " | ".join(each or "(as the model asks)" for each in values)
    zero = "0, or " if axis.or_zero else ""
    return f"{zero}{axis.low:g} to {axis.high:g}" + (", log" if axis.log else "")


def _only(axis: Axis) -> str:
    when = [f"{key} = {value}" for key, value in axis.when.items()]
    return ", ".join([*([f"with {axis.needs}"] if axis.needs else []), *when])
