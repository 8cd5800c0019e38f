"""How time grows with the history: rows named "growth: SERIES, N operations" as one SVG picture.

Both axes are logarithmic, so that time in proportion to n is a line that climbs one decade in one.
"""

from __future__ import annotations

import math
import re

ROW = re.compile(
    r"^\| growth: (?P<series>.+), (?P<count>[\d,]+) operations \| (?P<seconds>[\d.,]+) \| s \|",
    re.M,
)
WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 20, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "1 3")  # told apart without colour, too

Points = dict[str, list[tuple[int, float]]]


def points(tables: str) -> Points:
    """{series: [(operations, seconds), …]} of the rows of Markdown tables that belong to it."""
    found: Points = {}
    for match in ROW.finditer(tables):
        count, seconds = (match[name].replace(",", "") for name in ("count", "seconds"))
        found.setdefault(match["series"], []).append((int(count), float(seconds)))
    return {series: sorted(values) for series, values in found.items()}


def svg(series: Points) -> str:
    """The picture; its text colour is grey, legible on white and on black."""
    counts = [n for values in series.values() for n, _ in values]
    seconds = [s for values in series.values() for _, s in values]
    across = _decades(min(counts), max(counts))
    up = _decades(min(seconds), max(seconds))

    def x(count: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(count, across)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, up)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#777">',
        "<title>Seconds by operations, both logarithmic</title>",
    ]
    for power in range(across[0], across[1] + 1):
        at = x(10.0**power)
        parts += [_line(at, TOP, at, HEIGHT - BOTTOM), _text(at, HEIGHT - BOTTOM + 18,
                  f"{10**power:,}", "middle")]  # fmt: skip
    for power in range(up[0], up[1] + 1):
        at = y(10.0**power)
        parts += [_line(LEFT, at, WIDTH - RIGHT, at), _text(LEFT - 8, at + 4,
                  f"{10.0**power:g} s", "end")]  # fmt: skip
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "operations", "middle"))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(n):.1f},{y(s):.1f}" for n, s in values)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
        )
        label = TOP + 14 + 18 * number
        parts.append(
            f'<line x1="{WIDTH - RIGHT + 10}" y1="{label - 4}" x2="{WIDTH - RIGHT + 34}" '
            f'y2="{label - 4}" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
        )
        parts.append(_text(WIDTH - RIGHT + 40, label, name, "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _decades(low: float, high: float) -> tuple[int, int]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return first, max(last, first + 1)


def _share(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#7775"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
