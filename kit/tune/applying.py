"""The winner written into `kit.toml`: its model's table and nothing else, comments kept."""

from __future__ import annotations

import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from kit.atomic import write_text
from kit.competition import CONFIG_NAME, Competition
from kit.errors import ConfigError
from kit.settings import ModelSpec


def apply(root: Path, model: str, spec: ModelSpec) -> Path:
    """Write `[models.<model>]`.

    Args:
        root: the competition's folder.
        model: name of the table; it is made where there is none.
        spec: what it shall say. Keys it does not have are taken out.

    Returns:
        The file.

    Raises:
        ConfigError: the file cannot be changed without changing more than that; it stays as it was.
    """
    path = root / CONFIG_NAME
    before = path.read_bytes().decode("utf-8-sig")  # as bytes: the ends of lines stay, too
    try:
        document = tomlkit.parse(before)
        models = document.setdefault("models", tomlkit.table(is_super_table=True))
        inline = isinstance(models, InlineTable)
        _fill(models.setdefault(model, tomlkit.inline_table() if inline else tomlkit.table()), spec)
        after = tomlkit.dumps(document)
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be changed: {error}. {_by_hand(model, spec)}") from error
    wanted = tomllib.loads(before)
    tables = wanted.setdefault("models", {})
    tables[model] = _table(spec, tables.get(model, {}))
    if tomllib.loads(after) != wanted:
        raise ConfigError(f"{path} is written in a way kit cannot change. {_by_hand(model, spec)}")
    write_text(path, after)
    Competition.load(root)
    return path


def header(model: str) -> str:
    """Of the model's table, as TOML wants it: ``[models.knn]``, ``[models."my knn"]``."""
    return f"[models.{tomlkit.key(model).as_string()}]"


def _fill(table: MutableMapping[str, Any], spec: ModelSpec) -> None:
    for key, value in (("use", spec.use), ("recipe", spec.recipe)):
        if value:
            table[key] = value
        else:
            table.pop(key, None)
    params = table.setdefault("params", tomlkit.inline_table())
    for key in [key for key in params if key not in spec.params]:
        del params[key]
    for key, value in spec.params.items():
        if key not in params or params[key] != value:
            params[key] = _toml(value)


def _table(spec: ModelSpec, before: dict[str, Any]) -> dict[str, Any]:
    """What the table shall hold."""
    kept = {key: value for key, value in before.items() if key not in ("use", "recipe", "params")}
    own = {"use": spec.use, "recipe": spec.recipe}
    params = {key: _toml(value) for key, value in spec.params.items()}
    return {**kept, **{key: value for key, value in own.items() if value}, "params": params}


def _toml(value: Any) -> Any:
    return [_toml(each) for each in value] if isinstance(value, tuple | list) else value


def _by_hand(model: str, spec: ModelSpec) -> str:
    params = ", ".join(
        f"{key} = {tomlkit.item(_toml(v)).as_string()}" for key, v in spec.params.items()
    )
    return f'Write it by hand:\n  {header(model)}\n  use = "{spec.use}"\n  params = {{ {params} }}'
