"""For each guard of the engine a leak is planted and must be seen.

A guard test has two halves: the engine as it is passes, and the same measurement on a planted leak
fails. Without the second half a test that measures nothing would pass as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.metrics import log_loss, roc_auc_score

import kit.execution.fold
import kit.preprocessing.means
from kit.blend import blend
from kit.checks import check
from kit.comparison import compare
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, FoldMismatch
from kit.execution.context import FoldContext, load_context
from kit.execution.fold import data_shape
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds
from kit.models.base import FoldRows, Problem
from kit.models.lightgbm import LightGBM
from kit.preprocessing.categories import CrossFittedTarget
from kit.preprocessing.columns import recipe
from kit.registry import MODELS, SPLITTERS
from kit.runs import Run
from kit.session import open_session
from kit.settings import CVSpec, ModelSpec
from kit.splitters import check_splitter, make_folds

Make = Callable[..., Competition]
Array = NDArray[Any]

SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 30, "learning_rate": 0.1},
    "linear": {"strengths": [10.0]},
    "random_forest": {"n_estimators": 30},
    "extra_trees": {"n_estimators": 30},
    "knn": {"k": 9},
    "catboost": {"n_estimators": 30, "learning_rate": 0.1},
    "xgboost": {"n_estimators": 30, "learning_rate": 0.1},
    "mlp": {"layers": [16], "epochs": 8, "batch": 16, "learning_rate": 0.02},
    "realmlp": {"layers": [64, 64], "epochs": 32},
    "tabm": {"heads": 4, "width": 32, "epochs": 30, "batch": 64, "learning_rate": 0.01},
    "text": {"width": 8, "units": 8, "layers": [16], "epochs": 12, "learning_rate": 0.02},
}
TINY = {  # where it does not matter what is learned
    **SMALL,
    "mlp": {"layers": [8], "epochs": 2},
    "realmlp": {"layers": [8], "epochs": 2},
    "tabm": {"heads": 2, "width": 8, "epochs": 2},
    "text": {"width": 4, "units": 4, "layers": [4], "epochs": 2},
}
PARAMS = {name: {"params": params} for name, params in SMALL.items()}
NETWORKS, OPTIONAL = ("mlp", "realmlp", "tabm", "text"), ("xgboost",)
ELSEWHERE = (  # they need images, series or an encoder: see test_images, test_series, test_text
    "cnn", "resnet", "finetune", "naive", "seasonal_naive", "lightgbm_change",
    "catboost_change", "sequence",
    "finetune_text",
)  # fmt: skip


def _marks(name: str) -> list[pytest.MarkDecorator]:
    absent = name in OPTIONAL and find_spec(name) is None
    marks = [pytest.mark.skipif(absent, reason=f"{name} is not installed")]
    return [*marks, pytest.mark.neural] if name in NETWORKS else marks


QUICK_TO_PROVE = {"lightgbm", "catboost", "linear", "random_forest", "extra_trees", "knn"}
SLOW_LAST = [
    pytest.param(
        name, marks=[*_marks(name), *([pytest.mark.slow] if name not in QUICK_TO_PROVE else [])]
    )
    for name in MODELS.table
    if name not in ELSEWHERE
]
EVERY_MODEL = [
    pytest.param(name, marks=_marks(name)) for name in MODELS.table if name not in ELSEWHERE
]


def frames(n: int, n_test: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two numbers, a category with few and one with many levels, a moment, a code and a text."""
    rng = np.random.default_rng(seed)
    total = n + n_test
    a = rng.normal(size=total)
    words = np.array(["red", "green", "blue", "sea", "sky", "sun"])
    frame = pd.DataFrame(
        {
            "id": np.arange(total) + 5000,
            "a": a,
            "b": np.where(rng.random(total) < 0.1, np.nan, rng.normal(size=total)),
            "few": np.array(["x", "y", "z"])[rng.integers(0, 3, total)],
            "many": [f"level {k}" for k in rng.integers(0, 40, total)],
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9000, total), "h"),
            "code": [f"{'AB'[k % 2]}/{k}" for k in rng.integers(0, 500, total)],
            "text": [" ".join(words[rng.integers(0, 6, 4)]) for _ in range(total)],
        }
    )
    y = (a + 0.7 * rng.normal(size=total) > 0).astype(int)
    return frame[:n].assign(y=y[:n]), frame[n:].reset_index(drop=True)


KINDS = {
    "few": "category", "many": "category", "when": "datetime", "code": "code", "text": "text",
}  # fmt: skip


def rich(make: Make, train: pd.DataFrame, test: pd.DataFrame, **tables: Any) -> Competition:
    """A competition with every kind of column; folds do not depend on labels."""
    cv = {"splitter": "kfold", "n_splits": 3, **tables.pop("cv", {})}
    return make(train, test, columns={"kinds": KINDS}, cv=cv, models=PARAMS, **tables)


def fold_result(
    context: FoldContext, folder: Path, model: str, fold: int = 1, early_stopping: str = "inner"
) -> FoldResult:
    task = FoldTask(
        model=model,
        spec=ModelSpec(use=model, params=TINY.get(model, {})),
        folds=(fold,),
        seed=1,
        threads=1,
        early_stopping=early_stopping,
        results=folder,
    )
    return run_folds(task, context)[0]


def validated(competition: Competition, model: str) -> Run:
    with open_session(competition) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


# --- (a) target encoding on its own row ----------------------------------------------------------


class OwnRow(CrossFittedTarget):
    """Planted: the mean of a training row's level contains its own label."""

    def fit_transform(self, X: pd.DataFrame, y: Array, **_: Any) -> pd.DataFrame:
        return self.fit(X, y).transform(X)


class AllRows(CrossFittedTarget):
    """Planted: the means come from all rows, those of the scored fold included."""

    everything: tuple[pd.DataFrame, Array]

    def fit(self, X: pd.DataFrame, y: Array) -> CrossFittedTarget:
        return super().fit(*self.everything)

    def fit_transform(self, X: pd.DataFrame, y: Array, **_: Any) -> pd.DataFrame:
        return self.fit(X, y).transform(X)


@pytest.fixture
def lottery(make_competition: Make) -> Competition:
    """1,500 tickets of 500 sellers and a label drawn by lot: there is nothing to learn."""
    rng = np.random.default_rng(0)
    n, n_test = 1500, 90
    frame = pd.DataFrame(
        {
            "id": range(n + n_test),
            "seller": [f"seller {k}" for k in rng.integers(0, 500, n + n_test)],
            "x": rng.normal(size=n + n_test),
        }
    )
    train = frame[:n].assign(y=rng.permutation(n) % 2)
    return make_competition(train, frame[n:], models=PARAMS)


def own_row_auc(context: FoldContext) -> float:
    """AUC of the encoded training rows of fold 0 against their own labels; chance is 0.5."""
    data, train = context.dataset, context.folds.train(0)
    steps = recipe("tree", data_shape(data, train, seed=1))
    encoded = steps.fit_transform(data.X.iloc[train], data.y[train])
    (name,) = (name for name in encoded.columns if name.endswith("_mean"))
    return float(roc_auc_score(data.y[train], encoded[name]))


def test_target_encoding_never_holds_a_rows_own_label(
    lottery: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = load_context(lottery)
    assert own_row_auc(context) < 0.55
    monkeypatch.setattr(kit.preprocessing.means, "CrossFittedTarget", OwnRow)
    assert own_row_auc(context) > 0.75


@pytest.mark.parametrize("model", ["lightgbm", "linear"])
def test_target_encoding_of_a_lottery_scores_at_chance(
    lottery: Competition, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    # the standard error of an AUC of 0.5 is 0.015 with 750 + 750 rows
    assert 0.43 < validated(lottery, model).score < 0.57
    data = load_context(lottery).dataset
    monkeypatch.setattr(AllRows, "everything", (data.X[["seller"]], data.y), raising=False)
    monkeypatch.setattr(kit.preprocessing.means, "CrossFittedTarget", AllRows)
    changed = Competition.load(lottery.root, ["cv.seed=43"])  # else the run is known
    assert validated(changed, model).score > 0.65


# --- (b) a statistic over validation rows --------------------------------------------------------


class Leaky(TransformerMixin, BaseEstimator):
    """Planted: numbers are centred on the mean of all rows, whatever rows it is fitted on."""

    def __init__(self, everything: pd.DataFrame) -> None:
        self.everything = everything

    def fit(self, X: pd.DataFrame, y: object = None) -> Leaky:
        self.mean_ = self.everything[["a", "b"]].mean()
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        centred = (X[["a", "b"]] - self.mean_).fillna(0.0)
        return centred.assign(above=(centred["a"] > 0).astype(float))


def spoiled(train: pd.DataFrame, rows: Array) -> pd.DataFrame:
    """The same file with absurd features in some rows; labels stay."""
    absurd = train.copy()
    absurd.loc[rows, ["a", "b"]] = 1e6
    absurd.loc[rows, ["few", "many"]] = "never seen"
    absurd.loc[rows, "when"] = pd.Timestamp("2261-01-01")
    absurd.loc[rows, "code"] = "ZZ/999999/ZZ"
    absurd.loc[rows, "text"] = "entirely other words in here"
    return absurd


def predictions_that_move(
    make: Make,
    folder: Path,
    model: str,
    plant: Callable[[FoldContext], None] = lambda context: None,
    levels: int = 3,
) -> int:
    """Spoil half of the rows validated in fold 1: how many other predictions of it change?"""
    train, test = frames(300)
    for frame in (train, test):
        frame["few"] = [f"k{i % levels}" for i in range(len(frame))]
    before = load_context(rich(make, train, test, name="before"))
    rows = before.folds.valid(1)
    changed, others = rows[::2], np.arange(len(rows)) % 2 == 1
    after = load_context(rich(make, spoiled(train, changed), test, name="after"))
    assert np.array_equal(before.folds.fold, after.folds.fold)
    results = []
    for context in (before, after):
        plant(context)
        results.append(fold_result(context, folder, model))
    a, b = results
    assert (a.oof[~others] != b.oof[~others]).any()  # the spoiled rows themselves do change
    return int((a.oof[others] != b.oof[others]).sum() + (a.test != b.test).sum())


@pytest.mark.parametrize("model", SLOW_LAST)
def test_rows_of_a_fold_do_not_move_each_others_predictions(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    assert predictions_that_move(make_competition, tmp_path, model) == 0


@pytest.mark.parametrize("model", ["lightgbm", "linear"])
def test_the_number_of_levels_is_counted_on_training_rows_only(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    # one level more, seen in validated rows alone, would turn 12 levels into "many"
    levels = kit.preprocessing.columns.MANY_LEVELS
    assert predictions_that_move(make_competition, tmp_path, model, levels=levels) == 0


def test_a_statistic_over_all_rows_would_move_them(
    make_competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(context: FoldContext) -> None:
        leaky = Leaky(context.dataset.X)
        monkeypatch.setattr(kit.execution.fold, "recipe", lambda family, shape: leaky)

    assert predictions_that_move(make_competition, tmp_path, "lightgbm", plant) > 0


class Spy(TransformerMixin, BaseEstimator):
    """A recipe that notes which rows it is fitted on."""

    fitted_on: list[Array] = []  # noqa: RUF012

    def fit(self, X: pd.DataFrame, y: object = None) -> Spy:
        Spy.fitted_on.append(X.index.to_numpy())
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X[["a", "b"]]


MODEL_PY = """
from sklearn.linear_model import LogisticRegression

SEEN = []


class Noting(LogisticRegression):
    family = "raw"

    def fit(self, X, y):
        SEEN.append((X.index.to_numpy(), y))
        return super().fit(X[["a"]], y)

    def predict_proba(self, X):
        return super().predict_proba(X[["a"]])


def noting():
    return Noting()
"""


def test_recipes_are_fitted_on_the_training_rows_of_the_fold_only(
    make_competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = load_context(rich(make_competition, *frames(150)))
    monkeypatch.setattr(kit.execution.fold, "recipe", lambda family, shape: Spy())
    monkeypatch.setattr(Spy, "fitted_on", [])
    for fold in range(3):
        fold_result(context, tmp_path, "lightgbm", fold)
    assert len(Spy.fitted_on) == 3
    for fold, rows in enumerate(Spy.fitted_on):
        np.testing.assert_array_equal(rows, context.folds.train(fold))


def test_models_are_fitted_on_the_training_rows_of_the_fold_only(
    make_competition: Make, tmp_path: Path
) -> None:
    competition = rich(make_competition, *frames(150), code={"model.py": MODEL_PY})
    context = load_context(competition)
    fold_result(context, tmp_path, "model:noting")
    ((rows, y),) = context.code.resolve("model:SEEN")
    train = context.folds.train(1)
    np.testing.assert_array_equal(rows, train)
    np.testing.assert_array_equal(y, context.dataset.y[train])


# --- (c) a group in two folds --------------------------------------------------------------------


SPLITS_PY = """
import numpy as np


def careless(y, groups, time, spec):
    return (np.arange(len(y)) % spec.n_splits).astype(np.int8)


def wrong_groups(y, groups, time, spec):
    from kit.errors import ConfigError

    if groups is None:
        raise ConfigError("needs groups")
    fold = np.unique(groups, return_inverse=True)[1] % spec.n_splits
    fold[::50] = (fold[::50] + 1) % spec.n_splits
    return fold.astype(np.int8)
"""


@pytest.mark.parametrize("splitter", ["group_kfold", "stratified_group_kfold"])
@pytest.mark.parametrize("seed", range(5))
def test_group_splitters_keep_every_group_in_one_fold(splitter: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.zipf(1.6, 500) % 60  # some large, many small
    y = rng.integers(0, 2, 500)
    spec = CVSpec(splitter=splitter, n_splits=4, seed=seed)
    folds = make_folds(ids=np.arange(500), y=y, task="binary", spec=spec, groups=groups)
    assert (pd.Series(folds.fold).groupby(groups).nunique() == 1).all()
    check_splitter(SPLITTERS.load(splitter), spec)


def group_findings(make: Make, splitter: str) -> list[str]:
    train, test = frames(300)
    train["house"], test["house"] = np.arange(300) // 5, 1000
    columns = {"kinds": KINDS, "group": "house"}
    competition = make(
        train,
        test,
        name=splitter.replace(":", "-"),
        code={"splits.py": SPLITS_PY},
        columns=columns,
        cv={"splitter": splitter},
    )
    return [f.evidence for f in check(competition).findings if f.code == "KIT302"]


def test_check_finds_groups_in_two_folds(make_competition: Make) -> None:
    assert group_findings(make_competition, "group_kfold") == []
    assert group_findings(make_competition, "stratified_group_kfold") == []
    (careless,) = group_findings(make_competition, "splits:careless")
    assert careless.startswith("60 of 60 groups of 'house' lie in two folds")
    (wrong,) = group_findings(make_competition, "splits:wrong_groups")
    assert wrong.startswith("6 of 60 groups")
    (kfold,) = group_findings(make_competition, "kfold")
    assert "cv.splitter = 'kfold'" in kfold


def test_check_splitter_refuses_a_splitter_that_splits_groups(make_competition: Make) -> None:
    train, test = frames(60)
    competition = make_competition(train, test, code={"splits.py": SPLITS_PY})
    wrong = load_context(competition).code.resolve("splits:wrong_groups")
    with pytest.raises(ConfigError, match="groups lie in two folds"):
        check_splitter(wrong)


# --- (d) features that look at other rows --------------------------------------------------------


LOOKS_AROUND = {
    "group mean": "df['m'] = df['a'] - df.groupby('few')['a'].transform('mean')",
    "group size": "df['m'] = df.groupby('many')['id'].transform('size')",
    "rank": "df['m'] = df['a'].rank(pct=True)",
    "global mean": "df['m'] = df['a'] - df['a'].mean()",
    "shift": "df['m'] = df['a'].shift(1)",
    "rolling mean": "df['m'] = df['a'].rolling(5, min_periods=1).mean()",
    "imputed median": "df['m'] = df['b'].fillna(df['b'].median())",
    "quantile bins": "df['m'] = pd.qcut(df['a'], 4).astype('str')",
    "factorized": "df['m'] = pd.factorize(df['many'])[0]",
    "duplicated": "df['m'] = df['many'].duplicated()",
    "level count": "df['m'] = df['many'].map(df['many'].value_counts())",
    "row number": "df['m'] = np.arange(len(df))",
}
LOOKS_AT_ITSELF = """
df['ratio'] = df['a'] / df['b']
df['log'] = np.log1p(df['a'].abs())
df['filled'] = df['b'].fillna(-1)
df['known'] = df['b'].notna()
df['hour'] = pd.to_datetime(df['when']).dt.hour
df['letter'] = df['code'].str[0]
df['digit'] = df['code'].str.extract(r'(\\d)', expand=False).astype(float)
df['words'] = df['text'].str.split().str.len()
df['size'] = pd.cut(df['a'], [-9, -1, 0, 1, 9]).astype('str')
df['level'] = pd.Categorical(df['few'], categories=['x', 'y', 'z'])
df[['p0', 'p1']] = df[['a', 'b']].fillna(0).to_numpy() @ np.array([[0.3, 0.1], [0.2, 0.7]])
"""


def features_py(body: str) -> dict[str, str]:
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    source = (
        f"import numpy as np\nimport pandas as pd\n\n\ndef features(df):\n{lines}    return df\n"
    )
    return {"features.py": source}


def accused(make: Make, body: str) -> set[str]:
    competition = rich(make, *frames(400), code=features_py(body))
    report = check(competition)
    assert "KIT212" not in {finding.code for finding in report.findings}
    return {c for f in report.findings if f.code == "KIT211" for c in f.columns}


@pytest.mark.parametrize("body", LOOKS_AROUND.values(), ids=LOOKS_AROUND)
def test_check_names_the_feature_that_looks_at_other_rows(
    make_competition: Make, body: str
) -> None:
    innocent = "\ndf['twice'] = df['a'] * 2"
    names = accused(make_competition, body + innocent)
    assert names
    assert all(name.startswith("m") and name != "many" for name in names)


def test_check_accepts_features_that_look_at_their_own_row(make_competition: Make) -> None:
    assert accused(make_competition, LOOKS_AT_ITSELF) == set()


# --- (e) permuted labels -------------------------------------------------------------------------


@pytest.mark.parametrize("model", SLOW_LAST)
def test_permuted_labels_score_at_chance(make_competition: Make, model: str) -> None:
    train, test = frames(700)
    cv = {"n_splits": 2}
    told = validated(rich(make_competition, train, test, name="told", cv=cv), model)
    train["y"] = np.random.default_rng(3).permutation(train["y"])
    drawn = validated(rich(make_competition, train, test, name="drawn", cv=cv), model)
    # the standard error of an AUC of 0.5 is 0.022 with 350 + 350 rows: four of them
    assert 0.41 < drawn.score < 0.59
    assert told.score > 0.75


@pytest.mark.parametrize("model", ["lightgbm", "linear"])
def test_permuted_labels_score_above_chance_when_a_label_leaks(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """The counterpart: with means of all rows the same proof finds what is planted."""
    train, test = frames(700)
    rng = np.random.default_rng(4)
    train["seller"] = [f"seller {k}" for k in rng.integers(0, 230, len(train))]
    test["seller"] = [f"seller {k}" for k in rng.integers(0, 230, len(test))]
    train["y"] = rng.permutation(train["y"])
    cv = {"n_splits": 2}
    honest = validated(rich(make_competition, train, test, name="honest", cv=cv), model)
    assert 0.41 < honest.score < 0.59
    planted = rich(make_competition, train, test, name="planted", cv=cv)
    data = load_context(planted).dataset

    class All(AllRows):
        def fit(self, X: pd.DataFrame, y: Array) -> CrossFittedTarget:
            return CrossFittedTarget.fit(self, data.X[list(X.columns)], data.y)

    monkeypatch.setattr(kit.preprocessing.means, "CrossFittedTarget", All)
    assert validated(planted, model).score > 0.65


@pytest.mark.parametrize("model", ["lightgbm", "linear", "extra_trees"])
def test_permuted_numbers_score_at_chance(make_competition: Make, model: str) -> None:
    tables = {
        "task": {"type": "regression", "metric": "pearson", "classes": []},
        "submission": {"wants": "value"},
    }
    train, test = frames(700)
    train["y"] = train["a"] + np.random.default_rng(2).normal(size=700)
    told = validated(rich(make_competition, train, test, name="told", **tables), model)
    train["y"] = np.random.default_rng(3).permutation(train["y"])
    drawn = validated(rich(make_competition, train, test, name="drawn", **tables), model)
    # the standard error of a correlation of 0 is 0.038 with 700 rows: four of them
    assert abs(drawn.score) < 0.15
    assert told.score > 0.5


# --- (f) labels of the scored fold ---------------------------------------------------------------


def fold_1_permuted(make: Make) -> list[FoldContext]:
    """The same competition twice; in the second the labels within fold 1 change places."""
    train, test = frames(400)
    before = load_context(rich(make, train, test, name="before"))
    rows = before.folds.valid(1)
    labels = train["y"].to_numpy(copy=True)
    labels[rows] = np.random.default_rng(0).permutation(labels[rows])
    assert (labels != train["y"]).sum() > 20
    after = load_context(rich(make, train.assign(y=labels), test, name="after"))
    assert before.folds.digest == after.folds.digest
    return [before, after]


def both_predictions(result: FoldResult) -> Array:
    return np.vstack([result.oof, result.test])


@pytest.mark.parametrize("model", SLOW_LAST)
def test_labels_of_a_fold_do_not_reach_its_own_predictions(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    contexts = fold_1_permuted(make_competition)
    own = [both_predictions(fold_result(context, tmp_path, model, 1)) for context in contexts]
    np.testing.assert_array_equal(*own)
    if model != "mlp":  # slow; the rows compared are the same as of the other models
        others = [both_predictions(fold_result(each, tmp_path, model, 0)) for each in contexts]
        assert (others[0] != others[1]).any()


def test_labels_of_a_fold_reach_it_when_early_stopping_is_told_to_look(
    make_competition: Make, tmp_path: Path
) -> None:
    own = [
        both_predictions(fold_result(context, tmp_path, "lightgbm", 1, "fold"))
        for context in fold_1_permuted(make_competition)
    ]
    assert (own[0] != own[1]).any()


@pytest.mark.parametrize("model", ["lightgbm", "linear"])
def test_labels_of_a_fold_do_not_reach_its_part_of_a_run(
    make_competition: Make, model: str
) -> None:
    train, test = frames(400)
    competition = rich(make_competition, train, test, name="before")
    rows = load_context(competition).folds.valid(1)
    swapped = train.copy()
    swapped.loc[rows, "y"] = 1 - swapped.loc[rows, "y"]
    other = rich(make_competition, swapped, test, name="after")
    before, after = (validated(each, model).oof() for each in (competition, other))
    own = before["fold"] == 1
    assert before[own].equals(after[own])
    assert not before[~own].equals(after[~own])


def parts(seed: int, n_folds: int = 3) -> list[FoldRows]:
    """Folds of pure noise: whatever is found in them was not there."""
    rng = np.random.default_rng(seed)
    X, y = pd.DataFrame(rng.normal(size=(240, 6))), rng.integers(0, 2, 240)
    fold = np.arange(240) % n_folds
    return [
        FoldRows(X=X[fold != k], y=y[fold != k], X_valid=X[fold == k], y_valid=y[fold == k])
        for k in range(n_folds)
    ]


def test_trained_side_by_side_a_folds_labels_do_not_reach_its_own_model() -> None:
    problem = Problem(task="binary", n_outputs=1, seed=1)
    model = LightGBM(patience=20, learning_rate=0.2)
    folds = parts(0)
    other = [*folds]
    other[1] = replace(folds[1], y_valid=1 - folds[1].y_valid)
    before, after = (model.fit_folds(each, problem=problem) for each in (folds, other))
    predicted = [models[1].predict(folds[1].X_valid) for models in (before, after)]
    np.testing.assert_array_equal(*predicted)
    assert before[1].best_iteration_ == after[1].best_iteration_
    assert [m.best_iteration_ for m in before] != [m.best_iteration_ for m in after]


def test_cross_stopping_finds_nothing_in_noise_where_stopping_on_the_own_fold_does() -> None:
    problem = Problem(task="binary", n_outputs=1, seed=1)
    model = LightGBM(patience=40, learning_rate=0.03, num_leaves=4)
    found: dict[str, list[float]] = {"cross": [], "own": []}
    for seed in range(20):
        folds = parts(seed)
        crossed = model.fit_folds(folds, problem=problem)
        for fold, fitted in zip(folds, crossed, strict=True):
            held = (fold.X_valid, fold.y_valid)
            own = clone(model).fit(fold.X, fold.y, problem=problem, valid=held)
            for way, each in (("cross", fitted), ("own", own)):
                found[way].append(log_loss(fold.y_valid, each.predict(fold.X_valid)[:, 0]))
    honest = np.log(2)
    assert np.mean(found["cross"]) > honest
    assert np.mean(found["own"]) < honest


# --- (g) different folds -------------------------------------------------------------------------


def test_runs_of_different_folds_are_neither_blended_nor_compared(make_competition: Make) -> None:
    competition = rich(make_competition, *frames(200))
    other = Competition.load(competition.root, ["cv.n_splits=4"])
    runs = [validated(competition, "lightgbm"), validated(other, "extra_trees")]
    with pytest.raises(FoldMismatch, match="different folds"):
        blend(competition, [run.id for run in runs])
    told = compare(*runs)
    assert "different folds" in told.reason or "validated on the folds" in told.reason
    assert told.folds == []
    partner = validated(competition, "linear")
    assert blend(competition, [runs[0].id, partner.id]).folds == runs[0].folds


def test_a_blend_is_refused_when_kit_toml_makes_other_folds_by_now(
    make_competition: Make,
) -> None:
    competition = rich(make_competition, *frames(200))
    names = [validated(competition, model).id for model in ("lightgbm", "linear")]
    with pytest.raises(FoldMismatch, match=r"however kit\.toml makes"):
        blend(Competition.load(competition.root, ["cv.seed=8"]), names)
