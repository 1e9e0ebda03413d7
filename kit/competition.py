"""A competition is a folder with one file of facts, `kit.toml`. Nothing here is computed.

Owns: where things lie inside the folder, and finding the folder; the schema is in `kit.settings`.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kit.coherence import blamed, read_settings
from kit.config import apply_overrides, read_toml
from kit.errors import ConfigError, NoCompetition, nearest
from kit.settings import ModelSpec, Settings

CONFIG_NAME = "kit.toml"


@dataclass(frozen=True, kw_only=True)
class Competition:
    """Frozen facts and the folder they belong to.

    Attributes:
        root: the folder that holds `kit.toml`.
        settings: the typed configuration.
        table: the same as plain TOML tables, overrides applied (what a run stores).
        overrides: what `--set` and flags changed, by dotted key.
        flags: the same as given, to load the competition again in another process.
    """

    root: Path
    settings: Settings
    table: dict[str, Any]
    overrides: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The competition's short name."""
        return self.settings.competition.slug

    @property
    def raw(self) -> Path:
        """The downloaded files, read-only by convention."""
        return self.root / "data" / "raw"

    @property
    def runs(self) -> Path:
        """Published runs."""
        return self.root / "runs"

    @property
    def submissions(self) -> Path:
        """Submission files and their receipts."""
        return self.root / "submissions"

    @property
    def reports(self) -> Path:
        """What `kit report` writes."""
        return self.root / "reports"

    @property
    def cache(self) -> Path:
        """What can be made again; safe to delete."""
        return self.root / ".cache"

    @property
    def encoder(self) -> str:
        """Folder of the sentence encoder; empty: that of the installed package."""
        where = self.settings.text.encoder
        return str(self.root / where) if where else ""

    def model(self, name: str) -> ModelSpec:
        """The configuration of a model: its `[models.<name>]` table, else the bare name."""
        spec = self.settings.models.get(name, ModelSpec())
        return spec if spec.use else replace(spec, use=name)

    def overrides_of(self, model: str) -> dict[str, Any]:
        """The overrides without those of other models."""
        return {
            key: value
            for key, value in self.overrides.items()
            if not key.startswith("models.") or key.startswith(f"models.{model}.")
        }

    def origin(self, key: str) -> str:
        """Where the value of a dotted key comes from, for a message: `kit.toml` or a flag."""
        given = [flag for flag in self.flags if flag.partition("=")[0].strip() == key]
        return f"--set {given[-1]}" if given else str(self.root / CONFIG_NAME)

    @classmethod
    def of_table(cls, root: Path, table: Mapping[str, Any]) -> Competition:
        """A competition as a run recorded it: its configuration is `table`, overrides applied.

        Raises:
            ConfigError: this kit cannot use it.
        """
        copied = deepcopy(dict(table))
        return cls(root=root.resolve(), settings=read_settings(copied), table=copied)

    @classmethod
    def load(cls, root: Path, overrides: Iterable[str] = ()) -> Competition:
        """Read `root/kit.toml`.

        Raises:
            ConfigError: see `kit.config`; also for values that contradict each other.
        """
        path = root / CONFIG_NAME
        written = read_toml(path)
        flags = tuple(overrides)
        table = deepcopy(written)
        applied = apply_overrides(table, flags)
        try:
            settings = read_settings(table)
        except ConfigError as error:
            fault = " ".join(f"--set {flag}" for flag in blamed(written, flags, str(error)))
            raise type(error)(f"{fault or path}: {error}") from None
        return cls(
            root=root.resolve(), settings=settings, table=table, overrides=applied, flags=flags
        )

    @classmethod
    def find(cls, where: Path | None = None, overrides: Iterable[str] = ()) -> Competition:
        """Load the competition that `where` names.

        Args:
            where: a folder with `kit.toml`, a name below a `competitions` folder here or further
                up, or None: the nearest `kit.toml` from here upwards.
            overrides: ``dotted.key=value`` strings.

        Raises:
            ConfigError: there is none, with the places that were looked at.
        """
        here = Path.cwd()
        if where is None:
            for folder in (here, *here.parents):
                if (folder / CONFIG_NAME).is_file():
                    return cls.load(folder, overrides)
            raise NoCompetition(
                f"no {CONFIG_NAME} in {here} or above it.\n"
                "  Go into a competition's folder, name one with -C, or make one with `kit new`."
            )
        for folder in (where, *(base / "competitions" / where for base in (here, *here.parents))):
            if (folder / CONFIG_NAME).is_file():
                return cls.load(folder, overrides)
        known = sorted(_names(here))
        way = nearest(str(where), known) if known else "`kit new` makes a competition."
        raise NoCompetition(f"-C {where}: no {CONFIG_NAME} there. {way}")


def _names(here: Path) -> Iterator[str]:
    for base in (here, *here.parents):
        for path in (base / "competitions").glob(f"*/{CONFIG_NAME}"):
            yield path.parent.name
