"""The two pages: one run, and the competition as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import kit
from kit.competition import Competition
from kit.errors import KitError, RunError
from kit.execution.context import shared_digest
from kit.report.classes import class_cards
from kit.report.html import Content, Html, card, muted, page, part, stack, tag
from kit.report.importance import Importance, importance
from kit.report.material import Material, Truth, gather, read_dataset
from kit.report.members import (
    alike_card,
    comparable,
    correlation_card,
    history_card,
    runs_card,
    strip_card,
    weights_card,
)
from kit.report.noise import Band, noise_band
from kit.report.origin import (
    findings,
    findings_card,
    ledger_card,
    read_ledger,
    reproduce_card,
)
from kit.report.rows import importance_card, worst_card
from kit.report.scores import (
    cost_card,
    digits,
    fold_card,
    holdout_card,
    learning_card,
    parameters_card,
    score_card,
)
from kit.report.summary import summary_card
from kit.report.values import value_cards
from kit.runs import Run, list_runs
from kit.selection import best_run

INDEX = "index.html"
Tell = Callable[[str], None]


def run_page(
    competition: Competition, run: Run, *, refit: bool = False, tell: Tell = lambda text: None
) -> str:
    """Everything worth seeing of one run.

    Args:
        competition: whose run it is.
        run: any run.
        refit: fit the first fold again where no models were kept, for the feature importance.
        tell: told what takes time.
    """
    tell("reading data and predictions")
    material = gather(competition, run, *read_dataset(competition))
    truth, dataset = material.truth, material.dataset
    book = read_ledger(competition, run.folds)
    band = _band(material)
    tell("permutation importance")
    found, why = _importance(material, refit=refit)
    tell("kit check")
    report, blind = findings(competition)
    runs, reports = list_runs(competition.runs)[0], competition.reports
    worst, curves = Html(""), learning_card(run)
    if truth is not None and dataset is not None:
        names = found.names if found else tuple(map(str, dataset.X.columns))
        worst = worst_card(truth, dataset, names)
    same = comparable(run, runs)
    parts = [
        part(
            "Score",
            fold_card(material, band, book),
            stack(score_card(material), holdout_card(material), cost_card(run)),
            id_="score",
        ),
        part("Model", curves, parameters_card(run, wide=not curves), id_="model")
        if run.kind != "blend"
        else part("Members", weights_card(run, reports), alike_card(run, runs), id_="members"),
        part("Predictions", _predictions(material), worst, id_="predictions"),
        part("Columns", importance_card(found, why, material.metric), id_="columns"),
        part("Other runs", alike_card(run, runs), id_="runs") if run.kind != "blend" else Html(""),
        part("Leaderboard", ledger_card(book, run), id_="leaderboard"),
        part("Data", findings_card(report, blind), id_="data"),
        part("Origin", reproduce_card(run), id_="origin"),
    ]
    slug: Content = competition.slug
    if (reports / INDEX).is_file():
        slug = tag("a", slug, href=INDEX)
    short = summary_card(material, same, len(runs) - len(same), band, report, book)
    head = _head(slug, run.model, run.id, _run_tiles(material, same, band), short)
    return page(f"{run.model} · {competition.slug}", head, _contents(parts), parts, _foot())


def competition_page(
    competition: Competition, reports: Sequence[str] = (), tell: Tell = lambda text: None
) -> str:
    """What was tried in a competition, and where it stands.

    Args:
        competition: the competition.
        reports: ids of the runs whose own report lies beside this one.
        tell: told what takes time.

    Raises:
        RunError: there is no run yet.
    """
    runs, problems = list_runs(competition.runs)
    if not any(run.kind != "fit" for run in runs):
        raise RunError(f"no runs in {competition.runs} yet: there is nothing to report. `kit cv`")
    best, why = best_run(runs, _folds(competition), competition.settings.task.metric)
    same = comparable(best, runs)
    tell("reading data and predictions")
    material = gather(competition, best, *read_dataset(competition))
    book = read_ledger(competition, best.folds)
    band = _band(material)
    tell("kit check")
    report, blind = findings(competition)
    left = len(runs) - len(same)
    rest = muted(f"{left} more: of other data, folds or metric, or fitted on all rows.")
    broken = [muted(problem) for problem in problems]
    parts = [
        part("Runs", strip_card(same), history_card(same), runs_card(same, reports), id_="runs"),
        part("Alike", correlation_card(same[:16]), weights_card(best, competition.reports),
             id_="alike"),
        part("The best run", stack(fold_card(material, band, book), score_card(material)),
             learning_card(best), _predictions(material), id_="best"),
        part("Leaderboard", ledger_card(book), id_="leaderboard"),
        part("Data", findings_card(report, blind), id_="data"),
        part("Left out", card("Other runs", rest if left else None, broken, wide=True)
             if left or broken else None, id_="rest"),
        part("Origin", reproduce_card(best), id_="origin"),
    ]  # fmt: skip
    title = competition.settings.competition.title or competition.slug
    tiles = _competition_tiles(material, same, band)
    short = summary_card(material, same, left, band, report, book)
    head = _head(competition.slug, title, f"To hand in: {best.id}, {why}.", tiles, short)
    return page(f"{title} · report", head, _contents(parts), parts, _foot())


def _folds(competition: Competition) -> str:
    """Digest of the folds in use; "" where the file cannot be read."""
    try:
        return shared_digest(competition)
    except KitError:
        return ""


def _band(material: Material) -> Band | None:
    if material.truth is None or material.dataset is None:
        return None
    n_test = len(material.dataset.test_ids)
    return noise_band(material.truth, material.run.score, n_test, material.competition)


def _predictions(material: Material) -> Content:
    truth: Truth | None = material.truth
    if truth is None:
        return card("Predictions", muted(material.missing or "No predictions to show."), wide=True)
    return list((class_cards if truth.labels is not None else value_cards)(truth))


def _importance(material: Material, *, refit: bool) -> tuple[Importance | None, Content]:
    """The importance, or what would bring it."""
    run = material.run
    if material.truth is None or material.dataset is None:
        return None, ""
    if run.kind != "cv":
        return None, ""
    try:
        found = importance(material.competition, run, material.dataset, material.truth, refit=refit)
    except KitError as error:
        return None, muted(f"Not computed: {str(error).splitlines()[0]}")
    return found, [
        muted("The run kept no models to ask. This fits its first fold again for it:"),
        tag("pre", f"kit report {run.id} --importance"),
    ]


def _run_tiles(material: Material, same: Sequence[Run], band: Band | None) -> Html:
    run, score = material.run, material.run.record["score"]
    sd = "–" if score.get("std") is None else f"± {digits(score['std'], like=score['mean'])}"
    ids = [other.id for other in same]
    tiles: list[tuple[Content, Content]] = [
        (digits(run.score), f"{material.metric}, cross-validated"),
        (sd, f"sd of {len(score['folds'])} folds"),
    ]
    if band:
        half = (band.high - band.low) / 2
        tiles.append((f"± {digits(half, like=run.score)}", "noise of the public score (95 %)"))
    if run.id in ids:
        tiles.append((f"{ids.index(run.id) + 1} of {len(ids)}", "place among comparable runs"))
    seconds = sum((run.record.get("seconds") or {}).values())
    if seconds:
        tiles.append((f"{seconds:,.1f} s", "fit and predict"))
    return _tiles(tiles)


def _competition_tiles(material: Material, same: Sequence[Run], band: Band | None) -> Html:
    run = material.run
    tiles: list[tuple[Content, Content]] = [
        (digits(run.score), f"{material.metric} of {run.model}, the run to hand in"),
        (str(len(same)), "runs that can be compared"),
    ]
    if band:
        half = (band.high - band.low) / 2
        tiles.append((f"± {digits(half, like=run.score)}", "noise of the public score (95 %)"))
    if material.dataset is not None:
        rows, columns = material.dataset.X.shape
        tiles.append((f"{rows:,} × {columns:,}", f"training data; {material.dataset.task}"))
    return _tiles(tiles)


def _tiles(tiles: Sequence[tuple[Content, Content]]) -> Html:
    return tag(
        "div",
        [tag("div", tag("b", value), tag("span", name), class_="tile") for value, name in tiles],
        class_="tiles",
    )


def _head(above: Content, title: str, below: str, tiles: Html, short: Html) -> Html:
    return tag(
        "header",
        tag("p", above, class_="kicker"), tag("h1", title),
        tag("p", below, class_="muted"), tiles, short,
    )  # fmt: skip


def _contents(parts: Sequence[Html]) -> Html:
    """Links to the parts that are there."""
    names = [each.partition('id="')[2].partition('"')[0] for each in parts if each]
    return tag("nav", [tag("a", name.capitalize(), href=f"#{name}") for name in names])


def _foot() -> Html:
    return tag("footer", f"kit {kit.__version__} · {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
