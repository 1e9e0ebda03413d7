"""Relative links in Markdown lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_UNWATCHED = {".venv", "node_modules", "build", "dist", "runs", "data"}
PAGES = [
    path
    for pattern in ("*.md", ".github/**/*.md", "competitions/**/*.md", "templates/**/*.md")
    for path in sorted(ROOT.glob(pattern))
    if not _UNWATCHED & set(path.relative_to(ROOT).parts)
]


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\[[^\]]+\]\(([^)\s]+)\)", text)
    return [t.split("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_exist(page: Path) -> None:
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def test_there_are_links_to_check() -> None:
    assert len(links(ROOT / "README.md")) >= 4
