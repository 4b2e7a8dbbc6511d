"""Line charts as SVG in text, for pages that load nothing."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 26, 38
# Colours that the page's style has, for light and dark.
COLOURS = 6


@dataclass
class Series:
    """One line, or dots, of points that are finite; a logarithmic axis leaves out what is not above 0."""

    name: str
    points: list[tuple[float, float]]
    dots: bool = False


@dataclass
class Chart:
    """Series over one pair of axes."""

    x_name: str
    y_name: str
    series: list[Series]
    log_x: bool = False
    log_y: bool = False
    drawn: list[Series] = field(init=False)

    def __post_init__(self) -> None:
        """Keeps what can be drawn."""
        kept = [Series(s.name, [p for p in s.points if self._fits(p)], s.dots) for s in self.series]
        self.drawn = [series for series in kept if series.points]

    def _fits(self, point: tuple[float, float]) -> bool:
        (x, y), log = point, (self.log_x, self.log_y)
        return all(math.isfinite(v) and (v > 0 or not logged) for v, logged in zip((x, y), log, strict=True))

    def figure(self, caption: str) -> str:
        """The chart under its caption, with a legend; nothing if there is nothing to draw."""
        if not self.drawn:
            return ""
        legend = "".join(
            f'<span><i class="{"dot" if series.dots else "bar"}" style="background:{self._colour(i)}"></i>'
            f"{html.escape(series.name)}</span>"
            for i, series in enumerate(self.drawn)
        )
        return (
            f"<figure><figcaption>{html.escape(caption)}</figcaption>{self.svg(caption)}"
            f'<p class="legend">{legend}</p></figure>'
        )

    def svg(self, title: str) -> str:
        """The chart alone; `title` is for those who do not see it."""
        xs = _Axis([x for s in self.drawn for x, _ in s.points], self.log_x, LEFT, WIDTH - RIGHT)
        ys = _Axis([y for s in self.drawn for _, y in s.points], self.log_y, HEIGHT - BOTTOM, TOP)
        lines = [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{ys.at(y):.1f}" y2="{ys.at(y):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{ys.at(y) + 4:.1f}" text-anchor="end">{short(y)}</text>'
            for y in ys.ticks
        ]
        lines += [
            f'<line class="grid" x1="{xs.at(x):.1f}" x2="{xs.at(x):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="tick" x="{xs.at(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">'
            f"{short(x)}</text>"
            for x in xs.ticks
        ]
        middle = (LEFT + WIDTH - RIGHT) / 2
        lines.append(
            f'<text class="tick" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{html.escape(self.x_name)}</text>"
            f'<text class="tick" x="4" y="13">{html.escape(self.y_name)}</text>'
        )
        for i, series in enumerate(self.drawn):
            colour, places = self._colour(i), [(xs.at(x), ys.at(y)) for x, y in sorted(series.points)]
            if not series.dots:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
                lines.append(f'<polyline class="line" points="{path}" style="stroke:{colour}"/>')
            if series.dots or len(places) <= 12:
                lines += [
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:{self._colour(i)}"/>'
                    for x, y in places
                ]
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
            f"{''.join(lines)}</svg>"
        )

    def _colour(self, place: int) -> str:
        return f"var(--series-{place % COLOURS + 1})"


class _Axis:
    """Values onto pixels, and which of them are named."""

    def __init__(self, values: list[float], log: bool, begin: float, end: float) -> None:
        self.log, self.begin, self.end = log, begin, end
        low, high = min(values), max(values)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - abs(low or 1) / 2, high + abs(high or 1) / 2)
        self.ticks = _log_ticks(low, high) if log else _linear_ticks(low, high)
        low, high = min(low, *self.ticks), max(high, *self.ticks)
        self.low, self.high = self._scaled(low), self._scaled(high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def at(self, value: float) -> float:
        """The pixel of a value."""
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def _linear_ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 4 else (1, 2, 5) if len(decades) < 3 else (1, 3)
    every = [factor * 10.0**decade for decade in decades for factor in factors]
    below = max((tick for tick in every if tick <= low * 1.001), default=every[0])
    above = min((tick for tick in every if tick >= high * 0.999), default=every[-1])
    return [tick for tick in every if below <= tick <= above]


def short(value: float) -> str:
    """A number in few signs: 196k, 0.02, 1.5e-05."""
    size = abs(value)
    if value == 0:
        return "0"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"
