"""What was inferred, why, and what the user should look at.

Owns: the result types of `kit.scaffold.infer`, and who beats whom (the user, then the provider,
then the files). Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.errors import ConfigError, nearest

# flags of `kit new` that inference builds on, and the keys of kit.toml they settle
FLAGS = {
    "train": "files.train",
    "test": "files.test",
    "sample": "files.sample_submission",
    "target": "columns.target",
    "id": "columns.id",
    "group": "columns.group",
    "time": "columns.time",
    "metric": "task.metric",
    "task": "task.type",
    "submission": "submission.wants",
    "splitter": "cv.splitter",
    "folds": "cv.n_splits",
}


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """One value of `kit.toml`.

    Attributes:
        key: dotted key; a kind of column is ``columns.kinds.<name>`` (the name may hold dots).
        value: what goes into the file.
        because: one line, where it came from.
        sure: whether the evidence leaves no other reading.
    """

    key: str
    value: Any
    because: str
    sure: bool = True


@dataclass(kw_only=True)
class Inference:
    """Everything inferred, and the questions that are left, each with the flag that settles it.

    `template` is the one that suits the features; `sampled` says which tables were too large to be
    looked at as a whole.
    """

    values: list[Inferred] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    sampled: list[str] = field(default_factory=list)
    template: str = "tabular"

    def add(self, key: str, value: Any, because: str, *, sure: bool = True) -> None:
        """Note a value."""
        self.values.append(Inferred(key=key, value=value, because=because, sure=sure))

    def settle(self, key: str, value: Any, because: str) -> None:
        """Note a value in place of what was inferred for the key."""
        known = [position for position, item in enumerate(self.values) if item.key == key]
        item = Inferred(key=key, value=value, because=because)
        if known:
            self.values[known[0]] = item
        else:
            self.values.append(item)

    def ask(self, question: str) -> None:
        """Note something that the files alone cannot settle."""
        self.questions.append(question)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a dotted key, `default` where nothing was inferred."""
        return next((item.value for item in self.values if item.key == key), default)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A value that somebody asked for, and who."""

    value: Any
    because: str
    flag: str


class Wishes:
    """What the user and the provider ask for, by the names of the flags.

    Args:
        flags: what the user typed; None and empty tuples mean: not given.
        hints: what the provider is sure of.
        overrides: what `--set` says, by dotted keys of `kit.toml`; beats the flags.

    Raises:
        ConfigError: a name that is no flag of `kit new`.
    """

    def __init__(
        self,
        *,
        flags: Mapping[str, Any],
        hints: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        for name in (*flags, *hints):
            if name not in FLAGS:
                raise ConfigError(f"kit new has no flag {name!r}. {nearest(name, FLAGS)}")
        self._flags, self._hints, self.overrides = flags, hints, overrides or {}

    def get(self, name: str) -> Wish | None:
        """What was asked for, or None: then the files decide."""
        flag, key = f"--{name}", FLAGS[name]
        if key in self.overrides:
            return Wish(value=self.overrides[key], because="--set", flag=f"--set {key}")
        for given, because in ((self._flags, flag), (self._hints, "the provider says so")):
            if given.get(name) not in (None, (), []):
                return Wish(value=given[name], because=because, flag=flag)
        return None

    def names(self, name: str) -> list[str]:
        """A wish that may be one name, several, or several with commas between them."""
        wish = self.get(name)
        if wish is None:
            return []
        return [wish.value] if isinstance(wish.value, str) else [str(item) for item in wish.value]


def names_a_table(flags: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    """Whether the user named a target or a task: what `kit cv` predicts, no script's images."""
    asked = flags.get("target") or flags.get("task")
    return bool(asked or {"columns.target", "task.type"} & {*overrides})
