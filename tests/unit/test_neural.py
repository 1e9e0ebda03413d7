"""Networks trained fold beside fold: the parts, and what training together must not change."""

from __future__ import annotations

import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.models.base import FoldRows, Problem
from kit.models.neural.layers import bent, bins, dropout, periodic
from kit.models.neural.pace import Pace
from kit.models.neural.realmlp import RealMLP
from kit.models.neural.schedules import coslog, flat_cos
from kit.models.neural.tables import Encoder, Layout, one_hot_width, stacked
from kit.models.neural.tabm import TabM
from kit.models.neural.targets import Targets, loss, validation_loss
from kit.models.neural.training import compiled, kept_random_state, start
from kit.preprocessing.neural import NormalQuantiles, realmlp_recipe, tabm_recipe
from kit.preprocessing.shape import Shape

KINDS = {"a": "numeric", "b": "numeric", "f": "numeric", "c": "category", "d": "category"}
neural = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings


def table(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with holes, a flag, a category of two levels and one of twenty; a noisy target."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    c, d = rng.integers(0, 2, n), rng.integers(0, 20, n)
    y = a + np.sin(2 * b) + c + 0.1 * d + 0.2 * rng.normal(size=n)
    frame = pd.DataFrame({"a": a, "b": np.where(rng.random(n) < 0.1, np.nan, b)})
    frame["f"] = (rng.random(n) < 0.5).astype(float)
    frame["c"] = pd.Categorical(np.array(["x", "y"])[c])
    frame["d"] = pd.Categorical([f"v{k}" for k in d])
    return frame, y


def shape(task: str = "regression") -> Shape:
    levels = {"c": 2, "d": 20}
    return Shape(kinds=KINDS, levels=levels, n_rows=300, task=task, seed=0)  # type: ignore[arg-type]


def folds(n_folds: int = 3, *, task: str = "regression", recipe: Any = realmlp_recipe) -> list:
    frame, y = table()
    target = y if task == "regression" else (y > y.mean()).astype(int)
    number = np.arange(len(y)) % n_folds
    number[:7] = 0  # folds of different length
    made = []
    for k in range(n_folds):
        steps, train = recipe(shape(task)), number != k
        X = steps.fit_transform(frame[train], target[train])
        X_valid = steps.transform(frame[~train])
        made.append(FoldRows(X=X, y=target[train], X_valid=X_valid, y_valid=target[~train]))
    return made


def problem(task: str = "regression", **more: Any) -> Problem:
    return Problem(task=task, n_outputs=1, seed=5, **more)  # type: ignore[arg-type]


def error(model: Any, fold: FoldRows) -> float:
    return float(np.sqrt(np.mean((model.predict(fold.X_valid)[:, 0] - fold.y_valid) ** 2)))


# --- parts -------------------------------------------------------------------------------------


def test_schedules_begin_and_end_where_the_paper_says() -> None:
    assert coslog(np.array([0.0, 1 / 15, 3 / 15, 7 / 15, 1.0])) == pytest.approx([0] * 5, abs=1e-12)
    assert coslog(np.array([(2**0.5 - 1) / 15])) == pytest.approx([1.0])
    assert flat_cos(np.array([0.0, 0.3, 0.5, 0.75, 1.0])) == pytest.approx([1, 1, 1, 0.5, 0])


def test_layout_takes_the_fold_with_most_levels_and_knows_flags() -> None:
    frame, _ = table()
    small = frame.assign(d=frame["d"].cat.set_categories(["v0", "v1"]))
    layout = Layout.of([small, frame], max_one_hot=9)
    assert layout.numbers == ("a", "b")
    assert layout.flags == ("f",)
    assert layout.one_hot == {"c": 2}
    assert layout.embedded == {"d": 20}
    assert Layout.read(layout.plain()) == layout


def test_encoder_gives_zero_for_unknown_levels_and_columns_of_other_folds() -> None:
    frame, _ = table()
    layout = Layout.of([frame.assign(extra=np.arange(len(frame)))], max_one_hot=30)
    encoder = Encoder(layout, scaled=False).fit(frame)
    frame.loc[0, ["c", "d"]] = None
    values = encoder.values(frame)
    assert values.shape == (len(frame), layout.width)
    assert values.shape[1] == 4 + one_hot_width(2) + one_hot_width(20)
    assert (values[:, 2] == 0).all()  # "extra"
    assert (values[0, 4:] == 0).all()
    assert set(np.unique(values[1:, 4])) == {-1.0, 1.0}
    assert (values[1:, 5:].sum(axis=1) == 1).all()


def test_stacked_pads_with_zeros() -> None:
    assert stacked([np.ones((2, 1)), np.ones((3, 1))]).tolist() == [
        [[1.0], [1.0], [0.0]],
        [[1.0], [1.0], [1.0]],
    ]


def test_targets_are_standardised_and_clamped_to_what_was_seen() -> None:
    y = np.array([1.0, 2.0, 6.0])
    targets = Targets.of(y, problem(), clamp=True)
    encoded = targets.encode(y, problem(), 0.0)
    assert encoded.mean() == pytest.approx(0, abs=1e-6)
    assert encoded.std() == pytest.approx(1)
    assert targets.decode(encoded, problem())[:, 0] == pytest.approx(y)
    assert targets.decode(np.array([[9.0], [-9.0]]), problem())[:, 0].tolist() == [6.0, 1.0]


def test_labels_are_smoothed_over_all_classes() -> None:
    targets = Targets.of(np.array([0, 1]), problem("binary"), clamp=True)
    smooth = targets.encode(np.array([0, 1]), problem("binary"), 0.1)
    assert smooth == pytest.approx(np.array([[0.95, 0.05], [0.05, 0.95]]))


def test_the_best_epoch_is_judged_by_errors_only_for_metrics_of_labels() -> None:
    y = np.array([0, 1, 1, 0])
    sure = np.array([[0.01], [0.99], [0.01], [0.01]])  # one wrong, badly
    unsure = np.array([[0.45], [0.45], [0.45], [0.45]])  # two wrong, nearly
    by_label, by_loss = problem("binary", needs="label"), problem("binary")
    assert validation_loss(y, sure, by_label) < validation_loss(y, unsure, by_label)
    assert validation_loss(y, sure, by_loss) > validation_loss(y, unsure, by_loss)


def test_a_fold_whose_numbers_are_all_the_same_does_not_outshout_the_others() -> None:
    asked = problem("regression")
    targets = Targets.of(np.array([0.0, 10.0, 20.0]), asked, clamp=False)
    same = validation_loss(np.full(2, 5.0), np.array([[6.0], [4.0]]), asked, None, targets.scale)
    others = validation_loss(np.array([0, 9.0]), np.array([[1], [8.0]]), asked, None, targets.scale)
    assert same == pytest.approx(others)


def test_normal_quantiles_put_ties_in_the_middle_of_their_ranks() -> None:
    rng = np.random.default_rng(0)
    values = np.column_stack([(rng.random(2000) < 0.5), np.exp(rng.normal(size=2000))])
    out = NormalQuantiles().fit(values).transform(values)
    assert abs(out[:, 0]).max() == pytest.approx(0.674, abs=0.1)  # quartiles of the normal
    assert out[:, 1].std() == pytest.approx(1, abs=0.05)


def test_quantiles_of_numbers_do_not_depend_on_their_units() -> None:
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(size=500), np.exp(9 * rng.normal(size=500))])
    values[7, 0] = -1e37
    usual = NormalQuantiles().fit(values).transform(values)
    assert np.abs(usual).mean() == pytest.approx(0.8, abs=0.05)
    for units in (1e-9, 1e-200, 1e30):
        made = NormalQuantiles().fit(units * values).transform(units * values)
        assert made == pytest.approx(usual, abs=1e-3), units


def test_a_column_of_one_value_says_nothing_of_new_rows() -> None:
    quantiles = NormalQuantiles().fit(np.column_stack([np.full(50, 7.0), np.zeros(50)]))
    assert (quantiles.transform(np.array([[7.0, 0.0], [6.0, 1e-9], [9.0, -1e300]])) == 0).all()


@pytest.mark.parametrize("far", [-999.0, 1e9])
def test_a_value_far_away_blurs_no_quantiles(far: float) -> None:
    normal = np.sort(np.random.default_rng(0).standard_normal((4000, 1)), axis=0)
    values = np.exp(3 * normal)  # from 1e-5 to 1e4
    values[::10] = far
    out = NormalQuantiles().fit(values).transform(values)
    known = values[:, 0] != far
    # the tenth that is far away moves the others to the upper or the lower nine tenths
    assert out[known].std() == pytest.approx(0.85, abs=0.1)
    assert np.corrcoef(out[known, 0], normal[known, 0])[0, 1] > 0.97
    assert np.unique(out[~known]).size == 1


@pytest.mark.parametrize("recipe", [realmlp_recipe, tabm_recipe])
def test_recipes_give_numbers_without_holes_and_levels(recipe: Any) -> None:
    for fold in folds(recipe=recipe):
        numbers = fold.X.select_dtypes(["number", "bool"])
        assert numbers.shape[1] == 5  # three, one missing indicator, one mean of the target
        assert not numbers.isna().to_numpy().any()
        assert fold.X.select_dtypes("category").shape[1] == 2
        assert list(fold.X_valid.columns) == list(fold.X.columns)


def computed(function: Any, *arguments: Any) -> Any:
    """The function of arrays (or dicts of them), on whatever device the backend has."""
    from keras import ops, tree

    tensors = tree.map_structure(
        lambda one: ops.convert_to_tensor(one) if isinstance(one, np.ndarray) else one, arguments
    )
    return ops.convert_to_numpy(function(*tensors))


# --- layers ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.neural
class TestLayers:
    def test_piecewise_embedding_bends_at_quantiles_and_runs_on_outside(self) -> None:
        column = np.linspace(0, 4, 401, dtype=np.float32)[:, None]
        weights = {name: value[None] for name, value in bins(column, 4).items()}
        weights["line"] = weights["line_bias"] = np.zeros((1, 1, 1, 4), np.float32)
        weights["pieces"] = np.eye(4, dtype=np.float32)[None, None]
        x = np.array([-1.0, 0.5, 2.25, 5.0], np.float32).reshape(1, 4, 1)
        found = computed(bent, weights, x)[0]
        expected = [[-1, 0, 0, 0], [0.5, 0, 0, 0], [1, 1, 0.25, 0], [1, 1, 1, 2]]
        assert found == pytest.approx(np.array(expected), abs=1e-5)

    def test_pieces_a_column_cannot_fill_are_zero(self) -> None:
        made = bins(np.array([[1.0, 7.0], [1.0, 8.0], [1.0, 8.0]], np.float32), 5)
        assert (made["bin_slope"][0] == 0).all()
        assert (made["bin_slope"][1, 0] > 0).sum() == 1

    def test_periodic_embedding_is_the_formula(self) -> None:
        rng = np.random.default_rng(0)
        waves, shifts = rng.normal(size=(2, 3, 1, 5)), rng.normal(size=(2, 3, 1, 5))
        mix, bias = rng.normal(size=(2, 3, 5, 2)), rng.normal(size=(2, 3, 1, 2))
        x = rng.normal(size=(2, 7, 3))
        named = {"waves": waves, "shifts": shifts, "mix": mix, "mix_bias": bias}
        named = {name: value.astype(np.float32) for name, value in named.items()}
        found = computed(periodic, named, x.astype(np.float32))
        cosines = np.cos(2 * np.pi * x[1, 4, 2] * waves[1, 2, 0] + shifts[1, 2, 0])
        assert found.shape == (2, 7, 3 * 2 + 3)
        assert found[1, 4, 4:6] == pytest.approx(cosines @ mix[1, 2] + bias[1, 2, 0], abs=1e-4)
        assert found[..., 6:] == pytest.approx(x, abs=1e-6)

    def test_every_head_has_a_loss_of_its_own(self) -> None:
        outputs = np.array([1.0, -1.0], np.float32).reshape(1, 2, 1, 1)  # their mean is right
        target = np.zeros((1, 1, 1, 1), np.float32)
        assert computed(loss, outputs, target, problem()) == pytest.approx([1.0])

    def test_dropout_keeps_the_mean(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
        out = computed(dropout, np.ones((2, 400, 400), np.float32), noise, 64.0)
        assert (out[0] == out[1]).all()
        assert (out == 0).mean() == pytest.approx(0.25, abs=0.01)
        assert out.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.neural
def test_a_step_is_traced_once() -> None:
    with kept_random_state():
        keras, traced = start(problem()), []

    class Counted(keras.Model):  # type: ignore[misc, name-defined]
        def train_step(self, *arguments: Any) -> Any:
            traced.append(arguments)
            return super().train_step(*arguments)

    numbers = keras.Input((2,))
    network = Counted(numbers, keras.layers.Dense(1)(numbers))
    compiled(network, keras.optimizers.AdamW(), "mean_squared_error")
    network.fit(np.zeros((4, 2)), np.zeros((4, 1)), batch_size=4, verbose=0)
    assert len(traced) == 1


# --- pace --------------------------------------------------------------------------------------


def walk(pace: Pace, seconds: float) -> list[float]:
    shares = []
    while share := pace.next():
        time.sleep(seconds)
        pace.add(share)
        shares.append(share)
    return shares


def test_without_a_deadline_every_call_moves_alike() -> None:
    pace = Pace(10, 0.5, None)
    assert walk(pace, 0) == pytest.approx([0.1] * 5)
    assert not pace.cut


def test_a_deadline_compresses_the_schedule_instead_of_cutting_it() -> None:
    deadline = time.monotonic() + 0.4
    pace = Pace(1000, 1.0, deadline)
    shares = walk(pace, 0.01)
    assert time.monotonic() < deadline + 0.05
    assert pace.progress == pytest.approx(1.0)
    assert len(shares) < 60
    assert pace.cut


# --- training ----------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"layers": (32, 32), "epochs": 24, "batch": 64}
LITTLE: dict[str, Any] = {"heads": 4, "width": 32, "bins": 8, "number_width": 4, "epochs": 40}
NETWORKS = [
    pytest.param(RealMLP(**SMALL), id="realmlp"),
    pytest.param(TabM(**LITTLE, batch=64, learning_rate=5e-3), id="tabm", marks=pytest.mark.slow),
]


class TestTogether:
    pytestmark = neural

    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_fold_learns(self, network: Any) -> None:
        parts = folds(recipe=realmlp_recipe if network.family == "realmlp" else tabm_recipe)
        together = network.fit_folds(parts, problem=problem())
        for model, fold in zip(together, parts, strict=True):
            constant = np.sqrt(np.mean((fold.y_valid - fold.y.mean()) ** 2))
            assert error(model, fold) < 0.5 * constant
        assert len({model.predict(parts[0].X_valid).tobytes() for model in together}) == 3

    @pytest.mark.parametrize("network", NETWORKS)
    def test_a_fold_beside_another_is_trained_as_if_alone(self, network: Any) -> None:
        parts = [(fold.X, fold.y) for fold in folds(4)[1:3]]  # of the same length
        together = network._fitted(parts, None, problem())[0].weights_
        alone = network._fitted(parts[:1], None, problem())[0].weights_
        for name, value in alone.items():
            assert np.allclose(together[name], value, atol=2e-2), name

    def test_labels_of_the_validated_rows_change_nothing_in_their_own_fold(self) -> None:
        parts = folds()
        changed = [FoldRows(**{**vars(parts[0]), "y_valid": parts[0].y_valid[::-1]}), *parts[1:]]
        network = RealMLP(**{**SMALL, "epochs": 8})
        first = network.fit_folds(parts, problem=problem())[0]
        second = network.fit_folds(changed, problem=problem())[0]
        assert first.best_iteration_ == second.best_iteration_
        assert np.array_equal(first.predict(parts[0].X_valid), second.predict(parts[0].X_valid))

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_folds(self) -> None:
        parts = folds()
        one = [
            m.predict(parts[0].X_valid)
            for m in RealMLP(**SMALL).fit_folds(parts, problem=problem())
        ]
        two = [
            m.predict(parts[0].X_valid)
            for m in RealMLP(**SMALL).fit_folds(parts, problem=problem())
        ]
        assert np.array_equal(one, two)

    @pytest.mark.slow
    def test_members_are_different_and_averaged(self, tmp_path: Path) -> None:
        (fold, *_) = folds(task="binary")
        model = RealMLP(**SMALL, members=3).fit(fold.X, fold.y, problem=problem("binary"))
        assert model.weights_["kernel_0"].shape[0] == 3
        assert not np.allclose(model.weights_["kernel_1"][0], model.weights_["kernel_1"][1])
        predicted = model.predict(fold.X_valid)
        assert ((predicted >= 0) & (predicted <= 1)).all()
        model.save(tmp_path)
        assert np.allclose(RealMLP.load(tmp_path).predict(fold.X_valid), predicted)

    @pytest.mark.slow
    def test_a_refit_stops_where_the_schedule_was_best(self) -> None:
        (fold, *_) = folds()
        found = RealMLP(**SMALL).fit(
            fold.X, fold.y, problem=problem(), valid=(fold.X_valid, fold.y_valid)
        )
        again = RealMLP(**SMALL, stop_epoch=found.best_iteration_).fit(
            fold.X, fold.y, problem=problem()
        )
        assert np.allclose(found.predict(fold.X_valid), again.predict(fold.X_valid), atol=1e-5)

    @pytest.mark.slow
    def test_a_deadline_ends_training_in_time_with_a_whole_schedule(self) -> None:
        (fold, *_) = folds()
        before = time.monotonic()  # how long compiling takes depends on what else is running
        RealMLP(**{**SMALL, "epochs": 2}).fit(fold.X, fold.y, problem=problem())
        compiling = time.monotonic() - before
        deadline = time.monotonic() + 4 + 2 * compiling
        model = RealMLP(**{**SMALL, "epochs": 100_000}).fit(
            fold.X, fold.y, problem=problem(deadline=deadline)
        )
        assert time.monotonic() < deadline + 1 + compiling
        assert model.cut_
        assert error(model, fold) < 0.7

    @pytest.mark.parametrize("adapters", ["all", "first"])
    @pytest.mark.slow
    def test_heads_are_apart_and_saved(self, adapters: Any, tmp_path: Path) -> None:
        (fold, *_) = folds(task="binary", recipe=tabm_recipe)
        model = TabM(**LITTLE, adapters=adapters).fit(fold.X, fold.y, problem=problem("binary"))
        kernels = [name for name in model.weights_ if name.startswith(("in_", "out_"))]
        assert len(kernels) == (1 if adapters == "first" else 4)
        heads = model.weights_["head"][0]
        assert min(abs(a - b).max() for a, b in combinations(heads, 2)) > 0.01
        predicted = model.predict(fold.X_valid)
        assert ((predicted[:, 0] > 0.5) == fold.y_valid).mean() > 0.75
        model.save(tmp_path)
        assert np.allclose(TabM.load(tmp_path).predict(fold.X_valid), predicted)

    def test_patience_ends_training(self) -> None:
        parts = folds(recipe=tabm_recipe)
        params = {**LITTLE, "epochs": 500, "patience": 3, "learning_rate": 0.02}
        model = TabM(**params).fit_folds(parts, problem=problem())[0]
        assert len(model.curve_["valid"]) < 200
        assert model.best_iteration_ is not None
        assert len(model.curve_["valid"]) >= model.best_iteration_ + 3 - 1
        assert not model.cut_

    @pytest.mark.slow
    def test_label_smoothing_only_where_the_metric_reads_labels(self) -> None:
        (fold, *_) = folds(task="binary")
        params = {**SMALL, "epochs": 60, "dropout": 0.0, "weight_decay": 0.0}
        hard = RealMLP(**params).fit(fold.X, fold.y, problem=problem("binary"))
        soft = RealMLP(**params).fit(fold.X, fold.y, problem=problem("binary", needs="label"))
        assert soft.predict(fold.X).max() < hard.predict(fold.X).max()

    def test_global_random_state_is_left_alone(self) -> None:
        (fold, *_) = folds()
        np.random.seed(1)
        before = np.random.get_state()[1].copy()
        model = RealMLP(**{**SMALL, "epochs": 1}).fit(fold.X, fold.y, problem=problem())
        model.predict(fold.X_valid)
        assert (np.random.get_state()[1] == before).all()

    @pytest.mark.slow
    def test_training_that_explodes_still_gives_numbers(self) -> None:
        parts = folds()
        wild = RealMLP(**{**SMALL, "epochs": 3, "learning_rate": 1e30})
        for model in wild.fit_folds(parts, problem=problem()):
            assert np.isfinite(model.predict(parts[0].X_valid)).all()
