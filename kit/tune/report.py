"""What a search tells about its parameters: importances, pictures, one HTML file."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from kit.atomic import write_text
from kit.tune.loop import Outcome
from kit.tune.points import MODEL
from kit.tune.search import prefix_of
from kit.tune.study import finished, quiet

_ENOUGH = 6  # trials of a model below which importances are noise
_SHOWN = 30  # trials in the report's table
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;"
    "border-bottom:1px solid #ddd}svg{max-width:100%;height:auto}"
)


def importances(outcome: Outcome) -> dict[str, dict[str, float]]:
    """By model, how much of the difference between scores each parameter makes, summing to 1.

    A parameter that only some trials have, since it depends on another one, is left out.

    Source:
        Watanabe, Bansal, Hutter, "PED-ANOVA" (2023), which asks what sets the better trials apart;
        as Optuna computes it.
    """
    found: dict[str, dict[str, float]] = {}
    for name, study in _studies(outcome).items():
        if len(study.trials) < _ENOUGH:
            continue
        with quiet(outcome.study.path):
            try:
                weights = optuna.importance.get_param_importances(study)
            except (ValueError, RuntimeError):  # all scores are the same, or no parameter varies
                continue
        found[name] = {key: float(weight) for key, weight in weights.items()}
    return found


def write_report(outcome: Outcome, folder: Path, cache: Path) -> Path:
    """One self-contained HTML file: what won, the trials, importances, the two pictures.

    Args:
        outcome: of the search.
        folder: takes `tune-<study>.html`.
        cache: where the plotting library may keep its own files.
    """
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))
    weights = importances(outcome)
    parts = [f"<h1>{escape(outcome.study.name)}</h1>", f"<p>{escape(_summary(outcome))}</p>"]
    parts += ["<h2>Scored again</h2>", _candidates(outcome)]
    for name, study in _studies(outcome).items():
        parts.append(f"<h2>{escape(name)}</h2>")
        if name in weights:
            rows = [[key, f"{weight:.3f}"] for key, weight in weights[name].items()]
            parts += ["<h3>Importance</h3>", _table(["parameter", "importance"], rows)]
        if len(study.trials) > 1:
            with quiet(outcome.study.path):
                parts += [f"<h3>{title}</h3>{svg}" for title, svg in _pictures(study, outcome)]
    parts += ["<h2>Trials</h2>", _trials(outcome)]
    path = folder / f"tune-{outcome.study.name}.html"
    body = "\n".join(parts)
    title = escape(outcome.study.name)
    write_text(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><body>{body}</body></html>\n",
    )
    return path


def _studies(outcome: Outcome) -> dict[str, optuna.Study]:
    """By model: its finished trials in memory, without the model's name before the parameters."""
    names = [model.name for model in outcome.models]
    found = {}
    for name in names:
        prefix = prefix_of(name, names)
        with quiet(outcome.study.path):
            study = optuna.create_study(direction=outcome.study.optuna.direction)
            study.add_trials([_alone(trial, prefix) for trial in _of(outcome, name)])
        found[name] = study
    return found


def _of(outcome: Outcome, name: str) -> list[FrozenTrial]:
    return [
        trial
        for trial in outcome.trials
        if trial.state == TrialState.COMPLETE and trial.user_attrs.get("model") == name
    ]


def _alone(trial: FrozenTrial, prefix: str) -> FrozenTrial:
    """A trial without the choice of the model and without the model's name."""
    kept = {key: key.removeprefix(prefix) for key in trial.params if key != MODEL or not prefix}
    return create_trial(
        params={new: trial.params[key] for key, new in kept.items()},
        distributions={new: trial.distributions[key] for key, new in kept.items()},
        value=trial.value,
    )


def _pictures(study: optuna.Study, outcome: Outcome) -> list[tuple[str, str]]:
    """Optuna's own pictures as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as plots

    pictures = []
    for title, plot in (
        ("Parallel coordinates", plots.plot_parallel_coordinate),
        ("Slices", plots.plot_slice),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it thinks of scales of one value
            pictures.append((title, _svg(plot(study, target_name=outcome.metric))))
    return pictures


def _svg(axes: Any) -> str:
    from matplotlib import pyplot

    figure = axes.figure if hasattr(axes, "figure") else axes.flat[0].figure
    figure.set_size_inches(max(8.0, min(24.0, 2.2 * len(figure.axes))), 4.5)
    target = io.StringIO()
    figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return target.getvalue().partition("<svg")[1] + target.getvalue().partition("<svg")[2]


def _summary(outcome: Outcome) -> str:
    counts = finished(outcome.trials)
    ended = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(outcome.trials)} trials: {ended}. Metric: {outcome.metric}."


def _candidates(outcome: Outcome) -> str:
    rows = [
        [
            each.name + (" (winner)" if each is outcome.winner else ""),
            f"{each.score:.6g}",
            f"{outcome.honest[each.run]:.6g}" if each.run in outcome.honest else "",
            _written(each.spec.params),
        ]
        for each in outcome.candidates
    ]
    note = f"<p>{escape(outcome.doubt)}</p>" if outcome.doubt else ""
    return _table(["", "folds of the search", "other folds", "parameters"], rows) + note


def _trials(outcome: Outcome) -> str:
    rows = [
        [
            str(trial.number),
            str(trial.user_attrs.get("name", "")),
            f"{trial.value:.6g}",
            _written(trial.user_attrs["spec"]["params"]),
        ]
        for trial in outcome.study.best[:_SHOWN]
    ]
    return _table(["trial", "run", outcome.metric, "parameters"], rows)


def _written(params: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in params.items())


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in headers)
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"
