"""Search spaces of the models: ranges of hyper-parameters as data, and random draws from them.

A draw is decided by the model's name and a number alone, so that `lightgbm-r7` means the same
configuration on every machine.

Source: the spaces of TabArena (Erickson et al., 2025; `hpo.py` of each model), which were made for
random search followed by an ensemble of what was found. Boosting steps below 0.02 and wide networks
are left out: they take many times the time, and on small data blends were no better with them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low, high: the ends.
        log: draw evenly on the logarithmic scale.
        whole: integers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: random.Random) -> float:
        """A random value, of three digits unless it is whole."""
        low, high = self.low, self.high + (1 if self.whole else 0)
        if self.log:
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            value = rng.uniform(low, high)
        return min(int(self.high), int(value)) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def draw(self, rng: random.Random) -> Any:
        """A random value."""
        return rng.choice(self.values)


Space = Mapping[str, Range | Choice]

SPACES: dict[str, Space] = {
    "lightgbm": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "feature_fraction": Range(0.4, 1.0),
        "bagging_fraction": Range(0.7, 1.0),
        "num_leaves": Range(4, 150, log=True, whole=True),
        "min_data_in_leaf": Range(1, 64, log=True, whole=True),
        "extra_trees": Choice((False, True)),
        "min_data_per_group": Range(2, 100, log=True, whole=True),
        "cat_l2": Range(0.005, 2.0, log=True),
        "cat_smooth": Range(0.001, 100.0, log=True),
        "max_cat_to_onehot": Range(8, 100, log=True, whole=True),
        "lambda_l1": Range(1e-4, 1.0),
        "lambda_l2": Range(1e-4, 2.0),
    },
    "catboost": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "depth": Range(4, 8, whole=True),
        "l2_leaf_reg": Range(1e-4, 5.0, log=True),
        "subsample": Range(0.7, 1.0),
        "leaf_estimation_iterations": Range(1, 20, log=True, whole=True),
        "one_hot_max_size": Range(8, 100, log=True, whole=True),
        "max_ctr_complexity": Range(2, 5, whole=True),
    },
    "xgboost": {
        "learning_rate": Range(0.02, 0.1, log=True),
        "max_depth": Range(4, 10, log=True, whole=True),
        "min_child_weight": Range(0.001, 5.0, log=True),
        "subsample": Range(0.6, 1.0),
        "colsample_bylevel": Range(0.6, 1.0),
        "reg_alpha": Range(1e-4, 5.0),
        "reg_lambda": Range(1e-4, 5.0),
        "max_cat_to_onehot": Range(8, 100, log=True, whole=True),
    },
    "realmlp": {
        "epochs": Choice((64,)),
        "layers": Choice(((256, 256), (256, 256, 256), (384, 384), (192, 192, 192, 192))),
        "dropout": Range(0.0, 0.4),
        "frequency_scale": Range(0.02, 5.0, log=True),
        "number_width": Choice((4, 4, 8)),
        "weight_decay": Range(0.001, 0.05, log=True),
        "label_smoothing": Range(0.005, 0.1, log=True),
    },
    "tabm": {
        "heads": Choice((8, 16)),
        "blocks": Choice((1, 2, 3)),
        "width": Choice((64, 128, 256)),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "learning_rate": Range(0.001, 0.005, log=True),
        "weight_decay": Choice((0.0, 1e-4, 1e-3, 1e-2)),
        "bins": Choice((8, 16, 32)),
        "number_width": Choice((8, 16)),
        "batch": Choice((256,)),
    },
}
"""By the registered name of the model."""


def draw(use: str, number: int) -> dict[str, Any]:
    """The random configuration of that number.

    Args:
        use: a key of `SPACES`.
        number: which.
    """
    rng = random.Random(f"{use} {number}")
    return {name: space.draw(rng) for name, space in SPACES[use].items()}
