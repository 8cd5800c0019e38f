"""Which writes and appends a text spells.

If no text of a key's operations begins another one, a read's text can be taken apart in one way
only: it is the text of a write (or what was there at first), then the texts of appends, in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

INITIAL = -1  # the "row" of the text at first


@dataclass(slots=True)
class Line:
    """All that was seen of one write: `ops[0]` is its row, then appends in the order of the text.

    `reads[j]` are the reads that show exactly `ops[: j + 1]`.
    """

    ops: list[int]
    reads: list[list[int]]


@dataclass(slots=True)
class Spelled:
    """What the reads of one key spell, and those that spell nonsense."""

    lines: list[Line] = field(default_factory=list)
    unexplained: list[int] = field(default_factory=list)  # reads that no operations leave
    aborted: list[tuple[int, int]] = field(default_factory=list)  # (read, the failed operation)
    repeated: list[tuple[int, int, int]] = field(default_factory=list)  # (append, two reads)
    diverged: list[tuple[int, int]] = field(default_factory=list)  # (read, a longer one)


class Speller:
    """Takes texts apart. (row, text) of writes, of appends, and of both kinds that failed."""

    def __init__(
        self,
        initial: str,
        writes: Sequence[tuple[int, str]],
        appends: Sequence[tuple[int, str]],
        failed: Sequence[tuple[int, str]],
    ) -> None:
        texts = [*writes, *appends]
        if initial:
            texts.append((INITIAL, initial))
        self._root = INITIAL if not initial else None  # what a text of appends alone begins with
        self._writes = {row for row, _ in writes} | {INITIAL}
        self._codes = _Codes({text: row for row, text in texts})
        self._failed = {text: row for row, text in failed if text not in self._codes.rows}
        self.tells_apart = len(self._codes.rows) == len(texts) and self._codes.prefix_free()

    def read(self, texts: Mapping[str, list[int]]) -> Spelled:
        """Put the reads (their rows by text) into lines; only if `tells_apart`."""
        found = Spelled()
        lines: dict[int, tuple[Line, str, dict[int, int]]] = {}  # by row of the write
        shown: dict[int, int] = {}  # append → a read
        for text in sorted(texts, key=lambda text: (-len(text), text)):
            rows = texts[text]
            first = self._first(text)
            if first in lines:
                line, longest, places = lines[first]
                if len(text) in places and longest.startswith(text):
                    line.reads[places[len(text)]] += rows
                    continue
            spelt = [] if first is None else self._spell(text)
            ops = [row for row, _ in spelt]
            if first is None or not ops:
                self._blame(found, text, rows)
            elif len(set(ops)) < len(ops):
                found.repeated += [(row, rows[0], rows[0]) for row in _twice(ops)]
            elif first in lines:
                found.diverged += [(row, lines[first][0].reads[-1][0]) for row in rows]
            elif any(row in shown for row in ops):
                found.repeated += [(row, shown[row], rows[0]) for row in ops if row in shown]
            else:
                line = Line(ops=ops, reads=[[] for _ in ops])
                line.reads[-1] += rows
                lines[first] = (line, text, {end: at for at, (_, end) in enumerate(spelt)})
                shown |= dict.fromkeys(ops[1:], rows[0])
                found.lines.append(line)
        return found

    def _first(self, text: str) -> int | None:
        """The write that a text begins with, or what was there at first; None: with nothing."""
        row = next((row for row, _ in self._codes.parts(text)), None)
        if row in self._writes:
            return row
        return None if text and row is None else self._root

    def _spell(self, text: str) -> list[tuple[int, int]]:
        """(row, end of its text) of each operation; [] if no operations leave this text."""
        parts = list(self._codes.parts(text))
        if (parts[-1][1] if parts else 0) < len(text):
            return []
        if not parts or parts[0][0] not in self._writes:
            parts.insert(0, (INITIAL, 0))
        if any(row in self._writes for row, _ in parts[1:]):
            return []  # a write replaces what was there
        return parts

    def _blame(self, found: Spelled, text: str, rows: list[int]) -> None:
        """A text that nothing leaves: does an operation that failed explain it?"""
        both = _Codes({**self._failed, **self._codes.rows})
        failed = set(self._failed.values())
        if both.prefix_free():
            for part, _ in both.parts(text):
                if part in failed:
                    found.aborted += [(row, part) for row in rows]
                    return
        found.unexplained += rows


class _Codes:
    """Texts and whose they are."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        self.rows = rows
        self._lengths = sorted({len(text) for text in rows})

    def prefix_free(self) -> bool:
        """Whether none begins another; then none is empty, unless it is the only one."""
        texts = sorted(self.rows)
        if texts and not texts[0]:
            return False
        return not any(b.startswith(a) for a, b in pairwise(texts))

    def parts(self, text: str) -> Iterator[tuple[int, int]]:
        """(row, end) of each text in turn, as far as the whole can be taken apart."""
        at = 0
        while at < len(text):
            for length in self._lengths:
                row = self.rows.get(text[at : at + length])
                if row is not None:
                    at += length
                    break
            else:
                return
            yield row, at


def _twice(ops: Sequence[int]) -> list[int]:
    return [row for row, count in Counter(ops).items() if count > 1]
