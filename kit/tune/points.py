"""Configurations that are tried because somebody named them: known good ones, points, a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.competition import ModelSpec
from kit.config import toml_value
from kit.dataset import Dataset
from kit.errors import ConfigError, nearest
from kit.execution.task import build_model
from kit.portfolio import PORTFOLIO, choose
from kit.tune.space import RECIPE, Searched
from kit.usercode import UserCode

MODEL = "model"
"""In a study of several models: which one."""

_MOST = 10_000  # points of a grid; more is a mistake


@dataclass(frozen=True, kw_only=True)
class Point:
    """One configuration.

    Attributes:
        name: as its run will be called; empty: after its trial.
        model: whose it is.
        spec: exactly what is validated, also where the space does not reach.
    """

    name: str
    model: Searched
    spec: ModelSpec


def known_good(models: Sequence[Searched], data: Dataset) -> list[Point]:
    """Every model as it is without a search, then the portfolio's configurations of it."""
    points = [Point(name=each.name, model=each, spec=each.base) for each in models]
    for model in models:
        same = [
            entry
            for entry in PORTFOLIO
            if entry.use == model.base.use
            and entry.name not in {each.name for each in models}
            and (entry.recipe == model.base.recipe or RECIPE in model.axes)
        ]
        chosen, _ = choose(
            *data.X.shape, data.task, same, levels=True, kinds=set(data.kinds.values())
        )
        points += [Point(name=entry.name, model=model, spec=entry.spec) for entry in chosen]
    seen: list[ModelSpec] = []
    fresh = []
    for point in points:
        if point.spec not in seen:
            seen.append(point.spec)
            fresh.append(point)
    return fresh


def given(texts: Sequence[str], models: Sequence[Searched], code: UserCode) -> list[Point]:
    """The points of `--try`.

    Raises:
        ConfigError: one cannot be read, or its model does not take it.
    """
    return [_point(text, _read(text), models, code) for text in texts]


def grid(texts: Sequence[str], models: Sequence[Searched], code: UserCode) -> list[Point]:
    """Every combination of the lists of `--try`; without one, of the choices of the space.

    Raises:
        ConfigError: there is no list, or there are too many combinations.
    """
    points: list[Point] = []
    for text, lists in [(text, _read(text)) for text in texts] or _choices(models):
        axes = {key: v if isinstance(v, list) else [v] for key, v in lists.items()}
        count = 1
        for values in axes.values():
            count *= len(values)
        if not 0 < count <= _MOST:
            raise ConfigError(f"the grid {text!r} has {count} points; between 1 and {_MOST} can be")
        points += [
            _point(text, dict(zip(axes, combination, strict=True)), models, code)
            for combination in itertools.product(*axes.values())
        ]
    return points


def _choices(models: Sequence[Searched]) -> list[tuple[str, dict[str, Any]]]:
    """The grid that the spaces themselves describe."""
    found = []
    for model in models:
        ranges = [name for name, axis in model.axes.items() if not hasattr(axis, "values")]
        lists = {
            name: [*dict.fromkeys(axis.values)]
            for name, axis in model.axes.items()
            if hasattr(axis, "values")
        }
        if ranges:
            raise ConfigError(
                f"a grid needs lists, and {model.name} has ranges ({', '.join(ranges[:3])}, ...).\n"
                f'  Name the lists: --try "{ranges[0]}=[...]", or choices in [tune.{model.name}]'
            )
        found.append((model.name, {MODEL: model.name, **lists}))
    return found


def _point(text: str, values: dict[str, Any], models: Sequence[Searched], code: UserCode) -> Point:
    values = dict(values)
    names = [each.name for each in models]
    name = str(values.pop(MODEL, names[0] if len(names) == 1 else ""))
    if name not in names:
        wrong = f"{name!r} is not searched. " if name else "it must say which model. "
        raise ConfigError(f"--try {text}: {wrong}Write model=NAME. {nearest(name, names)}")
    model = next(each for each in models if each.name == name)
    spec = model.spec(values)
    try:
        build_model(spec, name, code)
    except ConfigError as error:
        raise ConfigError(f"--try {text}: {error}") from None
    return Point(name="", model=model, spec=replace(spec))


def _read(text: str) -> dict[str, Any]:
    """``a=1,b=[2,3]`` as a table; values are TOML, bare words are strings."""
    values: dict[str, Any] = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f'--try wants "name=value,name=value". Received: {text!r}')
        if key.strip() in values:
            raise ConfigError(f"--try {text}: {key.strip()!r} is there twice")
        values[key.strip()] = toml_value(value.strip())
    return values


def _parts(text: str) -> Iterator[str]:
    """Cut at commas outside brackets."""
    depth, part = 0, ""
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and depth == 0:
            yield part
            part = ""
        else:
            part += sign
    yield part
