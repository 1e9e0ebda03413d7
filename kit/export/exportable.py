"""What of a run goes into the bundle, or why it cannot: one sentence and the next step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competition import Competition
from kit.errors import MissingDependency, RunError
from kit.export.scan import reaches_out
from kit.joins import Joins
from kit.refit.members import Mixed, Single, refuse_changed, resolve, singles
from kit.refit.rows import NewRows, RowFormat
from kit.refit.saved import (
    fitted_folders,
    new_row_folders,
    plan_of,
    read_plan,
    refuse_foreign,
    transform_of,
)
from kit.registry import MODELS
from kit.runs import Run, prediction_columns
from kit.usercode import UserCode

_LIBRARIES = {
    "kit.models.neural": ("keras", "the networks need it"),
    "kit.models.xgboost": ("xgboost", 'pip install "kit-competitions[boost]"'),
    "kit.models.catboost": ("catboost", "pip install catboost"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Exportable:
    """A run, reduced to what predicts.

    Attributes:
        run: the run.
        plan: how its models predict (see `kit.refit.saved.plan_of`).
        folders: folders of the fitted models of each validated run in the plan, by its id.
        references: of blends of ranks: test predictions of their parts, ``(m, r, k)``, by id.
        rows: how rows are read.
        backbones: files of the weights that turn images into numbers, by column.
        joins: tables whose columns are joined to the rows.
        transform: scale on which the models are averaged.
        modules: names of the competition's own modules that predict.
        notes: remarks for the user.
    """

    run: Run
    plan: Mapping[str, Any]
    folders: Mapping[str, list[Path]]
    references: Mapping[str, NDArray[np.float64]]
    rows: RowFormat
    backbones: Mapping[str, Path]
    joins: Joins
    transform: str
    modules: tuple[str, ...]
    notes: tuple[str, ...]

    def size(self) -> int:
        """Bytes of the models and backbones."""
        folders = chain.from_iterable(self.folders.values())
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in (*files, *self.backbones.values()))


def exportable(competition: Competition, run: Run) -> Exportable:
    """Find the models behind a run, and refuse what could not predict elsewhere.

    Raises:
        RunError: no models were kept, the run has seen the test rows, data or code changed since,
            or its code reads files or uses the network.
        MissingDependency: a library that one of its models needs is not installed.
    """
    if run.record.get("transductive"):
        _refuse_transductive(run)
    reader = NewRows(competition)
    transform = transform_of(run, competition)
    if run.kind == "fit":
        refuse_foreign(run, competition)
        plan = read_plan(run.path / "models")
        names = [str(leaf["run"]) for leaf in _leaves(plan)]
        folders = {name: fitted_folders(run.path / "models" / name) for name in names}
        references = {
            path.stem: np.load(path, allow_pickle=False)
            for path in (run.path / "models").glob("*.npy")
        }
        behind = [run]
    else:
        member = resolve(run, competition, transform)
        behind = [single.run for single in singles(member)]
        for single in singles(member):
            refuse_foreign(single.run, competition)
            if single.spec.pseudo_labels:
                _refuse_transductive(single.run)
        folders = {one.id: new_row_folders(one) for one in behind}
        plan, references = plan_of(member), dict(_references(member))
    _refuse_unfitted(run, [name for name, found in folders.items() if not found])
    uses = [str(leaf["use"]) for leaf in _leaves(plan)]
    notes = [n for one in behind for n in refuse_changed(one, competition, reader.digests, uses)]
    _refuse_models(run, uses)
    own = sorted({use.partition(":")[0] for use in uses if ":" in use})
    modules = ("features", *own)
    _refuse_code(run, competition, modules)
    return Exportable(
        run=run,
        plan=plan,
        folders=folders,
        references=references,
        rows=reader.format,
        backbones={
            name: backbone.path
            for name, backbone in reader.images.backbones.items()
            if backbone.path is not None
        },
        joins=reader.joins,
        transform=transform,
        modules=modules,
        notes=tuple(dict.fromkeys(notes)),
    )


def _leaves(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The single models of a plan."""
    for part in plan.get("parts", ()):
        yield from _leaves(part)
    if "use" in plan:
        yield plan


def _references(member: Single | Mixed) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What new rows are ranked among, for every blend of ranks."""
    if isinstance(member, Single):
        return
    for part in member.parts:
        yield from _references(part)
    if member.mixing.how == "ranks":
        names = prediction_columns(member.run.record["outputs"])
        each = [part.run.test()[names].to_numpy(dtype=np.float64) for part in member.parts]
        yield member.run.id, np.stack(each)


def _refuse_transductive(run: Run) -> None:
    raise RunError(
        f"{run.id} has learned from the public test rows (pseudo_labels). A code competition is "
        "scored on other rows, which it has never seen: its score does not hold there.\n"
        "  Set pseudo_labels = 0 and run `kit cv` again, or export another run."
    )


def _refuse_unfitted(run: Run, without: list[str]) -> None:
    if not without:
        return
    if without == [run.id]:
        raise RunError(
            f"{run.id} kept no models, so there is nothing to predict with.\n"
            f"  `kit fit {run.short}`, then export what it made; or "
            f"`kit cv {run.model} --keep-models`."
        )
    shown = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
    raise RunError(
        f"{run.id} is made of runs that kept no models: {shown}.\n"
        f"  `kit fit {run.short}` fits them all, then export what it made."
    )


def _refuse_models(run: Run, uses: list[str]) -> None:
    """Models of plugins stay behind; libraries must be there."""
    for use in uses:
        if ":" in use:
            continue
        if use not in MODELS.table:
            raise RunError(
                f"{run.id} uses the model {use!r} of an installed plugin, which the bundle would "
                f"not hold.\n  Put its code into model.py and name it as `model:{use}`."
            )
        module = MODELS.table[use].partition(":")[0]
        for prefix, (library, hint) in _LIBRARIES.items():
            if module.startswith(prefix) and find_spec(library) is None:
                raise MissingDependency(
                    f"{run.id} uses the model {use!r}, and {library} is not installed here, so "
                    f"the bundle could not be tried: {hint}"
                )


def _refuse_code(run: Run, competition: Competition, modules: tuple[str, ...]) -> None:
    places = reaches_out(UserCode(competition.root), modules)
    if places:
        raise RunError(
            f"{run.id} cannot be exported: the competition's code reaches for what is not there "
            "on Kaggle.\n  " + "\n  ".join(places[:5]) + "\n  Write the values into the code, or "
            "make columns of the rows alone; then run `kit cv` again."
        )
