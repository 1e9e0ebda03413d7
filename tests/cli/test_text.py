"""What the commands print: the numbers and sentences a user decides by, in plain text."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.cli import main
from kit.competition import Competition
from kit.providers.manifest import write_manifest

MODELS = ("knn", "extra_trees", "lightgbm")
SMALL = (
    "--set", "models.extra_trees.params.n_estimators=3",
    "--set", "models.lightgbm.params.n_estimators=20",
)  # fmt: skip


@dataclass
class Played:
    """A competition, and exit code and stdout of each step."""

    root: Path
    codes: dict[str, int] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, *arguments: str) -> None:
        out, before = io.StringIO(), sys.argv
        sys.argv, code = ["kit", *arguments, "-C", str(self.root)], 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        self.codes[name], self.out[name] = code, out.getvalue()

    def record(self, model: str, early_stopping: str = "") -> dict[str, Any]:
        """The one run of a model, with the kind of early stopping where there are two."""
        found = [json.loads(p.read_text()) for p in self.root.glob(f"runs/2*-{model}-*/run.json")]
        (run,) = [r for r in found if early_stopping in ("", r["early_stopping"])]
        return run

    def public(self, model: str) -> float:
        """What the server says of a model's submission."""
        record = json.loads((self.root / ".sample/submissions.json").read_text())
        (score,) = [s["public"] for s in record["submissions"] if s["message"] == f"of {model}"]
        return score


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Breast cancer with three quick models, each handed in, and a blend."""
    base = tmp_path_factory.mktemp("text")
    game = Played(base)
    game.step("new", "new", "breast-cancer", "--from", "sample", "--folds", "3")
    game.root = base / "breast-cancer"
    game.step("cv", "cv", *MODELS, *SMALL)
    game.step("blend", "blend")
    for model in MODELS:
        game.step("ledger before", "ledger")
        game.step("submit", "submit", model, "-m", f"of {model}")
    game.step("ledger", "ledger")
    game.step("optimistic", "cv", "lightgbm", *SMALL, "--set", "cv.early_stopping=fold")
    game.step("runs", "runs")
    game.step("labels", "cv", "linear", "--set", "task.metric=f1")
    for model in ("linear", "knn"):
        game.step(f"show {model}", "show", model)
    game.step("show lightgbm", "show", game.record("lightgbm", "inner")["id"])
    assert set(game.codes.values()) == {0}, game.out
    return game


@pytest.fixture
def copy(played: Played, tmp_path: Path) -> Path:
    """The folder of the played competition, to be damaged."""
    return Path(shutil.copytree(played.root, tmp_path / "copy"))


def line_with(text: str, start: str) -> str:
    """The one line that begins like this, with single blanks."""
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return " ".join(line.split())


# --- kit check -----------------------------------------------------------------------------------


def table(n: int = 160) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test without a fault."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": range(n), "a": rng.normal(size=n), "b": rng.normal(size=n)})
    frame["y"] = (frame["a"] + rng.normal(size=n) > 0).astype(int)
    return frame[: n // 2], frame[n // 2 :].drop(columns="y")


def repeated_ids(train: pd.DataFrame) -> pd.DataFrame:
    return train.assign(id=train["id"].where(train["id"] != 7, 8))


def repeated_rows(train: pd.DataFrame) -> pd.DataFrame:
    copies = train.head(20).assign(id=range(1000, 1020))
    return pd.concat([train, copies], ignore_index=True)


def constant(train: pd.DataFrame) -> pd.DataFrame:
    return train.assign(b=1.0)


PLANTED = [
    (repeated_ids, "error", "KIT011", 'name another column: [columns] id = "…"', 1, 1),
    (repeated_rows, "warning", "KIT101", "if they are copies, keep one of each", 0, 1),
    (lambda train: train, "", "", "0 errors, 0 warnings, 0 infos", 0, 0),
]


@pytest.mark.parametrize(("plant", "severity", "code", "remedy", "plain", "strict"), PLANTED)
def test_check_prints_code_and_remedy_and_its_exit_code_is_that_of_the_severity(
    plant: Callable[[pd.DataFrame], pd.DataFrame],
    severity: str,
    code: str,
    remedy: str,
    plain: int,
    strict: int,
    run_kit: Any,
    make_competition: Callable[..., Competition],
) -> None:
    train, test = table()
    root = make_competition(plant(train), test).root
    outcome = run_kit("check", "-C", root)
    assert re.search(rf"^{severity} *{code}", outcome.out, re.MULTILINE)
    assert remedy in outcome.out
    assert outcome.code == plain
    assert run_kit("check", "--strict", "-C", root).code == strict


def test_check_strict_accepts_what_is_only_good_to_know(
    run_kit: Any, make_competition: Callable[..., Competition]
) -> None:
    train, test = table()
    outcome = run_kit(
        "check", "--strict", "-C", make_competition(constant(train), constant(test)).root
    )
    assert "info    KIT111" in outcome.out
    assert outcome.code == 0


# --- kit data ------------------------------------------------------------------------------------


def test_data_brings_back_a_deleted_file(run_kit: Any, copy: Path) -> None:
    file = copy / "data/raw/test.csv"
    content = file.read_bytes()
    file.unlink()
    outcome = run_kit("data", "-C", copy)
    assert outcome.code == 0
    assert "test.csv is missing; fetching it again" in outcome.err
    assert file.read_bytes() == content
    assert "All files are as they were fetched" in run_kit("data", "-C", copy).out


def test_data_tells_of_a_changed_file_and_leaves_it_alone(run_kit: Any, copy: Path) -> None:
    file = copy / "data/raw/train.csv"
    mine = file.read_bytes()[::-1]
    file.write_bytes(mine)
    (copy / "data/raw/test.csv").unlink()
    outcome = run_kit("data", "-C", copy)
    assert outcome.code == 1
    assert "train.csv has changed: same size, other content" in outcome.err
    assert "kit data --force" in outcome.err
    assert file.read_bytes() == mine
    assert run_kit("data", "--force", "-C", copy).code == 0
    assert file.read_bytes() == mine[::-1]


def test_data_force_keeps_the_files_when_the_source_is_gone(
    run_kit: Any, make_competition: Callable[..., Competition]
) -> None:
    root = make_competition(*table(), provider={"name": "local", "source": "/nowhere"}).root
    before = {path: path.read_bytes() for path in sorted((root / "data").rglob("*.csv"))}
    outcome = run_kit("data", "--force", "-C", root)
    assert outcome.code == 3
    assert "/nowhere" in outcome.err
    assert {path: path.read_bytes() for path in sorted((root / "data").rglob("*.csv"))} == before
    assert not list((root / "data").glob(".*"))


def test_data_force_fetches_what_looks_untouched(run_kit: Any, copy: Path) -> None:
    raw = copy / "data/raw"
    content = (raw / "train.csv").read_bytes()
    (raw / "train.csv").write_bytes(content[::-1])
    (raw / "stray.csv").touch()
    write_manifest(raw, copy / "data/manifest.json")
    assert "All files are as they were fetched" in run_kit("data", "-C", copy).out
    assert (raw / "train.csv").read_bytes() == content[::-1]
    outcome = run_kit("data", "--force", "-C", copy)
    assert "fetched train.csv" in outcome.err
    assert (raw / "train.csv").read_bytes() == content
    assert not (raw / "stray.csv").exists()


# --- kit cv, kit runs, kit show ------------------------------------------------------------------


def test_optimistic_score_has_a_star_in_both_tables(played: Played) -> None:
    run = played.record("lightgbm", "fold")
    starred = f"lightgbm {run['score']['value']:.5f}* "
    for step in ("optimistic", "runs"):
        (row,) = [line for line in played.out[step].splitlines() if line.endswith(run["id"])]
        assert " ".join(row.split()).startswith(starred)
        assert "\n* stopped early on the scored fold itself: optimistic\n" in played.out[step]
    assert played.out["runs"].count("*") == 2


def test_honest_scores_have_no_star(played: Played) -> None:
    assert played.record("lightgbm", "inner")["id"] in played.out["cv"]
    assert "*" not in played.out["cv"]


def test_show_prints_the_decision_for_labels_and_what_it_gains(played: Played) -> None:
    run = played.record("linear")
    (threshold,) = run["decision"]["values"]
    shown = line_with(played.out["show linear"], "decision")
    assert shown.startswith(f"decision threshold {threshold:.4g}")


@pytest.mark.parametrize("name", ["linear", "knn"])
def test_show_lists_the_parameters(played: Played, name: str) -> None:
    shown = played.out[f"show {name}"]
    params = played.record(name)["params"]
    assert params
    for key in params:
        assert re.search(rf"^{key}( |$)", shown, re.MULTILINE), key
    assert not [key for key in played.record(name)["overrides"] if "lightgbm" in key]


def test_show_has_no_decision_where_the_metric_reads_probabilities(played: Played) -> None:
    assert "decision" not in played.out["show knn"]


def test_show_says_where_a_model_stopped_and_nothing_for_one_that_does_not(
    played: Played,
) -> None:
    stopped = played.record("lightgbm", "inner")["best_iterations"]
    shown = line_with(played.out["show lightgbm"], "best_iterations")
    assert shown == f"best_iterations {', '.join(map(str, stopped))}"
    assert "best_iterations" not in played.out["show knn"]


# --- kit blend -----------------------------------------------------------------------------------


def test_blend_prints_the_nested_score_beside_the_plain_one_and_the_best_single_run(
    played: Played,
) -> None:
    out, score = played.out["blend"], played.record("blend")["score"]
    singles = {model: played.record(model, how)["score"]["value"] for model, how in HONEST.items()}
    best = max(singles, key=lambda model: singles[model])
    assert score["value"] != score["plain"]
    nested = f"blend, nested (weights from the other folds) {score['value']:.5f}"
    plain = f"blend, plain (the rows it was fitted on) {score['plain']:.5f}"
    assert line_with(out, "blend, nested") == nested
    assert line_with(out, "blend, plain") == plain
    assert line_with(out, "best single") == f"best single run ({best}) {singles[best]:.5f}"


HONEST = {"knn": "none", "extra_trees": "none", "lightgbm": "inner"}


# --- kit submit, kit ledger ----------------------------------------------------------------------


def test_submit_prints_the_board_with_the_best_of_mine_as_you(played: Played) -> None:
    board = re.findall(r"^ *(\d) +(\S.*?) +(\d\.\d+)$", played.out["submit"], re.MULTILINE)
    assert [int(rank) for rank, _, _ in board] == [1, 2, 3, 4, 5]
    scores = [float(score) for _, _, score in board]
    assert scores == sorted(scores, reverse=True)
    ((_, _, mine),) = [line for line in board if line[1] == "you <-"]
    assert mine == f"{max(played.public(model) for model in MODELS):.5f}"


def test_submission_that_the_server_calls_an_error_ends_with_3(
    run_kit: Any, make_competition: Callable[..., Competition], tmp_path: Path
) -> None:
    train, test = table()
    answers = tmp_path / "answers.csv"
    pd.DataFrame({"id": test["id"] + 1, "y": 1}).to_csv(answers, index=False)
    provider = {"name": "local", "source": "../files", "solution": str(answers)}
    root = make_competition(train, test, provider=provider).root
    file = root / "data/raw/sample_submission.csv"
    outcome = run_kit("submit", "--file", file, "-C", root)
    assert outcome.code == 3
    assert line_with(outcome.out, "status").startswith("status error: ")
    assert "Next:" not in outcome.out


@pytest.mark.parametrize("model", MODELS)
def test_ledger_shows_cv_with_its_spread_public_score_and_gap(played: Played, model: str) -> None:
    run, public = played.record(model, HONEST[model]), played.public(model)
    cv, folds = run["score"]["value"], run["score"]["folds"]
    (row,) = [line for line in played.out["ledger"].splitlines() if run["id"] in line]
    spread = f"{statistics.mean(folds):.5f} ± {statistics.stdev(folds):.5f}"
    shown = f"{run['id']} {cv:.5f} {spread} {public:.5f}"
    assert shown in " ".join(row.split())
    assert f" {public - cv:+.5f} " in row


def test_ledger_says_what_is_missing_until_three_submissions_make_a_line(played: Played) -> None:
    assert "a CV-LB line needs 3 scored submissions" in played.out["ledger before"]
    assert "public = " not in played.out["ledger before"]
    cv = [played.record(model, HONEST[model])["score"]["value"] for model in MODELS]
    public = [played.public(model) for model in MODELS]
    slope, intercept = np.polyfit(cv, public, 1)
    r = np.corrcoef(cv, public)[0, 1]
    shown = line_with(played.out["ledger"], "public = ")
    assert shown.startswith(f"public = {intercept:.5f} + {slope:.3f} x CV (3 submissions")
    assert f"r = {r:.2f}, residual sd 0.0" in shown


# --- kit doctor ----------------------------------------------------------------------------------


def test_doctor_ends_with_1_on_a_serious_problem(
    run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        if name == "lightgbm":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("kit.diagnosis.version", missing)
    outcome = run_kit("doctor")
    assert outcome.code == 1
    assert "not installed: pip install lightgbm" in line_with(outcome.out, "lightgbm")
    assert re.search(r"^\d problems? found\.$", outcome.out, re.MULTILINE)


def test_doctor_tells_of_a_problem_kit_can_live_with_and_ends_with_0(
    run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    outcome = run_kit("doctor")
    assert outcome.code == 0
    assert "unset it" in line_with(outcome.out, "OMP_WAIT_POLICY")
    assert "All well." not in outcome.out
