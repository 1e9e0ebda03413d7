"""`kit report`: a run, or the whole competition, as one HTML file that needs nothing else.

* `pages`: what stands on the two pages, in order
* `html`: elements that escape what is not markup; the frame; `style.css` is its look
* `svg`: plots as inline SVG
* `material`: run, data and truth brought together
* `summary`: the verdicts that come first
* `scores`, `classes`, `values`, `rows`, `members`, `origin`: the cards
* `noise`: the leaderboard's noise band; `importance`: permutation importance

Reports lie below `reports/`, since runs are immutable.
"""

from __future__ import annotations

from pathlib import Path

from kit.atomic import write_text
from kit.competition import Competition
from kit.report.pages import INDEX, Tell, competition_page, run_page
from kit.runs import Run, ignore

__all__ = ["report_competition", "report_run"]


def report_run(
    competition: Competition, run: Run, *, refit: bool = False, tell: Tell = lambda text: None
) -> Path:
    """Write ``reports/<run id>.html``.

    Args:
        competition: whose run it is.
        run: any run.
        refit: fit the first fold again where no models were kept, for the feature importance.
        tell: told what takes time.

    Returns:
        The file.
    """
    return _write(competition, f"{run.id}.html", run_page(competition, run, refit=refit, tell=tell))


def report_competition(competition: Competition, tell: Tell = lambda text: None) -> Path:
    """Write ``reports/index.html``.

    Raises:
        RunError: there is no run yet.
    """
    reports = [path.stem for path in competition.reports.glob("*.html")]
    return _write(competition, INDEX, competition_page(competition, reports, tell))


def _write(competition: Competition, name: str, text: str) -> Path:
    ignore(competition.reports)
    path = competition.reports / name
    write_text(path, text)
    return path
