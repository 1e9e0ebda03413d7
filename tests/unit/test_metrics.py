"""Known values of the metrics, what they refuse, and how a metric is found."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kit.errors import ConfigError, DataError, UnknownName
from kit.metrics import Metric, UndefinedMetric, load_metric
from kit.metrics.transforms import transform_pair
from kit.settings import TaskType

# binary: 3 of 5 right, 2 hits, 1 false alarm, 1 miss
Y, LABELS = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])


def score(name: str, task: TaskType, y: Any, pred: Any) -> float:
    return load_metric(name, task).score(np.asarray(y), np.asarray(pred))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 3 / 5),
        ("balanced_accuracy", (2 / 3 + 1 / 2) / 2),
        ("f1", 2 / 3),
        ("f1_macro", (2 / 3 + 1 / 2) / 2),
        ("f1_micro", 3 / 5),
        ("f1_weighted", (3 * 2 / 3 + 2 * 1 / 2) / 5),
        ("mcc", (2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2)),
        ("quadratic_kappa", 1 - (2 / 5) / ((3 * 2 + 2 * 3) / 25)),
    ],
)
def test_label_metric_has_its_known_value(name: str, expected: float) -> None:
    assert score(name, "binary", Y, LABELS) == pytest.approx(expected)


def test_quadratic_kappa_counts_distance_even_where_a_grade_is_absent() -> None:
    # grades 0 and 3 only in the truth; 1 and 2 lie between and must not be squeezed out
    y, labels = [0, 0, 3, 3], [0, 3, 3, 3]
    # observed 9/4, expected (2*3 + 2*1) * 9 / 16
    assert score("quadratic_kappa", "multiclass", y, labels) == pytest.approx(1 - 2.25 / 4.5)
    near = score("quadratic_kappa", "multiclass", [0, 0, 3, 3], [0, 1, 3, 3])
    far = score("quadratic_kappa", "multiclass", [0, 0, 3, 3], [0, 3, 3, 3])
    assert near > far


def test_quadratic_kappa_of_predictions_that_lack_the_highest_grade() -> None:
    # observed 2/4, expected (3 + 1 + 2*4 + 2*3) / 16
    found = score("quadratic_kappa", "multiclass", [0, 1, 2, 2], [0, 1, 1, 1])
    assert found == pytest.approx(1 - 0.5 / 1.125)


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_rows_of_class_probabilities_are_divided_by_their_sum(name: str) -> None:
    metric, y = load_metric(name, "multiclass"), np.array([0, 1, 2])
    shares = np.array([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
    assert metric.score(y, shares / 2) == pytest.approx(metric.score(y, shares))


def test_roc_auc_counts_pairs_in_the_right_order() -> None:
    # pairs (positive, negative): .8>.4, .8>.1, .3<.4, .3>.1
    assert score("roc_auc", "binary", [1, 0, 1, 0], [[0.8], [0.4], [0.3], [0.1]]) == 3 / 4


def test_multiclass_roc_auc_is_the_mean_over_one_class_against_the_rest() -> None:
    pred = np.array([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.55, 0.3, 0.15], [0.1, 0.2, 0.7]])
    # class 0 (rows 0, 1): .6 beats both, .5 beats .1 -> 3/4; class 1 (row 2): .3 ties row 0 -> 5/6
    # class 2 (row 3): .7 beats all -> 1
    expected = (3 / 4 + 2.5 / 3 + 1) / 3
    assert score("roc_auc", "multiclass", [0, 0, 1, 2], pred) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_areas_of_classes_are_those_of_the_rows_as_they_are_handed_in(name: str) -> None:
    """One against the rest: the probabilities of a row need not sum to 1 before."""
    rng = np.random.default_rng(0)
    y, pred = rng.integers(0, 3, 60), rng.random((60, 3))
    filed = pred / pred.sum(axis=1, keepdims=True)
    assert score(name, "multiclass", y, pred) == score(name, "multiclass", y, filed)
    each = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[name]
    expected = np.mean([each(y == k, filed[:, k]) for k in range(3)])
    assert score(name, "multiclass", y, pred) == pytest.approx(expected)


def test_multiclass_roc_auc_leaves_out_classes_that_the_rows_lack() -> None:
    pred = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]])
    assert score("roc_auc", "multiclass", [0, 0, 1], pred) == 1.0


def test_multilabel_roc_auc_leaves_out_constant_columns() -> None:
    y = np.array([[1, 0], [0, 0], [1, 0]])
    pred = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])
    assert score("roc_auc", "multilabel", y, pred) == 1 / 2


def test_multilabel_roc_auc_with_no_column_left_is_undefined() -> None:
    with pytest.raises(UndefinedMetric, match="all 2 columns"):
        score("roc_auc", "multilabel", np.zeros((3, 2), int), np.full((3, 2), 0.5))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_ranking_metric_with_one_class_names_the_rule(name: str) -> None:
    with pytest.raises(UndefinedMetric, match="needs rows of two classes; all 3 rows"):
        score(name, "binary", [1, 1, 1], [[0.2], [0.3], [0.4]])


def test_average_precision_has_its_known_value() -> None:
    # scikit-learn's own example: precision 1 at the first hit, 2/3 at the second
    pred = np.array([[0.1], [0.4], [0.35], [0.8]])
    assert score("average_precision", "binary", [0, 0, 1, 1], pred) == pytest.approx(5 / 6)


def test_log_loss_has_its_known_value() -> None:
    expected = -(math.log(0.8) + math.log(0.7)) / 2
    assert score("log_loss", "binary", [1, 0], [[0.8], [0.3]]) == pytest.approx(expected)


def test_log_loss_clips_at_1e_15() -> None:
    expected = -math.log(1e-15) / 2
    assert score("log_loss", "binary", [1, 1], [[0.0], [1.0]]) == pytest.approx(expected)


def test_log_loss_rescales_rows_as_kaggle_does() -> None:
    pred = np.array([[0.2, 0.2, 0.0], [0.1, 0.1, 0.2]])
    assert score("log_loss", "multiclass", [0, 2], pred) == pytest.approx(math.log(2))


def test_log_loss_survives_a_fold_that_lacks_a_class() -> None:
    pred = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    assert score("log_loss", "multiclass", [0, 1], pred) == pytest.approx(math.log(2))
    assert score("log_loss", "binary", [1, 1], [[0.5], [0.5]]) == pytest.approx(math.log(2))


def test_log_loss_refuses_a_row_of_zeros() -> None:
    with pytest.raises(DataError, match="must not all be 0; 1 rows are"):
        score("log_loss", "multiclass", [0, 1], [[0.0, 0.0, 0.0], [0.2, 0.3, 0.5]])


def test_log_loss_refuses_codes_beyond_the_columns() -> None:
    with pytest.raises(DataError, match=r"codes 0\.\.2"):
        score("log_loss", "multiclass", [0, 3], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])


def test_brier_has_its_known_values() -> None:
    assert score("brier", "binary", [1, 0], [[0.8], [0.4]]) == pytest.approx((0.04 + 0.16) / 2)
    one = 0.5**2 + 0.3**2 + 0.2**2
    assert score("brier", "multiclass", [0], [[0.5, 0.3, 0.2]]) == pytest.approx(one)


def test_multilabel_metric_is_the_mean_over_columns() -> None:
    y = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 0]])
    assert score("accuracy", "multilabel", y, labels) == pytest.approx((3 / 4 + 3 / 4) / 2)
    assert score("f1", "multilabel", y, labels) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert score("f1_macro", "multilabel", y, labels) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert score("f1_micro", "multilabel", y, labels) == pytest.approx(2 * 3 / (4 + 4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmse", math.sqrt((1 + 4 + 0) / 3)),
        ("mae", 1.0),
        ("medae", 1.0),
        ("mape", (1 / 1 + 2 / 4 + 0) / 3),
        ("smape", 200 * (1 / 3 + 2 / 6 + 0) / 3),
        ("r2", 1 - 5 / 18),  # mean 4, so 9 + 0 + 9 around it
        ("rmsle", math.sqrt((math.log(3 / 2) ** 2 + math.log(3 / 5) ** 2) / 3)),
        ("pearson", 15 / math.sqrt(18 * 50 / 3)),
        ("spearman", math.sqrt(3) / 2),  # ranks 1, 2, 3 and 1.5, 1.5, 3
    ],
)
def test_regression_metric_has_its_known_value(name: str, expected: float) -> None:
    y, pred = np.array([1.0, 4.0, 7.0]), np.array([[2.0], [2.0], [7.0]])
    assert score(name, "regression", y, pred) == pytest.approx(expected)


def test_a_few_wild_predictions_do_not_move_the_median() -> None:
    pred = [[1.5], [2.5], [3.5], [900.0]]
    assert score("medae", "regression", [1.0, 2.0, 3.0, 4.0], pred) == 0.5


def test_places_beyond_the_fifth_earn_nothing() -> None:
    pred = np.array([[0.3, 0.2, 0.16, 0.14, 0.12, 0.08]] * 3)
    expected = (1 + 1 / math.log2(3) + 0) / 3
    assert score("ndcg_at_5", "multiclass", [0, 1, 5], pred) == pytest.approx(expected)


def test_smape_is_0_where_truth_and_prediction_are_0() -> None:
    assert score("smape", "regression", [0.0, 1.0], [[0.0], [1.0]]) == 0.0
    assert score("smape", "regression", [0.0], [[5.0]]) == 200.0


def test_multitarget_metric_is_the_mean_over_columns() -> None:
    y, pred = np.array([[1.0, 10.0], [3.0, 10.0]]), np.array([[1.0, 12.0], [3.0, 12.0]])
    assert score("rmse", "multitarget", y, pred) == 1.0


def test_rmsle_counts_a_negative_prediction_as_0() -> None:
    assert score("rmsle", "regression", [0.0], [[-3.0]]) == 0.0


def test_rmsle_refuses_a_negative_target() -> None:
    with pytest.raises(DataError, match="rmsle needs a target of 0 or more; 1 rows are negative"):
        score("rmsle", "regression", [-1.0, 2.0], [[1.0], [2.0]])


def test_rmsle_trains_on_the_log_scale() -> None:
    assert load_metric("rmsle", "regression").transform == "log1p"
    assert load_metric("rmse", "regression").transform == "none"


def test_mape_refuses_a_target_of_0() -> None:
    with pytest.raises(DataError, match="where the target is 0; 1 rows are"):
        score("mape", "regression", [0.0, 2.0], [[1.0], [2.0]])


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_constant_prediction_has_no_correlation(name: str) -> None:
    assert score(name, "regression", [1.0, 2.0, 3.0], [[5.0], [5.0], [5.0]]) == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman", "r2"])
def test_metric_of_variation_is_undefined_on_a_constant_target(name: str) -> None:
    with pytest.raises(UndefinedMetric, match="needs a target that varies"):
        score(name, "regression", [2.0, 2.0], [[1.0], [2.0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="predictions must be finite; 1 values"):
        score("rmse", "regression", [1.0, 2.0], [[1.0], [bad]])


def test_predictions_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="same rows and columns"):
        score("rmse", "regression", [1.0, 2.0], [[1.0]])


def test_probabilities_outside_0_and_1_are_refused() -> None:
    with pytest.raises(DataError, match=r"between 0 and 1. Received: -0.2 to 1.3"):
        score("log_loss", "binary", [0, 1], [[-0.2], [1.3]])


def test_one_probability_above_1_is_refused() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        score("log_loss", "binary", [0, 1], [[0.2], [1.3]])


def test_probabilities_of_one_column_that_leave_0_and_1_by_rounding_are_cut_there() -> None:
    assert score("brier", "binary", [0, 1], [[-1e-9], [1 + 1e-9]]) == 0.0


def test_whole_numbers_that_are_stored_as_floats_are_labels() -> None:
    assert score("accuracy", "binary", [0, 1], [0.0, 1.0]) == 1.0


def test_smape_of_small_values_counts() -> None:
    assert score("smape", "regression", [0.1], [[0.3]]) == pytest.approx(200 * 0.2 / 0.4)


@pytest.mark.parametrize("task", ["regression", "multitarget"])
@pytest.mark.parametrize("name", ["log1p", "signed_log", "none"])
def test_a_scale_and_its_way_back_are_inverse(name: str, task: str) -> None:
    link, unlink = transform_pair(name, task)
    values = np.array([0.0, 0.5, 3.0, 1e6, *([] if name == "log1p" else [-2.0])])
    np.testing.assert_allclose(unlink(link(values)), values, rtol=1e-12)
    expected = {"log1p": np.log(4), "signed_log": np.log(4), "none": 3.0}
    assert link(values)[2] == pytest.approx(expected[name])


def test_classes_have_no_scale_and_log1p_ends_at_0() -> None:
    assert transform_pair("log1p", "binary")[0](np.array([3.0]))[0] == 3.0
    link, unlink = transform_pair("log1p", "regression")
    assert unlink(np.array([-1.0]))[0] == 0.0
    assert link(np.array([-3.0, -0.5])).tolist() == [0.0, 0.0]  # as the metric counts them


def test_label_metric_refuses_probabilities() -> None:
    with pytest.raises(DataError, match="must be labels"):
        score("accuracy", "binary", [0, 1], [[0.2], [0.7]])
    with pytest.raises(DataError, match="must be labels"):
        score("accuracy", "binary", [0, 1], [0.2, 0.7])


def test_no_rows_have_no_score() -> None:
    with pytest.raises(UndefinedMetric, match="0 rows"):
        score("rmse", "regression", np.zeros(0), np.zeros((0, 1)))


def test_loss_is_turned_so_that_less_is_better() -> None:
    auc, rmse = load_metric("roc_auc", "binary"), load_metric("rmse", "regression")
    assert auc.loss(np.array([0, 1]), np.array([[0.1], [0.9]])) == -1.0
    assert rmse.loss(np.array([0.0]), np.array([[2.0]])) == 2.0


def test_better_follows_the_direction_and_puts_nan_last() -> None:
    auc, rmse = load_metric("roc_auc", "binary"), load_metric("rmse", "regression")
    assert auc.better(0.9, 0.8)
    assert not auc.better(0.8, 0.8)
    assert rmse.better(0.8, 0.9)
    assert not rmse.better(0.8, 0.8)
    assert rmse.better(0.9, math.nan)
    assert not rmse.better(math.nan, 0.9)
    assert not rmse.better(math.nan, math.nan)


def test_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'roc_auc'"):
        load_metric("roc_acu", "binary")


def test_metric_that_does_not_fit_the_task_names_those_that_do() -> None:
    with pytest.raises(
        ConfigError, match=r"'rmse' is not defined for task\.type 'binary'"
    ) as error:
        load_metric("rmse", "binary")
    fitting = str(error.value).split("For 'binary': ")[1]
    assert "roc_auc" in fitting
    assert "mae" not in fitting


def test_f1_of_one_class_is_not_for_multiclass() -> None:
    with pytest.raises(ConfigError, match="f1_macro"):
        load_metric("f1", "multiclass")


def _weighted(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Errors of large values count more."""
    return float(np.average(np.abs(y_true - y_pred), weights=y_true))


def _local(function: Any) -> Any:
    module = SimpleNamespace(weighted=function)
    return lambda reference: getattr(module, reference.partition(":")[2])


@pytest.fixture
def weighted() -> Any:
    def weighted(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return _weighted(y_true, y_pred)

    weighted.__doc__ = _weighted.__doc__
    return weighted


def test_own_function_becomes_a_metric(weighted: Any) -> None:
    weighted.greater_is_better = False
    metric = load_metric("metric:weighted", "regression", _local(weighted))
    assert (metric.needs, metric.tasks) == ("value", ("regression",))
    assert metric.description == "Errors of large values count more."
    assert metric.score(np.array([1.0, 3.0]), np.array([[2.0], [3.0]])) == 1 / 4
    assert metric.averaged


def test_own_function_says_which_errors_models_make_small(weighted: Any) -> None:
    weighted.greater_is_better, weighted.deviation = False, "absolute"
    assert load_metric("metric:weighted", "regression", _local(weighted)).deviation == "absolute"
    weighted.deviation = "cubed"
    with pytest.raises(ConfigError, match="deviation must be one of squared, absolute"):
        load_metric("metric:weighted", "regression", _local(weighted))


def test_own_function_gets_probabilities_for_classification(weighted: Any) -> None:
    weighted.greater_is_better = True
    assert load_metric("metric:weighted", "binary", _local(weighted)).needs == "proba"


def test_own_function_can_ask_for_labels_and_whole_arrays() -> None:
    def exact(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float((y_true == y_pred).all(axis=1).mean())

    exact.greater_is_better, exact.needs, exact.averaged = True, "label", False  # type: ignore[attr-defined]
    metric = load_metric("metric:weighted", "multilabel", _local(exact))
    assert metric.score(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]])) == 1 / 2


def test_own_function_without_direction_is_shown_the_lines_to_add(weighted: Any) -> None:
    with pytest.raises(ConfigError, match=r"weighted\.greater_is_better = True") as error:
        load_metric("metric:weighted", "regression", _local(weighted))
    assert 'weighted.needs = "value"' in str(error.value)


def test_own_function_with_an_unknown_need_is_refused(weighted: Any) -> None:
    weighted.greater_is_better, weighted.needs = False, "labels"
    with pytest.raises(ConfigError, match="needs must be one of value, label, proba, rank"):
        load_metric("metric:weighted", "regression", _local(weighted))


def test_own_object_that_is_no_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="Received: int"):
        load_metric("metric:weighted", "regression", _local(3))


def test_own_metric_object_is_taken_as_it_is() -> None:
    mine = Metric(
        name="mine",
        function=_weighted,
        greater_is_better=False,
        needs="value",
        tasks=("regression",),
    )
    assert load_metric("metric:weighted", "regression", _local(mine)) is mine


def test_a_column_is_left_out_for_its_truth_and_never_for_its_prediction() -> None:
    """Correlation has no value for a constant prediction: the column must not be hidden by it."""

    def correlation(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.corrcoef(y_true, y_pred)[0, 1])

    correlation.greater_is_better = True  # type: ignore[attr-defined]
    metric = load_metric("metric:weighted", "multitarget", _local(correlation))
    y = np.array([[1.0, 3.0, 5.0], [2.0, 1.0, 5.0], [3.0, 2.0, 5.0]])  # the last one is constant
    assert metric.score(y, y) == pytest.approx(1.0)
    with pytest.raises(UndefinedMetric, match="gives nan on these 3 rows"):
        metric.score(y, np.column_stack([y[:, 0], np.ones(3), y[:, 2]]))


def test_own_metric_that_gives_nan_is_undefined() -> None:
    def empty(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return math.nan

    empty.greater_is_better = True  # type: ignore[attr-defined]
    metric = load_metric("metric:weighted", "regression", _local(empty))
    with pytest.raises(UndefinedMetric, match="gives nan on these 1 rows"):
        metric.score(np.array([1.0]), np.array([[1.0]]))
