"""The model contract for networks that train all folds in one program."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from kit.atomic import parse_json
from kit.models.base import FoldRows, Model, Problem, RowWeights, describe
from kit.models.base import Rows as LabelledRows
from kit.models.neural.architecture import Architecture, Predictor, Weights
from kit.models.neural.batched import Plan, Trained, Trainer
from kit.models.neural.feeding import BLOCK, fed
from kit.models.neural.tables import Encoder, Layout
from kit.models.neural.targets import Targets, validation_loss
from kit.models.neural.training import kept_random_state, start


class BatchedNetwork(Model):
    """Base of the networks whose folds are trained side by side.

    A subclass sets `family` and says how columns are laid out, what the network is and how it is
    trained. Everything it decides on follows from its parameters, the layout and the problem, so
    that a saved model can be built again.
    """

    stops_early = True
    crosses = True
    streams = True
    refit_parameter = "stop_epoch"
    clamps: ClassVar[bool] = True
    """Whether numbers are kept within the range of the training rows."""
    epochs: int
    stop_epoch: int

    @abstractmethod
    def _layout(self, frames: Sequence[pd.DataFrame]) -> Layout:
        """Which column goes where."""

    @abstractmethod
    def _encoder(self, layout: Layout) -> Encoder:
        """How a frame becomes numbers."""

    @abstractmethod
    def _network(self, layout: Layout, problem: Problem) -> Architecture:
        """The network."""

    @abstractmethod
    def _plan(self, problem: Problem, n_rows: int) -> Plan:
        """How it is trained."""

    @abstractmethod
    def _smoothing(self, problem: Problem) -> float:
        """Of the labels."""

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: LabelledRows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Train on one set of rows; with `valid` the best epoch's weights are kept."""
        held = None if valid is None else [valid]
        (fitted,) = self._fitted([(X, y)], held, problem, [weight])
        self.__dict__.update(fitted.__dict__)
        return self

    def fit_folds(self, folds: Iterable[FoldRows], *, problem: Problem) -> list[Self]:
        """Train all folds in one program; a single fold is trained to the end."""
        folds = list(folds)
        train = [(fold.X, fold.y) for fold in folds]
        held = [(fold.X_valid, fold.y_valid) for fold in folds] if len(folds) > 1 else None
        return self._fitted(train, held, problem, [fold.weight for fold in folds])

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over heads and members: ``(n, n_outputs)``."""
        with kept_random_state():
            start(self.problem_)
        network = self._network(self.encoder_.layout, self.problem_)
        members = self._plan(self.problem_, self.n_rows_).members
        predict = Predictor(
            network, self.problem_, list(self.weights_), folds=1, members=members, compile=False
        )
        weights = list(self.weights_.values())
        parts = []
        for first in range(0, max(1, len(X)), BLOCK):  # the arrays of a large table would not fit
            some = X.iloc[first : first + BLOCK]
            values, codes = self.encoder_.values(some), self.encoder_.codes(some)
            outputs = predict(weights, values[None], codes[None])[0]
            parts.append(self.targets_.decode(outputs, self.problem_))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write arrays as `.npz` and the rest as JSON."""
        arrays: dict[str, NDArray[Any]] = {f"w_{k}": v for k, v in self.weights_.items()}
        for name, value in vars(self.targets_).items():
            arrays[f"y_{name}"] = value
        arrays["center"], arrays["scale"] = self.encoder_.center, self.encoder_.scale
        np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
        record = {
            "params": self.get_params(),
            "problem": describe(self.problem_),
            "layout": self.encoder_.layout.plain(),
            "n_rows": self.n_rows_,
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_ = Problem(**record["problem"])
        model.n_rows_ = record["n_rows"]
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            model.weights_ = {k[2:]: arrays[k] for k in arrays.files if k.startswith("w_")}
            model.targets_ = Targets(**{k[2:]: arrays[k] for k in arrays if k.startswith("y_")})
            model.encoder_ = model._encoder(Layout.read(record["layout"]))
            model.encoder_.center, model.encoder_.scale = arrays["center"], arrays["scale"]
        return model

    def _fitted(
        self,
        train: Sequence[LabelledRows],
        held: Sequence[LabelledRows] | None,
        problem: Problem,
        weights: Sequence[RowWeights | None] = (),
    ) -> list[Self]:
        """One fitted model per fold."""
        weights = weights or [None] * len(train)
        with kept_random_state():
            start(problem)
        layout = self._layout([X for X, _ in train])
        encoders = [self._encoder(layout).fit(X) for X, _ in train]
        targets = [Targets.of(y, problem, clamp=self.clamps) for _, y in train]
        smoothing = self._smoothing(problem)
        encode = [partial(t.encode, problem=problem, smoothing=smoothing) for t in targets]
        heavy = [None if given is None else given.train for given in weights]
        rows = fed(encoders, train, encode, heavy)
        plan = self._plan(problem, int(np.mean(rows.n)))
        trainer = Trainer(self._network(layout, problem), plan, problem, rows)
        if held is None:
            found = trainer.run(None, None)
        else:

            def score(fold: int, outputs: NDArray[Any]) -> float:
                predicted, given = targets[fold].decode(outputs, problem), weights[fold]
                counts = None if given is None else given.valid
                return validation_loss(
                    held[fold][1], predicted, problem, counts, targets[fold].scale
                )

            found = trainer.run(fed(encoders, held), score)
        fitted = []
        for fold in range(len(train)):
            model = clone(self)
            model._take(found, fold, problem, encoders[fold], targets[fold])
            model.n_rows_ = int(np.mean(rows.n))
            fitted.append(model)
        return fitted

    def _take(
        self, found: Trained, fold: int, problem: Problem, encoder: Encoder, targets: Targets
    ) -> None:
        """Become one fold's model."""
        self.problem_, self.encoder_, self.targets_ = problem, encoder, targets
        self.weights_: Weights = {name: np.array(v[fold]) for name, v in found.weights.items()}
        self.curve_ = {"train": [float(v) for v in found.train[:, fold]]}
        self.best_iteration_ = None
        if len(found.valid):
            self.curve_["valid"] = [float(v) for v in found.valid[:, fold]]
            self.best_iteration_ = max(1, round(found.progress[fold] * self.epochs))
        self.cut_ = found.cut
