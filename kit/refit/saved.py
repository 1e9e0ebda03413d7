"""Fitted recipes and models in a run's folder, and what predicts with them.

A recipe is stored as kit's own pickle. Unpickling runs code, so it is read from the competition's
own runs folder only, never from a path that somebody handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.competition import Competition
from kit.errors import RunError
from kit.execution.all_rows import FOLDER
from kit.execution.task import build_model
from kit.metrics.transforms import transform_pair
from kit.models.base import Model, grades_of
from kit.ordinal import between
from kit.refit.members import Mixed, Single, spec_of
from kit.refit.mixing import Mixing
from kit.runs import ALL_ROWS, LAST_FOLD, Run
from kit.settings import ModelSpec
from kit.usercode import UserCode

Array = NDArray[np.float64]
PLAN = "predictor.json"


class Predictor(Protocol):
    """Predicts rows in the units of the leaderboard."""

    def predict(self, X: pd.DataFrame) -> Array:
        """Rows as the recipes know them -> ``(n, k)``."""
        ...


@dataclass(frozen=True)
class Scale:
    """The scale models are trained on and averaged on.

    Attributes:
        transform: that of the metric.
        task: the task's type.
    """

    transform: str
    task: str


@dataclass(frozen=True)
class Averaged:
    """The mean of models of one kind: of the folds, or of several seeds.

    Attributes:
        fitted: pairs of recipe and model.
        scale: where the mean is taken.
    """

    fitted: Sequence[tuple[Any, Model]]
    scale: Scale

    def predict(self, X: pd.DataFrame) -> Array:
        """Mean over the models."""
        link, unlink = transform_pair(self.scale.transform, self.scale.task)
        each = [link(unlink(_predicted(steps, model, X))) for steps, model in self.fitted]
        return np.asarray(unlink(np.mean(each, axis=0)))


def _predicted(steps: Any, model: Model, X: pd.DataFrame) -> Array:
    values = np.asarray(model.predict(steps.transform(X)), dtype=np.float64)
    grades = grades_of(model)
    return between(values[:, 0], grades) if grades else values


@dataclass(frozen=True)
class Mixture:
    """One prediction of several predictors'.

    Attributes:
        parts: what is mixed.
        mixing: how.
        reference: per part the test predictions among which new rows are ranked, for "ranks".
    """

    parts: Sequence[Predictor]
    mixing: Mixing
    reference: Sequence[Array]

    def predict(self, X: pd.DataFrame) -> Array:
        """Mix what the parts predict."""
        return self.mixing.predict([part.predict(X) for part in self.parts], self.reference)


def load_predictor(run: Run, member: Single | Mixed | None, competition: Competition) -> Predictor:
    """What predicts new rows as a run predicted the test rows.

    Args:
        run: a run of kind "fit", or one made with --keep-models, or a blend of such.
        member: what the run stands for; None for kind "fit", which says so itself.
        competition: whose run it is.

    Raises:
        RunError: the run kept no models, or they cannot be read.
    """
    transform = transform_of(run, competition)
    scale, code = Scale(transform, str(run.record["task"])), UserCode(competition.root)
    if member is None:
        refuse_foreign(run, competition)
        return load_plan(read_plan(run.path / "models"), run.path / "models", scale, code)
    return _from_runs(member, scale, code, competition)


def refuse_foreign(run: Run, competition: Competition) -> None:
    """Raise `RunError` unless the run and its models lie in the competition's own runs folder."""
    own = competition.runs.resolve() / run.id
    if run.path.resolve() != own or (run.path / "models").resolve() != own / "models":
        raise RunError(
            f"{run.path} is not in {competition.runs}. Saved recipes are pickles: loading one "
            "runs what it holds, so they are loaded from the competition's own runs only."
        )


def uses_of(run: Run) -> list[str]:
    """References of the models of a run of kind "fit"."""

    def walk(plan: dict[str, Any]) -> Iterator[str]:
        for part in plan.get("parts", ()):
            yield from walk(part)
        if "use" in plan:
            yield str(plan["use"])

    return list(walk(read_plan(run.path / "models")))


def plan_of(member: Single | Mixed) -> dict[str, Any]:
    """How a refitted run predicts, as JSON can hold it."""
    if isinstance(member, Mixed):
        return {
            "run": member.run.id,
            "mixing": member.mixing.to_json(),
            "parts": [plan_of(part) for part in member.parts],
        }
    spec = member.spec
    return {
        "run": member.run.id,
        "name": member.run.model,
        "use": spec.use,
        "recipe": spec.recipe,
        "params": spec.params,
    }


def _from_runs(
    member: Single | Mixed, scale: Scale, code: UserCode, competition: Competition
) -> Predictor:
    """The fold models of runs made with --keep-models."""
    if isinstance(member, Mixed):
        parts = [_from_runs(part, scale, code, competition) for part in member.parts]
        ranked = member.mixing.how == "ranks"
        reference = [_values(part.run) for part in member.parts] if ranked else []
        return Mixture(parts, member.mixing, reference)
    run = member.run
    refuse_foreign(run, competition)
    folders = new_row_folders(run)
    if not folders:
        raise RunError(
            f"{run.id} kept no models.\n"
            f"  `kit fit {run.short}` fits it on all rows; `kit cv {run.model} --keep-models` "
            "keeps those of the folds."
        )
    return Averaged([_load(f, member.spec, run.model, code) for f in folders], scale)


def load_plan(plan: dict[str, Any], folder: Path, scale: Scale, code: UserCode) -> Predictor:
    """The models that `kit fit` saved, or `kit export` put together.

    Args:
        plan: what `plan_of` made.
        folder: holds ``<run id>/seed-*``, ``<run id>/fold-*`` or ``<run id>/all-rows`` of every
            model, and ``<run id>.npy`` of every blend of ranks. Its recipes are pickles: only
            kit's own.
        scale: where means are taken.
        code: the competition's.

    Raises:
        RunError: a model is missing or cannot be read.
    """
    if "parts" in plan:
        parts = [load_plan(part, folder, scale, code) for part in plan["parts"]]
        reference: list[Array] = []
        mixing = Mixing.from_json(plan["mixing"])
        if mixing.how == "ranks":
            ranks = _inside(folder, f"{plan['run']}.npy")
            reference = list(np.load(ranks, allow_pickle=False))
        return Mixture(parts, mixing, reference)
    spec = ModelSpec(use=plan["use"], recipe=plan["recipe"], params=plan["params"])
    inside = _inside(folder, plan["run"])
    every = inside / FOLDER
    folders = [every] if every.is_dir() else fitted_folders(inside)
    if not folders:
        raise RunError(f"{folder / plan['run']} holds no model; delete the run, `kit fit` again")
    return Averaged([_load(f, spec, plan["name"], code) for f in folders], scale)


def _inside(folder: Path, name: str) -> Path:
    """A file or folder by a name that a stored plan gives; never one from elsewhere.

    Raises:
        RunError: the name leads out of the folder.
    """
    path = folder / name
    if path.resolve().parent != folder.resolve():
        raise RunError(f"{folder / PLAN} is damaged: {name!r} is no name below it")
    return path


def _load(folder: Path, spec: ModelSpec, name: str, code: UserCode) -> tuple[Any, Model]:
    unfitted = build_model(spec, name, code)
    try:
        return joblib.load(folder / "recipe.joblib"), type(unfitted).load(folder)
    except Exception as error:
        raise RunError(
            f"the model in {folder} cannot be loaded: {type(error).__name__}: {error}\n"
            "  It is damaged, or other versions of the packages wrote it: fit it again."
        ) from error


def load_fitted(folder: Path, run: Run, competition: Competition) -> Callable[[Any], Array]:
    """What predicts rows as one fold of a run did, in the units of the leaderboard.

    Args:
        folder: of the fold's recipe and model; recipes are pickles: only kit's own.
        run: the run of kind "cv" that they belong to.
        competition: whose run it is.

    Raises:
        RunError: the model is missing or cannot be read.
    """
    refuse_foreign(run, competition)
    code = UserCode(competition.root)
    scale = Scale(transform_of(run, competition), str(run.record["task"]))
    return Averaged([_load(folder, spec_of(run), run.model, code)], scale).predict


def _values(run: Run) -> Array:
    return np.asarray(run.test().iloc[:, 1:].to_numpy(dtype=np.float64))


def fitted_folders(folder: Path) -> list[Path]:
    """Folders of single fitted models: one per fold, or one per seed."""
    return sorted(path for kind in ("fold-*", "seed-*") for path in folder.glob(kind))


def new_row_folders(run: Run) -> list[Path]:
    """Folders of the fold models whose mean predicts new rows, as it predicted the test rows."""
    folders = fitted_folders(run.path / "models")
    if run.record.get("new_rows") == ALL_ROWS:
        return [run.path / "models" / FOLDER] if folders else []
    if run.record.get("new_rows") != LAST_FOLD or not folders:
        return folders
    return [max(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))]


def read_plan(folder: Path) -> dict[str, Any]:
    """How the models in a folder predict.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = folder / PLAN
    try:
        plan: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged or missing: {error}\n  `kit fit` again.") from error
    return plan


def transform_of(run: Run, competition: Competition) -> str:
    """The scale of the run's metric."""
    from kit.metrics.base import load_metric

    code = UserCode(competition.root)
    task: Any = run.record["task"]
    return str(load_metric(run.record["metric"]["name"], task, code.resolve).transform)
