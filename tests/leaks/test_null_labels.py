"""The null-label proof: honest pipelines are at chance; what is planted is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.checks import check
from kit.checks.nulls import NullScore
from kit.competition import Competition
from kit.decision import fit_decision
from kit.metrics.base import load_metric
from kit.permutation import chance, copies, prove
from kit.permutation.chance import chance_band, shuffled
from kit.providers.base import load_provider
from kit.registry import MODELS
from kit.scaffold.write import create
from kit.settings import ProviderSpec

Make = Callable[..., Competition]
N, N_TEST = 400, 60
DRAWS = chance._DRAWS
QUICK = {
    "lightgbm": {"params": {"n_estimators": 30, "learning_rate": 0.1}},
    "linear": {"params": {"strengths": [1.0]}},
    "extra_trees": {"params": {"n_estimators": 30}},
    "knn": {"params": {"k": 9}},
}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the band of chance: its spread is then known to 11 %, which what is planted outdoes."""
    monkeypatch.setattr(chance, "_DRAWS", 40)


def frames(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A target that is easy to learn, sellers with many levels, houses of five rows."""
    rng = np.random.default_rng(seed)
    size = n + N_TEST
    frame = pd.DataFrame({"id": np.arange(size) + 100, "a": rng.normal(size=size)})
    frame["seller"] = [f"seller {k}" for k in rng.integers(0, n // 3, size)]
    frame["house"] = np.arange(size) // 5
    y = (frame["a"] + 0.1 * rng.normal(size=size) > 0).astype(int)
    train = frame[:n].assign(y=y[:n]).sample(frac=1, random_state=1).reset_index(drop=True)
    return train, frame[n:].reset_index(drop=True)


def quick(make: Make, **tables: Any) -> Competition:
    columns = {"kinds": {"seller": "category"}, "drop": ["house"], **tables.pop("columns", {})}
    cv = {"splitter": "stratified_kfold", **tables.pop("cv", {})}
    return make(*tables.pop("frames", frames()), columns=columns, cv=cv, models=QUICK, **tables)


def scores(competition: Competition, *models: str) -> dict[str, NullScore]:
    return {score.model: score for score in prove(competition, models).scores}


def test_honest_models_and_their_blend_are_at_chance(make_competition: Make) -> None:
    competition = quick(make_competition)
    found = scores(competition, "lightgbm", "linear")
    assert set(found) == {"lightgbm", "linear", "blend"}
    for score in found.values():
        assert not score.beyond
        low, high = score.bands[-1]
        assert low < 0.5 < high
        assert high - low < 0.2
    assert list(competition.cache.glob("null-labels-*")) == []
    assert not competition.runs.exists()
    assert not (competition.root / "folds.parquet").exists()


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", "f1"), ("regression", "rmse"), ("multiclass", "accuracy")]
)
def test_other_tasks_and_metrics_of_labels_are_at_chance(
    make_competition: Make, task: str, metric: str
) -> None:
    train, test = frames()
    classes, wants = ["0", "1"], "label"
    if task == "regression":
        train["y"], classes, wants = train["a"] * 3 + 1, [], "value"
    if task == "multiclass":
        train["y"], classes = pd.qcut(train["a"], 3, labels=False), ["0", "1", "2"]
    competition = quick(
        make_competition,
        frames=(train, test),
        cv={"splitter": "kfold"},
        task={"type": task, "metric": metric, "classes": classes},
        submission={"wants": wants},
    )
    assert not scores(competition, "linear")["linear"].beyond


READS_THE_TARGET = """
from pathlib import Path

import pandas as pd


def features(df):
    train = pd.read_csv({path})
    df["rate"] = df["seller"].map(train.groupby("seller")["y"].mean())
    return df
"""


@pytest.mark.parametrize(
    "path", ['Path(__file__).parent / "data/raw/train.csv"', '"data/raw/train.csv"']
)
def test_features_that_read_the_target_are_named(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    code = {"features.py": READS_THE_TARGET.format(path=path)}
    competition = quick(make_competition, code=code)
    monkeypatch.chdir(competition.root)
    score = scores(competition, "lightgbm")["lightgbm"]
    assert score.beyond
    assert len(score.scores) == 2
    assert "'rate' follows the permuted labels" in score.culprit
    (finding,) = [f for f in check(competition, null=[score]).findings if f.code == "KIT401"]
    assert finding.severity == "error"
    assert "'rate'" in finding.evidence


PEEKS = """
from pathlib import Path

import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin


class Peeking(ClassifierMixin, BaseEstimator):
    family = "raw"

    def fit(self, X, y):
        self.classes_ = [0, 1]
        train = pd.read_csv(Path(__file__).parent / "data/raw/train.csv")
        self.known_ = dict(zip(train["a"].round(6), train["y"]))
        return self

    def predict_proba(self, X):
        p = X["a"].round(6).map(self.known_).fillna(0.5)
        return pd.DataFrame({0: 1 - p, 1: p}).to_numpy()


def peeking():
    return Peeking()
"""


def test_a_model_that_reads_the_target_is_named(make_competition: Make) -> None:
    competition = quick(make_competition, code={"model.py": PEEKS})
    score = scores(competition, "model:peeking")["model:peeking"]
    assert score.beyond
    assert score.culprit == "it comes from model.py"


def test_groups_in_two_folds_are_named_and_whole_ones_acquitted(make_competition: Make) -> None:
    """Labels of a house move together, so that a model that saw the house knows them."""
    train, test = frames()
    rng = np.random.default_rng(0)
    answer = rng.permutation(N // 5) % 2
    place = pd.Series(rng.normal(size=N // 5))  # a feature that names the house
    train["y"] = answer[train["house"]]
    train["a"] = train["house"].map(place)
    tables = {"frames": (train, test), "columns": {"group": "house", "drop": []}}
    careless = quick(make_competition, name="careless", **tables)
    score = scores(careless, "extra_trees")["extra_trees"]
    assert score.beyond
    assert "'house' have labels in common" in score.culprit
    whole = quick(make_competition, name="whole", cv={"splitter": "group_kfold"}, **tables)
    assert not scores(whole, "extra_trees")["extra_trees"].beyond


def test_a_recipe_that_leaks_is_found(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kit.preprocessing.means
    from kit.preprocessing.categories import CrossFittedTarget

    class OwnRows(CrossFittedTarget):
        """Planted: the means come from all rows of the file."""

        def fit(self, X: Any, y: Any) -> CrossFittedTarget:
            train = pd.read_csv("data/raw/train.csv")  # the copy's: it is the present folder
            train["seller"] = pd.Categorical(train["seller"], categories=X["seller"].cat.categories)
            return super().fit(train[["seller"]], train["y"].to_numpy())

        def fit_transform(self, X: Any, y: Any, **_: Any) -> Any:
            return self.fit(X, y).transform(X)

    competition = quick(make_competition)
    monkeypatch.setattr(kit.preprocessing.means, "CrossFittedTarget", OwnRows)
    score = scores(competition, "linear")["linear"]
    assert score.beyond
    assert "the model linear or its recipe" in score.culprit


def test_a_group_keeps_its_labels_together() -> None:
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(30), 4))
    labels = groups * 10
    order = shuffled(len(groups), groups, rng)
    assert sorted(order) == list(range(len(groups)))
    moved = pd.Series(labels[order])
    assert (moved.groupby(groups).nunique() == 1).all()
    assert (moved.to_numpy() != labels).mean() > 0.8


def test_the_band_is_that_of_the_binomial_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy of predictions without content: standard error 0.5 / sqrt(n)."""
    monkeypatch.setattr(chance, "_DRAWS", DRAWS)
    rng = np.random.default_rng(0)
    y, pred, fold = rng.integers(0, 2, 2000), rng.random((2000, 1)), np.arange(2000) % 5
    metric = load_metric("accuracy", "binary")
    fitted = fit_decision(metric, "binary", y, pred, fold)
    low, high = chance_band(metric, fitted, y, fold)
    half = 2.576 * 0.5 / np.sqrt(2000)
    assert low == pytest.approx(0.5 - half, abs=0.012)
    assert high == pytest.approx(0.5 + half, abs=0.012)


def test_rows_are_sampled_and_said_so(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MOST_ROWS", 150)
    proof = prove(quick(make_competition), ["linear"])
    assert proof.sampled == f"null labels: 150 of {N} rows"
    assert proof.scores[0].rows == 150
    grouped = {"columns": {"group": "house", "drop": []}, "cv": {"splitter": "group_kfold"}}
    proof = prove(quick(make_competition, name="grouped", **grouped), ["linear"])
    assert 145 <= proof.scores[0].rows <= 155


def test_files_in_folders_are_left_as_they_are(make_competition: Make) -> None:
    """A folder of the competition must not be written into through a link."""
    competition = quick(make_competition, files={"train": "deep/er/train.csv"})
    (competition.raw / "deep/er").mkdir(parents=True)
    train = (competition.raw / "train.csv").rename(competition.raw / "deep/er/train.csv")
    (competition.raw / "deep/other.txt").write_text("as it was")
    before = train.read_bytes()
    assert not scores(competition, "linear")["linear"].beyond
    assert train.read_bytes() == before
    assert {path.name for path in (competition.raw / "deep").rglob("*")} == {
        "er", "train.csv", "other.txt",
    }  # fmt: skip


def test_a_teams_folds_are_used_for_the_copy(make_competition: Make) -> None:
    from kit.execution.context import load_context

    competition = quick(make_competition)
    load_context(competition).folds.save(competition.root / "folds.parquet")
    by_file = Competition.load(competition.root, ['cv.splitter="file"'])
    assert not scores(by_file, "linear")["linear"].beyond


def test_models_without_time_are_told(make_competition: Make) -> None:
    proof = prove(quick(make_competition), ["lightgbm", "linear"], seconds=1e-9)
    assert proof.scores == ()
    assert proof.late == ("lightgbm", "linear")


def test_the_command_exits_with_1_on_a_leak(make_competition: Make, run_kit: Any) -> None:
    code = {"model.py": PEEKS}
    competition = quick(make_competition, code=code)
    done = run_kit("check", "--null-labels", "linear", "-C", competition.root)
    assert done.code == 0
    assert "chance (99 %)" in done.out
    done = run_kit("check", "--null-labels", "model:peeking", "-C", competition.root)
    assert done.code == 1
    assert "KIT401" in done.out
    assert "LEAK" in done.out
    refused = run_kit("check", "linear", "-C", competition.root)
    assert refused.code == 1
    assert "--null-labels" in refused.err


def test_a_model_that_fails_hides_neither_the_others_nor_the_checks(
    make_competition: Make, run_kit: Any
) -> None:
    code = {"model.py": "def bad():\n    raise RuntimeError('boom')\n"}
    root = quick(make_competition, code=code).root
    asked = ("check", "model:bad", "linear", "--null-labels", "--json", "-C", root)
    done = run_kit(*asked)
    assert done.code == 1
    told = json.loads(done.out)
    assert [score["model"] for score in told["null"]] == ["linear"]
    assert list(told["failed"]) == ["model:bad"]
    assert "boom" in told["failed"]["model:bad"]
    assert f"{root}/model.py" in told["failed"]["model:bad"]  # not the copy, which is gone
    done = run_kit(*asked, "--set", 'columns.target=["nobody"]')
    assert done.code == 1
    assert "KIT002" in {finding["code"] for finding in json.loads(done.out)["findings"]}


NETWORKS = ("mlp", "autoencoder", "realmlp", "tabm", "text")
ELSEWHERE = (  # they need images, series or an encoder: see test_images, test_series, test_text
    "cnn", "resnet", "finetune", "naive", "seasonal_naive", "lightgbm_change",
    "catboost_change", "sequence",
    "finetune_text",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            name,
            marks=[
                *([pytest.mark.neural] if name in NETWORKS else []),
                pytest.mark.skipif(
                    name == "xgboost" and find_spec(name) is None, reason="not installed"
                ),
            ],
        )
        for name in MODELS.table
        if name not in ELSEWHERE
    ],
)
def test_every_model_is_at_chance(make_competition: Make, model: str) -> None:
    competition = make_competition(*frames(), columns={"kinds": {"seller": "category"}})
    assert not scores(competition, model)[model].beyond


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("tabular", "breast-cancer"),
        ("tabular", "diabetes"),
        ("tabular", "wine"),
        ("image", "digits"),
        ("text", "breast-cancer"),
        ("timeseries", "diabetes"),
    ],
)
def test_every_template_is_at_chance(tmp_path: Path, template: str, name: str) -> None:
    spec = ProviderSpec(name="sample", source=name)
    provider = load_provider(name, spec, tmp_path / name)
    create(tmp_path / name, provider, spec, flags={}, template=template, progress=lambda *_: None)
    found = scores(Competition.load(tmp_path / name), "lightgbm-shallow", "linear")
    assert not any(score.beyond for score in found.values())


def test_texts_with_odd_ends_of_lines_stay_in_their_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["1", "2", "3"], "t": ["a\rb", "c\r\nd", 'e"\n,\tf']})
    for name, separator in (("train.csv", ","), ("train.tsv", "\t"), ("of-europe.csv", ";")):
        (tmp_path / f"like-{name}").write_text(f"id{separator}t\n1{separator}a\n")
        copies._write_table(frame, tmp_path / name, tmp_path / f"like-{name}")
        assert (tmp_path / name).read_text().startswith(f"id{separator}t")
        pd.testing.assert_frame_equal(copies._as_spelled(tmp_path / name), frame)
