"""An anomaly drawn in the terminal: a lane for each process, time from left to right.

Columns stand for the different times at which something began or ended, so that order and overlap
are exact; how much time is between two columns, the axis says.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from rich.cells import cell_len
from rich.text import Text

from analysis.lanes import Bar, Picture, scale
from chaos.cli.console import out, plain

WIDTH_MIN, WIDTH_MAX = 80, 200
COLUMNS_EACH = 10  # of the terminal, for each operation around a witness that is a single one
PROSE_MAX = 100
_LABELS = (40, 24, 16, 12, 9, 6)  # characters of an operation's words, as many as there is room for
_GAP_MAX = 10  # columns between two times where nothing has to be written
_TAIL = 4  # columns after the last time, for what has no end
_AXIS_LINES = 3
_SHRINK = ((7, 16), (4, 16), (3, 8), (7, 4), (4, 8), (3, 3))  # column of the table, to what width
_STYLES = {"ok": "#6DB6FE", "info": "#FFAA26", "fail": "#FEB5DA"}
_IMPOSSIBLE = "bold red"
_PLAIN = str.maketrans(
    {"→": "->", "…": "...", "·": "-", "×": "x", "µ": "u", "–": "-", "—": "-", "─": "-"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What bars are made of: left end, filling, right end."""

    bars: dict[str, tuple[str, str, str]]
    instant: str
    axis: str
    tick: str
    broken: str  # the mark of the impossible operation


FANCY = Signs(
    bars={
        "ok": ("├", "─", "┤"),
        "info": ("├", "┄", "→"),
        "fail": ("├", "╌", "╳"),
        "impossible": ("╞", "═", "╡"),
    },
    instant="◆",
    axis="─",
    tick="┴",
    broken="✗",
)
ASCII = Signs(
    bars={
        "ok": ("|", "-", "|"),
        "info": ("|", ".", ">"),
        "fail": ("|", "~", "x"),
        "impossible": ("[", "=", "]"),
    },
    instant="*",
    axis="-",
    tick="+",
    broken="X",
)


def width() -> int:
    """Columns to draw on."""
    return min(max(out.width, WIDTH_MIN), WIDTH_MAX)


def show(found: Picture, names: Sequence[str], path: str) -> None:
    """Print an anomaly; `names` are those of all anomalies, `path` what the user asked for."""
    for line in lines(found, names, path, width(), fancy=_is_unicode()):
        out.print(line, soft_wrap=True)


def _is_unicode() -> bool:
    return (out.encoding or "").lower().replace("-", "").startswith("utf")


def lines(
    found: Picture, names: Sequence[str], path: str, width: int, *, fancy: bool
) -> list[Text]:
    """The whole of it, no line wider than `width` but for words that are."""
    draw = _Drawing(found, width, FANCY if fancy else ASCII, fancy=fancy)
    number = f"anomaly {found.number} of {len(names)}"
    title = f"{found.property_name} · {found.name} × {found.count:,} · {number}"
    parts = [Text(draw.safe(title), "bold"), Text(), *draw.lanes(), *draw.axis(), *draw.legend()]
    parts += [Text(), *draw.cycle(), *draw.filled(found.argument)]
    if found.why_impossible:
        parts += draw.filled(f"{found.about_states} {found.why_impossible}")
    if found.rules_out:
        counted = f"Counted are {found.counts} ({found.reference})."
        parts += draw.filled(f"It rules out {found.rules_out}. {counted}")
    if found.faults:
        parts += draw.filled(f"Faults then or before: {', '.join(found.faults)}.")
    parts += [Text(), *draw.rows(), Text(), *draw.next_steps(names, path)]
    return parts


class _Drawing:
    def __init__(self, found: Picture, width: int, signs: Signs, *, fancy: bool) -> None:
        self._found, self._width, self._signs, self._fancy = found, width, signs, fancy
        self._names = [self.safe(name) for name in found.lanes]
        self._margin = max(map(cell_len, self._names), default=0) + 1
        self._lettered = False  # is there room for words?
        self._several = len({bar.key for bar in found.bars}) > 1
        self._columns, self._labels = self._laid_out(width - self._margin)

    def safe(self, text: str) -> str:
        """Text that this terminal can show, and that does nothing to it."""
        text = plain(text).replace("\n", " ")
        if self._fancy:
            return text
        return text.translate(_PLAIN).encode("ascii", "replace").decode()

    def filled(self, text: str) -> list[Text]:
        """A paragraph."""
        found = textwrap.wrap(self.safe(text), min(self._width, PROSE_MAX), break_on_hyphens=False)
        return [Text(line) for line in found]

    def _label(self, bar: Bar, most: int) -> str:
        text = bar.words if not self._several else f"{bar.words} ({bar.key or 'no key'})"
        text = self.safe(text)
        text = _cut(text, most, "…" if self._fancy else "~")
        return f"{text} {self._signs.broken}" if bar.marked else text

    def _laid_out(self, width: int) -> tuple[list[int], list[str]]:
        """The column of each time, and the words of each bar: the longest for which all fits."""
        for most in _LABELS:
            labels = [self._label(bar, most) for bar in self._found.bars]
            columns = self._spread(labels)
            if columns[-1] < width:
                return self._wider(columns, width), labels
        labels = [
            _letters(number) + self._signs.broken * bar.marked
            for number, bar in enumerate(self._found.bars)
        ]
        self._lettered = True
        columns = self._spread(labels, gap=1, around=1)
        if columns[-1] >= width:
            return list(range(len(columns))), labels
        return self._wider(columns, width), labels

    def _spread(self, labels: Sequence[str], gap: int = 2, around: int = 3) -> list[int]:
        """The least columns of the times, and of the right edge, that leave room for the labels."""
        ranks = len(self._found.moments)
        gaps = [gap] * max(0, ranks - 1) + [_TAIL]
        spans = [
            (bar.left, ranks if bar.right is None else max(bar.right, bar.left + 1), label)
            for bar, label in zip(self._found.bars, labels, strict=True)
        ]
        for left, right, label in sorted(spans, key=lambda span: span[1] - span[0]):
            short = cell_len(label) + around - sum(gaps[left:right])
            for at in range(left, right):
                share = -(-max(0, short) // (right - at))
                gaps[at] += share
                short -= share
        return [0, *accumulate(gaps)]

    def _wider(self, columns: list[int], width: int) -> list[int]:
        """The same with what room is left shared out, evenly."""
        gaps = [b - a for a, b in pairwise(columns)]
        room = width - 1 - columns[-1]
        while room > 0 and min(gaps) < _GAP_MAX:
            at = gaps.index(min(gaps))
            gaps[at] += 1
            room -= 1
        return [0, *accumulate(gaps)]

    def lanes(self) -> list[Text]:
        """A line for each process, more where its operations overlap."""
        found = []
        for lane, name in enumerate(self._names):
            rows: list[_Row] = []
            for bar, label in zip(self._found.bars, self._labels, strict=True):
                if bar.lane == lane:
                    self._put(rows, bar, label)
            for number, row in enumerate(rows):
                head = name if not number else ""
                found.append(Text(head.ljust(self._margin)) + row.text())
        return found

    def _put(self, rows: list[_Row], bar: Bar, label: str) -> None:
        left, edge = self._columns[bar.left], self._columns[-1]
        right = edge if bar.right is None else self._columns[bar.right]
        first, filling, last = self._signs.bars["impossible" if bar.marked else bar.outcome]
        if bar.right is None:
            last = self._signs.bars["info"][2]
        inside = right - left - 1
        if right == left:  # no time at all: the words stand behind it
            room = self._columns[bar.left + 1] - left - 2
            text = self._signs.instant + (f" {label}" if cell_len(label) <= room else "")
        elif cell_len(label) + 2 <= inside:
            before = (inside - cell_len(label) - 2) // 2
            after = inside - cell_len(label) - 2 - before
            text = f"{first}{filling * before} {label} {filling * after}{last}"
        else:
            shown = label if cell_len(label) <= inside else ""
            text = f"{first}{shown}{filling * (inside - cell_len(shown))}{last}"
        style = _IMPOSSIBLE if bar.marked else _STYLES[bar.outcome]
        row = next((row for row in rows if row.end < left), None)
        if row is None:
            row = _Row()
            rows.append(row)
        row.add(left, text, style if bar.marked or not bar.witness else f"bold {style}")

    def axis(self) -> list[Text]:
        """A tick for each time, and as many of the times as there is room for."""
        columns = self._columns[: len(self._found.moments)]
        line = [self._signs.axis] * (self._columns[-1] + 1)
        for column in columns:
            line[column] = self._signs.tick
        unit, power, decimals = scale(self._found.moments)
        begin = self._found.moments[0] if columns else 0
        texts = [f"{(t - begin) / 10**power:.{decimals}f}" for t in self._found.moments]
        rows: list[_Row] = []
        for column, text in zip(columns, texts, strict=True):
            row = next((row for row in rows if row.end + 1 < column), None)
            if row is None:
                if len(rows) == _AXIS_LINES:
                    continue
                row = _Row()
                rows.append(row)
            row.add(column, text, "dim")
        head = Text(self.safe(f"+{unit}").ljust(self._margin), "dim")
        found = [Text(" " * self._margin) + Text("".join(line), "dim")]
        for number, row in enumerate(rows):
            found.append((head if not number else Text(" " * self._margin)) + row.text())
        return found

    def legend(self) -> list[Text]:
        """What the signs mean, of those that are there."""
        kinds = {bar.outcome for bar in self._found.bars}
        told = {
            "ok": ("acknowledged", _STYLES["ok"]),
            "info": ("no answer: at any time after it began, or never", _STYLES["info"]),
            "fail": ("failed", _STYLES["fail"]),
            "impossible": ("broke the promise", _IMPOSSIBLE),
        }
        lines, used = [Text()], 0
        for kind, (meaning, style) in told.items():
            if kind not in kinds and not (kind == "impossible" and self._found.impossible):
                continue
            first, filling, last = self._signs.bars[kind]
            sign = f"{first}{self._signs.broken if kind == 'impossible' else filling}{last} "
            if used and used + len(sign) + len(meaning) > self._width:
                lines.append(Text())
                used = 0
            lines[-1] += Text("   " if used else "") + Text(sign, style) + Text(meaning)
            used = len(lines[-1])
        return lines

    def cycle(self) -> list[Text]:
        """What comes before what in a cycle: its edges one after another, and any reason that the
        argument does not give.
        """
        edges = self._found.edges
        if not edges:
            return []
        kinds = [edge.why.partition(": ")[0] for edge in edges]
        hops = [f"row {e.before} ─{kind}→ " for e, kind in zip(edges, kinds, strict=True)]
        told = self.filled("".join(hops) + f"row {edges[-1].after}")
        for edge in edges:
            if edge.why.partition(": ")[2] not in self._found.argument:
                told += self.filled(f"row {edge.before} → row {edge.after}  {edge.why}")
        return [*told, Text()]

    def rows(self) -> list[Text]:
        """The operations with their numbers and times, in the order in which they began."""
        start = min((bar.start_ns for bar in self._found.bars), default=0)
        unit, power, decimals = scale(self._found.moments)

        def since(ns: int) -> str:
            return f"+{(ns - start) / 10**power:.{decimals}f} {unit}"

        table = [["", "row", "process", "key", "operation", "began", "ended", "answer"]]
        for number, bar in enumerate(self._found.bars):
            mark = _letters(number) if self._lettered else ""
            table.append(
                [
                    mark + self._signs.broken * bar.marked,
                    str(bar.row),
                    self._found.lanes[bar.lane].removeprefix("process "),
                    bar.key or "",
                    bar.words,
                    since(bar.start_ns) if number else f"{start / 1e9:.9f} s",
                    "" if bar.right is None else since(bar.end_ns),
                    bar.outcome + (f" ({bar.error})" if bar.error else ""),
                ]
            )
        cells = [[self.safe(cell) for cell in line] for line in table]
        kept = [at for at in range(len(cells[0])) if any(line[at] for line in cells[1:])]
        widths = {at: max(cell_len(line[at]) for line in cells) for at in kept}
        for at, least in _SHRINK:  # what may be cut off where there is no room
            surplus = sum(widths.values()) + 2 * (len(widths) - 1) - self._width
            if at in widths and surplus > 0:
                widths[at] = max(min(least, widths[at]), widths[at] - surplus)
        found = []
        for number, line in enumerate(cells):
            text = "  ".join(_padded(line[at], widths[at], right=at in (1, 5, 6)) for at in kept)
            style = "bold" if not number else ""
            bar_style = _IMPOSSIBLE if number and self._found.bars[number - 1].marked else style
            found.append(Text(text.rstrip(), bar_style))
        return found

    def next_steps(self, names: Sequence[str], path: str) -> list[Text]:
        """How to look at more."""
        more = [f"aftershock show {path} --anomaly {self._found.number} --html"]
        others = [
            f"{number} {name}"
            for number, name in enumerate(names, 1)
            if number != self._found.number
        ]
        if others:
            shown = ", ".join(others[:8]) + (" …" if len(others) > 8 else "")
            more.append(f"aftershock show {path} --anomaly K   with K one of {shown}")
        heads = ["next  ", "      "]
        return [Text(self.safe(head + line)) for head, line in zip(heads, more, strict=False)]


class _Row:
    """A line of text that is written from left to right, with gaps."""

    def __init__(self) -> None:
        self._text = Text()
        self.end = -1  # the last column written

    def add(self, column: int, text: str, style: str) -> None:
        """Write at a column behind what is there."""
        self._text.append(" " * (column - self.end - 1))
        self._text.append(text, style)
        self.end = column + cell_len(text) - 1

    def text(self) -> Text:
        """The line."""
        return self._text


def _letters(number: int) -> str:
    """A … Z, AA, AB, …"""
    found = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        found = chr(ord("A") + digit) + found
    return found


def _cut(text: str, most: int, mark: str) -> str:
    """At most so many columns of a text."""
    if cell_len(text) <= most:
        return text
    while text and cell_len(text) > most - 1:
        text = text[:-1]
    return text + mark


def _padded(text: str, width: int, *, right: bool) -> str:
    text = _cut(text, width, "~")
    pad = " " * (width - cell_len(text))
    return pad + text if right else text + pad
