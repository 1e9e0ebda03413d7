"""Help: every command says what it does, and no wording changes unseen.

The golden files hold what kit declares (names, values, sentences), not how typer lays it out: that
differs from version to version.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from kit.cli.app import app

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "help"
TREE = typer.main.get_command(app).commands  # type: ignore[attr-defined]
COMMANDS = {
    f"{name} {sub}".strip(): command
    for name, node in TREE.items()
    for sub, command in getattr(node, "commands", {"": node}).items()
}
EVERYWHERE = ("--directory", "--set", "--json", "--quiet", "--verbose")


def declared(name: str) -> str:
    """What a command declares, one parameter a line."""
    command = COMMANDS[name]
    lines = [f"kit {name}", "", inspect.cleandoc(command.help), ""]
    for parameter in command.params:
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = parameter.metavar or parameter.name.upper()
        value = "" if parameter.param_type_name == "argument" else parameter.metavar or ""
        lines.append(f"{names} {value}".strip() + f"  |  {parameter.help}{_default(parameter)}")
    return "\n".join(lines) + "\n"


def _default(parameter: Any) -> str:
    default = parameter.default
    shown = isinstance(default, str) and default != ""
    return f" [{default}]" if shown else " [required]" if parameter.required else ""


def test_golden_files_are_those_of_the_commands(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden", default=False):
        pytest.skip("being written")
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {n.replace(" ", "-") for n in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_as_in_the_golden_file(name: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if request.config.getoption("--update-golden", default=False):
        path.write_text(declared(name), encoding="utf-8")
    assert declared(name) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_with_its_sentence(name: str, run_kit: Any) -> None:
    shown = run_kit(*name.split(), "--help")
    text = _words(shown.out)
    assert shown.code == 0
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{parameter.name} has no help"
        if parameter.param_type_name == "option":
            assert all(option in text for option in parameter.opts)
            assert _words(parameter.help) in text


@pytest.mark.parametrize("name", COMMANDS)
def test_command_takes_the_common_options(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert set(EVERYWHERE) <= options


def test_kit_alone_lists_the_commands_in_the_order_of_the_loop(run_kit: Any) -> None:
    listed = re.findall(r"^  ([a-z]+)  ", run_kit("--help").out.split("Commands:")[1], re.MULTILINE)
    loop = ["new", "data", "check", "cv", "blend", "submit"]
    assert [name for name in listed if name in loop] == loop
    assert listed.index("auto") < listed.index("runs")
    assert set(listed) == set(TREE)


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\\[", "["))
