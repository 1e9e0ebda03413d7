"""`kit fit`, `kit predict` and `kit export` of tables on the disk: a block in memory at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import kit.execution.memory as memory
import kit.refit.final as final
import kit.refit.rows as new_rows
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import data_digest
from kit.errors import ModelError
from kit.joins import Joins
from kit.mapped import frame_on_disk, is_on_disk
from kit.models.base import Problem, RowWeights
from kit.models.lightgbm import LightGBM
from kit.models.neural.batches import in_stretches
from kit.models.neural.mlp import MLP
from kit.plan import make_plan
from kit.refit.final import refit
from kit.refit.predict import predict_file
from kit.refit.rows import RowFormat
from kit.runs import Run
from kit.session import open_session

from .test_large import (
    FEATURES,
    KINDS,
    as_parquet,
    competition,  # noqa: F401  fixtures
    in_memory,
    small_pieces,  # noqa: F401
)

Make = Callable[..., Competition]


def validated(made: Competition, model: str = "lightgbm") -> Run:
    with open_session(made) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_from_the_disk_is_that_of_the_table_in_memory(
    competition: Make,  # noqa: F811
    weighted: bool,
) -> None:
    made = competition()
    if weighted:
        path = made.raw / "train.csv"
        train = pd.read_csv(path)
        train["w"] = np.arange(len(train)) % 3
        train.to_csv(path, index=False)
        made = competition(columns={"drop": ["words", "code"], "kinds": KINDS, "weight": "w"})
        train.to_csv(path, index=False)
    fitted = []
    for each in (made, in_memory(made)):
        run = validated(each)
        done = refit(each, run, seeds=2)
        assert done.record["members"][0]["seeds"] == 2
        fitted.append(done.test())
        shutil.rmtree(done.path)  # the next is computed, not found
    pd.testing.assert_frame_equal(*fitted, check_exact=True)


def test_weights_count_on_the_disk_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    y = (X["a"] + rng.normal(size=600) > 0).astype(int).to_numpy()
    weight = rng.uniform(0.1, 2.0, 600)
    halves = (X[:400], y[:400]), (X[400:], y[400:])
    problem = Problem(task="binary", n_outputs=1)

    def predictions(heavy: RowWeights | None, store: Callable[[Any], Any]) -> Any:
        (rows, labels), (valid, known) = halves
        model = LightGBM(n_estimators=5)
        model.fit(store(rows), labels, problem=problem, valid=(store(valid), known), weight=heavy)
        return model.predict(X), model.curve_["valid"]

    heavy = RowWeights(weight[:400], weight[400:])
    stored = predictions(heavy, lambda frame: frame_on_disk(frame, tmp_path))
    plain = predictions(heavy, lambda frame: frame)
    np.testing.assert_array_equal(stored[0], plain[0])
    assert stored[1] == plain[1]
    assert (predictions(None, lambda frame: frame_on_disk(frame, tmp_path))[0] != plain[0]).any()


def test_a_refit_takes_rows_from_files(competition: Make, monkeypatch: Any) -> None:  # noqa: F811
    made = competition()
    run, seen, sizes = validated(made), [], []
    original, transform = final.fit_all, final.Averaged.predict

    def spied(unfitted: Any, rows: Any, *others: Any) -> Any:
        seen.append(is_on_disk(rows.X))
        return original(unfitted, rows, *others)

    def counted(self: Any, X: pd.DataFrame) -> Any:
        sizes.append(len(X))
        return transform(self, X)

    monkeypatch.setattr(final, "fit_all", spied)
    monkeypatch.setattr(final.Averaged, "predict", counted)
    refit(made, run, seeds=1)
    assert seen == [True]
    assert max(sizes) == 61  # mapped.BLOCK of these tests; there are 80 test rows
    assert sum(sizes) == 2 * 80


@pytest.mark.parametrize("code", [{}, {"features.py": FEATURES}])
@pytest.mark.parametrize("parquet", [False, True])
def test_new_rows_are_typed_alike_without_reading_the_table(
    competition: Make,  # noqa: F811
    parquet: bool,
    code: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = competition(columns={"kinds": KINDS}, code=code)
    made = as_parquet(made) if parquet else made
    plain = RowFormat.of(in_memory(made), data_digest(made), Joins(made))

    def refused(*_: Any) -> Any:
        pytest.fail("the whole table was read")

    monkeypatch.setattr(new_rows, "read_raw", refused)
    assert RowFormat.of(made, data_digest(made), Joins(made)) == plain
    assert plain.formats == {"day": "%d/%m/%Y"}


def test_predictions_are_written_by_row_group(competition: Make) -> None:  # noqa: F811
    made = competition()
    fitted = refit(made, validated(made), seeds=1)
    test = made.raw / "test.csv"
    lines = predict_file(made, fitted, test, rows=30)
    groups = predict_file(made, fitted, test, made.root / "out.parquet", rows=30)
    assert (lines.rows, lines.columns) == (groups.rows, groups.columns) == (80, ("id", "y"))
    assert pq.ParquetFile(groups.path).metadata.num_row_groups == 3
    from_lines, from_groups = pd.read_csv(lines.path), pd.read_parquet(groups.path)
    assert list(from_lines["id"]) == list(from_groups["id"])
    np.testing.assert_allclose(from_lines["y"], from_groups["y"], rtol=1e-12)
    assert from_groups["y"].to_numpy() == pytest.approx(fitted.test()["pred"].to_numpy())


def test_a_fit_says_what_it_needs_and_is_refused_where_that_is_too_much(
    competition: Make,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, told = competition(), []
    run = validated(made)
    refit(made, run, seeds=1, tell=told.append)
    assert "memory planned at the peak: lightgbm 0." in told[0]
    monkeypatch.setattr(memory, "available", lambda: 30e6)
    with pytest.raises(ModelError, match=r"however 0\.0 GiB are free"):
        refit(made, run, seeds=3)
    assert not list(made.runs.glob(".partial/fit-*"))


def test_a_table_on_the_disk_is_exported_as_one_in_memory(
    competition: Make,  # noqa: F811
) -> None:
    from kit.export.names import names_of
    from kit.export.ready import Wishes, export

    made = competition()
    run = refit(made, validated(made), seeds=1)
    known = []
    for each, folder in ((made, "a"), (in_memory(made), "b")):
        names = names_of(made.slug, "ann/toy-models", "toy", "submission.csv")
        done = export(each, run, Wishes(names=names, proof=False, out=made.root / folder))
        (rows,) = done.bundle.folder.rglob("rows.json")
        known.append(json.loads(rows.read_text()))
    assert known[0] == known[1]


@pytest.fixture
def network(competition: Make) -> Competition:  # noqa: F811
    """A network of few steps on the table; batches of 32 rows."""
    params = {"layers": [8], "epochs": 15, "batch": 16, "learning_rate": 0.02, "dropout": 0.0}
    dropped = {"drop": ["words", "code"], "kinds": KINDS}
    return competition(models={"mlp": {"params": params}}, columns=dropped)


def prepared(made: Competition, model: str) -> Any:
    from kit.execution.fold import Fold
    from kit.execution.task import build_model

    with open_session(made) as session:
        plan, context = make_plan(session, model), session.context
        unfitted = build_model(plan.spec, model, context.code)
        return Fold(plan.tasks([0])[0], 0, context, unfitted).prepare(), plan.hash


@pytest.mark.parametrize("model", ["mlp", "realmlp", "tabm", "lightgbm"])
def test_recipes_make_the_same_of_rows_on_the_disk(
    competition: Make,  # noqa: F811
    model: str,
) -> None:
    made = competition()
    (stored, key), (plain, other) = prepared(made, model), prepared(in_memory(made), model)
    for mine, theirs in ((stored.X, plain.X), (stored.X_valid, plain.X_valid)):
        assert is_on_disk(mine)
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True, check_dtype=False)
    # batches from the disk come in another order, so that is another run
    assert (key == other) == (model == "lightgbm")


def test_rows_are_shuffled_where_a_disk_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.models.neural.batches._STRETCH", 10)
    monkeypatch.setattr("kit.models.neural.batches._POOL", 4)
    assert sorted(in_stretches(1003, np.random.default_rng(0))) == list(range(1003))
    order = in_stretches(1000, np.random.default_rng(0))
    assert sorted(order) == list(range(1000))
    pools = [order[k : k + 40] for k in range(0, 1000, 40)]
    assert {len({*(rows // 10)}) for rows in pools} == {4}
    assert (np.diff(order[:40]) != 1).sum() > 30
    assert (in_stretches(1000, np.random.default_rng(1)) != order).any()


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
def test_a_network_learns_from_batches_of_the_disk(
    network: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = MLP._inputs

    def counted(self: MLP, X: pd.DataFrame) -> Any:
        sizes.append(len(X))
        return original(self, X)

    monkeypatch.setattr(MLP, "_inputs", counted)
    monkeypatch.setattr(MLP, "rows", 16)
    monkeypatch.setattr("kit.models.neural.mlp._BLOCKS", 3)
    first = validated(network, "mlp")
    assert max(sizes) == 48  # of 200 training, 200 validated and 80 test rows
    oof = first.oof()
    shutil.rmtree(first.path)
    again = validated(network, "mlp")
    pd.testing.assert_frame_equal(again.oof(), oof, check_exact=True)
    assert again.score > 0.6
    fitted = refit(network, again, seeds=1)
    assert fitted.test()["pred"].between(0, 1).all()
    assert max(sizes) == 48


@pytest.mark.neural
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
def test_weights_count_in_batches_of_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300).astype(np.float32)})
    y = np.r_[np.zeros(150), np.ones(150)].astype(int)
    X.iloc[:] = 0.0  # nothing to tell the classes by: only how much they count
    weight = np.where(y == 1, 1.9, 0.1)
    stored = frame_on_disk(X, tmp_path)
    problem = Problem(task="binary", n_outputs=1)
    model = MLP(layers=(4,), epochs=12, learning_rate=0.1, dropout=0.0)
    heavy = model.fit(stored, y, problem=problem, weight=RowWeights(weight)).predict(stored)
    assert heavy.mean() > 0.85
    assert abs(model.fit(stored, y, problem=problem).predict(stored).mean() - 0.5) < 0.1
