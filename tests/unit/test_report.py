"""The report: every task, hostile names, many classes, many rows, what is missing is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from kit.checks.finding import Finding, Report
from kit.competition import Competition
from kit.cv import cross_validate
from kit.exchange import import_file
from kit.execution.context import load_context
from kit.ledger.book import Ledger, Row
from kit.report import report_competition, report_run, scores
from kit.report.html import page, tag
from kit.report.importance import importance
from kit.report.material import Truth, gather, read_dataset
from kit.report.members import strip_card
from kit.report.noise import noise_band
from kit.report.origin import findings_card, ledger_card
from kit.report.svg import Plot, number, tick, ticks
from kit.runs import Run
from kit.session import open_session

Make = Callable[..., Competition]
HOSTILE = "<script>alert(1)</script>"
ATTRIBUTE = "\"><img src=x onerror='alert(2)'>"
VOID = {"meta", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """Elements and their attributes; every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: Path) -> tuple[Page, str]:
    """The page, after everything that must hold for all of them."""
    text = path.read_text(encoding="utf-8")
    found = Page(text)
    assert not {"script", "iframe", "object", "embed", "form"} & set(found.names)
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert re.fullmatch(
                r"#\w+|data:,|data:image/png;base64,[\w+/=]+|[\w.-]+\.html", value
            ), value
        assert "url(" not in value
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)
        assert not re.search(r'="[^"]*\b(nan|inf)\b', drawing)
    return found, text


def imported(
    competition: Competition, pred: np.ndarray, test: np.ndarray, names: list[str], model: str
) -> Run:
    """A run with these predictions, in the order of the data."""
    context = load_context(competition)
    data, folds = context.dataset, context.folds
    oof = pd.DataFrame(pred, columns=names).assign(id=data.ids, fold=folds.fold)
    path, tests = competition.root / "oof.csv", competition.root / "tests.csv"
    oof[["id", "fold", *names]].to_csv(path, index=False)
    frame = pd.DataFrame(test, columns=names).assign(id=data.test_ids)
    frame[["id", *names]].to_csv(tests, index=False)
    return import_file(competition, path, test=tests, name=model)[0]


def numbers(make: Make, n: int, n_test: int, target: Any, **tables: Any) -> Competition:
    """A competition with one column and a numeric target."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(n + n_test), "a": rng.normal(size=n + n_test)})
    frame["y"] = target(frame["a"].to_numpy(), rng)
    defaults: dict[str, Any] = {
        "task": {"type": "regression", "metric": "rmse", "classes": []},
        "submission": {"wants": "value"},
        "cv": {"splitter": "kfold"},
    }
    return make(frame[:n], frame[n:].drop(columns="y"), **{**defaults, **tables})


def hostile(make: Make) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"<b>{k}</b>" for k in range(160)]})
    frame[HOSTILE], frame[ATTRIBUTE] = rng.normal(size=160), rng.normal(size=160)
    frame["y"] = np.where(frame[HOSTILE] + rng.normal(size=160) > 0, HOSTILE, "a & b")
    return make(
        frame[:120],
        frame[120:].drop(columns="y"),
        task={"type": "binary", "metric": "accuracy", "classes": ["a & b", HOSTILE]},
        competition={"slug": "toy", "title": f"Toy {HOSTILE}"},
        submission={"wants": "label", "columns": ["y"]},
    )


@pytest.fixture
def kept(make_competition: Make) -> tuple[Competition, Run]:
    """A run with its models, of a competition with hostile names."""
    competition = hostile(make_competition)
    with open_session(competition, keep_models=True) as session:
        run = cross_validate(session, "linear")
    assert run is not None
    return competition, run


def test_hostile_names_stay_text_everywhere(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    for path in (report_run(competition, run), report_competition(competition)):
        found, text = read(path)
        assert HOSTILE not in text
        assert ATTRIBUTE not in text
        assert HOSTILE in "".join(found.text)
        assert "Feature importance" in text or path.name == "index.html"
    assert path.parent == competition.root / "reports"
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_elements_escape_text_and_attributes_and_keep_markup() -> None:
    inner = tag("b", "a < b", title='"x"')
    assert inner == '<b title="&quot;x&quot;">a &lt; b</b>'
    assert tag("p", inner, [1, None, "&"]) == f"<p>{inner}1&amp;</p>"
    assert "\u202e" not in tag("p", "a\u202eb\x1b[31m")
    assert "<title>&lt;script&gt;</title>" in page("<script>")


def test_notes_and_findings_stay_text() -> None:
    row = Row(
        when="2026-01-01T00:00:00Z", name=ATTRIBUTE, run=None, status="complete", message=HOSTILE,
        metric="rmse", cv=1.0, mean=1.0, std=0.1, public=1.1, private=None, gap=0.1,
    )  # fmt: skip
    book = Ledger(rows=(row, row), metric="rmse", folds="", line=None, why=HOSTILE, problems=())
    found = Finding(
        code="KIT101", severity="error", title=HOSTILE, evidence=ATTRIBUTE, remedy=HOSTILE
    )
    checked = Report(
        findings=(found,),
        muted=(),
        checked=(),
        skipped=(),
        sampled=HOSTILE,
        late=(),
        null=(),
        seconds=1.0,
    )
    shown = Page(ledger_card(book) + findings_card(checked, ""))
    assert not {"script", "img"} & set(shown.names)
    assert "".join(shown.text).count(HOSTILE) >= 5


def test_a_report_says_what_it_must(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    _, text = read(report_run(competition, run))
    for phrase in (
        "Score per fold", "noise band", "Calibration", "Confusion", "ROC", "Worst rows",
        "Feature importance", "Time and memory", "Findings of kit check", run.hash,
        f"kit rerun {run.id}", "kit cv linear",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert len(text) < 200_000


def test_importance_tells_signal_from_noise_kept_or_refitted(make_competition: Make) -> None:
    competition = hostile(make_competition)
    with open_session(competition) as session:
        run = cross_validate(session, "linear")
    assert run is not None
    dataset, _ = read_dataset(competition)
    material = gather(competition, run, dataset, "")
    assert dataset is not None
    assert material.truth is not None
    assert importance(competition, run, dataset, material.truth) is None
    found = importance(competition, run, dataset, material.truth, refit=True)
    assert found is not None
    assert found.names[0] == HOSTILE
    assert found.losses[0] > 0.05 > abs(found.losses[1])
    assert (found.refitted, found.folds) == (True, (1, 3))
    assert "kit report" in report_run(competition, run).read_text()


def test_importance_of_kept_models_needs_the_same_data(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    code = "def features(df):\n    df['c'] = 1.0\n    return df\n"
    (competition.root / "features.py").write_text(code)
    text = report_run(competition, run).read_text()
    assert "Not computed" in text
    assert "features.py changed since" in text


def test_without_the_data_the_rest_is_shown(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    (competition.raw / "train.csv").unlink()
    _, text = read(report_run(competition, run))
    assert "Score per fold" in text
    assert "train.csv" in text
    assert "Calibration" not in text


def test_of_other_data_no_truth_is_shown(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    path = competition.raw / "train.csv"
    frame = pd.read_csv(path, dtype="str")
    frame.assign(id=frame["id"] + "x").to_csv(path, index=False)
    _, text = read(report_run(competition, run))
    assert "not those of the run any more" in text
    assert "Calibration" not in text


def test_a_hundred_classes_stay_readable(make_competition: Make) -> None:
    rng = np.random.default_rng(0)
    classes = [f"class number {k}" for k in range(100)]
    frame = pd.DataFrame({"id": range(1300), "a": rng.normal(size=1300)})
    frame["y"] = [classes[k % 100] for k in range(1300)]
    competition = make_competition(
        frame[:1000],
        frame[1000:].drop(columns="y"),
        task={"type": "multiclass", "metric": "accuracy", "classes": classes},
        submission={"wants": "label", "columns": ["y"]},
    )
    pred = rng.dirichlet(np.ones(100), 1000) + 0.03 * np.eye(100)[np.arange(1000) % 100]
    pred /= pred.sum(axis=1, keepdims=True)
    names = [f"pred_{name}" for name in classes]
    run = imported(competition, pred, rng.dirichlet(np.ones(100), 300), names, "many")
    found, text = read(report_run(competition, run))
    assert "Most confused" in text
    assert "The 20 classes of the lowest recall, of 100" in text
    assert found.names.count("th") < 200  # no table with a hundred columns
    assert len(text) < 1_500_000


@pytest.mark.parametrize(
    "kind", [pytest.param("multilabel", marks=pytest.mark.slow), "multitarget"]
)
def test_many_targets_stay_readable(kind: str, make_competition: Make) -> None:
    rng = np.random.default_rng(0)
    targets = [f"t{k}" for k in range(40)]
    frame = pd.DataFrame({"id": range(260), "a": rng.normal(size=260)})
    values = frame[["a"]].to_numpy() + rng.normal(size=(260, 40))
    frame[targets] = (values > 0).astype(int) if kind == "multilabel" else values
    label = kind == "multilabel"
    competition = make_competition(
        frame[:200],
        frame[200:].drop(columns=targets),
        sample=frame.loc[200:, ["id", *targets]],
        columns={"id": "id", "target": targets},
        task={"type": kind, "metric": "log_loss" if label else "rmse", "classes": []},
        submission={"wants": "probability" if label else "value", "columns": targets},
        cv={"splitter": "kfold"},
    )
    pred = np.clip(rng.random((200, 40)), 0.01, 0.99) if label else values[:200] * 0.5
    test = np.full((60, 40), 0.5)
    run = imported(competition, pred, test, [f"pred_{t}" for t in targets], "many")
    found, text = read(report_run(competition, run))
    assert "The 30 worst of 40 targets" in text
    assert found.names.count("svg") < 12
    assert len(text) < 300_000


@pytest.mark.slow
def test_a_hundred_thousand_rows_make_a_small_file(make_competition: Make) -> None:
    n = 100_000
    competition = numbers(make_competition, n, 50_000, lambda a, rng: a + rng.normal(size=len(a)))
    rng = np.random.default_rng(1)
    a = pd.read_csv(competition.raw / "train.csv")["a"].to_numpy()
    wild = a + rng.standard_cauchy(n) * 0.01
    run = imported(competition, wild[:, None], np.zeros((50_000, 1)), ["pred"], "wild")
    path = report_run(competition, run)
    read(path)
    assert path.stat().st_size < 1_000_000  # 5 MB is what it may be


def test_the_worst_row_is_the_planted_one(make_competition: Make) -> None:
    competition = numbers(make_competition, 90, 30, lambda a, rng: a + rng.normal(size=len(a)))
    y = pd.read_csv(competition.raw / "train.csv")["y"].to_numpy()
    pred = y + 0.1
    pred[17] += 1234.5
    run = imported(competition, pred[:, None], np.zeros((30, 1)), ["pred"], "off")
    found, _ = read(report_run(competition, run))
    text = " ".join("\n".join(found.text).split())
    first = text.partition("Worst rows id fold true predicted loss a ")[2]
    assert first.startswith("17 ")
    assert "1235" in first[:80]


def truth_of(y: np.ndarray, pred: np.ndarray, competition: Competition) -> Truth:
    test = np.zeros((len(load_context(competition).dataset.test_ids), 1))
    run = imported(competition, pred, test, ["pred"], "run")
    material = gather(competition, run, *read_dataset(competition))
    assert material.truth is not None
    np.testing.assert_array_equal(material.truth.y, y)
    return material.truth


def test_noise_band_holds_95_of_100_public_scores(make_competition: Make) -> None:
    """Scores of fresh rows, as many as the public part has, lie in the band as often as it says."""
    competition = numbers(make_competition, 3000, 400, lambda a, rng: a + rng.normal(size=len(a)))
    frame = pd.read_csv(competition.raw / "train.csv")
    y, pred = frame["y"].to_numpy(), frame["a"].to_numpy()
    truth = truth_of(y, pred[:, None], competition)
    assert truth.metric is not None
    band = noise_band(truth, truth.metric.score(y, pred), 400, competition)
    assert band is not None
    assert (band.rows, band.guessed) == (200, True)
    rng = np.random.default_rng(5)
    errors = rng.normal(size=(2000, band.rows))
    scores = np.sqrt((errors**2).mean(axis=1))
    inside = ((scores >= band.low) & (scores <= band.high)).mean()
    assert 0.90 < inside < 0.99


def test_noise_band_narrows_with_the_root_of_the_rows(make_competition: Make) -> None:
    competition = numbers(make_competition, 3000, 400, lambda a, rng: a + rng.normal(size=len(a)))
    frame = pd.read_csv(competition.raw / "train.csv")
    truth = truth_of(frame["y"].to_numpy(), frame[["a"]].to_numpy(), competition)
    widths = []
    for rows in (2_000, 8_000, 32_000):
        band = noise_band(truth, 1.0, rows, competition)
        assert band is not None
        widths.append(band.high - band.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.25)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.25)


def test_noise_band_ends_where_no_score_is_better(kept: tuple[Competition, Run]) -> None:
    competition, run = kept
    material = gather(competition, run, *read_dataset(competition))
    assert material.truth is not None
    band = noise_band(material.truth, 0.99, 20, competition)
    assert band is not None
    assert band.low < 0.99 < band.high == 1.0
    assert not band.grouped


def test_competition_report_links_the_reports_that_are_there(
    kept: tuple[Competition, Run],
) -> None:
    competition, run = kept
    with open_session(competition) as session:
        other = cross_validate(session, "extra_trees")
    assert other is not None
    report_run(competition, run)
    _, text = read(report_competition(competition))
    assert f'href="{run.id}.html"' in text
    assert f'href="{other.id}.html"' not in text
    assert 'href="index.html"' in report_run(competition, other).read_text()
    assert "Correlation of the out-of-fold predictions" in text


def test_a_run_far_off_leaves_the_others_their_axis(
    tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    """A broken model of 300 flattened scores between 1.1 and 1.3 to one dot; now it is named."""
    runs = [
        make_run(tmp_path, f"m{k}", [1.1 + k / 50, 1.2 + k / 50], metric="rmse", up=False)
        for k in range(3)
    ]
    lost = make_run(tmp_path, "lost", [1.2, 300.0], metric="rmse", up=False)
    alone, beside = strip_card(runs), strip_card([*runs, lost])
    assert "Too far off to be shown: lost (150.600)." in beside
    assert "lost (" not in alone
    assert alone.split("</svg>")[0] == beside.split("</svg>")[0]
    near = make_run(tmp_path, "near", [1.3, 1.5], metric="rmse", up=False)
    assert "Too far" not in strip_card([*runs, near])
    same = [make_run(tmp_path, f"same{k}", [1.0, 1.0]) for k in range(2)]
    assert "Too far" not in strip_card(same)


def test_axes_have_round_numbers() -> None:
    for last in (2, 3, 12, 400):
        runs = Plot(x=(0.5, last + 0.5), y=(0, 1), label="runs", x_whole=True)
        shown = re.findall(r'anchor="middle">([^<]*)<', runs.draw())
        assert len(shown) > 1
        assert all(float(each).is_integer() for each in shown)
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-3, 97, 4) == [0, 25, 50, 75]
    assert ticks(1, 1) == [1]
    assert [tick(v) for v in (0, 0.25, 1500, 12_500, -2e6, 2.5e-7)] == [
        "0", "0.25", "1500", "12.5k", "-2M", "2.5e-7",
    ]  # fmt: skip
    assert [number(v) for v in (181_500, 3.14159, 2e9, float("nan"))] == [
        "181,500", "3.142", "2e9", "–",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("score", "up", "told"),
    [
        (0.65, True, "worse than chance explains"),
        (0.75, True, "as promised"),
        (0.85, True, "better than promised"),
        (0.65, False, "better than promised"),
        (0.85, False, "worse than chance explains"),
    ],
)
def test_sealed_rows_tell_whether_the_folds_were_optimistic(
    score: float, up: bool, told: str
) -> None:
    assert told in scores.kept(score, (0.7, 0.8), up=up)[1]


FALLING = [1.0, 0.8, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3]


@pytest.mark.parametrize(
    ("valid", "told"),
    [
        (FALLING, "not converged"),
        ([1.0, 0.6, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4], "overfitting"),
        ([1.0, 0.8, float("nan"), float("nan")], "diverged"),
    ],
)
def test_learning_curves_are_drawn_with_their_verdict(
    tmp_path: Path, make_run: Callable[..., Run], valid: list[float], told: str
) -> None:
    run = make_run(tmp_path, "lightgbm", [0.8, 0.9])
    assert str(scores.learning_card(run)) == ""
    curve = {"train": FALLING[: len(valid)], "valid": valid}
    (run.path / "curves.json").write_text(json.dumps({"0": curve, "1": curve}))
    card = str(scores.learning_card(Run(run.path, run.record)))
    assert told in card
    assert "2 of 2 folds" in card
    assert card.count("<svg") == 1
    assert "training" in card
    (run.path / "curves.json").write_text("[1, 2")
    assert "damaged" in str(scores.learning_card(Run(run.path, run.record)))
