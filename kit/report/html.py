"""HTML by construction: whatever is not `Html` already is text and is escaped.

Owns: elements, tables, cards, and the page around them. Names of columns, labels and notes are
foreign; there is no way into the page that does not lead through `tag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

_VOID = frozenset({"br", "hr", "meta", "rect", "line", "circle", "path", "polyline", "img"})
_CONTROLS = (*range(9), 11, 12, *range(14, 32), *range(127, 160))
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HALVES = range(0xD800, 0xE000)  # of characters: no file can hold one alone
_INVISIBLE = dict.fromkeys((*_CONTROLS, *_DIRECTIONS)) | dict.fromkeys(_HALVES, "\ufffd")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="$policy">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
$style
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
"""
# Should a text ever get through as markup: no script runs and nothing is fetched.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


Content = Any
"""Text, numbers, None (nothing), `Html`, or an iterable of these."""


def markup(content: Content) -> Html:
    """Content as markup: text is escaped, iterables are joined."""
    if isinstance(content, Html):
        return content
    if content is None:
        return Html("")
    if isinstance(content, str | int | float):
        return Html(escape(_shown(str(content))))
    return Html("".join(markup(each) for each in content))


def tag(name: str, *content: Content, **attributes: Any) -> Html:
    """An element.

    >>> tag("td", "a < b", class_="name")
    '<td class="name">a &lt; b</td>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_shown(str(value)))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    if name in _VOID and not content:
        return Html(f"<{name}{written}{'/' if name not in ('br', 'hr', 'meta', 'img') else ''}>")
    return Html(f"<{name}{written}>{markup(content)}</{name}>")


def table(
    headers: Sequence[Content], rows: Iterable[Sequence[Content]], *, right: Sequence[int] = ()
) -> Html:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        headers: of the columns; all empty: no header.
        rows: cells.
        right: numbers of the columns that hold numbers.
    """
    kinds = dict.fromkeys(right, "number")

    def line(cells: Sequence[Content], name: str) -> Html:
        return tag("tr", [tag(name, c, class_=kinds.get(k)) for k, c in enumerate(cells)])

    head = tag("thead", line(headers, "th")) if any(headers) else None
    body = tag("tbody", [line(row, "td") for row in rows])
    return tag("div", tag("table", head, body), class_="scroll", tabindex="0")


def facts(pairs: Iterable[tuple[Content, Content]]) -> Html:
    """Names and values, one pair a line."""
    lines = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs]
    return tag("dl", lines)


def card(title: str, *content: Content, wide: bool = False, note: Content = None) -> Html:
    """One framed part of the page; `note` stands small below it."""
    small = tag("p", note, class_="note") if note else None
    return tag("section", tag("h3", title), content, small, class_=f"card{' wide' * wide}")


def stack(*cards: Content) -> Html:
    """Cards above each other in one column."""
    body = markup(cards)
    return tag("div", body, class_="stack") if body else body


def part(title: str, *cards: Content, id_: str) -> Html:
    """A titled group of cards; nothing where there is none."""
    body = markup(cards)
    return tag("div", tag("h2", title), tag("div", body, class_="grid"), id=id_) if body else body


def muted(*content: Content) -> Html:
    """A paragraph in a quiet colour."""
    return tag("p", content, class_="muted")


def page(title: str, *body: Content) -> str:
    """The whole document; it needs nothing outside itself."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return Template(_PAGE).substitute(
        title=markup(title), style=style, policy=_POLICY, body=markup(body)
    )


def _shown(text: str) -> str:
    """Without control characters, halves of others, and marks that turn the direction of text."""
    return text.translate(_INVISIBLE)
