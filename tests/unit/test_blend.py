"""Blends: weights from out-of-fold predictions, a nested score, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kit.blend import Level, Stack, align, blend, fit_blend
from kit.blending.saved import FILE, from_json
from kit.blending.search import greedy_weights
from kit.competition import Competition
from kit.errors import ConfigError, DataError, FoldMismatch, RunError
from kit.execution.context import load_context
from kit.metrics.base import load_metric
from kit.runs import Run, find_run, publish

Array = NDArray[np.float64]
N, N_TEST = 120, 40


def columns(*predictions: NDArray[Any]) -> Array:
    return np.stack([p.reshape(-1, 1) for p in predictions]).astype(float)


def stack(y: NDArray[Any], *predictions: NDArray[Any], folds: int = 3) -> Stack:
    oof = columns(*predictions)
    return Stack(
        runs=(),
        oof=oof,
        test=oof[:, :5],
        y=y,
        fold=(np.arange(len(y)) % folds).astype(np.int8),
        ids=np.arange(len(y)).astype(str),
        test_ids=np.arange(5).astype(str),
    )


def greedy(*predictions: NDArray[Any], y: NDArray[Any], **options: int) -> Array:
    """Greedy weights for RMSE."""
    oof = columns(*predictions)
    level = Level(
        metric=load_metric("rmse", "regression"),
        task="regression",
        oof=oof,
        y=y,
        fold=np.zeros(len(y), dtype=np.int8),
    )
    return greedy_weights(level.objective(), len(oof), **options)


def test_greedy_gives_all_the_weight_to_a_perfect_run() -> None:
    y = np.arange(10.0)
    assert greedy(y + 3, y, -y, y=y).tolist() == [0, 1, 0]


def test_greedy_mixes_runs_whose_errors_cancel() -> None:
    y = np.arange(10.0)
    assert greedy(y + 1, y - 1, y=y).tolist() == [0.5, 0.5]


def test_greedy_keeps_the_best_prefix_of_its_path() -> None:
    # the errors of three runs cancel after three steps; a path of 1, 2, 4, 5, 7 … steps spoils that
    y = np.zeros(3)
    runs = 3 * np.eye(3) - 1
    for steps in (3, 4, 5):
        assert greedy(*runs, y=y, steps=steps).tolist() == pytest.approx([1 / 3] * 3)


def test_greedy_takes_the_earlier_of_equal_runs() -> None:
    y = np.arange(5.0)
    assert greedy(y + 1, y + 1, y + 1, y=y).tolist() == [1, 0, 0]


def test_greedy_weights_are_shares() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    weights = greedy(*(y + rng.normal(size=50) for _ in range(4)), y=y)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert np.count_nonzero(weights) > 1


def test_a_blend_is_the_weighted_mean_of_its_runs() -> None:
    y = np.arange(30.0)
    found = fit_blend(
        stack(y, y + 1, y - 1), load_metric("rmse", "regression"), "regression", "mean"
    )
    assert found.oof[:, 0] == pytest.approx(y)
    assert found.test[:, 0] == pytest.approx(y[:5])
    assert found.nested.score == pytest.approx(0.0)


def test_rmsle_is_blended_on_the_scale_of_logarithms() -> None:
    y = np.full(30, 9.0)
    low, high = np.full(30, 0.0), np.full(30, 99.0)  # log1p: 0 and 2 log1p(9)
    metric = load_metric("rmsle", "regression")
    found = fit_blend(stack(y, low, high), metric, "regression", "mean")
    assert found.oof[:, 0] == pytest.approx(y)


def test_the_nested_score_does_not_flatter_weights_that_overfit() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=30)
    noise = [rng.normal(scale=0.5, size=30) for _ in range(25)]
    found = fit_blend(stack(y, *noise), load_metric("rmse", "regression"), "regression", "greedy")
    assert found.nested.score > 1.1 * found.plain


def test_a_fold_of_the_nested_score_uses_the_other_folds_weights() -> None:
    y = np.arange(30.0)
    fold = np.arange(30) % 3
    # each run is perfect on two folds and useless on the third
    runs = [np.where(fold == k, y + 100 * (1 + k), y) for k in range(3)]
    found = fit_blend(stack(y, *runs), load_metric("rmse", "regression"), "regression", "greedy")
    assert found.nested.fold_scores == pytest.approx((100, 200, 300))


def test_ranks_ignore_the_scale_of_a_run() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(60) > 0.5).astype(np.int64)
    a, b = y + rng.normal(size=60), y + rng.normal(size=60)
    metric = load_metric("roc_auc", "binary")
    one = fit_blend(stack(y, a, b), metric, "binary", "rank")
    other = fit_blend(stack(y, a, np.exp(b) * 1e6), metric, "binary", "rank")
    assert np.array_equal(one.oof, other.oof)
    assert one.oof.min() > 0
    assert one.oof.max() <= 1


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(N + N_TEST)]})
    frame["x"] = rng.normal(size=len(frame))
    frame["y"] = (frame["x"] > 0).astype(int)
    return make_competition(frame[:N], frame[N:].drop(columns="y"))


def add_run(competition: Competition, name: str, seed: int, **changes: Any) -> Run:
    """Publish a run with noisy predictions, in shuffled row order."""
    context = load_context(competition)
    data, rng = context.dataset, np.random.default_rng(seed)
    proba = np.clip(data.y * 0.4 + rng.random(N) * 0.6, 0, 1)
    oof = pd.DataFrame({"id": pd.Series(data.ids, dtype="str"), "fold": context.folds.fold})
    oof = oof.assign(pred=proba).sample(frac=1, random_state=seed)
    test = pd.DataFrame({"id": pd.Series(data.test_ids, dtype="str")})
    test = test.assign(pred=rng.random(N_TEST)).sample(frac=1, random_state=seed)
    record = {
        "hash": f"{seed:06d}",
        "kind": "cv",
        "model": name,
        "metric": {"name": "roc_auc", "greater_is_better": True},
        "digests": {**data.digests, "folds": context.folds.digest, **changes.pop("digests", {})},
        "score": {"value": 0.5, "folds": [0.5, 0.5, 0.5]},
        "early_stopping": "inner",
        **changes,
    }
    frames = {"oof": oof, "test": test}
    return publish(competition.runs, record, config={}, frames=frames, code={})


def test_a_blend_is_published_as_a_run_with_parents(competition: Competition) -> None:
    runs = [add_run(competition, f"m{k}", k) for k in range(3)]
    made = blend(competition, [run.id for run in runs])
    assert (made.kind, made.model) == ("blend", "blend")
    assert made.record["parents"] == [run.id for run in runs]
    assert set(made.record["weights"]) == set(made.record["parents"])
    assert sum(made.record["weights"].values()) == pytest.approx(1, abs=1e-4)
    assert made.record["params"] == {"method": "auto"}
    assert made.record["blend"]["seconds_per_1000_rows"] == dict.fromkeys(made.record["parents"])
    assert find_run(competition.runs, made.id) == made
    assert made.score <= made.record["score"]["plain"] + 0.02
    saved = json.loads((made.path / "models" / FILE).read_text())
    parts = np.stack([run.test().set_index("id").loc[made.test()["id"]] for run in runs])
    assert from_json(saved).predict(parts) == pytest.approx(made.test()[["pred"]].to_numpy())


def test_no_prediction_of_a_published_blend_has_seen_its_label(competition: Competition) -> None:
    """Else it would be scored too well where it is a member of another blend."""
    runs = [add_run(competition, f"m{k}", k) for k in range(6)]
    made = blend(competition, [run.id for run in runs[:5]])
    context = load_context(competition)
    oof = made.oof().set_index("id")["pred"].loc[context.dataset.ids].to_numpy()
    found = context.metric.score(context.dataset.y, oof[:, None])
    assert found == pytest.approx(made.record["score"]["oof"])
    changed = align(runs[:5], context)
    for fold in range(3):
        rows = changed.fold == fold
        other = fit_blend(
            replace(changed, y=np.where(rows, 1 - changed.y, changed.y)), context.metric, "binary"
        )
        assert np.array_equal(other.chosen.honest[rows], oof[rows][:, None])


def test_runs_are_joined_by_id_not_by_position(competition: Competition) -> None:
    a, b = add_run(competition, "a", 1), add_run(competition, "b", 2)
    made = blend(competition, [a.id, b.id], "mean")
    for read in ("oof", "test"):
        left, right, mixed = (getattr(run, read)().set_index("id")["pred"] for run in (a, b, made))
        expected = (left + right.reindex(left.index)) / 2
        assert np.allclose(mixed.reindex(left.index), expected)
    ids = load_context(competition).dataset.ids
    assert made.oof()["id"].tolist() == ids.tolist()


def test_without_names_every_present_run_takes_part_once(competition: Competition) -> None:
    add_run(competition, "m", 1)
    newest = add_run(competition, "m", 1)  # the same hash again
    other = add_run(competition, "other", 2)
    add_run(competition, "features", 3, digests={"features": "other"})
    add_run(competition, "data", 4, digests={"data": "other"})
    add_run(competition, "folds", 5, digests={"folds": "other"})
    add_run(competition, "metric", 6, metric={"name": "f1", "greater_is_better": True})
    add_run(competition, "blend", 7, kind="blend")
    assert set(blend(competition, []).record["parents"]) == {newest.id, other.id}


def test_a_run_that_cannot_be_read_is_left_out_unless_it_is_named(
    competition: Competition,
) -> None:
    runs = [add_run(competition, f"m{k}", k) for k in range(3)]
    (runs[1].path / "test.parquet").write_bytes(b"PAR1")
    assert set(blend(competition, []).record["parents"]) == {runs[0].id, runs[2].id}
    with pytest.raises(RunError, match=r"test.parquet is damaged"):
        blend(competition, [run.id for run in runs])


def test_runs_of_different_folds_are_refused_with_the_groups(competition: Competition) -> None:
    a = add_run(competition, "a", 1)
    b = add_run(competition, "b", 2, digests={"folds": "beef"})
    with pytest.raises(FoldMismatch, match=rf"different folds(.|\n)*folds beef: {b.id}"):
        blend(competition, [a.id, b.id])


def test_folds_other_than_those_of_kit_toml_are_refused(competition: Competition) -> None:
    names = [add_run(competition, f"m{k}", k, digests={"folds": "beef"}).id for k in range(2)]
    with pytest.raises(FoldMismatch, match=r"validated on the folds beef, however kit.toml"):
        blend(competition, names)


def test_a_run_that_lacks_ids_is_refused_with_the_first(
    competition: Competition, rewrite: Any
) -> None:
    a, b = add_run(competition, "a", 1), add_run(competition, "b", 2)
    frame = b.oof()
    rewrite(b, "oof", frame[frame["id"] != "r7"])
    with pytest.raises(DataError, match=r"holds 119 rows, the data 120.*'r7'"):
        blend(competition, [a.id, b.id])


def test_outputs_are_joined_by_name_and_missing_ones_refused(
    competition: Competition, rewrite: Any
) -> None:
    a, b = add_run(competition, "a", 1), add_run(competition, "b", 2)
    rewrite(b, "oof", b.oof().rename(columns={"pred": "pred_cat"}))
    with pytest.raises(DataError, match=r"holds \['id', 'fold', 'pred_cat'\], however \['pred'\]"):
        blend(competition, [a.id, b.id])


def test_why_runs_do_not_take_part_is_said_with_the_way_out(competition: Competition) -> None:
    flags = {"cv.n_splits": 4, "models.m.params.k": 3}
    add_run(competition, "a", 1, digests={"folds": "beef"}, overrides=flags)
    add_run(competition, "b", 2, digests={"data": "other"}, overrides=flags)
    add_run(competition, "c", 3, digests={"folds": "beef"})
    add_run(competition, "d", 4, metric={"name": "f1", "greater_is_better": True})
    with pytest.raises(RunError) as refused:
        blend(competition, [])
    told = [line.strip() for line in str(refused.value).splitlines()[1:-1]]
    assert told == [
        "1 with other folds: kit blend --set cv.n_splits=4",
        "1 with other data",
        "1 with other folds",
        "1 with another metric",
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_runs_are_refused(competition: Competition, count: int) -> None:
    for seed in range(count):
        add_run(competition, "m", seed)
    with pytest.raises(RunError, match=f"{count} found"):
        blend(competition, [])


def test_a_run_named_twice_is_refused(competition: Competition) -> None:
    run = add_run(competition, "m", 1)
    with pytest.raises(RunError, match="named twice"):
        blend(competition, [run.id, "m"])


def test_an_unknown_method_is_refused(competition: Competition) -> None:
    with pytest.raises(ConfigError, match=r"unknown blend method 'grady'. Did you mean 'greedy'\?"):
        blend(competition, [], "grady")


def test_ranks_are_refused_for_a_metric_of_probabilities(competition: Competition) -> None:
    for seed in range(2):
        add_run(competition, "m", seed, metric={"name": "log_loss", "greater_is_better": False})
    losing = Competition.load(competition.root, ["task.metric=log_loss"])
    with pytest.raises(ConfigError, match=r"only the order.*log_loss needs probabilities"):
        blend(losing, [], "rank")


def test_one_optimistic_parent_makes_the_blend_optimistic(competition: Competition) -> None:
    add_run(competition, "a", 1, early_stopping="fold")
    add_run(competition, "b", 2)
    assert blend(competition, []).record["early_stopping"] == "fold"


def test_a_blend_of_a_run_that_has_seen_the_test_rows_says_so(competition: Competition) -> None:
    add_run(competition, "a", 1, transductive=True)
    add_run(competition, "b", 2)
    add_run(competition, "c", 3)
    assert blend(competition, ["a", "b"], "mean").record["transductive"] is True
    assert blend(competition, ["b", "c"], "mean").record["transductive"] is False


def test_the_same_blend_has_the_same_hash(competition: Competition, tmp_path: Path) -> None:
    for seed in range(2):
        add_run(competition, "m", seed)
    first, second = blend(competition, []), blend(competition, [])
    assert first.hash == second.hash
    assert first.hash != blend(competition, [], "mean").hash


def test_a_blend_that_was_cut_short_is_made_again(competition: Competition) -> None:
    for seed in range(2):
        add_run(competition, "m", seed)
    short = blend(competition, [], seconds=0.0)
    assert not short.record["blend"]["complete"]
    whole = blend(competition, [])
    assert whole.record["blend"]["complete"]
    assert whole.id != short.id
    assert blend(competition, []).id == whole.id


def test_reading_the_runs_is_part_of_the_time(
    competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        add_run(competition, "m", seed)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("kit.blend.time", SimpleNamespace(monotonic=lambda: clock.now))
    given: list[float] = []

    def align(*_: Any) -> Any:
        clock.now += 30

    def fitted(*_: Any, **how: Any) -> Any:
        given.append(how["seconds"])
        raise RunError("enough is seen")

    monkeypatch.setattr("kit.blend.align", align)
    monkeypatch.setattr("kit.blend.fit_blend", fitted)
    for seconds, left in ((40, 10), (20, 0)):
        with pytest.raises(RunError, match="enough"):
            blend(competition, [], seconds=seconds)
        assert given[-1] == left


def test_runs_whose_classes_are_in_another_order_are_refused(competition: Competition) -> None:
    runs = [
        add_run(competition, "one", 1, classes=["0", "1"]),
        add_run(competition, "two", 2, classes=["1", "0"]),
    ]
    with pytest.raises(DataError, match=r"predicts the classes \['1', '0'\]"):
        blend(competition, [run.id for run in runs])
