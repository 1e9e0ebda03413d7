"""Templates: runnable competitions that `kit new` copies.

Owns: where they lie (inside an installed package, or beside it in a checkout) and filling them in.
Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from kit.errors import UnknownName, nearest

_FILLED = {"README.md", "NOTES.md", "settings.toml"}
_IGNORED = {".keep", ".DS_Store"}


def template_path(name: str) -> Path:
    """The folder of a template.

    Raises:
        UnknownName: there is no such template; lists those that are there.
    """
    folders = _templates()
    if name not in folders:
        raise UnknownName(f"unknown template {name!r}. {nearest(name, folders)}")
    return folders[name]


def copy_template(source: Path, destination: Path, facts: Mapping[str, str]) -> None:
    """Copy a template's files; ``$title`` and the like are filled in in its texts."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_dir() or path.name in _IGNORED or "__pycache__" in relative.parts:
            continue
        target = destination / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.name in _FILLED:
            text = Template(path.read_text(encoding="utf-8")).safe_substitute(facts)
            text = re.sub(r"\n{3,}", "\n\n", text)  # a fact that is not known leaves no gap
            target.write_text(text, encoding="utf-8")
        else:
            target.write_bytes(path.read_bytes())


def _templates() -> dict[str, Path]:
    package = Path(__file__).resolve().parent.parent
    for base in (package / "_templates", package.parent / "templates"):
        found = {p.name: p for p in base.glob("*") if p.is_dir() and any(p.glob("README.md"))}
        if found:
            return found
    return {}
