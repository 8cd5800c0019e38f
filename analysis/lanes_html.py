"""A picture of lanes as one page: offline, without anything to load, readable without scripts.

Everything in it comes from histories, which are not trusted: all text is escaped, and the page's
own policy lets nothing run or load but the style and the script that stand in it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate

from analysis.lanes import Bar, Picture, scale

GAP, TAIL = 14, 60  # pixels between two times; after the last one, for what has no end
ROW, BAR, TOP = 28, 20, 26  # heights: of a lane's line, of a bar, of the axis
ARROWS = 26  # more height of a line where arrows go from lane to lane
CHARACTER = 7.3  # its width, with some room to spare
WORDS = 9  # characters of any bar for which there is room
TIME_EVERY = 96  # pixels that a time needs
LONGEST = 200  # characters of a text in the page


def page(found: Picture, *, title: str, names: Sequence[str]) -> str:
    """The page of one anomaly of the run `title`; `names` are those of all its anomalies."""
    style, script = _asset("lanes.css"), _asset("lanes.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    drawing = _Drawing(found)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_safe(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(found.name)} · {_safe(title)}</title>",
        f"<style>{style}</style></head><body>",
        *_header(found, title, names),
        *drawing.figure(),
        *_legend(found),
        '<aside id="detail" aria-live="polite"><p>An operation under the pointer, or with the '
        "focus, is told here; the table below has them all.</p></aside>",
        *drawing.table(),
        f"<script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _asset(name: str) -> str:
    return resources.files("analysis").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _safe(text: object, most: int = 10_000) -> str:
    """Text of a history as text of the page: nothing in it can be anything else."""
    shown = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text)
    )
    return html.escape(shown if len(shown) <= most else f"{shown[: most - 1]}…", quote=True)


def _header(found: Picture, title: str, names: Sequence[str]) -> Iterable[str]:
    yield (
        f"<header><h1>{_safe(found.name)} <span>× {found.count:,}</span></h1>"
        f'<div class="run">{_safe(found.property_name)} · {_safe(title)} · '
        f"anomaly {found.number} of {len(names)}</div>"
    )
    yield f'<p class="argument">{_safe(found.argument)}</p>'
    if found.why_impossible:
        yield f"<p>{_safe(found.why_impossible)}</p>"
    if found.edges:
        yield '<ol class="cycle">'
        for edge in found.edges:
            rows = (f'<a href="#op-{row}">row {row}</a>' for row in (edge.before, edge.after))
            yield f"<li>{' → '.join(rows)} {_safe(edge.why)}</li>"
        yield "</ol>"
    if found.rules_out:
        yield (
            f'<p class="meaning">It rules out {_safe(found.rules_out)}. Counted are '
            f"{_safe(found.counts)} ({_safe(found.reference)}).</p>"
        )
    if found.faults:
        yield f'<p class="meaning">Faults then or before: {_safe(", ".join(found.faults))}.</p>'
    yield f'<p class="note">{_safe(found.about_states)}</p></header>'
    if found.impossible is not None:
        yield (
            f'<div class="tools"><a id="jump" href="#op-{found.impossible.row}">Jump to the '
            f"{_marked(found)}</a><span><kbd>j</kbd> jumps there, <kbd>←</kbd> "
            "<kbd>→</kbd> go from operation to operation</span></div>"
        )


def _marked(found: Picture) -> str:
    """What the mark stands for: of a cycle no operation is impossible by itself."""
    return "answer that closed the cycle" if found.edges else "first impossible operation"


def _legend(found: Picture) -> Iterable[str]:
    told = {
        "ok": "acknowledged",
        "info": "no answer: its effect may come at any time after it began, or never",
        "fail": "failed",
    }
    kinds = {bar.outcome for bar in found.bars}
    yield '<div class="legend">'
    for kind, meaning in told.items():
        if kind in kinds:
            shape = _shape(kind, 2, 34, 2, point=False)
            yield f"<span>{_sample(kind, shape)}{meaning}</span>"
    shape = _shape("ok", 2, 34, 2, point=False)
    if any(bar.witness for bar in found.bars):
        yield f"<span>{_sample('ok witness', shape)}of the witness</span>"
    if found.impossible:
        yield f"<span>{_sample('ok impossible', shape)}✗ broke the promise</span>"
    if any(bar.states.place for bar in found.bars):
        line = shape + '<path class="point" d="M18 2v20"/>'
        yield f"<span>{_sample('ok', line)}its moment in the order whose states are shown</span>"
    if found.skipped:
        count = sum(found.skipped.values())
        yield f"<span>┊ left out here: {count:,} more operations on the same keys</span>"
    yield "</div>"


def _sample(kind: str, shape: str) -> str:
    return f'<svg width="40" height="24" class="bar {kind}" aria-hidden="true">{shape}</svg>'


def _shape(outcome: str, left: float, right: float, y: float, *, point: bool) -> str:
    """The body of a bar: closed, open to the right, crossed out; a diamond if it took no time."""
    middle, bottom = y + BAR / 2, y + BAR
    if point:
        d = f"M{left:g} {y:g}l9 {BAR / 2:g}l-9 {BAR / 2:g}l-9 -{BAR / 2:g}z"
        return f'<path class="body" d="{d}"/>'
    if outcome == "info":
        d = f"M{left:g} {y:g}H{right - 9:g}L{right:g} {middle:g}L{right - 9:g} {bottom:g}H{left:g}z"
        return f'<path class="body" d="{d}"/>'
    body = (
        f'<rect class="body" x="{left:g}" y="{y:g}" width="{right - left:g}" '
        f'height="{BAR}" rx="3"/>'
    )
    if outcome != "fail":
        return body
    cross = f"M{right - 12:g} {middle - 4:g}l8 8m0 -8l-8 8"
    return f'{body}<path class="cross" d="{cross}"/>'


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a bar is, in pixels."""

    left: float
    right: float
    line: int  # from the top


class _Drawing:
    def __init__(self, found: Picture) -> None:
        self._found = found
        self._several = len({bar.key for bar in found.bars}) > 1
        self._row = ROW + (ARROWS if found.edges else 0)
        self._x = self._columns()
        self._lines: list[int] = []  # per lane: the first of its lines
        self._places = self._placed()
        self._points = self._moments()
        begin = found.moments[0] if found.moments else 0
        self._unit, self._power, self._decimals = scale(found.moments)
        self._begin = begin

    def _columns(self) -> list[float]:
        """The left edge of each time, and of the end of the picture."""
        ranks = len(self._found.moments)
        gaps = [float(GAP)] * max(0, ranks - 1) + [float(TAIL)]
        for rank in self._found.skipped:
            if 0 < rank < ranks:
                gaps[rank - 1] += GAP
        for bar in self._found.bars:
            right = ranks if bar.right is None else max(bar.right, bar.left + 1)
            most = len(self._label(bar))
            most = most if bar.witness or bar.first else min(most, WORDS)
            wanted = most * CHARACTER + (26 if bar.outcome != "ok" else 14)
            short = wanted - sum(gaps[bar.left : right])
            for at in range(bar.left, right):
                gaps[at] += max(0.0, short / (right - bar.left))
        return [10 + x for x in accumulate(gaps, initial=0.0)]

    def _placed(self) -> list[_Place]:
        """Each bar's place; operations of one process that overlap get lines of their own."""
        lines = 0
        place: dict[int, _Place] = {}
        for lane in range(len(self._found.lanes)):
            ends: list[float] = []
            for bar in self._found.bars:
                if bar.lane != lane:
                    continue
                left = self._x[bar.left]
                right = self._x[-1] if bar.right is None else self._x[bar.right]
                line = next((n for n, end in enumerate(ends) if end <= left), len(ends))
                ends[line : line + 1] = [right]
                place[bar.row] = _Place(left, right, lines + line)
            self._lines.append(lines)
            lines += max(1, len(ends))
        self._height = TOP + lines * self._row
        return [place[bar.row] for bar in self._found.bars]

    def _moments(self) -> dict[int, float]:
        """Where each operation stands in the order: as early as it can, among those before it."""
        ordered = sorted(
            (bar.states.place, at) for at, bar in enumerate(self._found.bars) if bar.states.place
        )
        ranks: list[tuple[int, int]] = []
        latest = 0
        for _, at in ordered:
            latest = max(latest, self._found.bars[at].left)
            ranks.append((latest, at))
        found = {}
        for rank in {rank for rank, _ in ranks}:
            here = [at for other, at in ranks if other == rank]
            width = self._x[rank + 1] - self._x[rank]
            for number, at in enumerate(here, 1):
                x = self._x[rank] + width * number / (len(here) + 1)
                found[at] = min(x, self._places[at].right - 1)
        return found

    def _label(self, bar: Bar) -> str:
        text = f"{bar.words} ({bar.key or 'no key'})" if self._several else bar.words
        return f"✗ {text}" if bar.marked else text

    def figure(self) -> Iterable[str]:
        """Names of the processes at the left, the lanes beside them."""
        width = self._x[-1] + 10
        margin = max((len(name) for name in self._found.lanes), default=0) * CHARACTER + 20
        yield '<figure class="lanes">'
        yield f'<svg width="{margin:g}" height="{self._height}" role="presentation">'
        for name, line in zip(self._found.lanes, self._lines, strict=True):
            y = TOP + line * self._row + self._row / 2 + 4
            yield f'<text x="10" y="{y:g}">{_safe(name)}</text>'
        yield '</svg><div class="scroll">'
        yield f'<svg width="{width:g}" height="{self._height}" role="group" aria-label="lanes">'
        for number, line in enumerate(self._lines):
            following = [*self._lines[1:], (self._height - TOP) // self._row][number]
            if number % 2:
                height = (following - line) * self._row
                size = f'width="{width:g}" height="{height}"'
                yield f'<rect class="band" y="{TOP + line * self._row}" {size}/>'
        yield from self._axis()
        for at, (bar, place) in enumerate(zip(self._found.bars, self._places, strict=True)):
            yield self._bar(bar, place, self._points.get(at))
        yield from self._arrows()
        yield "</svg></div></figure>"

    def _arrows(self) -> Iterable[str]:
        """The edges of a cycle, from the end of one bar to the beginning of the next, each with
        its number in the list above the picture.
        """
        places = dict(zip((bar.row for bar in self._found.bars), self._places, strict=True))
        for number, edge in enumerate(self._found.edges, 1):
            a, b = places[edge.before], places[edge.after]
            x = a.right - min(18, (a.right - a.left) / 3)
            to_x = b.left + min(18, (b.right - b.left) / 3)
            y, to_y = (TOP + place.line * self._row + self._row / 2 for place in (a, b))
            side = BAR / 2 if to_y > y else -BAR / 2
            if a.line == b.line:  # in an arc above the lane
                y = to_y = y - BAR / 2
                middle = y - ARROWS
            else:  # between the sides that face each other
                y, to_y = y + side, to_y - side
                middle = (y + to_y) / 2
            tip = 6 if middle < to_y else -6
            line = f"M{x:g} {y:g}C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"
            head = f"M{to_x - 4:g} {to_y - tip:g}L{to_x:g} {to_y:g}L{to_x + 4:g} {to_y - tip:g}"
            text = f'<text x="{(x + to_x) / 2 + 4:g}" y="{middle + 4:g}">{number}</text>'
            yield (
                f'<g class="edge"><title>{_safe(edge.why, LONGEST)}</title><path d="{line}"/>'
                f'<path d="{head}"/>{text}</g>'
            )

    def _axis(self) -> Iterable[str]:
        free = 0.0
        for rank, (moment, x) in enumerate(zip(self._found.moments, self._x, strict=False)):
            if rank in self._found.skipped and rank:
                middle = (self._x[rank - 1] + x) / 2
                yield (
                    f'<path class="skip" d="M{middle:g} {TOP - 6}V{self._height}">'
                    f"<title>{self._found.skipped[rank]:,} left out</title></path>"
                )
            if x >= free:
                yield f'<path class="tick" d="M{x:g} {TOP - 6}V{self._height}"/>'
                text = f"{moment / 1e9:.6f} s" if not rank else self._since(moment)
                yield f'<text class="time" x="{x:g}" y="{TOP - 11}">{_safe(text)}</text>'
                free = x + TIME_EVERY

    def _since(self, ns: int) -> str:
        return f"+{(ns - self._begin) / 10**self._power:.{self._decimals}f} {self._unit}"

    def _bar(self, bar: Bar, place: _Place, point: float | None) -> str:
        y = TOP + place.line * self._row + (self._row - BAR) / 2
        marks = [bar.outcome, *(["witness"] if bar.witness else [])]
        marks += ["impossible"] if bar.marked else []
        told = self._told(bar)
        instant = bar.right == bar.left
        body = _shape(bar.outcome, place.left, place.right, y, point=instant)
        begin = place.left + (13 if instant else 5)
        end = self._x[bar.left + 1] if instant else place.right
        room = int((end - begin - (3 if bar.outcome == "ok" else 12)) / CHARACTER)
        label = self._label(bar)
        label = label if len(label) <= room else f"{label[: room - 1]}…" if room > 2 else ""
        text = f'<text x="{begin:g}" y="{y + 14:g}">{_safe(label)}</text>' if label else ""
        line = "" if point is None else f'<path class="point" d="M{point:g} {y:g}v{BAR}"/>'
        data = "".join(f' data-{name}="{_safe(value, LONGEST)}"' for name, value in told.items())
        lines = [f"{name}: {value}" for name, value in told.items() if value]
        title = _safe("\n".join(lines))
        return (
            f'<g id="op-{bar.row}" class="bar {" ".join(marks)}" tabindex="0" role="img" '
            f'aria-label="{_safe(told["who"])}: {_safe(bar.words)}"{data}>'
            f"<title>{title}</title>{body}{line}{text}</g>"
        )

    def _told(self, bar: Bar) -> dict[str, str]:
        """What is known of an operation, in words."""
        where = f", {bar.node}" if bar.node else ""
        mark = " – with this answer the promise was broken" if bar.impossible else ""
        mark += " – the first answer that leaves no order" if bar.first else ""
        return {
            "words": f"{bar.words} (row {bar.row}){mark}",
            "who": f"{self._found.lanes[bar.lane]}{where}",
            "key": bar.key or "",
            "began": f"{bar.start_ns / 1e9:.9f} s",
            "ended": "never" if bar.right is None else f"{bar.end_ns / 1e9:.9f} s",
            "answer": f"{bar.outcome}{': ' if bar.error else ''}{bar.error}",
            "order": str(bar.states.place or ""),
            "before": bar.states.before,
            "after": bar.states.after or ("impossible" if bar.first else ""),
        }

    def table(self) -> Iterable[str]:
        """Every operation of the picture, by start."""
        head = ["row", "process", "key", "operation", "began", "ended", "answer"]
        known = any(bar.states.before for bar in self._found.bars)
        head += ["state before", "state after"] if known else []
        yield '<h2>Operations</h2><div class="wide"><table><thead><tr>'
        yield "".join(f'<th scope="col">{name}</th>' for name in head) + "</tr></thead><tbody>"
        for bar in self._found.bars:
            marks = ("witness " if bar.witness else "") + ("impossible" if bar.marked else "")
            told = self._told(bar)
            words = self._label(bar) if bar.marked else bar.words
            texts = [
                told["who"],
                bar.key or "",
                words,
                told["began"],
                told["ended"],
                told["answer"],
            ]
            texts += [told["before"], told["after"]] if known else []
            cells = "".join(f"<td>{_safe(text, LONGEST)}</td>" for text in texts)
            yield f'<tr class="{marks}"><td class="number">{bar.row}</td>{cells}</tr>'
        yield "</tbody></table></div>"
