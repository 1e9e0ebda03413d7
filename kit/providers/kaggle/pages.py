"""HTML that a host wrote -> plain text. Nothing of it is kept as markup. Standard library only."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from kit.providers.kaggle.text import lines

_DROPPED = {"script", "style", "head", "template", "noscript", "svg", "math", "iframe", "object"}
_BLOCKS = {
    "p", "div", "section", "article", "table", "tr", "ul", "ol", "pre", "blockquote", "hr",
    "h1", "h2", "h3", "h4", "h5", "h6", "details", "summary", "dl", "dt", "dd", "figure",
}  # fmt: skip
_CELLS = {"td", "th"}
_MOST = 200_000  # characters of one page


def plain(html: str) -> str:
    r"""The text of a page: paragraphs, list items and table rows on lines of their own.

    >>> plain("<p>Predict <b>y</b>.</p><script>steal()</script><ul><li>one<li>two</ul>")
    'Predict y.\n\n- one\n- two'
    """
    parser = _Text()
    parser.feed(closed_tags(html[:_MOST]))
    parser.close()
    text = lines("".join(parser.pieces))
    kept = [row.rstrip() for row in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n ")


def closed_tags(html: str) -> str:
    """The same page without what makes Python's parser look at the rest of it again and again.

    A `<` that no `>` follows before the next one is text. Comments and declarations go.

    >>> closed_tags("a <b <i>c</i><!-- <p> --> d <!x>e <")
    'a &lt;b <i>c</i> d e &lt;'
    """
    pieces = []
    text, *rest = html.split("<")
    pieces.append(text)
    comment = False
    for piece in rest:
        inside, end, after = piece.partition(">")
        if comment or piece.startswith("!--"):
            _, end, after = piece[0 if comment else 3 :].partition("-->")
            comment = not end
            pieces.append(after)
        elif not end:
            pieces.append(f"&lt;{piece}")
        elif inside.startswith(("!", "?")):
            pieces.append(after)
        else:
            pieces.append(f"<{piece}")
    return "".join(pieces)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._dropped: list[str] = []
        self._verbatim = 0
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropped.append(tag)
        elif self._dropped:
            return
        elif tag == "br":
            self.pieces.append("\n")
        elif tag == "li":
            self._new_line("- ")
        elif tag in _CELLS:
            if self.pieces and not self.pieces[-1].endswith("\n"):
                self.pieces.append(" | ")
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")
        elif tag in _BLOCKS:
            self._new_line("" if tag in ("tr", "dd", "dt") else "\n")
            self._verbatim += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _DROPPED and tag != "a":
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[-1]:
                self._dropped.pop()
        elif tag == "a" and self._links:
            address = self._links.pop()
            if re.match(r"https?://", address):
                self.pieces.append(f" ({address})")
        elif tag in _BLOCKS:
            self._new_line("" if tag in ("tr", "dd", "dt") else "\n")
            self._verbatim = max(0, self._verbatim - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._dropped:
            return
        if self._verbatim:
            self.pieces.append(data)
            return
        text = re.sub(r"\s+", " ", data)
        if self.pieces and self.pieces[-1].endswith(("\n", " ")):
            text = text.lstrip(" ")
        if text:
            self.pieces.append(text)

    def _new_line(self, more: str) -> None:
        if self.pieces and not self.pieces[-1].endswith("\n"):
            self.pieces.append("\n")
        if more and (self.pieces or more != "\n"):
            self.pieces.append(more)
