"""Search spaces of the models: ranges of hyper-parameters as data, and random draws from them.

A draw is decided by the model's name and a number alone, so that `lightgbm-r7` means the same
configuration on every machine. `kit tune` searches the same spaces (`kit.tune.space`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Needs = Literal["", "numbers", "categories", "classes"]
"""What the data must have for a parameter to do anything: columns of a kind, a task of classes."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low, high: the ends.
        log: draw evenly on the logarithmic scale.
        whole: integers only.
        or_zero: 0 is possible as well: off, or a value of the range.
        usual: what a default of None comes to, for classes and for numbers.
        needs: with other data the parameter is not searched.
        when: other parameters and the value they must have; else this one keeps its default.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    or_zero: bool = False
    usual: tuple[float, float] | None = None
    needs: Needs = ""
    when: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, rng: random.Random) -> float:
        """A random value, of three digits unless it is whole."""
        if self.or_zero and rng.random() < 0.5:
            return 0
        low, high = self.low, self.high + (1 if self.whole else 0)
        if self.log:
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            value = rng.uniform(low, high)
        return min(int(self.high), int(value)) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """One of a few values; one that is there twice is drawn twice as often.

    Attributes:
        values: to choose from.
        needs, when: see `Range`.
    """

    values: tuple[Any, ...]
    needs: Needs = ""
    when: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, rng: random.Random) -> Any:
        """A random value."""
        return rng.choice(self.values)


Axis = Range | Choice
Space = Mapping[str, Axis]

_CHANGES: Space = {
    "learning_rate": Range(0.02, 0.1, log=True),
    "feature_fraction": Range(0.4, 1.0),
    "bagging_fraction": Range(0.7, 1.0),
    "num_leaves": Range(4, 150, log=True, whole=True, usual=(31, 63)),
    "min_data_in_leaf": Range(1, 64, log=True, whole=True, usual=(20, 5)),
    "lambda_l2": Range(1e-4, 2.0),
}
_DESCENT: Space = {
    "learning_rate": Range(3e-4, 1e-2, log=True),
    "weight_decay": Range(1e-5, 1e-2, log=True),
}

SPACES: dict[str, Space] = {
    "lightgbm": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "feature_fraction": Range(0.4, 1.0),
        "bagging_fraction": Range(0.7, 1.0),
        "num_leaves": Range(4, 150, log=True, whole=True, usual=(31, 63)),
        "min_data_in_leaf": Range(1, 64, log=True, whole=True, usual=(20, 5)),
        "extra_trees": Choice((False, True)),
        "min_data_per_group": Range(2, 100, log=True, whole=True, needs="categories"),
        "cat_l2": Range(0.005, 2.0, log=True, needs="categories"),
        "cat_smooth": Range(0.001, 100.0, log=True, needs="categories"),
        "max_cat_to_onehot": Range(8, 100, log=True, whole=True, needs="categories"),
        "lambda_l1": Range(1e-4, 1.0),
        "lambda_l2": Range(1e-4, 2.0),
    },
    "catboost": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "depth": Range(4, 8, whole=True),
        "l2_leaf_reg": Range(1e-4, 5.0, log=True),
        "subsample": Range(0.7, 1.0),
        "leaf_estimation_iterations": Range(1, 20, log=True, whole=True),
        "one_hot_max_size": Range(8, 100, log=True, whole=True, needs="categories"),
        "max_ctr_complexity": Range(2, 5, whole=True, needs="categories"),
    },
    "xgboost": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "max_depth": Range(4, 10, log=True, whole=True),
        "min_child_weight": Range(0.001, 5.0, log=True),
        "subsample": Range(0.6, 1.0),
        "colsample_bylevel": Range(0.6, 1.0),
        "reg_alpha": Range(1e-4, 5.0),
        "reg_lambda": Range(1e-4, 5.0),
        "max_cat_to_onehot": Range(8, 100, log=True, whole=True, needs="categories"),
    },
    "realmlp": {
        "epochs": Choice((64,)),
        "layers": Choice(((256, 256), (256, 256, 256), (384, 384), (192, 192, 192, 192))),
        "dropout": Range(0.0, 0.4),
        "frequency_scale": Range(0.02, 5.0, log=True, needs="numbers"),
        "number_width": Choice((4, 4, 8), needs="numbers"),
        "weight_decay": Range(0.001, 0.05, log=True),
        "label_smoothing": Range(0.005, 0.1, log=True, needs="classes"),
    },
    "tabm": {
        "heads": Choice((8, 16)),
        "blocks": Choice((1, 2, 3)),
        "width": Choice((64, 128, 256)),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "learning_rate": Range(0.001, 0.005, log=True),
        "weight_decay": Choice((0.0, 1e-4, 1e-3, 1e-2)),
        "bins": Choice((8, 16, 32), needs="numbers"),
        "number_width": Choice((8, 16), needs="numbers"),
        "batch": Choice((256,)),
    },
    "mlp": {
        "layers": Choice(((128, 64), (256, 128), (256, 256), (512, 256), (256, 256, 256))),
        "dropout": Range(0.05, 0.5, or_zero=True),
        "embedding_dropout": Range(0.0, 0.3, needs="categories"),
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "weight_decay": Range(1e-5, 0.1, log=True, or_zero=True),
        "batch": Choice((0, 128, 512)),
    },
    "autoencoder": {
        "encoder": Choice(((128, 128, 128), (256, 256, 256), (512, 512), (512, 512, 512))),
        "noise": Range(0.05, 0.3),
        "passes": Choice((30, 60, 120)),
        "layers": Choice(((64,), (128,), (256, 128))),
        "dropout": Range(0.05, 0.5, or_zero=True),
        "learning_rate": Range(3e-4, 3e-3, log=True),
        "weight_decay": Range(1e-5, 0.1, log=True, or_zero=True),
    },
    "linear": {
        "strengths": Range(0.1, 3000.0, log=True),
        "recipe": Choice(("", "linear_generated")),
    },
    "random_forest": {
        "min_samples_leaf": Range(1, 30, log=True, whole=True, usual=(2, 1)),
        "max_features": Range(0.1, 1.0, usual=(0.3, 0.5)),
    },
    "extra_trees": {
        "min_samples_leaf": Range(1, 30, log=True, whole=True, usual=(2, 1)),
        "max_features": Range(0.1, 1.0, usual=(0.3, 0.5)),
    },
    "knn": {"k": Range(2, 200, log=True, whole=True, usual=(20, 8))},
    "seasonal_naive": {"seasons": Range(1, 4, whole=True)},
    "lightgbm_change": _CHANGES,
    "catboost_change": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "depth": Range(4, 8, whole=True),
        "l2_leaf_reg": Range(1e-4, 5.0, log=True),
        "subsample": Range(0.7, 1.0),
        "leaf_estimation_iterations": Range(1, 20, log=True, whole=True),
    },
    "sequence": {
        "cell": Choice(("tcn", "gru")),
        "units": Choice((32, 48, 64, 96)),
        "blocks": Range(1, 5, whole=True),
        "layers": Choice(((64,), (128,), (128, 128))),
        "dropout": Range(0.0, 0.4),
        "learning_rate": Range(3e-4, 3e-3, log=True),
        "weight_decay": Range(1e-4, 0.1, log=True),
    },
    "text": {
        "body": Choice(("convolution", "recurrent", "transformer")),
        "width": Choice((64, 128, 256)),
        "units": Choice((32, 64, 128)),
        "word_dropout": Range(0.0, 0.4),
        "dropout": Range(0.1, 0.6),
        "learning_rate": Range(5e-4, 5e-3, log=True),
        "weight_decay": Range(1e-3, 0.1, log=True),
    },
    "cnn": {
        "dense": Choice((128, 256, 512)),
        "dropout": Range(0.2, 0.6),
        "crop": Range(0.0, 0.25),
        "brightness": Range(0.0, 0.3),
        **_DESCENT,
    },
    "resnet": {
        "filters": Choice((16, 32, 64)),
        "blocks": Range(1, 3, whole=True),
        "dropout": Range(0.0, 0.5),
        "crop": Range(0.0, 0.25),
        **_DESCENT,
    },
    "finetune": {
        "top": Range(1, 30, log=True, whole=True),
        "dropout": Range(0.1, 0.6),
        "learning_rate": Range(5e-5, 2e-3, log=True),
        "weight_decay": Range(1e-5, 1e-2, log=True),
    },
    "finetune_text": {
        "top": Range(1, 6, whole=True),
        "dropout": Range(0.0, 0.3),
        "learning_rate": Range(2e-5, 5e-4, log=True),
        "epochs": Range(2, 6, whole=True),
    },
}
"""By the registered name of the model. `recipe` stands for the key of that name of a model's table
in `kit.toml`; everything else is a parameter. `naive` has none."""

_TABARENA = (
    "TabArena (Erickson et al., 2025), `hpo.py` of the model: made for random search followed by "
    "an ensemble. {} left out: many times the time, and blends on small data were no better."
)
_FORESTS = (
    "Probst, Wright, Boulesteix, 'Hyperparameters and tuning strategies for random forest' (2019): "
    "columns per split and rows per leaf matter, the number of trees does not."
)
SOURCES: dict[str, str] = {
    "lightgbm": _TABARENA.format("Steps below 0.02 are"),
    "catboost": _TABARENA.format("Steps below 0.02 are"),
    "xgboost": _TABARENA.format("Steps below 0.02 and leaf-wise trees are"),
    "realmlp": _TABARENA.format("Wide networks and more than 64 epochs are"),
    "tabm": "Gorishniy, Kotelnikov, Babenko, 'TabM' (2024), and TabArena (2025); no wide nets.",
    "mlp": "Gorishniy et al., 'Revisiting deep learning models for tabular data' (2021): each "
    "regularisation off or on a range; fewer layers.",
    "autoencoder": "Jahrer's solution of Porto Seguro (2017): noise of 7 to 15 %, and a little to "
    "both sides; narrower layers, as tables have fewer rows.",
    "linear": "the penalties that the model chooses among itself, an order of magnitude further.",
    "random_forest": _FORESTS,
    "extra_trees": _FORESTS,
    "knn": "the numbers of neighbours that the model chooses among itself, a little further.",
    "seasonal_naive": "a season ago, or the mean of up to four.",
    "lightgbm_change": "as for lightgbm, without what concerns categories.",
    "catboost_change": "as for catboost, without what concerns categories.",
    "sequence": "around the defaults; widths and depths of Bai, Kolter, Koltun (2018).",
    "text": "around the defaults; ranges of Zhang and Wallace, 'A Sensitivity Analysis of "
    "Convolutional Neural Networks for Sentence Classification' (2015).",
    "cnn": "around the defaults: size of the dense layer, and what is done against overfitting.",
    "resnet": "around the defaults: size, and what is done against overfitting.",
    "finetune": "around the defaults: how much goes on learning, and how fast.",
    "finetune_text": "as for finetune; epochs and steps around those of Devlin et al., 'BERT'.",
}
"""Where a space comes from."""


def draw(use: str, number: int) -> dict[str, Any]:
    """The random configuration of that number.

    Args:
        use: a key of `SPACES`.
        number: which.
    """
    rng = random.Random(f"{use} {number}")
    return {name: space.draw(rng) for name, space in SPACES[use].items()}
