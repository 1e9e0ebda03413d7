"""What a search tells about its parameters: importances, pictures, one HTML file."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from kit.atomic import write_text
from kit.decimals import score_text
from kit.errors import counted
from kit.tune.loop import Outcome
from kit.tune.points import MODEL
from kit.tune.rescoring import Candidate
from kit.tune.search import prefix_of
from kit.tune.study import finished, quiet

_ENOUGH = 6  # trials of a model below which importances are noise
_SHOWN = 30  # trials in the report's table
_SLICES = 6  # parameters side by side
_AGAIN = (
    "The best of many trials was lucky on its folds. Here the best few and the model without a "
    "search are validated on folds that did not choose them; what is gained there is what to "
    "believe, at most."
)
_IMPORTANCE = (
    "What sets the better trials apart, as shares of 1. With few trials it is mostly chance."
)
_BEST = "Trials that went through all folds, the best first. Each is a run: kit show, kit blend."
_LINES = "A line is a trial: its score on the left, then its parameters; the darker, the better."
_DOTS = "A dot is a trial; the darker, the later it was tried."
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
    models = ", ".join(model.name for model in outcome.models)
    better = "higher" if outcome.study.up else "lower"
    facts = f"{ended_how(outcome)}. Scores: {outcome.metric}, {better} is better."
    parts = [f"<h1>kit tune: {escape(models)}</h1>"]
    parts += [f"<p>{escape(text)}</p>" for text in (verdict(outcome), facts)]
    parts += [f"<h2>Scored again</h2><p>{_AGAIN}</p>", _candidates(outcome)]
    for name, study in _studies(outcome).items():
        parts.append(f"<h2>{escape(name)}</h2>")
        if name in weights:
            rows = [[key, f"{weight:.3f}"] for key, weight in weights[name].items()]
            parts += [
                f"<h3>Importance</h3><p>{_IMPORTANCE}</p>",
                _table(["parameter", "importance"], rows),
            ]
        if len(study.trials) > 1:
            with quiet(outcome.study.path):
                shown = _pictures(study, outcome)
            parts += [f"<h3>{title}</h3><p>{text}</p>{svg}" for title, text, svg in shown]
    parts += [f"<h2>Trials</h2><p>{_BEST}</p>", _trials(outcome)]
    parts.append(f"<p>Study {escape(outcome.study.name)}, in {escape(str(outcome.study.path))}</p>")
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


def _pictures(study: optuna.Study, outcome: Outcome) -> list[tuple[str, str, str]]:
    """Optuna's own pictures: title, what they show, SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as plots

    names = sorted({name for trial in study.trials for name in trial.params})
    few = [names[k : k + _SLICES] for k in range(0, len(names), _SLICES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it thinks of scales of one value
        lines = plots.plot_parallel_coordinate(study, target_name=outcome.metric)
        pictures = [("Parallel coordinates", _LINES, _svg(lines))]
        for part in few:
            dots = plots.plot_slice(study, params=part, target_name=outcome.metric)
            for axis in np.ravel(dots):  # labels between powers of ten would overlap
                axis.tick_params(axis="x", which="both", labelrotation=45, labelsize="small")
            pictures.append(("Slices", _DOTS, _svg(dots)))
    return pictures


def _svg(axes: Any) -> str:
    from matplotlib import pyplot

    figure = axes.figure if hasattr(axes, "figure") else axes.flat[0].figure
    figure.set_size_inches(max(8.0, min(24.0, 2.2 * len(figure.axes))), 4.5)
    target = io.StringIO()
    figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return target.getvalue().partition("<svg")[1] + target.getvalue().partition("<svg")[2]


def ended_how(outcome: Outcome) -> str:
    """How many trials there are, and how they ended."""
    words = {
        "complete": "through all folds (each is a run)",
        "pruned": "ended early, behind others",
        "failed": "failed",
        "unfinished": "unfinished, for the next call",
    }
    counts = {words[state]: count for state, count in finished(outcome.trials).items() if count}
    ended = ", ".join(f"{count} {how}" for how, count in counts.items())
    return f"{counted(len(outcome.trials), 'trial', 'trials')}: {ended}"


def again(outcome: Outcome) -> tuple[str, Mapping[str, float]]:
    """What the candidates were scored on beside the folds of the search, and the scores by run."""
    return ("sealed rows", outcome.sealed) if outcome.sealed else ("other folds", outcome.honest)


def named(each: Candidate, outcome: Outcome) -> str:
    """A candidate's name, and what it is beside that."""
    notes = ["without a search"] if each is outcome.baseline else []
    notes += ["winner"] if each is outcome.winner else []
    return each.name + (f" ({', '.join(notes)})" if notes else "")


def verdict(outcome: Outcome) -> str:
    """What the search gained, by the folds it was made on and by others."""
    winner, plain = outcome.winner, outcome.baseline
    if plain is None:
        return f"{winner.name} is the best: {score_text(winner.score)}"
    if winner is plain:
        return f"nothing is better than {plain.name} as it is"
    sign = 1 if outcome.study.up else -1

    def told(gain: float) -> str:
        return score_text(sign * gain, like=plain.score, signed=True)

    gain = told(winner.score - plain.score)
    text = f"{winner.name} gains {gain} over {plain.name} as it is, on the folds of the search"
    if winner.run in outcome.honest and plain.run in outcome.honest:
        other = told(outcome.honest[winner.run] - outcome.honest[plain.run])
        text += f", {other} on other folds: believe the second at most"
    elif winner.run in outcome.sealed and plain.run in outcome.sealed:
        other = told(outcome.sealed[winner.run] - outcome.sealed[plain.run])
        text += f", {other} on the sealed rows, which chose nothing"
    return text


def _candidates(outcome: Outcome) -> str:
    where, scores = again(outcome)
    rows = [
        [
            named(each, outcome),
            f"{each.score:.6g}",
            f"{scores[each.run]:.6g}" if each.run in scores else "",
            written(each.spec.recipe, each.spec.params),
        ]
        for each in outcome.candidates
    ]
    note = f"<p>{escape(outcome.doubt)}</p>" if outcome.doubt else ""
    return _table(["", "folds of the search", where, "parameters"], rows) + note


def _trials(outcome: Outcome) -> str:
    rows = [
        [
            str(trial.number),
            str(trial.user_attrs.get("name", "")),
            f"{trial.value:.6g}",
            written(trial.user_attrs["spec"]["recipe"], trial.user_attrs["spec"]["params"]),
        ]
        for trial in outcome.study.best[:_SHOWN]
    ]
    return _table(["trial", "run", outcome.metric, "parameters"], rows)


def written(recipe: str, params: Mapping[str, Any]) -> str:
    """A configuration in one line."""
    pairs = {**({"recipe": recipe} if recipe else {}), **params}
    return ", ".join(f"{key}={value}" for key, value in pairs.items()) or "as it is"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in headers)
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"
