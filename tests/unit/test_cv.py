"""Cross-validation: what a run's hash covers, the shared folds, budget, resumption, records."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.cv import check_models, cross_validate
from kit.errors import ConfigError, FoldMismatch, ModelError, UnknownName, UserCodeError
from kit.execution.context import load_context
from kit.execution.here import Here
from kit.execution.processes import Processes
from kit.execution.results import FoldResult, read_result, write_result
from kit.execution.task import FoldTask
from kit.execution.workers import Finished
from kit.folds import Folds
from kit.plan import make_plan
from kit.runs import Run, list_runs
from kit.session import Event, open_session

MODELS: dict[str, Any] = {"lightgbm": {"params": {"n_estimators": 5}}}

Make = Callable[..., Competition]


def frames(n: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    size = n + 20
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(size)], "a": rng.normal(size=size)})
    frame["b"] = rng.normal(size=size)
    frame["y"] = (frame["a"] + rng.normal(scale=0.5, size=size) > 0).astype(int)
    return frame[:n], frame[n:].drop(columns="y")


@pytest.fixture
def toy(make_competition: Make) -> Make:
    def make(**tables: Any) -> Competition:
        train, test = frames()
        return make_competition(train, test, **{"models": MODELS, **tables})

    return make


def reload(competition: Competition, *flags: str) -> Competition:
    return Competition.load(competition.root, flags)


def hash_of(competition: Competition, model: str = "lightgbm") -> str:
    with open_session(competition) as session:
        return make_plan(session, model).hash


def validated(competition: Competition, model: str = "lightgbm", **options: Any) -> Run:
    with open_session(competition, **options) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


def test_the_hash_is_the_same_for_the_same_work(toy: Make) -> None:
    competition = toy()
    assert hash_of(competition) == hash_of(reload(competition))


@pytest.mark.parametrize(
    "flag",
    [
        "cv.seed=7",
        "cv.n_splits=4",
        "cv.splitter=kfold",
        "cv.early_stopping=fold",
        "models.lightgbm.params.num_leaves=5",
        "task.metric=log_loss",
        'columns.drop=["b"]',
        'columns.kinds={b = "category"}',
    ],
)
def test_the_hash_changes_with_what_the_predictions_depend_on(toy: Make, flag: str) -> None:
    competition = toy()
    assert hash_of(competition) != hash_of(reload(competition, flag))


@pytest.mark.parametrize(
    "flag",
    [
        'check.mute=["KIT104"]',
        'competition.title="another"',
        'cv.models=["linear"]',
        "models.linear.params.search_rows=5",
        "execution.threads=2",
        "execution.executor=here",
    ],
)
def test_the_hash_does_not_change_with_what_they_do_not_depend_on(toy: Make, flag: str) -> None:
    competition = toy()
    assert hash_of(competition) == hash_of(reload(competition, flag))


def test_the_hash_does_not_depend_on_the_name_of_the_model(toy: Make) -> None:
    competition = toy(models={**MODELS, "mine": {"use": "lightgbm", **MODELS["lightgbm"]}})
    assert hash_of(competition, "mine") == hash_of(competition, "lightgbm")


def test_the_hash_takes_one_and_one_point_zero_for_equal(toy: Make) -> None:
    competition = toy()
    flags = ["models.lightgbm.params.lambda_l2=2", "models.lightgbm.params.lambda_l2=2.0"]
    assert len({hash_of(reload(competition, flag)) for flag in flags}) == 1


def test_the_hash_changes_with_the_data_the_features_and_the_models_code(toy: Make) -> None:
    competition = toy()
    model = "from kit.models.lightgbm import LightGBM as build\n"
    (competition.root / "model.py").write_text(model)
    hashes = [hash_of(competition, "model:build")]
    (competition.root / "features.py").write_text("def features(df):\n    return df\n")
    hashes.append(hash_of(competition, "model:build"))
    (competition.root / "model.py").write_text(model + "# changed\n")
    hashes.append(hash_of(competition, "model:build"))
    train = competition.raw / "train.csv"
    train.write_text(train.read_text().replace("r0,", "r-0,"))
    hashes.append(hash_of(competition, "model:build"))
    assert len(set(hashes)) == 4


def test_the_models_code_does_not_change_the_hash_of_a_built_in_model(toy: Make) -> None:
    competition = toy()
    before = hash_of(competition)
    (competition.root / "model.py").write_text("# a note\n")
    (competition.root / "NOTES.md").write_text("a note\n")
    assert hash_of(competition) == before


def test_the_folds_file_is_written_once(toy: Make) -> None:
    competition = toy()
    path = competition.root / "folds.parquet"
    hash_of(competition)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    hash_of(competition)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert Folds.load(path).n_splits == 3


def test_a_changed_cv_table_moves_the_old_folds_aside(toy: Make) -> None:
    competition = toy()
    hash_of(competition)
    old = Folds.load(competition.root / "folds.parquet")
    hash_of(toy(cv={"splitter": "stratified_kfold", "n_splits": 4}))
    assert Folds.load(competition.root / f"folds-{old.digest}.parquet").n_splits == 3
    assert Folds.load(competition.root / "folds.parquet").n_splits == 4


def test_folds_that_a_flag_asked_for_are_never_written(toy: Make) -> None:
    competition = toy()
    hash_of(reload(competition, "cv.n_splits=4"))
    assert not (competition.root / "folds.parquet").exists()
    hash_of(competition)
    hash_of(reload(competition, "cv.n_splits=4"))
    assert Folds.load(competition.root / "folds.parquet").n_splits == 3


def test_the_splitter_file_takes_a_teammates_folds(toy: Make) -> None:
    competition = toy()
    ids = frames()[0]["id"]
    shuffled = ids.sample(frac=1, random_state=1).reset_index(drop=True)
    theirs = Folds(shuffled, np.arange(60) % 2)
    theirs.save(competition.root / "folds.parquet")
    run = validated(reload(competition, "cv.splitter=file"))
    assert run.folds == theirs.digest
    fold = run.oof().set_index("id")["fold"]
    assert (fold[shuffled].to_numpy() == np.arange(60) % 2).all()
    assert Folds.load(competition.root / "folds.parquet").digest == theirs.digest


def test_a_run_records_where_it_comes_from(toy: Make) -> None:
    competition = toy()
    run = validated(reload(competition, "models.lightgbm.params.num_leaves=5"))
    record = run.record
    assert (run.kind, run.model, record["task"], record["seed"]) == (
        "cv", "lightgbm", "binary", 42,
    )  # fmt: skip
    assert record["overrides"] == {"models.lightgbm.params.num_leaves": 5}
    assert record["params"]["num_leaves"] == 5
    assert record["early_stopping"] == "inner"
    assert len(record["score"]["folds"]) == len(record["best_iterations"]) == 3
    assert set(record["digests"]) == {"data", "features", "folds", "code"}
    assert run.config["models"]["lightgbm"]["params"]["num_leaves"] == 5
    assert (run.path / "code" / "kit.toml").read_bytes() == (
        competition.root / "kit.toml"
    ).read_bytes()


def test_predictions_carry_ids_and_folds(toy: Make) -> None:
    run = validated(toy())
    train, test = frames()
    assert run.oof()["id"].tolist() == train["id"].tolist()
    assert sorted(run.oof()["fold"].unique()) == [0, 1, 2]
    assert run.test()["id"].tolist() == test["id"].tolist()
    assert np.isfinite(run.oof()["pred"]).all()


def test_a_fold_is_scored_by_a_model_that_has_not_seen_its_rows(toy: Make) -> None:
    competition = toy()
    source = (
        "import numpy as np\n"
        "from kit.models.base import Model\n"
        "class build(Model):\n"
        "    family = 'raw'\n"
        "    def fit(self, X, y, *, problem, valid=None):\n"
        "        self.seen_ = set(X['a'])\n"
        "        return self\n"
        "    def predict(self, X):\n"
        "        return np.array([[float(a in self.seen_)] for a in X['a']])\n"
    )
    (competition.root / "model.py").write_text(source)
    assert validated(competition, "model:build").oof()["pred"].tolist() == [0.0] * 60


def test_a_published_run_is_not_computed_again(toy: Make) -> None:
    competition = toy()
    first = validated(competition)
    events: list[Event] = []
    second = validated(competition, listen=events.append)
    assert second == first
    assert [event.kind for event in events] == ["known"]
    assert len(list_runs(competition.runs)[0]) == 1


def test_finished_folds_left_by_a_kill_after_publishing_are_put_away(toy: Make) -> None:
    competition = toy()
    run = validated(competition)
    left = competition.runs / ".partial" / run.hash
    left.mkdir()
    validated(competition)
    assert not left.exists()


def test_keeping_models_computes_a_run_again_that_has_none(toy: Make) -> None:
    competition = toy()
    first = validated(competition)
    second = validated(competition, keep_models=True)
    assert second.id != first.id
    assert len(list((second.path / "models").glob("fold-*/booster-0.txt"))) == 3
    assert np.array_equal(first.oof()["pred"], second.oof()["pred"])


def test_a_spent_budget_stops_before_the_next_fold_and_is_resumed(toy: Make) -> None:
    competition = toy()
    events: list[Event] = []
    with open_session(competition, listen=events.append, budget=0.0) as session:
        assert cross_validate(session, "lightgbm") is None
    assert [event.kind for event in events] == ["started", "stopped"]

    def use_up(event: Event) -> None:
        if event.kind == "fold":
            session.deadline = time.monotonic()

    with open_session(competition, listen=use_up, budget=1000.0) as session:
        assert cross_validate(session, "lightgbm") is None
    run = validated(competition)
    assert run.record["resumed"] == [0]


def test_with_a_budget_workers_still_have_a_fold_each(toy: Make) -> None:
    """Folds are given out one by one, until the time is over; not one after the other."""
    with open_session(toy(), budget=1000.0) as session:
        crew = Crew(2)
        crew.work = Here(session.context).run
        session.executor = Processes(crew)  # type: ignore[arg-type]
        run = cross_validate(session, "lightgbm")
    assert run is not None
    assert crew.most == 2


def test_without_a_task_no_worker_is_started() -> None:
    crew = Crew(2)
    assert list(Processes(crew).run([])) == []  # type: ignore[arg-type]
    assert crew.waits == 0


def test_a_task_is_asked_for_when_a_worker_is_free() -> None:
    crew, asked = Crew(2), []

    def tasks() -> Iterator[Any]:
        for number in range(4):
            asked.append(number)
            yield number

    crew.work = lambda tasks: tasks
    seen = [len(asked) for _ in Processes(crew).run(tasks())]  # type: ignore[arg-type]
    assert seen == [2, 3, 4, 4]
    assert crew.most == 2


class Crew:
    """Workers of this process: one task is carried out when it is waited for."""

    def __init__(self, size: int) -> None:
        self.size, self.most, self.waits = size, 0, 0
        self.running: list[Any] = []
        self.work: Any = None

    @property
    def free(self) -> int:
        return self.size - len(self.running)

    def start(self, task: Any) -> None:
        self.running.append(task)
        self.most = max(self.most, len(self.running))

    def wait(self) -> list[Finished]:
        self.waits += 1
        task = self.running.pop(0)
        return [Finished(task, results=list(self.work([task])))]

    def close(self) -> None:
        self.running = []


def test_progress_is_told_fold_by_fold(toy: Make) -> None:
    events: list[Event] = []
    validated(toy(), listen=events.append)
    assert [event.kind for event in events] == ["started", "fold", "fold", "fold", "done"]
    assert [event.done for event in events[1:4]] == [1, 2, 3]
    assert all(event.score is not None for event in events[1:4])


def test_a_fold_of_a_label_metric_shows_the_score_of_the_default_decision(toy: Make) -> None:
    events: list[Event] = []
    run = validated(reload(toy(), "task.metric=accuracy"), listen=events.append)
    oof, truth = run.oof(), frames()[0]["y"].to_numpy()
    right = (oof["pred"] >= 0.5).to_numpy() == truth
    scores = [event.score for event in events if event.kind == "fold"]
    assert scores == [pytest.approx(right[oof["fold"] == k].mean()) for k in range(3)]


def test_an_unknown_model_is_refused(toy: Make) -> None:
    with pytest.raises(UnknownName, match="lihgtgbm"):
        hash_of(toy(), "lihgtgbm")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_leaves": "many"}, "params.num_leaves: must be a whole number"),
        ({"extra_trees": 1}, "params.extra_trees: must be bool"),
        ({"leaves": 1}, "has no parameter 'leaves'"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_fitted(
    toy: Make, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        hash_of(toy(models={"lightgbm": {"params": params}}))


def test_a_list_is_taken_for_a_tuple_of_numbers(toy: Make) -> None:
    competition = toy(models={"linear": {"params": {"strengths": [1, 10]}}})
    with open_session(competition) as session:
        assert make_plan(session, "linear").params["strengths"] == (1.0, 10.0)


def test_a_failing_model_is_named_with_its_fold(toy: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("kit.models.lightgbm.LightGBM.fit", fail)
    monkeypatch.setattr("kit.models.lightgbm.LightGBM.fit_folds", fail)
    competition = toy()
    with pytest.raises(ModelError, match="model 'lightgbm', fold 1 failed"):
        validated(competition)
    with pytest.raises(ModelError, match="model 'lightgbm', fold 1, 2, 3 failed"):
        validated(reload(competition, "cv.early_stopping=cross"))


def test_a_metric_that_gives_no_number_is_the_users_error(toy: Make) -> None:
    competition = toy(task={"metric": "metric:m"})
    source = "def m(y, p):\n    return [1]\nm.greater_is_better = True\n"
    (competition.root / "metric.py").write_text(source)
    with pytest.raises(UserCodeError, match=r"must return one number. Received: list"):
        validated(competition)


OWN = """
from kit.metrics import Metric

def mean(y, p):
    return float(abs(y - p).mean()) * {factor}

own = Metric(
    name="gap", function=mean, greater_is_better=False, needs="proba", tasks=("binary",)
)
"""


def test_a_metric_object_is_told_apart_by_its_code_and_found_again(toy: Make) -> None:
    """Whatever it calls itself: runs keep the name in kit.toml, by which it is loaded."""
    found = []
    for factor in (1, 2):
        competition = toy(task={"metric": "metric:own"}, name=f"toy-{factor}")
        (competition.root / "metric.py").write_text(OWN.format(factor=factor))
        found.append(load_context(competition).metric)
    one, two = found
    assert one.name == two.name == "metric:own"
    assert one.identity != two.identity
    y, pred = np.array([0, 1]), np.array([[0.5], [0.75]])
    assert (one.score(y, pred), two.score(y, pred)) == (0.375, 0.75)


def test_no_model_or_one_named_twice_is_refused() -> None:
    check_models(["a", "b"])
    with pytest.raises(ConfigError, match="no model to validate"):
        check_models([])
    with pytest.raises(ConfigError, match="more than once: a"):
        check_models(["a", "b", "a"])


def test_a_fold_result_survives_the_disk(tmp_path: Path) -> None:
    result = FoldResult(
        fold=1,
        rows=np.array([3, 1]),
        oof=np.array([[0.1, 0.9], [0.2, 0.8]]),
        test=np.array([[1 / 3, 2 / 3]]),
        seconds={"fit": 1.5, "predict": 0.5},
        best_iteration=7,
        curve={"valid": [1.0, 0.5]},
    )
    path = tmp_path / "fold-1.parquet"
    write_result(path, result)
    found = read_result(path)
    assert found is not None
    assert found.resumed
    for name in ("rows", "oof", "test"):
        assert np.array_equal(getattr(found, name), getattr(result, name))
    assert (found.seconds, found.best_iteration, found.curve) == (
        result.seconds, 7, result.curve,
    )  # fmt: skip


def test_a_torn_fold_result_is_none(tmp_path: Path) -> None:
    path = tmp_path / "fold-0.parquet"
    assert read_result(path) is None
    one = np.zeros((1, 1))
    write_result(path, FoldResult(fold=0, rows=np.array([0]), oof=one, test=one, seconds={}))
    whole = path.read_bytes()
    for size in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert read_result(path) is None
    pd.DataFrame({"x": [1]}).to_parquet(path)
    assert read_result(path) is None


def test_early_stopping_on_the_scored_fold_is_recorded(toy: Make) -> None:
    run = validated(reload(toy(), "cv.early_stopping=fold"))
    assert run.record["early_stopping"] == "fold"
    assert all(n is not None for n in run.record["best_iterations"])


def test_curves_are_kept_with_the_run(toy: Make) -> None:
    curves = json.loads((validated(toy()).path / "curves.json").read_text())
    assert sorted(curves) == ["0", "1", "2"]
    assert len(curves["0"]["valid"]) == 5


def test_a_task_is_small_and_can_be_pickled(toy: Make) -> None:
    import pickle

    with open_session(toy()) as session:
        task = make_plan(session, "lightgbm").tasks([0])[0]
    assert isinstance(task, FoldTask)
    assert pickle.loads(pickle.dumps(task)) == task
    assert len(pickle.dumps(task)) < 2000


def test_runs_of_other_folds_are_told_apart_by_their_digest(toy: Make) -> None:
    from kit.blend import refuse_other_folds

    competition = toy()
    runs = [validated(competition), validated(reload(competition, "cv.seed=7"))]
    with pytest.raises(FoldMismatch, match="different folds"):
        refuse_other_folds(runs)
