"""Plots as inline SVG, drawn for light and dark: colours are classes of `style.css`.

A `Plot` maps data to a drawing of 380 x 240 units, which the page scales to the width it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.report.html import Content, Html, tag

Array = NDArray[Any]
Range = tuple[float, float]

WIDTH, HEIGHT = 380.0, 240.0
_USUAL, _FIGURES = 4, 7  # of a number, and on an axis at most: there is room for no more


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two ends."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = min((m * size for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float, figures: int | None = None) -> str:
    """A number with the digits that are worth reading, or with so many."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    if abs(value) >= 1e9 or abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.{(figures or 2) - 1}e}".partition("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{figures or _USUAL}g}"


def tick(value: float, step: float = 0.0) -> str:
    """A round number as short as an axis wants it, and told from one that is a step away.

    >>> tick(12_500.0), tick(2e6), tick(0.88515, 0.00005), tick(1500.0, 500.0)
    ('12.5k', '2M', '0.88515', '1500')
    """
    figures = None
    if step and value:
        places = math.floor(math.log10(abs(value))) - math.floor(math.log10(step))
        figures = min(max(places + 2, _USUAL), _FIGURES)  # a step of 2.5 has a digit more
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if 10 * size <= abs(value) < 1e4 * size or (unit == "M" and size <= abs(value) < 1e9):
            return f"{value / size:.{figures or _USUAL}g}{unit}"
    return number(value, figures)


def spread(values: Array | Sequence[float], margin: float = 0.05) -> Range:
    """The range of finite values, a little wider."""
    found = np.asarray(values, dtype=float)
    found = found[np.isfinite(found)]
    if not len(found):
        return 0.0, 1.0
    low, high = float(found.min()), float(found.max())
    pad = (high - low) * margin or abs(high) * margin or 0.5
    return low - pad, high + pad


@dataclass
class Plot:
    """A coordinate system that marks are put into.

    Attributes:
        x, y: ranges of the data.
        label: what the picture shows, for those who cannot see it.
        x_label, y_label: titles of the axes.
        y_names: names of the positions 0, 1, 2, … on the y axis instead of numbers.
        left: room for the numbers of the y axis.
        height: of the drawing.
        x_ticks: about so many numbers stand on the x axis.
        x_whole: whole numbers only.
    """

    x: Range
    y: Range
    label: str
    x_label: str = ""
    y_label: str = ""
    y_names: Sequence[str] | None = None
    left: float = 54.0
    height: float = HEIGHT
    x_ticks: int = 5
    x_whole: bool = False
    marks: list[Html] = field(default_factory=list)

    def at_x(self, value: float) -> float:
        """Where an x value lies in the drawing."""
        low, high = self.x
        return self.left + (value - low) / (high - low) * (WIDTH - self.left - 12)

    def at_y(self, value: float) -> float:
        """Where a y value lies in the drawing."""
        low, high = self.y
        return self._bottom - (value - low) / (high - low) * (self._bottom - self._top)

    def line(self, xs: Iterable[float], ys: Iterable[float], class_: str, title: str = "") -> None:
        """A line through points; it is broken where a value is not finite."""
        parts, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if not (math.isfinite(x) and math.isfinite(y)):
                pen = "M"
                continue
            parts.append(f"{pen}{self.at_x(x):.1f} {self.at_y(y):.1f}")
            pen = "L"
        self._add("path", title, d="".join(parts), class_=f"line {class_}")

    def dot(self, x: float, y: float, class_: str, title: str = "", radius: float = 4.0) -> None:
        """One point."""
        self._add(
            "circle", title,
            cx=f"{self.at_x(x):.1f}", cy=f"{self.at_y(y):.1f}", r=radius, class_=f"dot {class_}",
        )  # fmt: skip

    def dots(self, xs: Array, ys: Array, class_: str) -> None:
        """Many small points as one element."""
        rounds = [f"M{self.at_x(x):.1f} {self.at_y(y):.1f}h0" for x, y in zip(xs, ys, strict=True)]
        self._add("path", "", d="".join(rounds), class_=f"dots {class_}")

    def box(self, x: Range, y: Range, class_: str, title: str = "", opacity: float = 1.0) -> None:
        """A filled rectangle between data values."""
        left, right = sorted(self.at_x(value) for value in x)
        top, bottom = sorted(self.at_y(value) for value in y)
        self._add(
            "rect", title, x=f"{left:.1f}", y=f"{top:.1f}", width=f"{max(right - left, 0.4):.1f}",
            height=f"{max(bottom - top, 0.4):.1f}", class_=class_,
            opacity=None if opacity == 1.0 else f"{opacity:.2f}",
        )  # fmt: skip

    def rule(self, *, x: float | None = None, y: float | None = None, class_: str = "rule") -> None:
        """A straight line across the plot."""
        if x is not None:
            at = f"{self.at_x(x):.1f}"
            self._add("line", "", x1=at, x2=at, y1=self._top, y2=self._bottom, class_=class_)
        if y is not None:
            at = f"{self.at_y(y):.1f}"
            self._add("line", "", y1=at, y2=at, x1=self.left, x2=WIDTH - 12, class_=class_)

    def histogram(self, counts: Array, edges: Array, class_: str, title: str) -> None:
        """Bars between edges."""
        for count, low, high in zip(counts, edges, edges[1:], strict=False):
            if count:
                told = f"{title}: {number(low)} to {number(high)}, {count:,.4g}"
                self.box((low, high), (0, float(count)), class_, told)

    def draw(self) -> Html:
        """The picture."""
        return tag(
            "svg", tag("title", self.label), self._axes(), self.marks,
            viewBox=f"0 0 {WIDTH:g} {self.height:g}", role="img",
        )  # fmt: skip

    @property
    def _top(self) -> float:
        return 20.0 if self.y_label else 8.0

    @property
    def _bottom(self) -> float:
        return self.height - (36.0 if self.x_label else 22.0)

    def _add(self, name: str, title: str, **attributes: Any) -> None:
        self.marks.append(tag(name, tag("title", title) if title else (), **attributes))

    def _axes(self) -> Iterable[Html]:
        places = ticks(*self.x, self.x_ticks)
        for value in places:
            if self.x_whole and value != round(value):
                continue
            x = f"{self.at_x(value):.1f}"
            yield tag("line", x1=x, x2=x, y1=self._top, y2=self._bottom, class_="grid-line")
            shown = tick(value, _step(places))
            near = self.at_x(value) + 3.8 * len(shown) > WIDTH  # the last one must not be cut off
            yield tag(
                "text", shown, x=f"{WIDTH - 1:g}" if near else x, y=self._bottom + 17,
                text_anchor="end" if near else "middle",
            )  # fmt: skip
        names = self.y_names
        places = ticks(min(self.y), max(self.y)) if names is None else list(range(len(names)))
        for value in places:
            at = self.at_y(value)
            if names is None:
                yield tag(
                    "line", y1=f"{at:.1f}", y2=f"{at:.1f}", x1=self.left, x2=WIDTH - 12,
                    class_="grid-line",
                )  # fmt: skip
            shown = tick(value, _step(places)) if names is None else names[int(value)]
            yield tag("text", shown, x=self.left - 6, y=f"{at + 4:.1f}", text_anchor="end")
        if self.x_label:
            middle = (self.left + WIDTH - 12) / 2
            yield tag("text", self.x_label, x=middle, y=self.height - 4, text_anchor="middle")
        if self.y_label:
            yield tag("text", self.y_label, x=6, y=11, text_anchor="start")


def _step(places: Sequence[float]) -> float:
    return places[1] - places[0] if len(places) > 1 else 0.0


def legend(*entries: tuple[str, Content]) -> Html:
    """Colours and what they stand for."""
    return tag(
        "p", [tag("span", tag("i", class_=f"key {name}"), text) for name, text in entries],
        class_="legend",
    )  # fmt: skip


def bars(rows: Sequence[tuple[Content, float, Content]], class_: str = "c0") -> Html:
    """Horizontal bars with names left and values right; negative ones are drawn in another colour.

    Args:
        rows: name, length, and the value as it is written.
        class_: colour.
    """
    longest = max((abs(length) for _, length, _ in rows), default=0.0) or 1.0
    lines = [
        tag(
            "div",
            tag("span", name, class_="name"),
            tag("span", tag("i", class_=f"bar {class_ if length >= 0 else 'bad'}",
                            style=f"width:{abs(length) / longest * 100:.1f}%"), class_="track"),
            tag("span", shown, class_="value"),
            class_="bar-row",
        )
        for name, length, shown in rows
    ]  # fmt: skip
    return tag("div", lines, class_="bars")


def short(name: str, limit: int = 12) -> str:
    """A name cut to fit."""
    return name if len(name) <= limit else f"{name[: limit - 1]}…"
