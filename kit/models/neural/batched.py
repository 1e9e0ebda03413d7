"""Many networks of one architecture, trained as one program.

Every weight has a leading axis of networks: folds, and members of each fold. A step gathers each
network's own batch from its fold's rows, and one matrix product serves all of them; the losses are
added up, so that every network gets the gradient of its own. Batches and dropout masks are drawn
with NumPy, which makes a seed mean the same on TensorFlow, JAX and torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.models.base import Problem
from kit.models.neural.architecture import Architecture, Predictor, Weights
from kit.models.neural.backend import compiled, gradients
from kit.models.neural.feeding import Fed
from kit.models.neural.optimizer import Adam
from kit.models.neural.pace import Pace
from kit.models.neural.targets import loss
from kit.models.stopping import CrossStopping

_CALL_STEPS = 32  # steps per call: enough to hide the call, few enough to watch the clock
_NOISE = 16_000_000  # bytes of dropout noise, at least two steps' worth


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How networks are trained.

    Attributes:
        epochs: passes over the rows in the whole schedule.
        stop: share of the schedule after which training ends.
        patience: epochs without improvement after which it ends, too; 0: never.
        batch: rows per step.
        members: networks per fold.
        adam: the optimizer.
        hyper: learning rate, weight decay and dropout at given progress.
        compress: whether a deadline compresses the schedule; False: it ends it where it is.
        xla: see `backend.compiled`.
    """

    epochs: int
    stop: float = 1.0
    patience: int = 0
    batch: int = 256
    members: int = 1
    adam: Adam = field(default_factory=Adam)
    hyper: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
    compress: bool = True
    xla: bool = False


Score = Callable[[int, NDArray[Any]], float]
"""Validation loss of a fold from its activated outputs ``(n, n_scores)``."""


@dataclass(kw_only=True)
class Trained:
    """What training found, per fold.

    Attributes:
        weights: per parameter ``(folds, members, ...)``.
        progress: share of the schedule at which each fold's weights were taken.
        train: mean training loss per epoch. ``(epochs, folds)``
        valid: validation loss per epoch. ``(epochs, folds)``, empty without validation rows.
        cut: whether the deadline shortened the schedule.
    """

    weights: Weights
    progress: NDArray[np.float64]
    train: NDArray[np.float64]
    valid: NDArray[np.float64]
    cut: bool


class OwnStopping:
    """The best step of a single fold by its own validation loss."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_step, self._best, self._step = np.zeros(1, dtype=int), np.inf, 0

    def update(self, losses: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Take the loss after one more epoch; tells whether it is the best so far."""
        self._step += 1
        better = bool(np.isfinite(losses[0]) and losses[0] < self._best)
        if better:
            self._best, self.best_step[0] = losses[0], self._step
        return np.array([better])

    @property
    def done(self) -> bool:
        """Whether there was no improvement for `patience` epochs."""
        return self._step - int(self.best_step[0]) >= self.patience


class Trainer:
    """Trains one architecture on all folds.

    Args:
        network: the architecture.
        plan: how.
        problem: loss, seed and deadline.
        rows: training rows of every fold, with targets.
    """

    def __init__(self, network: Architecture, plan: Plan, problem: Problem, rows: Fed) -> None:
        self.network, self.plan, self.problem, self.rows = network, plan, problem, rows
        self.folds = len(rows.n)
        self.size = min(plan.batch, *rows.n)
        steps = max(1, round(np.mean(rows.n) / self.size))
        self.calls = -(-steps // _CALL_STEPS)  # per epoch
        self.steps = -(-steps // self.calls)  # per call
        self._draws = [
            np.random.default_rng([problem.seed % 2**31, 7, fold, member])
            for fold in range(self.folds)
            for member in range(plan.members)
        ]
        self._noise = np.random.default_rng([problem.seed % 2**31, 11])
        self._waiting = [np.zeros(0, dtype=np.int64) for _ in self._draws]
        self._folds = np.repeat(np.arange(self.folds), plan.members)

    def run(self, valid: Fed | None, score: Score | None) -> Trained:
        """Train to the end of the schedule, patience or deadline; the best epoch's weights."""
        from keras import ops

        names, state, fixed = self._start()
        step = compiled(self._many_steps(names, fixed), xla=self.plan.xla)
        judge = self._judge(names, fixed, valid, score)
        pool = ops.convert_to_tensor(self._pool())
        pace = Pace(
            self.calls * self.plan.epochs,
            self.plan.stop,
            self.problem.deadline,
            compress=self.plan.compress,
        )
        stopping = self._stopping(valid)
        best, reached = state[0], np.zeros(self.folds)
        train: list[Any] = []
        curve: list[NDArray[np.float64]] = []
        while share := pace.next():
            hyper = self._hyper(pace, share)
            data, batches = self._batches()
            *state, losses = step(*state, *data, pool, batches, self._offsets(), hyper)
            pace.add(share)
            train.append(ops.convert_to_numpy(losses))
            if pace.done % self.calls and pace.next():
                continue
            if stopping is None or judge is None:
                continue
            curve.append(judge(state[0]))
            if self.problem.watch is not None:
                self.problem.watch(len(curve), float(curve[-1].mean()))
            better = stopping.update(curve[-1])
            best = _chosen(better, state[0], best, self.plan.members)
            reached[better] = pace.progress
            if stopping.done:
                break
        if stopping is None or judge is None:
            best, reached = state[0], np.full(self.folds, pace.progress)
        shape = (self.folds, self.plan.members)
        kept = [ops.convert_to_numpy(tensor) for tensor in [*best, *fixed.values()]]
        return Trained(
            weights={
                name: value.reshape(*shape, *value.shape[1:])
                for name, value in zip([*names, *fixed], kept, strict=True)
            },
            progress=reached,
            train=np.array(train).reshape(-1, *shape).mean(axis=2),
            valid=np.array(curve).reshape(-1, self.folds),
            cut=pace.cut,
        )

    def _start(self) -> tuple[list[str], list[Any], dict[str, Any]]:
        """Names of what is trained, [weights, means, squares], and what is not trained by name."""
        from keras import ops

        starts = []
        for fold in range(self.folds):
            X, codes = self.rows.first(fold)
            for member in range(self.plan.members):
                rng = np.random.default_rng([self.problem.seed % 2**31, fold, member])
                starts.append(self.network.initial(rng, X, codes))
        whole = {
            name: ops.convert_to_tensor(np.stack([start[name] for start in starts]))
            for name in starts[0]
        }
        names = [name for name in whole if self.network.groups[name].rate]
        weights = [whole.pop(name) for name in names]
        zeros = [ops.zeros_like(weight) for weight in weights]
        return names, [weights, zeros, list(zeros)], whole

    def _many_steps(self, names: Sequence[str], fixed: Mapping[str, Any]) -> Callable[..., Any]:
        """The steps of one call as a function of tensors."""
        from keras import ops

        network, problem, adam, steps = self.network, self.problem, self.plan.adam, self.steps
        networks = len(self._draws)
        groups = [network.groups[name] for name in names]
        shape = network.noise_shape(self.size)

        def many(*tensors: Any) -> Any:
            weights, means, squares, X, codes, target, counts, pool, *moving = tensors
            index, offsets, hyper = moving

            def one(i: Any, state: Any) -> Any:
                weights, means, squares, total = state
                now, rows = hyper[i], index[i]
                batch, levels = ops.take(X, rows, axis=0), ops.take(codes, rows, axis=0)
                truth = ops.expand_dims(ops.take(target, rows, axis=0), 1)
                heavy = ops.expand_dims(ops.take(counts, rows, axis=0)[..., 0], 1)
                noise = ops.reshape(ops.slice(pool, offsets[i], (math.prod(shape),)), shape)

                def summed(current: Any) -> Any:
                    named = {**dict(zip(names, current, strict=True)), **fixed}
                    outputs = network.forward(named, batch, levels, noise, now[4])
                    each = loss(outputs, truth, problem, heavy)
                    return ops.sum(each), each

                each, slopes = gradients(summed)(list(weights))
                moved = adam.step(weights, means, squares, slopes, groups, now)
                return (*moved, total + each / steps)

            zero = ops.zeros((networks,), dtype="float32")
            start = (list(weights), list(means), list(squares), zero)
            return ops.fori_loop(0, steps, one, start)

        return many

    def _batches(self) -> tuple[Sequence[Any], Any]:
        """Data, and row numbers into it ``(steps, networks, size)``, of the next call.

        Each network goes through its own rows in random order, again and again; folds of different
        length are not in step.
        """
        from keras import ops

        need, taken = self.steps * self.size, []
        for number, rng in enumerate(self._draws):
            while len(self._waiting[number]) < need:
                order = self.rows.order(int(self._folds[number]), rng)
                self._waiting[number] = np.concatenate([self._waiting[number], order])
            taken.append(self._waiting[number][:need])
            self._waiting[number] = self._waiting[number][need:]
        data, rows = self.rows.data(np.stack(taken), self._folds)
        shaped = rows.reshape(-1, self.steps, self.size).transpose(1, 0, 2)
        return data, ops.convert_to_tensor(np.ascontiguousarray(shaped, dtype=np.int32))

    def _pool(self) -> Any:
        """Random bytes; every step's dropout takes a stretch of them from a random place.

        Drawn anew for every step they would be most of the work beside a GPU.
        """
        need = math.prod(self.network.noise_shape(self.size))
        return np.frombuffer(self._noise.bytes(max(_NOISE, 2 * need)), dtype=np.uint8)

    def _offsets(self) -> Any:
        """Where in the pool each step's noise begins: ``(steps, 1)``."""
        from keras import ops

        need = math.prod(self.network.noise_shape(self.size))
        starts = self._noise.integers(0, max(_NOISE, 2 * need) - need + 1, (self.steps, 1))
        return ops.convert_to_tensor(starts.astype(np.int32))

    def _hyper(self, pace: Pace, share: float) -> Any:
        """Learning rate, decay, two corrections and dropout of each step: ``(steps, 5)``."""
        from keras import ops

        first = pace.done * self.steps
        progress = pace.progress + share * (np.arange(self.steps) + 0.5) / self.steps
        rate, decay, drop = self.plan.hyper(progress)
        corrections = self.plan.adam.corrections(first + 1 + np.arange(self.steps))
        columns = [rate, decay, *corrections, np.round(drop * 256)]
        return ops.convert_to_tensor(np.column_stack(columns).astype(np.float32))

    def _stopping(self, valid: Fed | None) -> CrossStopping | OwnStopping | None:
        if valid is None:
            return None
        patience = self.plan.patience or self.plan.epochs + 1
        return OwnStopping(patience) if self.folds == 1 else CrossStopping(self.folds, patience)

    def _judge(
        self,
        names: Sequence[str],
        fixed: Mapping[str, Any],
        valid: Fed | None,
        score: Score | None,
    ) -> Callable[[Any], NDArray[np.float64]] | None:
        """A function that gives every fold's validation loss for some weights."""
        if valid is None or score is None:
            return None
        every = [*names, *fixed]
        predict = Predictor(
            self.network, self.problem, every, folds=self.folds, members=self.plan.members
        )

        def judge(weights: Any) -> NDArray[np.float64]:
            every = [*weights, *fixed.values()]
            outputs = np.concatenate([predict(every, *part) for part in valid.parts()], axis=1)
            losses = [score(fold, outputs[fold, :n]) for fold, n in enumerate(valid.n)]
            return np.array(losses)

        return judge


def _chosen(better: NDArray[np.bool_], new: Any, old: Any, members: int) -> list[Any]:
    """The new weights of those folds that are better, the old ones of the others."""
    from keras import ops

    if better.all():
        return list(new)
    if not better.any():
        return list(old)
    mask = np.repeat(better, members)
    return [
        ops.where(mask.reshape(-1, *[1] * (len(one.shape) - 1)), one, other)
        for one, other in zip(new, old, strict=True)
    ]
