"""Kaggle's JSON and the host's HTML -> facts and plain text."""

from __future__ import annotations

from typing import Any

import pytest

from kit.providers.kaggle.metrics import _NAMES, metric_of
from kit.providers.kaggle.pages import plain
from kit.providers.kaggle.reading import description, limits, submitted
from kit.providers.kaggle.text import line, lines, redacted
from kit.registry import METRICS
from kit.scaffold.host import fact_lines, pages_text


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("Categorization Accuracy", "accuracy"),
        ("Roc Auc Score", "roc_auc"),
        ("Area Under Receiver Operating Characteristic Curve", "roc_auc"),
        ("root mean squared error", "rmse"),
        ("Root Mean Squared Logarithmic Error", "rmsle"),
        ("Multi-Class Log-Loss", "log_loss"),
        ("Matthew's Correlation Coefficient", "mcc"),
        ("Quadratic Weighted Kappa", "quadratic_kappa"),
        ("R² Score", "r2"),
        ("Mean Columnwise Area Under Receiver Operating Characteristic Curve", "roc_auc"),
        ("Mean F-Score", "f1_samples"),
        ("Mean F2-Score", "f2_samples"),
        ("Weighted Mean Absolute Error", ""),
        ("MAP@{K}", ""),
        ("eefs_concordance_index", ""),
        ("", ""),
    ],
)
def test_metrics_are_found_by_their_names(name: str, metric: str) -> None:
    assert metric_of(name) == metric


def test_every_metric_of_the_table_is_kit_s() -> None:
    assert set(_NAMES) == set(METRICS.table)


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"evaluationMetric": "RMSE"}, "files"),
        ({"evaluationMetric": "RMSE", "isKernelsSubmissionsOnly": True}, "notebooks"),
        ({"evaluationMetric": "Connect X", "tags": [{"name": "simulations"}]}, "simulation"),
        ({"evaluationMetric": ""}, "hackathon"),
        ({}, "hackathon"),
    ],
)
def test_kinds_of_competition(facts: dict[str, Any], kind: str) -> None:
    assert description("x", facts, []).kind == kind


def test_a_custom_metric_is_never_taken_for_one_of_kit_s() -> None:
    facts = {"evaluationMetric": "RMSE", "tags": [{"name": "Custom Metric"}]}
    found = description("x", facts, [])
    assert found.hints == {}
    assert "a metric of its own" in found.questions[0]


def test_strange_facts_are_no_crash() -> None:
    facts = {"title": None, "tags": "x", "deadline": "soon", "maxDailySubmissions": "many",
             "evaluationMetric": 3, "userHasEntered": "yes"}  # fmt: skip
    found = description("x", facts, [{"name": None, "content": None}, {"content": "a"}])
    assert (found.title, found.deadline, found.daily_limit, found.pages) == ("x", "", None, ())
    assert found.rules_accepted is None


def test_submissions_and_limits_survive_what_is_missing() -> None:
    assert submitted({}).status == "pending"
    assert submitted({"status": "SUBMISSION_STATUS_COMPLETE", "publicScore": "nan"}).public is None
    assert submitted({"status": "ERROR"}).error == "Kaggle gives no reason"
    assert limits({}).left_today == 0
    assert limits({}, daily=5).left_today == 5
    assert limits({"numToday": 5, "numTotal": 9}, daily=5).left_today == 0
    total = limits({"numAllowedNow": 0, "limitedByTotal": True})
    assert (total.resets, "in all" in total.note) == ("", True)


def test_html_becomes_text() -> None:
    html = (
        "<h2>Goal</h2><p>Predict&nbsp;<b>y</b> &lt;here&gt;<br>now</p><ul><li>one</li><li>two</li>"
        "</ul><table><tr><th>id</th><th>y</th></tr><tr><td>1</td><td>0</td></tr></table>"
        "<pre>a\n  b</pre><a href='https://x.org'>link</a><a href='javascript:evil()'>js</a>"
        "<style>p{}</style><script>evil()</script><img src=x onerror=evil()>"
    )
    text = plain(html)
    assert "evil" not in text
    assert "p{}" not in text
    for wanted in ("Goal\n\nPredict\xa0y <here>\nnow", "- one\n- two", "id | y\n1 | 0", "a\n  b"):
        assert wanted in text.replace("Predict y", "Predict\xa0y")
    assert "link (https://x.org)" in text


@pytest.mark.parametrize("html", ["<script>never closed", "<<<>>", "a" * 10, "<p", "&#0;&#x1b;[1m"])
def test_broken_html_is_no_crash(html: str) -> None:
    assert "\x1b" not in plain(html)


def test_foreign_text_is_text_in_markdown() -> None:
    facts = {
        "title": "<script>x</script> [click](javascript:x) `code` | cell",
        "evaluationMetric": "![img](x)",
    }
    pages = [{"name": "../../Evil", "content": "<pre>~~~\n~~~~~\n# no heading</pre>"}]
    found = description("x", facts, pages)
    assert found.pages[0].name == "evil"
    text = pages_text(found)
    assert text.splitlines()[0] == (
        "# &lt;script>x&lt;/script> \\[click\\](javascript:x) \\`code\\` \\| cell"
    )
    assert text.count("~~~~~~") == 2, "one fence, longer than any in the text"
    assert "!\\[img\\]" in fact_lines(found)


def test_lines_and_escapes() -> None:
    assert line("a\x1b]8;;http://x\x07b\x1b]8;;\x07\x00c\u202ed") == "abcd"
    assert lines("a\r\nb\tc") == "a\nb    c"
    assert line("x" * 400).endswith("…")
    assert redacted("at https://s.org/o?sig=abc now") == "at https://s.org/o now"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("COMPLETE", "complete"),
        ("SUBMISSION_STATUS_COMPLETE", "complete"),
        ("SubmissionStatus.COMPLETE", "complete"),
        ("INCOMPLETE", "pending"),
        ("SUBMISSION_STATUS_INCOMPLETE", "pending"),
        ("ERROR", "error"),
        ("NO_ERROR_YET", "pending"),
    ],
)
def test_a_status_is_a_whole_word(status: str, told: str) -> None:
    assert submitted({"status": status}).status == told
