"""What is lost in queues, and the figures of `total-queue` and `at-least-once`, once more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from analysis.proof.rows import Op, plain

if TYPE_CHECKING:
    from analysis.recount.counted import Key


def _holds(op: Op) -> bool:
    """Whether it is a dequeue without an answer that had been given an element."""
    return op.f == "dequeue" and not op.ok and not op.failed and op.value is not None


def _missing(key: Key, acknowledged: Counter[Any]) -> int:
    """Of so many enqueues of each element, those of which nothing is known to have come."""
    held = Counter(plain(op.value) for op in key.ops if _holds(op))
    return sum(max(0, n - len(key.shown[v]) - held[v]) for v, n in acknowledged.items())


def too_often(key: Key, value: Any, *shows: Op) -> bool:
    """The element came out more often than anybody had begun to put it in."""
    last = max(r.end for r in shows)
    put = sum(op.start <= last for op in key.puts[value])
    return sum(key.shows(r).count(value) for r in shows) > put


def lost(key: Key, _: Any, d: Op) -> bool:
    """d found nothing left, and more is missing than others can have taken by its end."""
    empty = d.ok and (d.f == "drain" or (d.f == "dequeue" and d.value is None))
    early = Counter(
        plain(op.value) for op in key.ops if op.f == "enqueue" and op.ok and op.precedes(d)
    )
    takes = [op for op in key.ops if op.f in ("dequeue", "drain") and not op.failed]
    unsure = [op for op in takes if not op.ok or (op.f == "drain" and op.value is None)]
    begun = [op.f for op in unsure if op.start <= d.end and not _holds(op)]
    return empty and _missing(key, early) > len(begun) and "drain" not in begun


def figures(key: Key) -> dict[str, int]:
    """How much was acknowledged, is missing, came out of nowhere and too often."""
    sure = Counter({v: n for v, puts in key.puts.items() if (n := sum(op.ok for op in puts))})
    excess = unexpected = 0
    for value, shown in key.shown.items():
        begun = sorted(op.start for op in key.puts[value])
        ends = sorted(op.end for op in shown)
        excess += sum(n >= len(begun) or end < begun[n] for n, end in enumerate(ends))
        unexpected += sum(not begun or end < begun[0] for end in ends)
    found = {"acknowledged": sum(sure.values()), "missing": _missing(key, sure)}
    if key.prop == "total-queue":
        return found | {"excess": excess}
    return found | {"unexpected": unexpected, "again": excess - unexpected}
