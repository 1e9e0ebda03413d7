"""CatBoost's boosters side by side: round by round together, or alone where they cannot wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from kit.errors import Pruned
from kit.models.boosters import Clock, library
from kit.models.stopping import OwnStopping

_UNHURRIED, _PROBED = float("inf"), 10


class Lockstep:
    """Lets boosters that run on threads of their own advance round by round together.

    CatBoost trains in one call, so that the only place to stop all folds where they are best
    together is its callback: there every fold waits for the others.

    Args:
        n_models: boosters side by side.
        stop: where to stop; None: only the clock does.
        clock: deadline and learning rate.
        slots: how many may compute at a time.
    """

    def __init__(self, n_models: int, stop: OwnStopping | None, clock: Clock, slots: int) -> None:
        self.stop, self.clock = stop, clock
        self.steps = [0] * n_models
        self.restart_rate: float | None = None
        self._losses = np.full(n_models, np.nan)
        self._running = threading.Semaphore(slots)
        self._barrier = threading.Barrier(n_models, action=self._judge)
        self._over = False
        self._pruned: Pruned | None = None

    def train(self, number: int, booster: Any, train: Any, valid: Any) -> Any:
        """Train one booster; called on a thread of its own.

        Raises:
            threading.BrokenBarrierError: another booster failed.
        """
        hook = _Hook(self, number)
        self._running.acquire()
        try:
            return booster.fit(train, eval_set=valid, callbacks=[hook])
        except BaseException:
            self.abort()
            raise
        finally:
            self._running.release()

    def step(self, number: int, iteration: int, loss: float) -> bool:
        """Report a round; wait for the others. Returns whether to go on."""
        self.steps[number], self._losses[number] = iteration, loss
        self._running.release()
        try:
            self._barrier.wait()
        except threading.BrokenBarrierError:
            return False  # another fold failed, and its error is the one to be seen
        finally:
            self._running.acquire()
        return not self._over

    def abort(self) -> None:
        """Let every booster end at its next round."""
        self._over = True
        self._barrier.abort()

    def check(self) -> None:
        """Raise `Pruned` where somebody watched and ended it; not from CatBoost's own code."""
        if self._pruned is not None:
            raise self._pruned

    def _judge(self) -> None:
        """Runs once per round, when all boosters have reported."""
        step = self.steps[0]
        if self.stop is not None:
            try:
                self.stop.update(self._losses.copy())
            except Pruned as error:
                self._pruned, self._over = error, True
                return
            self._over = self.stop.done
        if not self._over:
            self.restart_rate = self.clock.faster(step, restart=True)
            self._over = self.restart_rate is not None or self.clock.over(step)


class _Hook:
    """CatBoost's callback."""

    def __init__(self, lockstep: Lockstep, number: int) -> None:
        self.lockstep, self.number = lockstep, number

    def after_iteration(self, info: Any) -> bool:
        """Called after each round; whether to go on."""
        watched = info.metrics.get("validation")
        loss = next(iter(watched.values()))[-1] if watched else float("nan")
        return self.lockstep.step(self.number, info.iteration, loss)


def boost(
    params: Sequence[dict[str, Any]],
    pools: Sequence[tuple[Any, ...]],
    stop: OwnStopping | None,
    deadline: float | None,
    slots: int,
) -> tuple[list[Any], Lockstep]:
    """Train boosters side by side; once more with larger steps where time is too short."""
    rate, rounds = float(params[0]["learning_rate"]), int(params[0]["iterations"])
    if params[0]["task_type"] == "GPU":
        with _quiet():
            return without_callbacks(params[0], pools[0], stop, deadline)
    fresh = None if stop is None else type(stop)(len(params), stop.patience, scale=stop.scale)
    lockstep = Lockstep(len(params), stop, Clock(deadline, rate, rounds), slots)
    with _quiet():
        boosters = _train(params, pools, lockstep)
    lockstep.check()
    if lockstep.restart_rate is None:
        return boosters, lockstep
    faster = [{**p, "learning_rate": lockstep.restart_rate} for p in params]
    clock = Clock(deadline, _UNHURRIED, rounds)  # no second restart
    clock.cut = True
    lockstep = Lockstep(len(params), fresh, clock, slots)
    with _quiet():
        return _train(faster, pools, lockstep), lockstep


def without_callbacks(
    params: dict[str, Any], pools: tuple[Any, ...], stop: OwnStopping | None, deadline: float | None
) -> tuple[list[Any], Lockstep]:
    """Train one booster on a GPU, where CatBoost calls nobody back: the rounds are set before.

    How many there is time for is told by a few that are thrown away.
    """
    catboost, (train, valid) = library("catboost"), pools
    rounds = int(params["iterations"])
    lockstep = Lockstep(1, stop, Clock(deadline, float(params["learning_rate"]), rounds), 1)
    if deadline is not None:
        started = time.monotonic()
        catboost.CatBoost({**params, "iterations": _PROBED}).fit(train, eval_set=valid)
        now = time.monotonic()
        possible = int((deadline - now) * _PROBED / max(now - started, 1e-6))
        lockstep.clock.cut = possible < rounds
        rounds = max(1, min(rounds, possible))
    patience = None if stop is None else stop.patience
    booster = catboost.CatBoost({**params, "iterations": rounds})
    booster.fit(train, eval_set=valid, early_stopping_rounds=patience)
    lockstep.steps = [booster.tree_count_]
    if stop is not None:
        (losses,) = booster.evals_result_["validation"].values()
        for loss in losses:
            stop.update(np.array([loss]))
    return [booster], lockstep


def _quiet() -> AbstractContextManager[None]:
    """Without CatBoost's remarks on classes that a fold lacks, which no logging level stops.

    `fit` takes a log of one thread at a time; entered here, it holds for those of all boosters.
    """
    found: AbstractContextManager[None] = library("catboost").core.log_fixup(_ignored, _ignored)
    return found


def _ignored(message: str) -> None:
    """What is wrong comes as an exception."""


def _train(
    params: Sequence[dict[str, Any]], pools: Sequence[tuple[Any, ...]], lockstep: Lockstep
) -> list[Any]:
    catboost = library("catboost")
    with ThreadPoolExecutor(len(params)) as threads:
        try:
            futures = [
                threads.submit(lockstep.train, k, catboost.CatBoost(p), *pair)
                for k, (p, pair) in enumerate(zip(params, pools, strict=True))
            ]
            return [future.result() for future in futures]
        except BaseException:
            lockstep.abort()
            raise
