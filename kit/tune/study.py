"""Optuna's study in the competition's folder, and who works on which trial.

```
tune/
  lightgbm-3f9a2c.journal     Optuna's journal of the study: `optuna-dashboard` opens it
  lightgbm-3f9a2c.html        the report
  .locks/                     one file for the study, one per trial in work
```

Whoever works on a trial holds its lock, which the system takes away from a process that dies,
however it dies. So a trial that Optuna calls running and whose lock is free has been left, and the
next process goes on with it under its number; there is no heartbeat to wait for. Several processes
may work on one study, on several machines too where they share the folder and its locks.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from kit.atomic import disk_errors
from kit.errors import RunError
from kit.runs import ignore

Method = Literal["manual", "grid", "random", "bayes"]

STARTUP = 8
"""Bayesian search begins after so many trials, and pruning, too; the known good ones count."""

_KEY = "kit"  # the attribute that says what a study was made for


class _Damaged(Exception):
    """The journal is no journal of a study."""


class _Lock:
    """The journal's lock, let go by the system when its holder dies.

    Optuna's own is a link on disk: after a kill everybody waits half a minute for it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


@dataclass(frozen=True)
class Held:
    """A trial that this process works on."""

    trial: optuna.Trial
    values: Any
    lock: FileLock

    @property
    def number(self) -> int:
        """Its number in the study, from 0."""
        return self.trial.number


class Study:
    """A study that several processes may work on.

    Args:
        folder: the competition's `tune` folder.
        name: of the study and its file.
        up: whether greater scores are better.
        facts: what trials must have in common: data, folds, metric, spaces.
        seed: of the samplers.

    Raises:
        RunError: the file is damaged, or the study was made for something else.
    """

    def __init__(
        self, folder: Path, name: str, *, up: bool, facts: Mapping[str, Any], seed: int
    ) -> None:
        self.name, self.up, self.seed = name, up, seed
        self.path = folder / f"{name}.journal"
        self._locks = folder / ".locks"
        with disk_errors(self.path):
            self._locks.mkdir(parents=True, exist_ok=True)
            ignore(folder)
        self._lock = FileLock(self._locks / f"{name}.lock")
        self._put_down: set[int] = set()
        with self._lock, quiet(self.path):
            self.optuna = self._opened()
            wanted = json.loads(json.dumps(facts))
            found = self.optuna.user_attrs.get(_KEY)
            if found is None:
                self.optuna.set_user_attr(_KEY, wanted)
            elif found != wanted:
                other = ", ".join(sorted(k for k in wanted if wanted[k] != found.get(k)))
                raise RunError(
                    f"the study {name!r} was made with other {other}: trials of both cannot be "
                    "compared.\n  Choose another name with --study, or leave --study out."
                )

    def _opened(self) -> optuna.Study:
        _mend(self.path)
        backend = JournalFileBackend(str(self.path), _Lock(self._locks / f"{self.name}.journal"))
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        try:
            return optuna.create_study(
                storage=JournalStorage(backend),
                study_name=self.name,
                direction="maximize" if self.up else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise _Damaged(f"{type(error).__name__}: {error}") from error

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that were begun, by number."""
        with quiet(self.path):
            trials = self.optuna.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state != TrialState.WAITING]

    @property
    def best(self) -> list[FrozenTrial]:
        """Trials that have a run, best first, each run once."""
        found: dict[str, FrozenTrial] = {}
        for trial in self.trials:
            if trial.state == TrialState.COMPLETE:
                found.setdefault(str(trial.user_attrs.get("run")), trial)
        sign = -1 if self.up else 1
        return sorted(found.values(), key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    def enqueue(
        self, values: Mapping[str, Any], attributes: Mapping[str, Any], *, again: bool = False
    ) -> None:
        """Have a configuration tried, unless that was asked for before.

        Args:
            values: what Optuna is told of it.
            attributes: of the trial; `spec` is the configuration.
            again: try it again where it failed.
        """
        with self._lock, quiet(self.path):
            for trial in self.optuna.get_trials(deepcopy=False):
                if again and trial.state == TrialState.FAIL:
                    continue
                if trial.user_attrs.get("spec") == attributes["spec"]:
                    return
            self.optuna.enqueue_trial(dict(values), user_attrs=dict(attributes))

    def next(
        self,
        method: Method,
        suggest: Callable[[optuna.Trial], Any],
        most: int | None = None,
    ) -> Held | None:
        """A trial that was left, one that waits, or a new one.

        Args:
            method: how new ones are found; "manual" and "grid" know the waiting ones only.
            suggest: asks a trial for its values.
            most: so many trials may be begun in all.
        """
        with self._lock, quiet(self.path):
            trials = self.optuna.get_trials(deepcopy=False)
            for frozen in trials:
                held = self._left(frozen)
                if held is not None:
                    trial = optuna.Trial(self.optuna, frozen._trial_id)
                    return Held(trial, suggest(trial), held)
            waiting = sum(trial.state == TrialState.WAITING for trial in trials)
            if most is not None and len(trials) - waiting >= most:
                return None
            if method in ("manual", "grid") and not waiting:
                return None
            self.optuna.sampler = _sampler(method, self.seed * 100_003 + len(trials) - waiting)
            trial = self.optuna.ask()
            lock = FileLock(self._locks / f"{self.name}-{trial.number}.lock")
            lock.acquire()
            return Held(trial, suggest(trial), lock)

    def _left(self, frozen: FrozenTrial) -> FileLock | None:
        """The lock of a trial that somebody began and nobody works on."""
        if frozen.state != TrialState.RUNNING or frozen.number in self._put_down:
            return None
        lock = FileLock(self._locks / f"{self.name}-{frozen.number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        fresh = self.optuna._storage.get_trial(frozen._trial_id)
        if fresh.state == TrialState.RUNNING:
            return lock
        lock.release()  # it ended just now
        return None

    def report(self, held: Held, step: int, value: float) -> bool:
        """Note the mean of the first `step` folds; whether the trial should end here."""
        with quiet(self.path):
            frozen = self.optuna._storage.get_trial(held.trial._trial_id)
            if step not in frozen.intermediate_values:
                held.trial.report(value, step)
            behind = held.trial.should_prune()  # asked in any case: that keeps its values
            ended = sum(t.state == TrialState.COMPLETE for t in self.trials)
            return behind and ended >= STARTUP

    def lose(self, held: Held) -> None:
        """A trial ended within its first fold: there it counts as the worst one so far.

        So pruning after a fold goes on comparing with all trials, not with those that got there.
        """
        seen = [value for t in self.trials if (value := t.intermediate_values.get(1)) is not None]
        if seen:  # else folds are trained together, and nobody is pruned after one
            self.report(held, 1, min(seen) if self.up else max(seen))

    def end(
        self, held: Held, state: TrialState, value: float | None = None, **attributes: Any
    ) -> None:
        """A trial is through: with its score, pruned, or failed."""
        with quiet(self.path):
            for key, each in attributes.items():
                held.trial.set_user_attr(key, each)
            self.optuna.tell(held.trial, value, state=state)
        self.let_go(held)
        with suppress(OSError):
            Path(held.lock.lock_file).unlink()

    def let_go(self, held: Held) -> None:
        """Leave a trial to whoever comes next; this process does not take it up again."""
        self._put_down.add(held.number)
        held.lock.release()

    def note(self, key: str, value: Any) -> None:
        """Keep something beside the trials, for the dashboard and the next call."""
        with self._lock, quiet(self.path):
            self.optuna.set_user_attr(key, value)

    def noted(self, key: str) -> Any:
        """What `note` kept, or None."""
        with quiet(self.path):
            return self.optuna.user_attrs.get(key)


def _sampler(method: Method, seed: int) -> optuna.samplers.BaseSampler:
    """Seeded by the trial's number: a process that comes later does not draw the same again."""
    if method == "bayes":
        return optuna.samplers.TPESampler(
            n_startup_trials=STARTUP,
            multivariate=True,
            group=True,  # parameters that occur together are modelled together
            constant_liar=True,  # what others work on counts as bad for now
            seed=seed % 2**32,
        )
    return optuna.samplers.RandomSampler(seed=seed % 2**32)


def _mend(path: Path) -> None:
    """Cut off a line that a full disk or a power cut left half written."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)


@contextmanager
def quiet(path: Path) -> Iterator[None]:
    """Without Optuna's log and its remarks on what is experimental; a damaged file is named."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        with warnings.catch_warnings(), disk_errors(path):
            warnings.simplefilter("ignore")
            yield
    except (json.JSONDecodeError, _Damaged) as error:
        raise RunError(
            f"the study {path} is damaged: {error}\n"
            "  Move the file away and search again: the runs of its trials are kept and used."
        ) from error
    finally:
        optuna.logging.set_verbosity(before)


def finished(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials ended in which way."""
    names = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
    }
    counts = dict.fromkeys([*names.values(), "unfinished"], 0)
    for trial in trials:
        counts[names.get(trial.state, "unfinished")] += 1
    return counts
