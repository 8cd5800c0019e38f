"""The counting properties, word by word as docs/checkers.md promises them: one element at a time.

Each function says whether rows are "valid", "invalid" or "unknown".
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.truth.rows import Row


def answered(rows: Sequence[Row], *functions: str) -> list[Row]:
    """Acknowledged operations whose answer was recorded."""
    return [
        row
        for row in rows
        if row.f in functions and row.type == "ok" and not (row.error or "").startswith("unread")
    ]


def final_from(rows: Sequence[Row], final_ns: tuple[int, int] | None) -> int:
    """The first moment at which a read that begins is a final one."""
    if final_ns is not None:
        return final_ns[0]
    return max((row.end for row in rows if row.f == "add"), default=-1) + 1


def set_(rows: Sequence[Row], final_ns: tuple[int, int] | None) -> str:
    """What is added stays, and nothing else is there."""
    reads = answered(rows, "read")
    adds: dict[int, list[Row]] = {}
    for row in rows:
        if row.f == "add":
            adds.setdefault(row.value, []).append(row)
    begin = final_from(rows, final_ns)
    finals = [read for read in reads if read.start >= begin]
    if any(len(set(read.value)) < len(read.value) for read in reads):
        return "invalid"  # duplicate
    if any(element not in adds for read in reads for element in read.value):
        return "invalid"  # phantom
    if any(_wrong_element(element, adds[element], reads, finals) for element in adds):
        return "invalid"
    acknowledged = any(row.type == "ok" for row in rows if row.f == "add")
    return "valid" if finals and acknowledged else "unknown"


def _wrong_element(element: int, attempts: list[Row], reads: list[Row], finals: list[Row]) -> bool:
    """Whether the reads say of one element what cannot be."""
    never = float("inf")
    showing = [read for read in reads if element in read.value]
    acknowledged = min((row.end for row in attempts if row.type == "ok"), default=never)
    seen = min((read.end for read in showing), default=never)
    if seen < min(row.start for row in attempts):
        return True  # phantom: read before anybody began to add it
    if showing and all(row.type == "fail" for row in attempts):
        return True  # resurrected: it had failed
    for read in reads:
        if element in read.value or read.start <= min(acknowledged, seen):
            continue
        if read in finals:
            return True  # it was known: lost or vanished if no other has it, else diverged
        if any(later.start > read.end for later in showing):
            return True  # stale if it was acknowledged, else seen, gone, and seen again
    return False
