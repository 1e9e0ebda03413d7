"""What a run stands for: the models behind it, where they stopped, and how a blend mixes them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from kit.competition import Competition
from kit.config import build
from kit.errors import RunError
from kit.refit.mixing import Mixing, mixing_of
from kit.runs import Run, find_run
from kit.settings import ModelSpec
from kit.usercode import UserCode


@dataclass(frozen=True, kw_only=True)
class Single:
    """A validated model.

    Attributes:
        run: the run of kind "cv".
        spec: reference, recipe and parameters.
    """

    run: Run
    spec: ModelSpec


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A blend of runs.

    Attributes:
        run: the run of kind "blend".
        parts: those of its parents that have a weight.
        mixing: how one prediction is made of theirs.
    """

    run: Run
    parts: tuple[Single | Mixed, ...]
    mixing: Mixing


def resolve(run: Run, competition: Competition, transform: str) -> Single | Mixed:
    """The models behind a run, through blends of blends.

    Args:
        run: a run of kind "cv" or "blend".
        competition: whose runs its parents are.
        transform: that of the metric, see `kit.metrics.transforms.transform_pair`.

    Raises:
        RunError: a parent is missing, or a blend is more than a weighted mean of its parents.
    """
    if run.kind == "cv":
        return Single(run=run, spec=spec_of(run))
    if run.kind == "import":
        raise RunError(
            f"{run.id} was imported: its predictions are here, its model is not, so it can be "
            "handed in and blended but not fitted.\n  Blend runs of your own for that."
        )
    if run.kind != "blend":
        parent = ", ".join(run.record["parents"])
        raise RunError(f"{run.id} is of the kind {run.kind!r}; fit what it was made of: {parent}")
    weights = {name: float(w) for name, w in (run.record["weights"] or {}).items()}
    parents = {name: find_run(competition.runs, name) for name, w in weights.items() if w}
    mixing = mixing_of(run, list(parents.values()), weights, transform)
    parts = tuple(resolve(parent, competition, transform) for parent in parents.values())
    return Mixed(run=run, parts=parts, mixing=mixing)


def singles(member: Single | Mixed) -> Iterator[Single]:
    """Every validated model of a run, each once."""
    seen: set[str] = set()

    def walk(node: Single | Mixed) -> Iterator[Single]:
        if isinstance(node, Mixed):
            for part in node.parts:
                yield from walk(part)
        elif node.run.id not in seen:
            seen.add(node.run.id)
            yield node

    yield from walk(member)


def spec_of(run: Run) -> ModelSpec:
    """The specification a model ran with: from the configuration of the run, else its record."""
    record, table = run.record, run.config.get("models", {})
    # whatever `cv.weighted` and `kit.toml` say now; earlier runs learned classes
    weighted, ordinal = bool(record.get("weighted", True)), bool(record.get("graded"))
    base, dot, number = run.model.rpartition(".")
    names = [run.model, *([base] if dot and number.isdigit() else [])]  # "lightgbm.2": 2nd seed
    for name in names:
        if name in table:
            spec: ModelSpec = build(ModelSpec, table[name], f"{run.id}: models.{name}: ")
            spec = spec if spec.use else replace(spec, use=name)
            return replace(spec, weighted=weighted, ordinal=ordinal)
    own = ":" in str(record["use"])
    # None is no value of kit.toml: it stands for a default that depends on the task
    params = {key: value for key, value in record["params"].items() if value is not None}
    return ModelSpec(
        use=str(record["use"]),
        recipe=str(record.get("recipe", "")),
        pseudo_labels=float(record.get("pseudo_labels", 0.0)),
        weighted=weighted,
        ordinal=ordinal,
        # of an own model the record knows the parameters of what its function returned
        params=dict(record.get("given", {})) if own else params,
    )


def refuse_changed(
    run: Run, competition: Competition, digests: Mapping[str, str], uses: Iterable[str]
) -> list[str]:
    """Refuse a run of other data or code than the present; say what differs less gravely.

    Args:
        run: the run.
        competition: as it is now.
        digests: the present ones, of "data" and "features".
        uses: references of its models; own ones (``module:attribute``) are compared.

    Returns:
        Remarks.

    Raises:
        RunError: data, `features.py` or the model's own code have changed since.
    """
    import kit

    found = run.record["digests"]
    what = {
        "data": "the train or test file, or their columns in kit.toml",
        "features": "features.py",
    }
    for key, name in what.items():
        if found.get(key) != digests[key]:
            if key == "features" and (flags := _backbones(run, competition)):
                raise RunError(
                    f"{run.id} saw the images otherwise than kit.toml says.\n  Add {flags}"
                )
            raise RunError(
                f"{run.id} was made with other {key}: {name} changed since "
                f"({found.get(key)}, now {digests[key]}).\n  Run `kit cv` again, or go back."
            )
    for module in {use.partition(":")[0] for use in uses if ":" in use}:
        then = UserCode(run.path / "code").digest(module)
        if then != UserCode(competition.root).digest(module):
            raise RunError(
                f"{run.id} was made with another {module}.py: it changed since.\n"
                "  Run `kit cv` again, or go back to the code in the run's folder."
            )
    if run.record["kit"] != kit.__version__:
        return [f"{run.id} was made by kit {run.record['kit']}, this is {kit.__version__}"]
    return []


def _backbones(run: Run, competition: Competition) -> str:
    """The flags by which images are seen as in a run; empty: they are. `kit auto` may choose."""
    now = competition.table.get("images", {})
    then = {name: spec.get("backbone") for name, spec in run.config.get("images", {}).items()}
    changed = [
        f'images."{name}".backbone={given}'
        for name, given in then.items()
        if given and given != now.get(name, {}).get("backbone")
    ]
    return " ".join(f"--set {shlex.quote(flag)}" for flag in changed)
