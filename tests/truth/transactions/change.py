"""Changes of a history of transactions that change no verdict, and several histories as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.truth.change import PROCESSES, SCALES, SHIFTS
from tests.truth.rows import FOREIGN, Row, carried

ODD = ("1", 1.0, True, [1], "true", {"a": 1}, "", False, 0.5, [[]], 2**63, -1, "x y", {}, "null")
APART = 100  # more processes than a small history has
SPELLINGS: tuple[Callable[[int], Any], ...] = (
    lambda value: value,
    lambda value: value,
    lambda value: str(value),
    lambda value: [value],
    lambda value: {"v": value},
    lambda value: -value,
    lambda value: value + 2**62,
    lambda value: (value, str(value), [value], float(value))[value % 4],
)


def harmless(rng: Random, history: Sequence[Row], initial: Any) -> list[Row]:
    """The same told otherwise: other names, keys, values and times, ties in another order."""
    rows = _times(rng, history)
    if rng.random() < 0.5:
        rows = _named(rng, rows)
    if rng.random() < 0.7:
        rows = _spelt(rng, rows, initial)
    rows = [_nothing(rng, row) for row in rows]
    if rng.random() < 0.2:
        rows.append(_foreign(rng, rows))
    return _sorted(rng, rows)


def _times(rng: Random, rows: Sequence[Row]) -> list[Row]:
    scale, shift = (rng.choice(SCALES), rng.choice(SHIFTS)) if rng.random() < 0.4 else (1, 0)
    return [
        row._replace(start=row.start * scale + shift, end=row.end * scale + shift) for row in rows
    ]


def _named(rng: Random, rows: Sequence[Row]) -> list[Row]:
    names = list(dict.fromkeys(row.process for row in rows))
    other = rng.sample(range(rng.choice((len(names) * 3, PROCESSES))), len(names))
    renamed = dict(zip(names, other, strict=True))
    return [row._replace(process=renamed[row.process]) for row in rows]


def _spelt(rng: Random, rows: Sequence[Row], initial: Any) -> list[Row]:
    """Keys and values under other names, each another; the initial value and null stay."""
    keys = list(dict.fromkeys(key for row in rows for _, key, _ in row.value))
    names: Sequence[Any] = rng.sample(ODD, len(keys)) if rng.random() < 0.5 else keys
    named = dict(zip(keys, names, strict=True))
    spell = SPELLINGS[int(rng.random() * len(SPELLINGS))]
    if any(carried(spell(value)) == carried(initial) for value in range(1, 100)):
        spell = SPELLINGS[0]

    def one(value: Any) -> Any:
        if carried(value) == carried(initial):
            return value
        if isinstance(value, list):
            return [one(element) for element in value]
        return spell(value) if type(value) is int else value

    return [
        row._replace(value=[[f, named[key], one(value)] for f, key, value in row.value])
        for row in rows
    ]


def _nothing(rng: Random, row: Row) -> Row:
    """What says nothing is said otherwise: no list, reads without an answer, open operations."""
    if row.type == "ok":
        if rng.random() < 0.7:
            return row
        empty = [None if step[0] == "r" and step[2] == [] else step[2] for step in row.value]
        return row._replace(
            value=[[f, key, value] for (f, key, _), value in zip(row.value, empty, strict=True)]
        )
    word = "open" if row.type == "info" and rng.random() < 0.2 else row.type
    return row._replace(type=word)


def _foreign(rng: Random, rows: Sequence[Row]) -> Row:
    host = rows[int(rng.random() * len(rows))]
    kind = ("info", "fail")[int(rng.random() * 2)]
    return host._replace(f=FOREIGN, value=1, type=kind, error="timeout")


def _sorted(rng: Random, rows: list[Row]) -> list[Row]:
    """By completion; but two of one process at one moment stay in their order."""
    draws: dict[tuple[int, int, int], list[float]] = {}
    for row in rows:
        draws.setdefault((row.process, row.start, row.end), []).append(rng.random())
    for drawn in draws.values():
        drawn.sort(reverse=True)
    return [
        row
        for _, _, _, row in sorted(
            (row.end, draws[row.process, row.start, row.end].pop(), at, row)
            for at, row in enumerate(rows)
        )
    ]


def together(parts: Sequence[Sequence[Row]], *, apart: bool) -> list[Row]:
    """Histories that have nothing in common as one: valid if and only if each is."""
    joined, free = [], 0
    for number, part in enumerate(parts):
        least = min(row.start for row in part)
        shift = free - least
        if apart:
            free += max(row.end for row in part) - least + 1
        names = {name: at for at, name in enumerate({row.process: None for row in part})}
        joined += [
            row._replace(
                process=number * APART + names[row.process],
                start=row.start + shift,
                end=row.end + shift,
                value=_mine(number, row.value) if row.f == "txn" else row.value,
            )
            for row in part
        ]
    joined.sort(key=lambda row: row.end)
    return joined


def _mine(number: int, steps: Any) -> Any:
    return [[f, [number, key], value] for f, key, value in steps]
