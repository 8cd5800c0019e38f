"""Session guarantees, word by word as docs/checkers.md has them, over all registers at once."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from tests.truth.definitions import is_ok, puts, shows, tells, unfounded
from tests.truth.rows import Row, carried


class _Done(NamedTuple):
    """An operation and where it stands."""

    place: int
    row: Row


def truth(rows: Sequence[Row], initial: Any) -> str:
    """Nobody finds what was certainly replaced by what his session must have seen."""
    first = carried(carried(initial))
    told = [r._replace(value=carried(r.value), expected=carried(r.expected)) for r in rows]
    done = [_Done(n, row) for n, row in enumerate(told) if row.f in ("read", "write", "cas")]
    wrong = compared = twice = False
    for key in {d.row.key for d in done}:
        part = [d.row for d in done if d.row.key == key]
        wrong |= unfounded(part, first)
        put = [value for row in part for value in puts(row)]
        twice |= len(set(put)) < len(put) or first in put
    for r in done:
        for v in shows(r.row):
            compared |= any(is_ok(x.row) and x.row.key == r.row.key and _before(x, r) for x in done)
            must = _must_see(r, done, first)
            wrong |= any(_replaces(u, r.row.key, v, done, first) for u in must)
    return "invalid" if wrong else "valid" if compared and not twice else "unknown"


def _before(x: _Done, y: _Done) -> bool:
    a, b = x.row, y.row
    if a.process != b.process or a.end > b.start:
        return False
    return b.end > a.start or x.place < y.place


def _sole(o: _Done, done: Sequence[_Done], first: Any) -> _Done | None:
    """The only one that may have written what o found."""
    writers = [
        d for d in done if d.row.key == o.row.key and set(puts(d.row)) & set(shows(o.row))
    ]  # fmt: skip
    return writers[0] if len(writers) == 1 and shows(o.row) != [first] else None


def _must_see(r: _Done, done: Sequence[_Done], first: Any) -> list[_Done]:
    """The writes that r's session must have seen by the four guarantees."""
    found = []
    for x in done:
        if not is_ok(x.row) or not _before(x, r):
            continue
        found += _sees(x, done, first)
        z = _sole(x, done, first)
        if z is not None and z.row.process != r.row.process:
            for y in done:
                if is_ok(y.row) and _before(y, z):
                    found += _sees(y, done, first)
    return found


def _sees(x: _Done, done: Sequence[_Done], first: Any) -> list[_Done]:
    """What x wrote, and what wrote what x found."""
    own = [x] if puts(x.row) else []
    w = _sole(x, done, first)
    return own if w is None else [*own, w]


def _replaces(u: _Done, key: str | None, v: Any, done: Sequence[_Done], first: Any) -> bool:
    if u.row.key != key or v in puts(u.row):
        return False
    part = [d.row for d in done if d.row.key == key]
    if sum(v in puts(row) for row in part) != (v != first):
        return False
    if v == first or (u.row.f == "cas" and carried(u.row.expected) == v):
        return True
    return any(v in tells(e) and e.end < u.row.start for e in part)


def scripted(rng: Random) -> list[Row]:
    """A session writes, or reads, x and then writes y; another sees y and then reads x. Times, who
    does what and what is read may be a little otherwise; some more is done around it.
    """
    reader = 0 if rng.random() < 0.5 else 1
    second = Row("read", 1, 20, 25, process=1, key="x")
    script = [
        Row("write", 7, 0, 5, process=3, key="x"),
        Row("write", 1, 10, 15, process=0, key="x"),
        *([second] if reader else []),
        Row("write", 2, 30, 35, process=reader, key="y"),
        Row("read", 2, 40, 45, process=2, key="y"),
        Row("read", rng.choice((None, 7, 7, 1)), 50, 55, process=2, key="x"),
    ]
    if rng.random() < 0.3:
        script[1] = script[1]._replace(f="cas", expected=rng.choice((7, 7, None)))
    if rng.random() < 0.3:
        script.append(Row("write", 3, 42, 44, process=rng.choice((0, 1, 4)), key="x"))
    rows = []
    for row in script:
        start = row.start + int(rng.random() ** 3 * 40 - 10)
        end = max(start, row.end + int(rng.random() ** 3 * 30 - 5))
        kind = rng.choice((*["ok"] * 28, "info", "fail"))
        process = row.process if rng.random() < 0.95 else int(rng.random() * 4)
        value = None if row.f == "read" and kind != "ok" else row.value
        start = max(start, 0)
        error = None if kind == "ok" else "timeout"
        end = max(start, end)
        rows.append(Row(row.f, value, start, end, kind, process, row.key, row.expected, error))
    rows = [row for row in rows if rng.random() < 0.95]
    return sorted(rows, key=lambda row: row.end)
