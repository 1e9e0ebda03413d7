"""Names that are strings until used: `name` or `module:attribute` -> object.

Three ways in, one syntax: a line in a table below; `module:attribute` in the competition's own
folder; an entry point of an installed package (groups `kit.models`, `kit.metrics`, ...). Listing
and checking a name imports nothing; `load` imports one module. Standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from kit.errors import ConfigError, UnknownName, nearest


@dataclass(frozen=True)
class Entry:
    """One registered name and where it came from."""

    kind: str
    name: str
    reference: str
    source: str  # "kit", or the distribution that registered it
    about: str = ""  # one line; empty where the name says it


class Registry:
    """A table of names of one kind.

    Args:
        kind: singular noun for messages, e.g. ``"model"``; the entry-point group is `kit.<kind>s`.
        table: built-in names and their ``module:attribute`` references.
        about: one line per name; here, because reading it must import nothing.
    """

    def __init__(
        self, kind: str, table: Mapping[str, str], about: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.table = dict(table)
        self.about = dict(about or {})

    def load(self, name: str, local: Callable[[str], Any] | None = None) -> Any:
        """Import what `name` stands for.

        Args:
            name: a registered name or ``module:attribute``.
            local: resolves ``module:attribute`` inside the competition folder first.

        Raises:
            UnknownName: no table, folder or installed package knows the name.
        """
        if ":" in name:
            if local is not None:
                return local(name)
            refuse_standard_library(name)
            return _import(name, self.kind)
        if name in self.table:
            return _import(self.table[name], self.kind)
        return _import(self._plugin(name).reference, self.kind)

    def check(self, name: str) -> None:
        """Raise `UnknownName` when `name` is not registered; imports nothing."""
        if ":" not in name and name not in self.table:
            self._plugin(name)

    def entries(self) -> list[Entry]:
        """Everything registered, built-ins first."""
        built_in = [
            Entry(self.kind, name, reference, "kit", self.about.get(name, ""))
            for name, reference in self.table.items()
        ]
        return built_in + list(self._plugins().values())

    def _plugin(self, name: str) -> Entry:
        plugins = self._plugins()
        if name not in plugins:
            raise UnknownName(
                f"unknown {self.kind} {name!r}. {nearest(name, [*self.table, *plugins])}"
            )
        return plugins[name]

    def _plugins(self) -> dict[str, Entry]:
        if os.environ.get("KIT_PLUGINS") == "0":
            return {}
        from importlib.metadata import entry_points

        found: dict[str, Entry] = {}
        for point in entry_points(group=f"kit.{self.kind}s"):
            source = point.dist.name if point.dist else "?"
            if point.name in self.table:
                raise ConfigError(
                    f"package {source!r} registers the {self.kind} {point.name!r}, which kit has "
                    "built in.\n  Uninstall it, or set KIT_PLUGINS=0 to run without plugins."
                )
            if point.name in found:
                raise ConfigError(
                    f"two packages register the {self.kind} {point.name!r}: "
                    f"{found[point.name].source} and {source}. Uninstall one of them."
                )
            found[point.name] = Entry(self.kind, point.name, point.value, source)
        return found


def refuse_standard_library(reference: str) -> None:
    """Raise `UnknownName` for what Python brings: no model is in it, but `os:system` would run."""
    if reference.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
        raise UnknownName(f"{reference!r} is of Python's standard library; nothing in it fits")


def _import(reference: str, kind: str) -> Any:
    module, _, attribute = reference.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownName(f"the {kind} {reference!r} cannot be imported: {error}") from error


MODELS = Registry(
    "model",
    {
        "lightgbm": "kit.models.lightgbm:LightGBM",
        "linear": "kit.models.linear:Linear",
        "random_forest": "kit.models.forests:RandomForest",
        "extra_trees": "kit.models.forests:ExtraTrees",
        "knn": "kit.models.neighbors:KNN",
        "catboost": "kit.models.catboost:CatBoost",
        "xgboost": "kit.models.xgboost:XGBoost",
        "mlp": "kit.models.neural.mlp:MLP",
        "autoencoder": "kit.models.neural.autoencoder:Autoencoder",
        "realmlp": "kit.models.neural.realmlp:RealMLP",
        "tabm": "kit.models.neural.tabm:TabM",
        "naive": "kit.models.naive:Naive",
        "seasonal_naive": "kit.models.naive:SeasonalNaive",
        "lightgbm_change": "kit.models.changes:SeriesLightGBM",
        "catboost_change": "kit.models.changes:SeriesCatBoost",
        "sequence": "kit.models.neural.sequence:Sequence",
        "text": "kit.models.neural.text:TextNetwork",
        "cnn": "kit.models.neural.cnn:CNN",
        "resnet": "kit.models.neural.resnet:ResNet",
        "finetune": "kit.models.neural.finetune:FineTune",
        "finetune_text": "kit.models.neural.finetune_text:FineTuneText",
    },
    about={
        "lightgbm": "boosted trees grown leaf by leaf; the first thing to try",
        "linear": "logistic or ridge regression on scaled, bent and one-hot columns",
        "random_forest": "bagged trees; steady, and good to blend",
        "extra_trees": "trees split at random; a good partner in blends",
        "knn": "mean of the nearest rows; weak alone, errs differently",
        "catboost": "boosted symmetric trees, strong on categories",
        "xgboost": "boosted trees grown level by level (extra: boost)",
        "mlp": "small Keras network with embeddings",
        "autoencoder": "Keras network that first learns to restore rows, then the target",
        "realmlp": "Keras network tuned for tables; all folds in one program",
        "tabm": "Keras network of many heads that share most weights",
        "naive": "the last value of a series; needs [series]",
        "seasonal_naive": "the value a season ago, or the mean of several; needs [series]",
        "lightgbm_change": "lightgbm on changes from a series' own level; needs [series]",
        "catboost_change": "the same with catboost; needs [series]",
        "sequence": "Keras network that reads a row's past step by step; needs [series]",
        "text": "Keras network that reads texts: convolution, GRU or transformer",
        "cnn": "four convolutions and two dense layers on images; the one to read first",
        "resnet": "small residual network on images",
        "finetune": "pretrained network on images whose last layers go on learning",
        "finetune_text": "pretrained encoder of texts whose last blocks go on learning",
    },
)

METRICS = Registry(
    "metric",
    {
        "accuracy": "kit.metrics.classification:ACCURACY",
        "balanced_accuracy": "kit.metrics.classification:BALANCED_ACCURACY",
        "f1": "kit.metrics.classification:F1",
        "f1_macro": "kit.metrics.classification:F1_MACRO",
        "f1_micro": "kit.metrics.classification:F1_MICRO",
        "f1_weighted": "kit.metrics.classification:F1_WEIGHTED",
        "f1_samples": "kit.metrics.classification:F1_SAMPLES",
        "f2_samples": "kit.metrics.classification:F2_SAMPLES",
        "mcc": "kit.metrics.classification:MCC",
        "quadratic_kappa": "kit.metrics.classification:QUADRATIC_KAPPA",
        "roc_auc": "kit.metrics.classification:ROC_AUC",
        "average_precision": "kit.metrics.classification:AVERAGE_PRECISION",
        "gini": "kit.metrics.classification:GINI",
        "map_at_3": "kit.metrics.classification:MAP_AT_3",
        "map_at_5": "kit.metrics.classification:MAP_AT_5",
        "map_at_10": "kit.metrics.classification:MAP_AT_10",
        "ndcg_at_5": "kit.metrics.classification:NDCG_AT_5",
        "log_loss": "kit.metrics.classification:LOG_LOSS",
        "balanced_log_loss": "kit.metrics.classification:BALANCED_LOG_LOSS",
        "brier": "kit.metrics.classification:BRIER",
        "rmse": "kit.metrics.regression:RMSE",
        "mse": "kit.metrics.regression:MSE",
        "rmsle": "kit.metrics.regression:RMSLE",
        "mae": "kit.metrics.regression:MAE",
        "medae": "kit.metrics.regression:MEDAE",
        "mape": "kit.metrics.regression:MAPE",
        "rmspe": "kit.metrics.regression:RMSPE",
        "smape": "kit.metrics.regression:SMAPE",
        "r2": "kit.metrics.regression:R2",
        "pearson": "kit.metrics.regression:PEARSON",
        "spearman": "kit.metrics.regression:SPEARMAN",
    },
)

SPLITTERS = Registry(
    "splitter",
    {
        "kfold": "kit.splitters:kfold",
        "stratified_kfold": "kit.splitters:stratified_kfold",
        "group_kfold": "kit.splitters:group_kfold",
        "stratified_group_kfold": "kit.splitters:stratified_group_kfold",
        "time_series": "kit.time_splitters:time_series",
        "time_windows": "kit.time_splitters:time_windows",
        "time_blocks": "kit.time_splitters:time_blocks",
        "group_time": "kit.time_splitters:group_time",
    },
)

PROVIDERS = Registry(
    "provider",
    {
        "sample": "kit.providers.sample:SampleProvider",
        "local": "kit.providers.local:LocalProvider",
        "kaggle": "kit.providers.kaggle:KaggleProvider",
    },
)

ALL = (MODELS, METRICS, SPLITTERS, PROVIDERS)
