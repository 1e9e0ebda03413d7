"""TOML to typed tables: unknown keys, wrong types, overrides."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from kit.config import apply_overrides, build, convert, read_toml
from kit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 1
    mode: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = 0.5
    on: bool = False
    tags: tuple[str, ...] = ()
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    extra: dict[str, Inner] = field(default_factory=dict)
    anything: Any = None


def made(**table: Any) -> Outer:
    outer: Outer = build(Outer, {"name": "x", **table}, "kit.toml: ")
    return outer


def test_what_is_not_given_has_its_default() -> None:
    assert made() == Outer(name="x")


def test_nested_tables_become_dataclasses() -> None:
    found = made(inner={"size": 3}, extra={"a": {"mode": "slow"}}, tags=["p", "q"])
    assert found.inner == Inner(size=3)
    assert found.extra == {"a": Inner(mode="slow")}
    assert found.tags == ("p", "q")


def test_one_value_stands_for_a_list_of_one() -> None:
    assert made(tags="p").tags == ("p",)


def test_a_whole_number_is_a_number_too() -> None:
    assert made(rate=1).rate == 1.0
    assert isinstance(made(rate=1).rate, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nam": 1}, r"kit.toml: unknown key 'nam'. Did you mean 'name'\?"),
        ({"inner": {"sice": 1}}, r"kit.toml: inner: unknown key 'sice'. Did you mean 'size'\?"),
        ({"extra": {"a": {"size": "1"}}}, r"extra.a.size: must be a whole number. Received: '1'"),
        ({"inner": {"size": True}}, r"inner.size: must be a whole number. Received: True \(bool\)"),
        ({"inner": {"size": 1.5}}, r"inner.size: must be a whole number. Received: 1.5 \(float\)"),
        ({"inner": {"mode": "quick"}}, r"inner.mode: 'quick' is not known. Known: fast, slow"),
        ({"inner": 3}, r"inner: must be a table. Received: 3"),
        ({"extra": 3}, r"extra: must be a table"),
        ({"rate": "high"}, r"rate: must be a number. Received: 'high'"),
        ({"rate": True}, r"rate: must be a number. Received: True"),
        ({"limit": "no"}, r"limit: must be a whole number"),
        ({"tags": [1]}, r"tags: must be a string. Received: 1"),
        ({"on": 1}, r"on: must be bool. Received: 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**table)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^kit.toml: 'name' is missing$"):
        build(Outer, {}, "kit.toml: ")


def test_convert_takes_a_list_for_a_tuple() -> None:
    assert convert(tuple[float, ...], [1, 2.5], "here") == (1.0, 2.5)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a=3", "a", 3),
        ("a=0.5", "a", 0.5),
        ("a=true", "a", True),
        ('a=["x", "y"]', "a", ["x", "y"]),
        ("a=plain words", "a", "plain words"),
        ("a=x=y", "a", "x=y"),
        (" a = 3 ", "a", 3),
        ("a=", "a", ""),
        ("a={b = 1}", "a", {"b": 1}),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_text(text: str, key: str, value: Any) -> None:
    table: dict[str, Any] = {}
    assert apply_overrides(table, [text]) == {key: value}
    assert table == {key: value}


def test_a_dotted_override_reaches_into_tables() -> None:
    table: dict[str, Any] = {"cv": {"seed": 1}}
    apply_overrides(table, ["cv.n_splits=3", "models.a.params.b=1"])
    assert table == {
        "cv": {"seed": 1, "n_splits": 3},
        "models": {"a": {"params": {"b": 1}}},
    }


def test_a_part_of_an_override_that_has_a_dot_stands_in_quotes() -> None:
    table: dict[str, Any] = {}
    apply_overrides(table, ['images."file.name".size=96', 'a."b"=1'])
    assert table == {"images": {"file.name": {"size": 96}}, "a": {"b": 1}}


def test_the_last_of_two_overrides_wins() -> None:
    table: dict[str, Any] = {}
    assert apply_overrides(table, ["a=1", "a=2"]) == {"a": 2}


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="'cv' is a value, not a table"):
        apply_overrides({"cv": 3}, ["cv.seed=1"])


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist. `kit new` writes one"):
        read_toml(tmp_path / "kit.toml")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path)
