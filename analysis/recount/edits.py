"""Claims about edits of a document with members: docs/certificates.md has each in words."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.proof.rows import NEVER, plain

if TYPE_CHECKING:
    from analysis.proof.rows import Op
    from analysis.recount.counted import Key

ELEMENTS, ROLLED_BACK = "elements", "rolled-back"


class _Document:
    """The operations on one document, and what each edit is worth."""

    def __init__(self, key: Key) -> None:
        part = {op.row: key.names[op.key] if op.key >= 0 else None for op in key.ops}
        self.adds: dict[Any, list[Op]] = defaultdict(list)  # by element; those that did not fail
        self.said: dict[Any, dict[str, list[Op]]] = defaultdict(lambda: defaultdict(list))
        over = -NEVER
        for op in key.ops:
            if op.failed or op.f not in ("add", "revoke", "admit"):
                continue
            over = max(over, op.over)
            if op.f != "add":
                self.said[op.value if type(op.value) is str else None][op.f].append(op)
            elif part[op.row] == ELEMENTS and op.value is not None:
                self.adds[plain(op.value)].append(op)
        looks = [op for op in key.ops if op.f == "read" and op.ok and op.value is not None]
        self.looks = [op for op in looks if part[op.row] in (ELEMENTS, ROLLED_BACK)]
        final = over + 1 if key.final_ns is None else key.final_ns
        ends = [op for op in self.looks if op.start >= final]
        self.finals = [op for op in ends if part[op.row] == ELEMENTS]
        self.reports = [op for op in ends if part[op.row] == ROLLED_BACK]
        self.lists = {op.row: frozenset(map(plain, op.value)) for op in self.looks}
        self.reported: dict[str | None, set[Any]] = defaultdict(set)
        for op in self.reports:
            self.reported[op.node] |= self.lists[op.row]
        self._wrong: dict[int, bool] = {}

    def revoked(self, member: str | None) -> list[Op]:
        """Who may have revoked the member."""
        return self.said[member]["revoke"] if member in self.said else []

    def unauthorised(self, e: Op) -> bool:
        """Whether e began after its author's revocation was acknowledged, and nobody can have
        admitted that author again by its end."""
        if e.row not in self._wrong:
            self._wrong[e.row] = any(
                r.ok and r.precedes(e) and not self._admitted(e, r) for r in self.revoked(e.node)
            )
        return self._wrong[e.row]

    def _admitted(self, e: Op, r: Op) -> bool:
        return any(not m.precedes(r) and m.start <= e.end for m in self.said[e.node]["admit"])

    def begun(self, value: Any, look: Op) -> list[Op]:
        """The adds of an element that may have happened when it was looked at."""
        return [e for e in self.adds.get(value, ()) if e.start <= look.end]

    def may_show(self, value: Any, r: Op) -> bool:
        """Whether somebody added the element who was allowed to, or nobody had at all."""
        adds = self.begun(value, r)
        return not adds or not all(map(self.unauthorised, adds))

    def may_report(self, value: Any, q: Op) -> bool:
        """Whether an author of the element may have been revoked, or nobody had added it at all."""
        adds = self.begun(value, q)
        return not adds or any(r.start <= q.end for e in adds for r in self.revoked(e.node))

    def lacks(self, e: Op, r: Op) -> bool:
        """Whether the read lacks an acknowledged edit, which its node does not report either."""
        value = plain(e.value)
        there = value in self.lists[r.row] or value in self.reported[r.node]
        return e.ok and e.precedes(r) and not there and not self.unauthorised(e)

    def acknowledged(self) -> Iterable[Op]:
        """The edits that were."""
        return (e for adds in self.adds.values() for e in adds if e.ok)


def _phantom(key: Key, value: Any, r: Op) -> bool:
    document = _Document(key)
    return r in document.looks and value in document.lists[r.row] and not document.begun(value, r)


def _unfounded(key: Key, value: Any, e: Op, q: Op) -> bool:
    document = _Document(key)
    shown = q in document.reports and value in document.lists[q.row]
    return shown and e in document.begun(value, q) and not document.may_report(value, q)


def _lost(key: Key, value: Any, e: Op, r: Op) -> bool:
    document = _Document(key)
    edit = r in document.finals and e in document.adds.get(value, ())
    return edit and document.lacks(e, r)


def _unauthorised(key: Key, value: Any, r: Op, e: Op, f: Op) -> bool:
    document = _Document(key)
    shown = f in document.finals and value in document.lists[f.row]
    told = r.ok and r in document.revoked(e.node) and r.precedes(e)
    return shown and told and e in document.begun(value, f) and not document.may_show(value, f)


def figures(key: Key) -> dict[str, int]:
    """Edits of one document, and what is wrong with them."""
    document = _Document(key)
    starts: dict[Any, list[int]] = defaultdict(list)  # of the final reads that show an element
    for r in document.finals:
        for value in document.lists[r.row]:
            starts[value].append(r.start)
    shown = {value: sorted(times) for value, times in starts.items()}
    rolled = {value for values in document.reported.values() for value in values}
    edits = list(document.acknowledged())
    begins = {value: min(e.start for e in adds) for value, adds in document.adds.items()}
    return {
        "edits": sum(_after(shown.get(plain(e.value), []), e.end) for e in edits),
        "revocations": sum(
            op.ok
            for member, said in document.said.items()
            if member is not None
            for op in said["revoke"]
        ),
        "rolled_back": sum(plain(e.value) in rolled for e in edits),
        "phantom": sum(
            begins.get(value, NEVER) > r.end
            for r in document.looks
            for value in map(plain, r.value)
        ),
        "unfounded": len({v for q in document.reports for v in document.lists[q.row]
                          if not document.may_report(v, q)}),
        "lost": sum(any(document.lacks(e, r) for r in document.finals) for e in edits),
        "unauthorised": len({v for r in document.finals for v in document.lists[r.row]
                             if not document.may_show(v, r)}),
    }  # fmt: skip


def _after(starts: list[int], moment: int) -> bool:
    """Whether one of these times is after that moment."""
    return bisect_left(starts, moment + 1) < len(starts)


def right(edits: int, revocations: int, rolled_back: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return edits > 0 < revocations and sum(bad.values()) == 0


OBSERVED: Mapping[str, Callable[..., bool]] = {
    "phantom": _phantom,
    "unfounded-rollback": _unfounded,
    "lost-edit": _lost,
    "unauthorised-edit": _unauthorised,
}
