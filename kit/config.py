"""TOML -> typed, frozen tables. Unknown keys are errors; every value remembers where it came from.

Owns: reading `kit.toml`, applying `--set key=value`, turning tables into dataclasses. Knows nothing
of competitions: the dataclasses are the schema. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from kit.errors import ConfigError, nearest

_DOT = re.compile(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)')  # outside quotes
_DEEPEST = 20  # tables in tables; what walks through a configuration calls itself


@dataclasses.dataclass(frozen=True)
class Within:
    """Bounds of a number, or of how many values there are: ``Annotated[int, Within(1)]``.

    Attributes:
        low, high: the ends.
        ends: which of them belong to it, as mathematics writes intervals.
    """

    low: float
    high: float = math.inf
    ends: Literal["[]", "(]", "[)"] = "[]"

    def check(self, value: Any, where: str) -> None:
        """Raise `ConfigError` where the value lies outside; NaN always does."""
        several = isinstance(value, tuple)
        number = len(value) if several else value
        above = number >= self.low if self.ends[0] == "[" else number > self.low
        below = number <= self.high if self.ends[1] == "]" else number < self.high
        if not (above and below):
            noun = " values" if several else ""
            shown = list(value) if several else value
            raise ConfigError(f"{where} must be {self}{noun}. Received: {shown}")

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{self.low} or more" if self.ends[0] == "[" else f"more than {self.low}"
        if self.ends == "[]":
            return f"between {self.low} and {self.high}"
        low = f"{self.low} or more" if self.ends[0] == "[" else f"more than {self.low}"
        return f"{low} and {'at most' if self.ends[1] == ']' else 'less than'} {self.high}"


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))  # Notepad writes a BOM
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. `kit new` writes one.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML document; tables in tables without end are no TOML to kit.

    Raises:
        tomllib.TOMLDecodeError: what is wrong with it.
    """
    too_deep = tomllib.TOMLDecodeError("it is nested too deeply")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise too_deep from None
    level: list[Any] = [table]
    for _ in range(_DEEPEST):
        parts = [each.values() if isinstance(each, dict) else each for each in level]
        level = [v for part in parts for v in part if isinstance(v, dict | list)]
    if level:
        raise too_deep
    return table


def apply_overrides(table: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply ``dotted.key=value`` strings to `table` in place.

    The value is read as TOML (``3``, ``true``, ``["a"]``); what is not TOML is taken as a string.
    A part of the key that has a dot stands in quotes, as in TOML.

    Returns:
        The overrides as ``{dotted key: value}``.
    """
    applied: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set wants key=value, e.g. cv.n_splits=10. Received: {override!r}")
        *parents, last = (part.strip().strip('"') for part in _DOT.split(key))
        node = table
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {override}: {parent!r} is a value, not a table")
        node[last] = applied[key.strip()] = toml_value(text.strip())
    return applied


def build(schema: type, table: Mapping[str, Any], where: str) -> Any:
    """Make a frozen dataclass from a TOML table.

    Args:
        schema: a dataclass; nested dataclasses, ``tuple[T, ...]``, ``dict[str, T]``, ``Literal``,
            ``T | None`` and ``Annotated[T, Within(...)]`` are understood.
        table: the parsed table.
        where: for messages: a table's dotted name, or what they begin with (``"run: "``, ``""``).

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(schema)}
    hints = get_type_hints(schema, include_extras=True)
    top = not where or where.endswith(": ")
    place, dotted = (where, where) if top else (f"{where}: ", f"{where}.")
    for key in table:
        if key not in fields:
            raise ConfigError(f"{place}unknown key {key!r}. {nearest(key, fields)}")
    values = {key: convert(hints[key], value, dotted + key) for key, value in table.items()}
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            raise ConfigError(f"{place}{name!r} is missing")
    return schema(**values)


def convert(hint: Any, value: Any, where: str) -> Any:
    """A TOML value as the type that an annotation asks for.

    Raises:
        ConfigError: it is of another type, or outside its bounds.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        converted = convert(args[0], value, where)
        for bounds in args[1:]:
            bounds.check(converted, where)
        return converted
    if origin in (Union, types.UnionType):
        return convert(next(a for a in args if a is not type(None)), value, where)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{where}: {value!r} is not known. {nearest(str(value), args)}")
        return value
    if origin in (tuple, Sequence):
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(convert(args[0], item, where) for item in items)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, _expect(dict, value, where), where)
    if origin is dict:
        return {k: convert(args[1], v, f"{where}.{k}") for k, v in _table(value, where)}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(hint, value, where)


def _table(value: Any, where: str) -> Iterable[tuple[str, Any]]:
    items: dict[str, Any] = _expect(dict, value, where)
    return items.items()


def _expect(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        noun = {dict: "a table", str: "a string", int: "a whole number", float: "a number"}
        raise ConfigError(
            f"{where}: must be {noun.get(kind, kind.__name__)}. "
            f"Received: {value!r} ({type(value).__name__})"
        )
    return value


def toml_value(text: str) -> Any:
    """A value as TOML spells it; what is not TOML is taken as a string."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
