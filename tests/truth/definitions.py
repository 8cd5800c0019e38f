"""The counting properties, word by word as docs/certificates.md defines what is observed and what
is counted, one value at a time and one key at a time.

Each function says whether rows are "valid", "invalid" or "unknown".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from tests.truth.rows import Row, carried

PUTS = ("add", "enqueue", "write", "cas")


def by_key(rows: Sequence[Row]) -> list[list[Row]]:
    """Each key's rows."""
    keys: dict[str | None, list[Row]] = {}
    for row in rows:
        keys.setdefault(row.key, []).append(row)
    return list(keys.values())


def verdict(wrong: bool, right: bool) -> str:
    """What was broken is invalid; what was not seen to hold is unknown."""
    return "invalid" if wrong else "valid" if right else "unknown"


def is_ok(row: Row) -> bool:
    """Acknowledged, and its answer was recorded."""
    return row.type == "ok" and not (row.error or "").startswith("unread")


def puts(row: Row) -> list[Any]:
    """What the operation may have put there."""
    return [carried(row.value)] if row.f in PUTS and row.type != "fail" else []


def shows(row: Row) -> list[Any]:
    """What an acknowledged operation saw; a register's read sees one value."""
    if not is_ok(row):
        return []
    if row.f == "cas":
        return [carried(row.expected)]
    if row.f in ("read", "drain") and (row.f == "drain" or isinstance(row.value, list)):
        return [carried(value) for value in row.value or ()]
    if row.f == "read" or (row.f == "dequeue" and row.value is not None):
        return [carried(row.value)]
    return []


def tells(row: Row) -> list[Any]:
    """What was certainly there at some moment of the operation."""
    return shows(row) + (puts(row) if is_ok(row) else [])


def unfounded(rows: Sequence[Row], *initial: Any) -> bool:
    """Whether an operation shows what nothing had begun to put when it ended."""
    for row in rows:
        for value in shows(row):
            put = any(value in puts(other) and other.start <= row.end for other in rows)
            if value not in initial and not put:
                return True
    return False


def repeats(rows: Sequence[Row]) -> bool:
    """Whether an operation shows something more than once."""
    return any(len(set(shows(row))) < len(shows(row)) for row in rows)


def known(rows: Sequence[Row]) -> dict[Any, int]:
    """Value → since when it is known to be there."""
    since: dict[Any, int] = {}
    for row in rows:
        for value in tells(row):
            since[value] = min(row.end, since.get(value, row.end))
    return since


def listed(rows: Sequence[Row]) -> list[Row]:
    """All but reads without a list, which say nothing."""
    return [row for row in rows if row.f != "read" or row.value is not None]


def set_(rows: Sequence[Row], final_ns: tuple[int, int] | None) -> str:
    """What is known to be there stays, and nothing else is there; in the end somebody looked."""
    wrong = confirmed = False
    for part in by_key(listed(rows)):
        reads = [row for row in part if row.f == "read" and is_ok(row)]
        adds = [row for row in part if row.f == "add" and row.type != "fail"]
        wrong |= unfounded(part) or repeats(part)
        for value, since in known(part).items():
            wrong |= not all(value in shows(read) for read in reads if read.start > since)
        over = max((row.end for row in adds), default=-1)
        for read in reads:
            if read.start >= final_ns[0] if final_ns else read.start > over:
                seen = [row for row in adds if set(puts(row)) <= set(shows(read))]
                confirmed |= any(is_ok(row) and row.end < read.start for row in seen)
    return verdict(wrong, confirmed)


def set_full(rows: Sequence[Row]) -> str:
    """The same, but what is missing may come back: lost is what no later read shows."""
    wrong = kept = False
    for part in by_key(listed(rows)):
        reads = [row for row in part if row.f == "read" and is_ok(row)]
        wrong |= unfounded(part) or repeats(part)
        for value, since in known(part).items():
            after = [read for read in reads if read.start > since]
            for read in after:
                if value in shows(read):
                    kept = True
                    continue
                back = [value in shows(other) for other in reads if other.start >= read.start]
                wrong |= not any(back)
    return verdict(wrong, kept)


def total_queue(rows: Sequence[Row], *, once: bool = True) -> str:
    """Everything acknowledged comes out, and nothing comes out more often than it went in; without
    `once` nothing comes out that had not gone in."""
    wrong = lacks = False
    acknowledged = 0
    for part in by_key(rows):
        ins = [row for row in part if row.f == "enqueue"]
        acknowledged += sum(is_ok(row) for row in ins)
        shown = [(value, row.end) for row in part for value in shows(row)]
        for value in {value for value, _ in shown}:
            ends = [end for v, end in shown if v == value]
            wrong |= _too_often(value, ins, ends if once else [min(ends)])
        accounted = [value for value, _ in shown] + [v for row in part for v in _held(row)]
        lacks |= _missing([row for row in ins if is_ok(row)], accounted) > 0
        wrong |= any(_lost(row, part, ins, accounted) for row in part)
    return verdict(wrong, acknowledged > 0 and not lacks)


def _too_often(value: Any, ins: Sequence[Row], ends: Sequence[int]) -> bool:
    """Whether at some moment it had come out more often than anybody had begun to put it in."""
    begun = [row.start for row in ins if value in puts(row)]
    return any(
        sum(end <= moment for end in ends) > sum(start <= moment for start in begun)
        for moment in ends
    )


def _held(row: Row) -> list[Any]:
    """What a dequeue without an answer had been given: that it may have taken, and nothing else."""
    unsure = row.f == "dequeue" and row.type != "fail" and not is_ok(row)
    return [carried(row.value)] if unsure and row.value is not None else []


def _missing(ins: Sequence[Row], accounted: Sequence[Any]) -> int:
    values = [carried(row.value) for row in ins]
    return sum(max(0, values.count(value) - accounted.count(value)) for value in set(values))


def _lost(row: Row, part: Sequence[Row], ins: Sequence[Row], accounted: Sequence[Any]) -> bool:
    """Whether this operation found nothing left, although something should have been."""
    if not is_ok(row) or not (row.f == "drain" or (row.f == "dequeue" and row.value is None)):
        return False
    if row.f == "drain" and row.value is None:
        return False  # it says nothing
    unsure = [r for r in part if r.type != "fail" and r.start <= row.end and _silent(r)]
    if any(r.f == "drain" for r in unsure):
        return False
    there = [r for r in ins if is_ok(r) and r.end < row.start]
    return _missing(there, accounted) > len(unsure)


def _silent(row: Row) -> bool:
    """Whether it may have taken something and does not say what."""
    return (
        row.f in ("dequeue", "drain")
        and not _held(row)
        and (not is_ok(row) or (row.f == "drain" and row.value is None))
    )


def unique_ids(rows: Sequence[Row]) -> str:
    """No id is given twice."""
    wrong = told = False
    for part in by_key(rows):
        ids = [
            carried(r.value) for r in part
            if r.f == "generate" and is_ok(r) and r.value is not None
        ]  # fmt: skip
        wrong |= len(set(ids)) < len(ids)
        told |= bool(ids)
    return verdict(wrong, told)


def counter(rows: Sequence[Row], initial: int | None) -> str:
    """Each read is a sum that was possible at some moment of it."""
    wrong = False
    adds = reads = 0
    for part in by_key(rows):
        adds += sum(row.f == "add" and is_ok(row) for row in part)
        for read in part:
            if read.f == "read" and is_ok(read) and type(read.value) is int:
                reads += 1
                low, high = _bounds(read, part, initial or 0)
                wrong |= not low <= read.value <= high
    return verdict(wrong, adds > 0 and reads > 0)


def _bounds(read: Row, part: Sequence[Row], initial: int) -> tuple[int, int]:
    low = high = initial
    for row in part:
        if row.f != "add" or row.type == "fail" or row.start > read.end:
            continue
        amount = 1 if row.value is None else row.value
        if is_ok(row) and row.end < read.start:
            low, high = low + amount, high + amount
        else:
            low, high = low + min(amount, 0), high + max(amount, 0)
    return low, high


def lock(rows: Sequence[Row]) -> str:
    """Nobody holds a lock while another does; tokens grow, and a guarded store sees them grow."""
    wrong = rivals = False
    for part in by_key(rows):
        acquires = [row for row in part if row.f == "acquire" and is_ok(row)]
        guarded = [
            r for r in part if r.f == "guarded" and is_ok(r) and type(r.value) is int
        ]  # fmt: skip
        rivals |= len({row.process for row in acquires}) > 1 or len(guarded) > 1
        for a, b in permutations(acquires, 2):
            wrong |= a.value is not None and carried(a.value) == carried(b.value)
            wrong |= _backwards(a, b)
            wrong |= a.process != b.process and _both_hold(a, b, part)
        wrong |= any(_backwards(a, b) for a, b in permutations(guarded, 2))
    return verdict(wrong, rivals)


def _backwards(a: Row, b: Row) -> bool:
    both = type(a.value) is int and type(b.value) is int
    return both and a.end < b.start and b.value < a.value


def _both_hold(a: Row, b: Row, part: Sequence[Row]) -> bool:
    """Whether neither can have let go when the later of two acquisitions was granted."""
    moment = max(a.end, b.end)
    for mine in (a, b):
        for row in part:
            if row.f != "release" or row.process != mine.process or row.type == "fail":
                continue
            before = is_ok(row) and row.start < mine.start and row.end <= mine.start
            if row.start <= moment and not before:
                return False
    return True


def convergence(rows: Sequence[Row], final_ns: tuple[int, int] | None) -> str:
    """In the end every node shows the same."""
    wrong = compared = False
    for part in by_key(rows):
        last: dict[str, Row] = {}
        over = max((r.end for r in part if r.f != "read" and r.type != "fail"), default=-1)
        for row in part:
            late = final_ns is None or row.start >= final_ns[0]
            final = row.f == "read" and is_ok(row) and row.node and late and row.start > over
            if final and (row.node not in last or row.start >= last[row.node].start):
                last[row.node] = row
        a_set = any(row.f == "add" for row in part)
        shown = {_shown(row.value, a_set) for row in last.values()}
        wrong |= len(shown) > 1
        compared |= len(last) > 1 and any(row.f != "read" and is_ok(row) for row in part)
    return verdict(wrong, compared)


def _shown(value: Any, a_set: bool) -> Any:
    if a_set and isinstance(value, list):
        return tuple(sorted(map(str, map(carried, value))))
    return carried(value)


def staleness(rows: Sequence[Row], initial: Any) -> str:
    """Nothing is read that was known to be replaced before the read began."""
    rows = [r._replace(value=carried(r.value), expected=carried(r.expected)) for r in rows]
    first = carried(carried(initial))
    wrong = told = twice = False
    for part in by_key(rows):
        wrong |= unfounded(part, first)
        wrong |= any(_stale(read, value, part, first) for read in part for value in shows(read))
        put = [value for row in part for value in puts(row)]
        twice |= len(set(put)) < len(put) or first in put
        told |= any(
            other.end < row.start and any(value != first for value in tells(other))
            for row in part
            if shows(row)
            for other in part
            if is_ok(other)
        )
    return verdict(wrong, told and not twice)


def _stale(read: Row, value: Any, part: Sequence[Row], first: Any) -> bool:
    """Whether some operation replaced `value`, which was known before `read` began."""
    writers = [row for row in part if value in puts(row)]
    if len(writers) > (0 if value == first else 1):
        return False
    return any(
        _replaced(u, value, part, first) and _established(u, read, part, first)
        for u in part
        if puts(u) and value not in puts(u)
    )


def _replaced(u: Row, value: Any, part: Sequence[Row], first: Any) -> bool:
    if value == first or (u.f == "cas" and carried(u.expected) == value):
        return True
    return any(value in tells(e) and e.end < u.start for e in part)


def _established(u: Row, read: Row, part: Sequence[Row], first: Any) -> bool:
    """Whether what `u` put is known to have been there before `read` began."""
    if is_ok(u) and u.end < read.start:
        return True
    (value,) = puts(u)
    only = value != first and sum(value in puts(row) for row in part) == 1
    return only and any(value in shows(s) and s.end < read.start for s in part)
