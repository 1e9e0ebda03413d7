"""Ways to combine predictions: their losses, their guards, and what is scored honestly."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

import kit.blending.objective
from kit.blending.boosted import Boosted, Boosting
from kit.blending.calibration import Calibration, Kind, logits, probabilities
from kit.blending.choice import choose, wins
from kit.blending.cost import correlations, seconds_per_1000
from kit.blending.fit import METHODS, combine, greedy_search
from kit.blending.level import Level, distribution, sample
from kit.blending.nested import block_of
from kit.blending.objective import area, make_objective, truth_probability
from kit.blending.pool import Pool, Pooled
from kit.blending.saved import from_json, to_json
from kit.blending.scaling import Scaled, Scaling
from kit.blending.search import greedy_weights, hill_weights
from kit.blending.weighted import Combination, Greedy, Mean, Weighted, ranks
from kit.decision import fit_decision
from kit.errors import ConfigError, DataError
from kit.metrics.base import load_metric
from kit.metrics.weighted import weighted
from kit.settings import TaskType

Array = NDArray[np.float64]
METRICS: list[tuple[str, TaskType]] = [
    ("rmse", "regression"),
    ("rmsle", "regression"),
    ("r2", "regression"),
    ("mae", "regression"),
    ("rmse", "multitarget"),
    ("log_loss", "binary"),
    ("log_loss", "multiclass"),
    ("log_loss", "multilabel"),
    ("brier", "binary"),
    ("brier", "multiclass"),
    ("roc_auc", "binary"),
    ("roc_auc", "multiclass"),
    ("roc_auc", "multilabel"),
    ("accuracy", "binary"),
    ("accuracy", "multiclass"),
    ("f1", "binary"),
    ("f1", "multilabel"),
    ("accuracy", "multilabel"),
    ("f1_macro", "binary"),
    ("f1_macro", "multiclass"),
]


def example(
    metric: str, task: TaskType, n: int = 400, members: int = 4, seed: int = 0, noise: float = 1.0
) -> Level:
    """Members that know something and err independently; the first knows least."""
    rng = np.random.default_rng(seed)
    width = {"multiclass": 3, "multilabel": 2, "multitarget": 2}.get(task, 1)
    signal = rng.normal(size=(n, width))
    errors = rng.normal(size=(members, n, width)) * noise
    seen = signal + errors * (1 + np.arange(members)[::-1, None, None] / members)
    fold = rng.integers(0, 5, size=n).astype(np.int8)
    y: NDArray[Any]
    if task in ("regression", "multitarget"):
        y = np.exp(signal) if task == "multitarget" else np.exp(signal[:, 0])
        oof = np.exp(seen / 2)
    elif task == "multiclass":
        y, oof = signal.argmax(axis=1), np.stack([probabilities(each) for each in seen])
    else:
        y = (signal + rng.normal(size=signal.shape) > 0).astype(np.int64)
        y, oof = (y if task == "multilabel" else y[:, 0]), 1 / (1 + np.exp(-seen))
    return Level(metric=load_metric(metric, task), task=task, oof=oof, y=y, fold=fold)


def true_loss(level: Level, weights: Array) -> float:
    """By the metric itself, with the default decision."""
    from kit.decision import default_decision

    pred = Weighted(weights, level.scale).predict(level.oof)
    if level.metric.needs == "label":
        pred = default_decision(level.task, pred.shape[1]).apply(pred)
    return level.metric.loss(level.y, pred)


@pytest.mark.parametrize(("metric", "task"), METRICS)
def test_quick_losses_are_those_of_the_metric(metric: str, task: TaskType) -> None:
    level = example(metric, task)
    start = np.array([0.5, 0.25, 0.25, 0.0])
    oof, back = level.scale.link(level.oof), level.scale.back
    quick = make_objective(level.metric, task, oof, level.y, back).along(start, 0.2)
    for index in range(4):
        weights = 0.8 * start
        weights[index] += 0.2
        expected = true_loss(level, weights)
        if metric == "brier":  # squares per column; the metric sums over classes
            quick_value = quick[index] * level.oof.shape[2]
        elif metric == "r2":
            quick_value = quick[index] - 1.0
        else:
            quick_value = quick[index]
        tolerance = 2e-3 if level.metric.needs == "label" else 1e-6
        assert quick_value == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("decimals", [0, 1, 2, 7])
@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_area_counts_ties_half(decimals: int, shift: float) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(decimals)
    y = (rng.random(500) < 0.3).astype(np.int32)
    scores = np.round(rng.random(500) + 0.2 * y, decimals) + shift
    found = area(scores.astype(np.float32), y)
    assert found == pytest.approx(roc_auc_score(y, scores), abs=1e-6)


def test_an_own_metric_of_a_known_name_is_called() -> None:
    level = example("rmse", "regression")
    own = replace(level.metric, function=lambda y, p: float(np.abs(y - p).max()))
    objective = make_objective(own, level.task, level.oof, level.y, level.scale.back)
    expected = [np.abs(level.y - member[:, 0]).max() for member in level.oof]
    assert objective.along(np.zeros(4), 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_nested_score_sees_no_label_of_its_own_fold(method: str) -> None:
    """Other labels in one fold leave that fold's honest predictions as they are."""
    metric = "roc_auc" if method == "rank" else "log_loss"
    level = example(metric, "binary", n=1500)
    before = combine(level, method).honest
    for fold in (0, 3):
        here = level.fold == fold
        y = np.where(here, 1 - level.y, level.y)
        after = combine(replace(level, y=y), method).honest
        assert np.array_equal(before[here], after[here])
        if method not in ("mean",):
            assert not np.array_equal(before[~here], after[~here])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_method_is_repeatable_finite_and_close_to_its_best_member(
    method: str, task: TaskType
) -> None:
    if method == "rank":
        metric = "spearman" if task == "regression" else "roc_auc"
    else:
        metric = "rmse" if task == "regression" else "log_loss"
    level = example(metric, task, n=1200)
    one, two = combine(level, method), combine(level, method)
    assert np.array_equal(one.honest, two.honest)
    predicted = one.combination.predict(level.oof, level.fold)
    assert np.array_equal(predicted, two.combination.predict(level.oof, level.fold))
    again = from_json(json.loads(json.dumps(to_json(one.combination))))
    assert again.predict(level.oof, level.fold) == pytest.approx(predicted, rel=1e-12)
    assert np.isfinite(predicted).all()
    assert np.isfinite(one.honest).all()
    assert one.combination.weights.sum() == pytest.approx(1)
    if method != "mean":
        best = min(true_loss(level, unit) for unit in np.eye(4))
        assert level.metric.loss(level.y, one.honest) <= best + 0.01 * abs(best)


@pytest.mark.parametrize("method", METHODS)
def test_one_member_identical_members_and_constant_ones_do_no_harm(method: str) -> None:
    metric = "roc_auc" if method == "rank" else "log_loss"
    level = example(metric, "binary", n=300)
    member = level.oof[3:]
    for oof in (member, np.repeat(member, 3, axis=0), np.full_like(level.oof, 0.5)):
        found = combine(replace(level, oof=oof), method)
        predicted = found.combination.predict(oof, level.fold)
        assert np.isfinite(predicted).all()
        assert np.isfinite(found.honest).all()
        assert np.isfinite(found.combination.weights).all()
        if method != "rank" and method != "auto" and method != "stack":
            assert predicted == pytest.approx(oof[0])


def test_weights_are_negative_only_where_asked_for() -> None:
    rng = np.random.default_rng(0)
    y, common = rng.normal(size=300), rng.normal(size=300)
    oof = np.stack([y + common, y + 3 * common])[:, :, None]  # 1.5 a - 0.5 b is right
    fold = np.arange(300) % 5
    level = Level(
        metric=load_metric("rmse", "regression"), task="regression", oof=oof, y=y, fold=fold
    )
    assert (combine(level, "hill").combination.weights >= 0).all()
    free = combine(level, "hill", negative=True)
    assert free.combination.weights[1] < -0.3
    assert free.combination.weights.sum() == pytest.approx(1)
    with pytest.raises(ConfigError, match="negative weights are for the method 'hill' only"):
        combine(level, "greedy", negative=True)


@pytest.mark.parametrize("weights", [[2.0, -1.0, 0.0, 0.0], [-3.0, 4.0, -1.0, 1.0]])
def test_rows_are_probabilities_after_negative_weights(weights: list[float]) -> None:
    for task in ("binary", "multiclass", "multilabel"):
        level = example("log_loss", task)
        found = Weighted(np.array(weights), level.scale).predict(level.oof)
        assert found.min() >= 0
        assert found.max() <= 1
        if task == "multiclass":
            assert found.sum(axis=1) == pytest.approx(1)


def test_the_hill_starts_at_the_best_member_and_never_gets_worse() -> None:
    level = example("roc_auc", "binary")
    objective = level.objective()
    losses = objective.along(np.zeros(4), 1.0)
    found = objective.along(hill_weights(objective, 4), 0.0)[0]
    assert found <= losses.min()
    assert hill_weights(objective, 4, steps=0).tolist() == np.eye(4)[losses.argmin()].tolist()


class Memory:
    """A second level that knows the rows it was fitted on by heart, and guesses elsewhere."""

    name = "memory"
    noise = 1.0

    def fits(self, level: Level) -> bool:
        return True

    def refine(self, level: Level, base: Combination) -> Combination:
        return Recall(
            base, {row.tobytes(): y for row, y in zip(_rows(level.oof), level.y, strict=True)}
        )


class Recall:
    def __init__(self, base: Combination, known: dict[bytes, Any]) -> None:
        self.base, self.known, self.weights = base, known, base.weights

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        rows = enumerate(_rows(members))
        guess = [self.known.get(row.tobytes(), index % 2) for index, row in rows]
        return np.clip(np.array(guess, dtype=np.float64)[:, None], 0.02, 0.98)


def _rows(members: Array) -> Array:
    return np.ascontiguousarray(members[:, :, 0].T)


def test_a_second_level_that_overfits_is_refused() -> None:
    level = example("log_loss", "binary")
    memory = Memory().refine(level, Greedy().fit(level))
    plain = level.metric.loss(level.y, memory.predict(level.oof))
    found = choose(level, Greedy(), [Memory()])
    assert found.method == "greedy"
    assert found.compared["memory"] > 2 * found.compared["greedy"]
    assert plain < 0.1 * found.compared["greedy"]  # on its own rows it would have won


class Runaway:
    """A temperature without bounds on too few rows."""

    name = "runaway"
    noise = 1.0

    def fits(self, level: Level) -> bool:
        return True

    def refine(self, level: Level, base: Combination) -> Combination:
        return Sharpened(base)


class Sharpened:
    def __init__(self, base: Combination) -> None:
        self.base, self.weights = base, base.weights

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        return probabilities(1242.0 * logits(self.base.predict(members, fold)))


@pytest.mark.parametrize(("raw", "shown"), [([0.5, 1.5], [0.25, 0.75]), ([1.0, -1.0], [0.5, -0.5])])
def test_weights_of_a_pool_are_shown_as_shares(raw: Any, shown: Any) -> None:
    """Where they nearly cancel out, as shares of their sizes."""
    level = example("log_loss", "binary")
    assert Pooled(np.array(raw), level.scale, 0.0).weights.tolist() == shown


def test_a_harmful_calibration_is_refused() -> None:
    found = choose(example("log_loss", "binary"), Greedy(), [Runaway()])
    assert found.method == "greedy"
    assert found.compared["runaway"] > found.compared["greedy"]


@pytest.mark.parametrize("kind", ["temperature", "platt"])
def test_calibration_helps_unsure_members_and_stays_within_bounds(kind: Any) -> None:
    level = example("log_loss", "binary", n=3000, noise=0.3)
    shy = replace(level, oof=0.5 + (level.oof - 0.5) * 0.2)
    found = choose(shy, Greedy(), [Calibration(kind)])
    assert found.method == kind
    assert level.metric.loss(level.y, found.honest) < 0.9 * found.compared["greedy"]
    right = replace(level, oof=np.stack([level.y[:, None] * 0.98 + 0.01] * 2))  # runs away
    fitted = Calibration(kind).refine(right, Greedy().fit(right))
    assert 0.25 <= fitted.numbers[0] <= 4.0
    assert len(fitted.numbers) == (1 if kind == "temperature" else 2)
    wild = np.random.default_rng(1).choice([0.001, 0.999], (2, 3000, 1))  # sure, and knows nothing
    lost = replace(level, oof=wild)
    flat = Calibration(kind).refine(lost, Greedy().fit(lost))
    assert flat.numbers[0] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("kind", ["temperature", "platt", "isotonic"])
def test_calibration_is_for_probabilities_only(kind: Any) -> None:
    for metric, task in (("roc_auc", "binary"), ("accuracy", "binary"), ("rmse", "regression")):
        assert not Calibration(kind).fits(example(metric, task, n=2000))
    assert Calibration(kind).fits(example("log_loss", "binary", n=2000))
    assert Calibration(kind).fits(example("log_loss", "multiclass", n=2000)) == (
        kind == "temperature"
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("way", [Pool(), Boosting(), *map(Calibration, get_args(Kind))])
def test_refinements_are_saved_and_read_again(way: Any, task: TaskType) -> None:
    level = example("rmse" if task == "regression" else "log_loss", task, n=1200)
    if not way.fits(level):
        pytest.skip("not for this task")
    fitted = way.refine(level, Greedy().fit(level))
    again = from_json(json.loads(json.dumps(to_json(fitted))))
    assert again.predict(level.oof[:, :50]) == pytest.approx(fitted.predict(level.oof[:, :50]))
    assert again.weights == pytest.approx(fitted.weights)
    assert fitted.weights.sum() == pytest.approx(1)


def test_a_combination_of_a_newer_kit_is_refused() -> None:
    with pytest.raises(DataError, match="'vote' is not known to this kit"):
        from_json({"kind": "vote"})


def test_isotonic_steps_rise_and_stay_off_certainty() -> None:
    level = example("log_loss", "binary", n=2000)
    fitted = Calibration("isotonic").refine(level, Greedy().fit(level))
    grid = np.broadcast_to(np.linspace(0, 1, 200)[:, None], (4, 200, 1))
    steps = fitted.predict(grid)[:, 0]
    assert (np.diff(steps) >= -1e-12).all()
    assert steps.min() > 0
    assert steps.max() < 1


def test_noise_does_not_win() -> None:
    assert not wins(np.array([0.1, -0.1, 0.05, -0.02, 0.01]), 1.0)
    assert not wins(np.array([0.1]), 1.0)
    assert not wins(np.zeros(5), 1.0)
    assert wins(np.array([0.1, 0.12, 0.09, np.nan, 0.11]), 1.0)
    luck = np.array([0.1, -0.05, 0.12, 0.08, -0.02])  # 1.35 standard errors
    assert wins(luck, 1.0)
    assert not wins(luck, 2.0)


@pytest.mark.parametrize(("noise", "chosen"), [(1.0, "slight"), (2.0, "greedy")])
def test_a_freer_way_has_to_win_by_more(noise: float, chosen: str) -> None:
    """Fold by fold it gains what another way may take for a win; trees ask for more than that."""
    gains = np.array([0.1, -0.05, 0.12, 0.08, -0.02])

    class Slight:
        name = "slight"

        def __init__(self, noise: float) -> None:
            self.noise = noise

        def fits(self, level: Level) -> bool:
            return True

        def refine(self, level: Level, base: Combination) -> Combination:
            class Moved:
                weights = base.weights

                def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
                    assert fold is not None
                    return base.predict(members, fold) - gains[fold][:, None]

            return Moved()

    level = example("rmse", "regression")
    level = replace(level, oof=np.repeat(level.y[None, :, None] + 1.0, 2, axis=0))  # off by one
    assert choose(level, Greedy(), [Slight(noise)]).method == chosen
    assert Boosting().noise > Pool().noise


def test_the_shown_score_is_not_that_of_the_best_of_many() -> None:
    """Twelve refinements that only add noise: some look better, choosing them must not pay."""

    class Jitter:
        noise = 1.0

        def __init__(self, seed: int) -> None:
            self.name, self.seed = f"jitter {seed}", seed

        def fits(self, level: Level) -> bool:
            return True

        def refine(self, level: Level, base: Combination) -> Combination:
            jitter = self

            class Moved:
                weights = base.weights

                def predict(self, members: Array, fold: Any = None) -> Array:
                    values = logits(base.predict(members, fold))
                    rows = members[:, :, 0].sum(axis=0) * 1e6
                    return probabilities(values + 0.3 * np.sin(rows * (1 + jitter.seed))[:, None])

            return Moved()

    gaps = []
    for seed in range(3):
        level = example("log_loss", "binary", n=150, seed=seed)
        found = choose(level, Greedy(), [Jitter(k) for k in range(12)])
        best = min(found.compared.values())
        gaps.append(level.metric.loss(level.y, found.honest) - best)
    assert np.mean(gaps) > 0


def test_ranks_are_taken_within_each_fold() -> None:
    members = np.array([[1.0, 2.0, 30.0, 10.0, 20.0, 20.0]])[:, :, None]
    fold = np.array([0, 0, 1, 1, 1, 1])
    assert ranks(members, fold)[0, :, 0].tolist() == [0.5, 1.0, 1.0, 0.25, 0.625, 0.625]


def test_folds_are_left_out_in_at_most_five_blocks() -> None:
    assert block_of(np.array([0, 1, 2])).tolist() == [0, 1, 2]
    assert block_of(np.array([4, 9, 9])).tolist() == [0, 1, 1]
    many = block_of(np.arange(127))
    assert np.unique(many).tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(many) >= 0).all()


def test_a_time_limit_gives_valid_weights_at_once() -> None:
    level = example("average_precision", "binary", n=20_000, members=12)
    started = time.monotonic()
    found = combine(level, "auto", seconds=0.0)
    assert time.monotonic() - started < 30  # one step each instead of forty
    assert found.combination.weights.sum() == pytest.approx(1)
    assert (found.method, found.complete) == ("greedy", False)
    assert np.isfinite(found.honest).all()


def test_greedy_search_leaves_out_rows_that_were_never_validated() -> None:
    level = example("roc_auc", "binary", n=300)
    fold = level.fold.copy()
    fold[:40] = -1
    found = greedy_search(level.oof, level.y, fold, level.metric, level.task)
    rest = greedy_search(level.oof[:, 40:], level.y[40:], fold[40:], level.metric, level.task)
    assert found.honest.shape == (260, 1)
    assert np.array_equal(found.combination.weights, rest.combination.weights)


def test_predictions_that_are_not_finite_are_refused_by_number() -> None:
    level = example("rmse", "regression")
    level.oof[2, 7] = np.nan
    with pytest.raises(DataError, match=r"those of member 2 \(counted from 0\)"):
        combine(level)


def test_forward_folds_and_a_single_fold_are_blended() -> None:
    level = example("log_loss", "binary")
    for fold in (np.zeros(400, dtype=np.int8), np.repeat([1, 2], 200).astype(np.int8)):
        found = combine(replace(level, fold=fold), "auto")
        assert found.method == "greedy"
        assert np.isfinite(found.honest).all()


def test_of_a_single_fold_no_row_is_blended_by_weights_that_saw_it() -> None:
    """One holdout of a splitter of one's own: many members of noise must not look good on it."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=60)
    level = Level(
        metric=load_metric("rmse", "regression"),
        task="regression",
        oof=rng.normal(scale=0.5, size=(30, 60, 1)),
        y=y,
        fold=np.zeros(60, dtype=np.int8),
    )
    found = combine(level, "greedy")
    plain = level.metric.score(y, found.combination.predict(level.oof))
    nothing = level.metric.score(y, np.zeros((60, 1)))
    assert plain < 0.97 * nothing
    assert level.metric.score(y, found.honest) > 0.99 * nothing
    for part in np.unique(block_of(level.fold)):
        rows = block_of(level.fold) == part
        changed = combine(replace(level, y=np.where(rows, 5.0, y)), "greedy")
        assert np.array_equal(changed.honest[rows], found.honest[rows])


def test_a_constant_member_has_no_correlation() -> None:
    oof = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.5], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])
    names, used = ["a", "b", "c", "d"], np.array([True, False, True, True])
    assert correlations(names, oof[:, :, None], used) == {"a": {"d": -1.0}}


def test_seconds_per_1000_rows_count_every_fold_model() -> None:
    record = {"seconds": {"predict": 3.0}, "score": {"folds": [0.1] * 5}}
    # 1000 validated rows once, 400 test rows by five models: 3000 predictions in 3 s
    assert seconds_per_1000(record, 1000, 400) == pytest.approx(5.0)
    assert seconds_per_1000({**record, "seconds": {}}, 1000, 400) is None


def test_steps_of_greedy_are_shares_of_forty_at_most() -> None:
    level = example("log_loss", "binary", members=8, n=2000)
    weights = greedy_weights(level.objective(), 8)
    shares = [w for w in weights if w]
    assert min(shares) >= 1 / 40


def test_rows_of_classes_that_do_not_sum_to_one_are_read_as_shares() -> None:
    """Of a row with nothing in it nothing is known."""
    oof = np.array([[[0.2, 0.6], [0.0, 0.0], [0.5, 0.5]]])
    found = truth_probability("multiclass", oof, np.array([1, 0, 0]))
    assert found.tolist() == [[pytest.approx(0.75), 0.0, 0.5]]
    half = truth_probability("multiclass", oof / 2, np.array([1, 0, 0]))
    assert half == pytest.approx(found)


def test_some_rows_of_many_are_ascending_and_never_twice_the_same() -> None:
    rows = sample(1000, 900)
    assert len(rows) == 900
    assert (np.diff(rows) > 0).all()
    assert sample(5, 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("task", get_args(TaskType))
@pytest.mark.parametrize("way", [Pool(), Boosting(), Calibration("temperature")])
def test_a_prediction_depends_on_its_own_row_alone(way: Any, task: TaskType) -> None:
    level = example("rmse" if task.startswith(("reg", "multit")) else "log_loss", task, n=1200)
    if not way.fits(level):
        pytest.skip("not for this task")
    fitted = way.refine(level, Greedy().fit(level))
    order = np.random.default_rng(3).permutation(1200)[:500]
    whole = fitted.predict(level.oof, level.fold)[order]
    assert fitted.predict(level.oof[:, order], level.fold[order]) == pytest.approx(whole)


def test_trees_share_their_weight_among_the_members_they_look_at() -> None:
    """One member of three knows the classes, so that the trees split on its columns."""
    level = example("log_loss", "multiclass", n=1500, members=3)
    rng = np.random.default_rng(0)
    level.oof[:2] = rng.dirichlet(np.ones(3), (2, 1500))
    base = Weighted(np.full(3, 1 / 3), level.scale)
    fitted = Boosting().refine(level, base)
    assert isinstance(fitted, Boosted)
    assert fitted.weights[2] > 0.45
    assert (fitted.weights[:2] < 0.3).all()


@pytest.mark.parametrize(("metric", "task"), [("roc_auc", "binary"), ("rmse", "regression")])
def test_what_was_compared_is_in_units_of_the_metric(metric: str, task: TaskType) -> None:
    level = example(metric, task, n=1200)
    found = choose(level, Greedy(), [Pool()])
    scores = [level.metric.score(level.y[level.fold == k], found.honest[level.fold == k])
              for k in range(5)]  # fmt: skip
    assert found.compared[found.method] == pytest.approx(np.mean(scores), rel=0.02)


class Clock:
    """A clock that goes on by one second with each fit of a `Tick`, and else stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


class Tick:
    """A refinement that takes the last member, and a second."""

    name = "tick"
    noise = 1.0

    def __init__(self, clock: Clock) -> None:
        self.clock, self.fits_made = clock, 0

    def fits(self, level: Level) -> bool:
        return True

    def refine(self, level: Level, base: Combination) -> Combination:
        self.clock.now += 1
        self.fits_made += 1
        return Weighted(np.eye(len(level.oof))[-1], level.scale)


@pytest.mark.parametrize(("seconds", "made"), [(15.5, 1), (16.5, 16)])
def test_a_comparison_is_not_begun_that_cannot_be_finished(
    monkeypatch: pytest.MonkeyPatch, seconds: float, made: int
) -> None:
    """Five blocks need sixteen fits: all rows, without one block, without two."""
    level = example("log_loss", "binary", noise=0.2)
    level.oof[:3] = 0.5
    clock = Clock(monkeypatch)
    tick = Tick(clock)
    found = choose(level, Mean(), [tick], until=seconds)
    assert (found.method, found.complete) == (("tick", True) if made == 16 else ("mean", False))
    assert tick.fits_made == made


def test_the_hill_finds_small_weights() -> None:
    """The best weights of the second member are 1 %, 2 % and 30 %."""
    rng = np.random.default_rng(0)
    y, noise = rng.normal(size=4000), rng.normal(size=(2, 4000))
    noise -= noise.mean(axis=1, keepdims=True)
    noise[1] -= noise[0] * (noise[0] @ noise[1]) / (noise[0] @ noise[0])
    noise /= noise.std(axis=1, keepdims=True)
    for share in (0.01, 0.02, 0.3):
        size = np.array([1.0, ((1 - share) / share) ** 0.5])  # then `share` is best
        oof = (y + size[:, None] * noise)[:, :, None]
        level = Level(
            metric=load_metric("rmse", "regression"), task="regression", oof=oof, y=y,
            fold=np.arange(4000) % 5,
        )  # fmt: skip
        found = hill_weights(level.objective(), 2)
        assert found[1] == pytest.approx(share, rel=0.03, abs=0.004)


@pytest.mark.parametrize("method", ["auto", "greedy", "hill", "mean", "stack"])
def test_negative_predictions_count_as_0_where_the_metric_counts_them_so(method: str) -> None:
    """Imported ones of a linear model may be far below 0; log(1 + x) ends at -1."""
    level = example("rmsle", "regression")
    level.oof[1] = level.y[:, None] - 3.0
    found = combine(level, method)
    assert np.isfinite(found.honest).all()
    cut = combine(replace(level, oof=np.maximum(level.oof, 0.0)), method)
    assert np.array_equal(found.honest, cut.honest)


def test_weights_do_not_depend_on_the_unit_of_the_target() -> None:
    level = example("mse", "regression")
    tiny = replace(level, oof=1e-7 * level.oof, y=1e-7 * level.y)
    found = combine(level, "greedy").combination.weights
    assert (found > 0).sum() > 1
    assert combine(tiny, "greedy").combination.weights == pytest.approx(found)


def test_a_pool_is_for_squared_errors_with_and_without_their_root() -> None:
    assert [Pool().fits(example(name, "regression")) for name in ("mse", "rmse", "mae")] == [
        True, True, False
    ]  # fmt: skip


def test_a_pool_takes_several_labels_of_a_row_one_by_one() -> None:
    """They do not exclude one another: probabilities of a row need not sum to 1."""
    level = example("log_loss", "multilabel", n=3000)
    base = Greedy().fit(level)
    fitted = Pool().refine(level, base)
    found = fitted.predict(level.oof)
    assert found.shape == level.y.shape
    assert level.metric.loss(level.y, found) < level.metric.loss(level.y, base.predict(level.oof))
    flat = replace(level, task="binary", oof=level.oof.reshape(4, -1, 1), y=level.y.ravel())
    flat = replace(flat, fold=np.repeat(level.fold, 2))
    alone = Pool().refine(flat, base).predict(flat.oof)
    assert found.ravel() == pytest.approx(alone.ravel(), abs=1e-3)


@pytest.mark.parametrize(("rows", "folds"), [(399, 399), (399, 400), (400, 399)])
def test_rows_of_another_number_are_refused(rows: int, folds: int) -> None:
    level = example("rmse", "regression")
    short = replace(level, y=level.y[:rows], fold=level.fold[:folds])
    with pytest.raises(DataError, match="as many rows of truth and folds"):
        combine(short, "greedy")


@pytest.mark.parametrize("metric", ["roc_auc", "gini"])
def test_a_search_for_pairs_looks_at_every_row_of_a_rare_class(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = example(metric, "binary", n=4000)
    level = level.rows(np.flatnonzero((level.y == 0) | (np.arange(4000) % 20 == 0)))
    rare = int(level.y.sum())
    monkeypatch.setattr(kit.blending.objective, "_SLOW_ROWS", 600)
    assert 50 < rare < 150
    found = level.searched()
    assert (len(found.y), int(found.y.sum())) == (600, rare)
    turned = replace(level, y=1 - level.y)
    assert int((1 - turned.searched().y).sum()) == rare
    even = example(metric, "binary", n=4000).searched().y
    assert (len(even), int(even.sum())) == (600, 300)
    assert len(replace(level, y=level.y[:500], oof=level.oof[:, :500]).searched().y) == 500


def relative(metric: str, n: int = 2000, spread: float = 0.4) -> Level:
    """Members that know the median of values whose logarithms lie `spread` around it."""
    rng = np.random.default_rng(0)
    middle = np.exp(rng.normal(5.0, 0.5, n))
    y = middle * np.exp(spread * rng.normal(size=n))
    oof = middle * np.exp(rng.normal(scale=0.05, size=(2, n)))
    task: TaskType = "regression"
    fold = np.arange(n) % 5
    return Level(metric=load_metric(metric, task), task=task, oof=oof[..., None], y=y, fold=fold)


@pytest.mark.parametrize(("metric", "variances"), [("rmspe", 1.5), ("mape", 1.0)])
def test_of_relative_errors_the_best_value_is_below_the_middle(
    metric: str, variances: float
) -> None:
    """The known optimum of a lognormal value: below its median by so many variances."""
    level = relative(metric)
    found = combine(level, "auto")
    assert found.method == "scaled"
    assert isinstance(found.combination, Scaled)
    assert found.combination.factors == pytest.approx([np.exp(-variances * 0.16)], rel=0.05)
    assert found.compared["scaled"] < 0.97 * found.compared["greedy"]
    assert level.metric.loss(level.y, found.honest) < 0.97 * found.compared["greedy"]


def test_symmetric_errors_need_no_factor_and_others_get_none() -> None:
    assert combine(relative("smape"), "auto").method == "greedy"
    assert not any(Scaling().fits(relative(name)) for name in ("rmse", "mae", "rmsle", "spearman"))


def test_a_factor_per_column_survives_json() -> None:
    level = relative("rmspe")
    both = replace(
        level,
        metric=load_metric("rmspe", "multitarget"),
        task="multitarget",
        oof=np.concatenate([level.oof, 3 * level.oof], axis=2),
        y=np.stack([level.y, level.y], axis=1),
    )
    fitted = Scaling().refine(both, Greedy().fit(both))
    assert fitted.factors[1] == pytest.approx(0.5, rel=0.01)  # 1/2 is the bound
    assert fitted.factors[0] > 0.7
    again = from_json(json.loads(json.dumps(to_json(fitted))))
    assert again.predict(both.oof) == pytest.approx(fitted.predict(both.oof))


def rare_class(metric: str = "f1", n: int = 4000) -> Level:
    """Of 5 % positives the first member knows the probability; the second errs, and is sure."""
    rng = np.random.default_rng(0)
    odds = rng.normal(-4.0, 1.8, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    sure = 1 / (1 + np.exp(-3.0 * (odds + rng.normal(1.0, 1.5, n))))
    oof = np.stack([1 / (1 + np.exp(-odds)), sure])[..., None]
    task: TaskType = "binary"
    return Level(metric=load_metric(metric, task), task=task, oof=oof, y=y, fold=np.arange(n) % 5)


def decided(level: Level, pred: Array) -> float:
    return fit_decision(level.metric, level.task, level.y, pred, level.fold).score


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy"])
def test_labels_of_a_rare_class_are_cut_where_it_is_best_while_weights_are_searched(
    metric: str,
) -> None:
    """At 0.5 the member that errs and is sure of it would get all of the weight."""
    level = rare_class(metric)
    at_half = [level.metric.score(level.y, each[:, 0] >= 0.5) for each in level.oof]
    best = [decided(level, each) for each in level.oof]
    assert at_half[1] > at_half[0] + 0.05
    assert best[0] > best[1] + 0.02
    found = combine(level, "greedy")
    assert found.combination.weights[0] > 0.5
    assert decided(level, found.honest) > best[0] - 0.01


def test_the_cut_of_a_search_sees_no_label_of_the_fold_it_is_scored_on() -> None:
    level = rare_class()
    before = combine(level, "greedy").honest
    here = level.fold == 2
    after = combine(replace(level, y=np.where(here, 1 - level.y, level.y)), "greedy").honest
    assert np.array_equal(before[here], after[here])


@pytest.mark.parametrize("weighs", [False, True])
def test_losses_of_cut_labels_are_those_of_the_best_threshold(weighs: bool) -> None:
    level = rare_class("balanced_accuracy", n=3000)
    if weighs:
        weight = np.random.default_rng(1).integers(1, 4, 3000)
        metric = weighted(level.metric, "w", "binary")
        level = replace(level, metric=metric, y=np.column_stack([level.y, weight]))
    objective = level.objective()
    quick = objective.along(np.array([0.5, 0.5]), 0.2)
    cuts = objective.thresholds  # type: ignore[attr-defined]
    assert len(cuts) > 50
    for index, member in enumerate(level.oof):
        mixed = 0.8 * level.oof.mean(axis=0) + 0.2 * member
        best = min(level.metric.loss(level.y, mixed[:, 0] >= cut) for cut in cuts)
        assert quick[index] == pytest.approx(best, abs=1e-3)


def test_classes_are_weighed_in_the_search_as_they_will_be_in_the_end() -> None:
    level = example("balanced_accuracy", "multiclass", n=3000)
    common = level.rows(np.flatnonzero((level.y == 0) | (np.arange(3000) % 15 == 0)))
    shares = np.bincount(common.y) / len(common.y)
    common = replace(common, oof=np.stack([distribution(m * shares) for m in common.oof]))
    rule = fit_decision(
        common.metric, "multiclass", common.y, common.oof.mean(axis=0), common.fold
    ).decision
    assert rule.kind == "prior"
    losses = common.objective().along(np.zeros(4), 1.0)
    expected = [common.metric.loss(common.y, rule.apply(member)) for member in common.oof]
    assert losses == pytest.approx(expected, abs=1e-3)
