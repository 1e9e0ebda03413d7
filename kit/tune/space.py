"""What is searched: a model's space on this data, with what `kit.toml` says about it.

Optuna knows a configuration as flat names and plain values: a range that can be off has a switch
beside it, a choice among lists is one among their spellings, and with several models every name
begins with that of its model.
"""

from __future__ import annotations

import inspect
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, nearest
from kit.execution.task import build_model
from kit.models.base import Model
from kit.portfolio import find_model
from kit.preprocessing.columns import RECIPES
from kit.registry import MODELS
from kit.settings import AxisSpec, ModelSpec
from kit.spaces import SPACES, Axis, Choice, Range
from kit.usercode import UserCode

RECIPE = "recipe"
"""The one axis that is no parameter: how columns are prepared."""

_SWITCH = "?"  # after the name of a range: whether it is on


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A model and what is searched of it.

    Attributes:
        name: as in `kit tune NAME`.
        base: the configuration without any search.
        axes: what is searched, those that depend on others last.
        fixed: parameters with one possible value.
        usual: what every axis is in `base`; None where the model chooses for itself.
    """

    name: str
    base: ModelSpec
    axes: Mapping[str, Axis]
    fixed: Mapping[str, Any]
    usual: Mapping[str, Any]

    def spec(self, values: Mapping[str, Any]) -> ModelSpec:
        """The base with these values of the axes."""
        params = {**self.base.params, **self.fixed, **values}
        recipe = str(params.pop(RECIPE, self.base.recipe))
        return replace(self.base, recipe=recipe, params=params)

    def suggest(self, trial: Any, prefix: str) -> dict[str, Any]:
        """Ask an Optuna trial for a value of every axis that its conditions allow."""
        values: dict[str, Any] = {}
        for name, axis in self.axes.items():
            known = {**self.usual, **self.fixed, **values}
            if all(_plain(known.get(key)) == _plain(v) for key, v in axis.when.items()):
                values[name] = _suggested(trial, prefix + name, axis)
        return values

    def nearest(self, spec: ModelSpec, prefix: str) -> dict[str, Any]:
        """The point of the space next to a configuration, as Optuna knows it."""
        found: dict[str, Any] = {}
        own = {**spec.params, RECIPE: spec.recipe}
        for name, axis in self.axes.items():
            value = _middle(axis, own.get(name, self.usual.get(name)))
            if value is not None:
                found.update(_placed(prefix + name, axis, value))
        return found

    def facts(self) -> dict[str, Any]:
        """What makes this space another one than the next."""
        base = {"use": self.base.use, "recipe": self.base.recipe, "params": self.base.params}
        axes = {name: repr(axis) for name, axis in sorted(self.axes.items())}
        return {"name": self.name, "base": _plain(base), "axes": axes, "fixed": _plain(self.fixed)}


def searched(
    competition: Competition, code: UserCode, models: Sequence[str], data: Dataset
) -> list[Searched]:
    """The models with their spaces on this data.

    Raises:
        ConfigError: a model has no space, or `[tune]` names what there is not or contradicts
            itself.
    """
    for name in competition.settings.tune:
        MODELS.check(find_model(competition, name).use)
    return [_searched(competition, code, name, data) for name in models]


def _searched(competition: Competition, code: UserCode, name: str, data: Dataset) -> Searched:
    base = find_model(competition, name)
    model = build_model(base, name, code)
    space = space_of(competition, name, code)
    kinds = set(data.kinds.values())
    classes = data.task in ("binary", "multiclass", "multilabel")
    there = {
        "": True,
        "numbers": bool(kinds - {"category", "id"}),
        "categories": "category" in kinds,
        "classes": classes,
    }
    space = {key: axis for key, axis in space.items() if there[axis.needs]}
    choices = {key: axis for key, axis in space.items() if isinstance(axis, Choice)}
    alone = {key: axis for key, axis in choices.items() if single(axis) and not axis.when}
    fixed = {key: axis.values[0] for key, axis in alone.items()}
    axes = {key: axis for key, axis in space.items() if key not in fixed}
    if not axes:
        raise ConfigError(f"tune.{name}: every parameter is fixed: there is nothing to search")
    params = {**model.get_params(deep=False), **base.params, RECIPE: base.recipe}
    usual = {key: _usual(axis, params.get(key), classes) for key, axis in axes.items()}
    _check_values(base, name, code, axes, fixed)
    return Searched(name=name, base=base, axes=axes, fixed=fixed, usual=usual)


def space_of(competition: Competition | None, name: str, code: UserCode) -> dict[str, Axis]:
    """The space of a model: its own, changed by `[tune.<name>]`, on any data.

    Raises:
        ConfigError: there is none, or `kit.toml` has a mistake in it.
    """
    use = name if competition is None else find_model(competition, name).use
    tables = {} if competition is None else competition.settings.tune
    given = {**tables.get(use, {}), **tables.get(name, {})}
    space = dict(SPACES.get(use, {}))
    if given:
        wholes = _wholes(MODELS.load(use, code.resolve))
        for key, spec in given.items():
            where = f"tune.{name if key in tables.get(name, {}) else use}.{key}"
            if wholes is not None and key not in wholes and key != RECIPE:
                raise ConfigError(f"{where}: {use} has no such parameter. {nearest(key, wholes)}")
            space[key] = _overridden(space.get(key), spec, where, (wholes or {}).get(key, False))
    if not space:
        raise ConfigError(
            f"model {name!r} has no search space. Give one in kit.toml:\n"
            f"  [tune.{name if ':' not in name else json.dumps(name)}.PARAMETER]\n"
            "  low = 1\n  high = 100\n  log = true"
        )
    for key, axis in space.items():
        _check_conditions(axis, space, f"tune.{name}.{key}")
    return dict(sorted(space.items(), key=lambda item: bool(item[1].when)))  # conditions last


def single(axis: Choice) -> bool:
    """Whether there is one value only."""
    return len(set(map(_label, axis.values))) == 1


def _overridden(own: Axis | None, spec: AxisSpec, where: str, whole: bool) -> Axis:
    """An axis as `kit.toml` says it."""
    when = dict(spec.when) if spec.when else (dict(own.when) if own else {})
    if spec.choices is not None:
        if not spec.choices:
            raise ConfigError(f"{where} is empty: choices needs at least one value")
        if spec.low is not None or spec.high is not None or spec.log is not None:
            raise ConfigError(f"{where} has choices and a range; one of them is too many")
        return Choice(spec.choices, when=when)
    base = own if isinstance(own, Range) else None
    low = spec.low if spec.low is not None else (base.low if base else None)
    high = spec.high if spec.high is not None else (base.high if base else None)
    log = spec.log if spec.log is not None else bool(base and base.log)
    if low is None or high is None:
        missing = "low" if low is None else "high"
        raise ConfigError(f"{where} needs low and high, or choices. Missing: {missing}")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{where}: low and high must be finite. Received: {low:g}, {high:g}")
    if low > high:
        raise ConfigError(f"{where} is empty: low {low:g} is above high {high:g}")
    if log and low <= 0:
        raise ConfigError(f"{where}: on a logarithmic scale low must be above 0. Received: {low:g}")
    if whole and (low != int(low) or high != int(high)):
        raise ConfigError(f"{where}: low and high must be whole numbers. Received: {low}, {high}")
    if low == high:
        return Choice((int(low) if whole else low,), when=when)
    usual = base.usual if base else None
    if whole:
        low, high = int(low), int(high)
    return Range(low, high, log=log, whole=whole, usual=usual, when=when)


def _wholes(factory: Any) -> dict[str, bool] | None:
    """The parameters of a model, and whether they are whole numbers; None: it takes any."""
    kind = isinstance(factory, type) and issubclass(factory, Model)
    target = factory.__init__ if kind else factory
    parameters = dict(inspect.signature(target).parameters)
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return None
    parameters.pop("self", None)
    try:
        hints = get_type_hints(target, include_extras=True)
    except (NameError, TypeError):  # names that only a type checker imports
        hints = {}
    return {
        name: _is_int(hints[name]) if name in hints else type(each.default) is int
        for name, each in parameters.items()
    }


def _is_int(hint: Any) -> bool:
    """Whether an annotation asks for a whole number, or None."""
    if get_origin(hint) is Annotated:
        return _is_int(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_int(each) for each in get_args(hint))
    return hint is int


def _check_conditions(axis: Axis, space: Mapping[str, Axis], where: str) -> None:
    for key, value in axis.when.items():
        if key not in space:
            raise ConfigError(f"{where}.when: {key!r} is not searched. {nearest(key, space)}")
        if space[key].when:
            raise ConfigError(f"{where}.when: {key!r} has a condition itself")
        if not _possible(value, space[key]):
            raise ConfigError(f"{where}.when: {key} is never {value!r} in its own space")


def _possible(value: Any, axis: Axis) -> bool:
    """Whether an axis can have a value."""
    if isinstance(axis, Choice):
        return any(_plain(value) == _plain(each) for each in axis.values)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return axis.low <= value <= axis.high or (axis.or_zero and value == 0)


def _check_values(
    base: ModelSpec,
    name: str,
    code: UserCode,
    axes: Mapping[str, Axis],
    fixed: Mapping[str, Any],
) -> None:
    """Have the model look at both ends of every range and at every choice."""
    for key, axis in [*axes.items(), *((key, Choice((v,))) for key, v in fixed.items())]:
        if key == RECIPE:
            _check_recipes(axis, f"tune.{name}.{key}")
            continue
        values = axis.values if isinstance(axis, Choice) else (axis.low, axis.high)
        for value in values:
            try:
                build_model(replace(base, params={**base.params, key: value}), name, code)
            except ConfigError as error:
                message = str(error).replace(f"models.{name}.params.{key}", f"tune.{name}.{key}")
                raise ConfigError(message) from None


def _check_recipes(axis: Axis, where: str) -> None:
    for value in axis.values if isinstance(axis, Choice) else ("a range",):
        if value and value not in RECIPES:
            raise ConfigError(f"{where}: unknown recipe {value!r}. {nearest(str(value), RECIPES)}")


def _usual(axis: Axis, value: Any, classes: bool) -> Any:
    """What an axis is without a search; None where the model finds out in the fold."""
    if value is None and isinstance(axis, Range) and axis.usual is not None:
        return axis.usual[0 if classes else 1]
    return _middle(axis, value)


def _middle(axis: Axis, value: Any) -> Any:
    """Of the penalties that `linear` chooses from the one it takes unasked; others as they are."""
    several = isinstance(axis, Range) and isinstance(value, tuple | list)
    return sorted(value)[len(value) // 3] if several else value


def _suggested(trial: Any, name: str, axis: Axis) -> Any:
    if isinstance(axis, Choice):
        values = {_label(value): value for value in axis.values}
        return values[trial.suggest_categorical(name, list(values))]
    if axis.or_zero and not trial.suggest_categorical(name + _SWITCH, [False, True]):
        return 0
    if axis.whole:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    value = trial.suggest_float(name, axis.low, axis.high, log=axis.log)
    return min(axis.high, max(axis.low, float(f"{value:.3g}")))  # as people write it


def _placed(name: str, axis: Axis, value: Any) -> dict[str, Any]:
    """The nearest value of an axis, by Optuna's names."""
    if isinstance(axis, Choice):
        labels = [_label(each) for each in axis.values]
        if _label(value) in labels:
            return {name: _label(value)}
        if not all(isinstance(each, int | float) for each in (value, *axis.values)):
            return {}
        return {name: min(labels, key=lambda each: abs(each - value))}
    if not isinstance(value, int | float):
        return {}
    switch = {name + _SWITCH: value != 0} if axis.or_zero else {}
    if axis.or_zero and value == 0:
        return switch
    inside = min(axis.high, max(axis.low, value))
    return {**switch, name: int(inside) if axis.whole else float(inside)}


def _label(value: Any) -> Any:
    """A value as Optuna can store it."""
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, list | dict) else plain


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
