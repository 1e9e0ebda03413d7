"""`kit.toml` as text: every value with a comment that says where it came from.

Owns: the layout of the file and TOML quoting. Standard library only.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kit.providers.base import Description
from kit.scaffold.facts import Inference, Inferred
from kit.settings import ProviderSpec

_WIDTH = 100
_ALIGNED = 44  # assignments up to this length have their comment beside them, in one column
_ORDER = (
    "id", "test_id", "target", "group", "time", "drop", "kinds", "type", "metric", "classes",
    "separator", "file", "on", "file_on", "columns", "prefix", "summarised",
)  # fmt: skip
_SECTIONS = {
    "files": "below data/raw",
    "columns": "names as in the files; `drop` is not used at all",
    "columns.kinds": 'features that are not plainly numeric; "id" means: never a feature',
    "task": "",
    "submission": "what the file to hand in looks like",
    "cv": "models are compared on these folds",
    "series": "features of a row's own past; lengths are numbers of steps",
}
_HEAD = """\
# Everything kit knows about this competition. Written by `kit new`; yours to edit.
# Beside each value: where it came from. (?) marks a guess.
"""
_TAIL = """\
# Settings of a model, or the same model twice with other settings:
#
# [models.lightgbm.params]
# learning_rate = 0.03
#
# [models.lightgbm_deep]
# use = "lightgbm"
# params = { num_leaves = 127 }
"""


@dataclass(frozen=True)
class _Line:
    """``key = value`` and its comment."""

    text: str
    comment: str


def render(inference: Inference, description: Description, provider_spec: ProviderSpec) -> str:
    """Write `kit.toml`; `Competition.load` reads it back.

    Args:
        inference: the values and questions.
        description: what the provider says of the competition.
        provider_spec: becomes the `[provider]` table.
    """
    blocks = [_HEAD + _questions(inference.questions), "schema = 1\n"]
    about = {"slug": description.slug, "title": description.title, "url": description.url}
    blocks.append(_table("competition", "", _plain(about)))
    provider = vars(provider_spec)
    blocks.append(_table("provider", "who has the data and takes submissions", _plain(provider)))
    for section, comment in _sections(inference.values):
        lines = [_line(item) for item in _members(section, inference.values)]
        if lines:
            blocks.append(_table(_quoted_parts(section), comment, lines))
    return "\n".join([*blocks, _TAIL])


def _sections(values: Sequence[Inferred]) -> Iterator[tuple[str, str]]:
    """Tables and their comments; one for each column of images and for each joined table."""
    images, joins = (
        dict.fromkeys(i.key.rpartition(".")[0] for i in values if i.key.startswith(table))
        for table in ("images.", "joins.")
    )
    for section, comment in _SECTIONS.items():
        yield section, comment
        if section == "columns.kinds":
            yield from ((name, "where the images are, how they are kept") for name in images)
        if section == "files":
            via = {i.key.removesuffix(".via") for i in values if i.key.endswith(".via")}
            yield from (
                (name, "" if name in via else "its columns become columns of train and test")
                for name in joins
            )


def _questions(questions: Sequence[str]) -> str:
    if not questions:
        return ""
    lines = ["#", "# Please look at:"]
    for question in questions:
        lines += textwrap.wrap(
            _one_line(question),
            width=_WIDTH,
            initial_indent="#  - ",
            subsequent_indent="#    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def _members(section: str, values: Iterable[Inferred]) -> list[Inferred]:
    """The values of a section, in the order of the schema; kinds in the order of the file."""
    found = []
    for item in values:
        inside_kinds = item.key.startswith("columns.kinds.")
        belongs = inside_kinds if section == "columns.kinds" else not inside_kinds
        if belongs and item.key.startswith(section + "."):
            found.append(item)
    if section == "columns.kinds":
        return found
    rank = {name: position for position, name in enumerate(_ORDER)}
    return sorted(found, key=lambda item: rank.get(item.key.rpartition(".")[2], len(rank)))


def _line(item: Inferred) -> _Line:
    prefix = "columns.kinds."
    name = item.key.removeprefix(prefix) if item.key.startswith(prefix) else item.key.split(".")[-1]
    comment = _one_line(item.because) + ("" if item.sure else " (?)")
    return _Line(_assignment(name, item.value), comment)


def _plain(values: dict[str, str]) -> list[_Line]:
    return [_Line(_assignment(key, value), "") for key, value in values.items() if value]


def _table(name: str, comment: str, lines: Sequence[_Line]) -> str:
    head = f"[{name}]" + (f"  # {comment}" if comment else "")
    short = [len(line.text) for line in lines if len(line.text) <= _ALIGNED]
    column = max(short, default=0)
    return "\n".join([head, *(_laid_out(line, column) for line in lines)]) + "\n"


def _laid_out(line: _Line, column: int) -> str:
    if not line.comment:
        return line.text
    beside = f"{line.text:<{column}}  # {line.comment}"
    if "\n" not in line.text and len(beside) <= _WIDTH:
        return beside
    above = textwrap.wrap(
        line.comment, width=_WIDTH, initial_indent="# ", subsequent_indent="# ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join([*above, line.text])


def _quoted_parts(section: str) -> str:
    """`images.my file` as the name of a table."""
    table, _, name = section.partition(".")
    bare = not name or re.fullmatch(r"[A-Za-z0-9_-]+", name)
    return section if bare else f"{table}.{_quoted(name)}"


def _assignment(key: str, value: Any) -> str:
    name = _key(key)
    text = f"{name} = {_value(value)}"
    if len(text) <= _WIDTH or not isinstance(value, list):
        return text
    rows = textwrap.wrap(
        "\x00".join(_value(item) + "," for item in value).replace(" ", "\x01").replace("\x00", " "),
        width=_WIDTH - 2, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join([f"{name} = [", *(f"  {row}".replace("\x01", " ") for row in rows), "]"])


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):  # of `--set`
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Control characters are not allowed in a TOML comment."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)
