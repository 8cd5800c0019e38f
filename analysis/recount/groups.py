"""Claims about what a consumer group was shown: docs/certificates.md has each in words.

All logs count together here, and all that subscribe are one group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.proof.rows import NEVER, Op
from analysis.recount.log import Message, Ops

if TYPE_CHECKING:
    from analysis.recount.counted import Key

AT_LEAST, ONCE = PROPERTIES = ("group-at-least-once", "group-exactly-once")


class _Group:
    """What the group's members polled, and may have polled."""

    def __init__(self, key: Key) -> None:
        self.told = Ops(key)
        self._chosen: dict[int, list[tuple[int, int, str]]] = {}  # by process
        for op in key.ops:
            if op.f in ("assign", "subscribe") and not op.failed:
                self._chosen.setdefault(op.process, []).append((op.start, op.row, op.f))
        polls = self.told.polls
        self.polls = {op.row: polls.get(op.row, []) for op in key.ops if self.member(op)}
        unsure = (op.over for op in key.ops if op.row in self.told.may_poll
                  and not op.ok and not op.failed and self.member(op))  # fmt: skip
        self.unsure = max(unsure, default=-NEVER)  # when the last that may have polled was over
        self.seen = {(m.log, m.value) for shown in self.polls.values() for m in shown}

    def member(self, op: Op) -> bool:
        """Whether its process had chosen last to be one."""
        before = (each for each in self._chosen.get(op.process, ()) if each[0] <= op.start)
        return "subscribe" in max(before, default=())

    def lacks(self, m: Message) -> bool:
        """Whether it is a message with its offset that no member is known to have polled."""
        return m.offset is not None and (m.log, m.value) not in self.seen


def _skipped(key: Key, _: Any, s: Op, p: Op | None = None) -> bool:
    group, p = _Group(key), p or s
    return s.ok and group.unsure < s.start and any(
        group.lacks(m) and o.log == m.log and (o.offset or 0) > (m.offset or 0)
        for m in group.told.sends.get(s.row, ())
        for o in group.polls.get(p.row, ())
    )  # fmt: skip


def _repeated(key: Key, _: Any, *ops: Op) -> bool:
    group = _Group(key)
    return any(
        n > 1 for n in Counter(m for op in ops for m in group.polls.get(op.row, ())).values()
    )


def figures(key: Key) -> dict[str, int]:
    """What was sent and the group polled, what it passed over and polled again."""
    group = _Group(key)
    shown = [m for messages in group.polls.values() for m in messages]
    top: dict[str, int] = {}
    for m in shown:
        top[m.log] = max(top.get(m.log, -1), m.offset or 0)
    sent = [(op, m) for op in key.ops if op.ok for m in group.told.sends.get(op.row, ())
            if m.offset is not None]  # fmt: skip
    passed = [op for op, m in sent if group.lacks(m) and top.get(m.log, -1) > (m.offset or 0)]
    unsure = sum(op.start <= group.unsure for op in passed)
    return {
        "acknowledged": len(sent),
        "polled": len(shown),
        "skipped": len(passed) - unsure,
        "unsure": unsure,
        "repeated": len(shown) - len(set(shown)),
    }


def _at_least(acknowledged: int, polled: int, skipped: int, unsure: int, repeated: int) -> bool:
    return acknowledged > 0 < polled and skipped == unsure == 0


def _once(acknowledged: int, polled: int, skipped: int, unsure: int, repeated: int) -> bool:
    return acknowledged > 0 < polled and skipped == unsure == repeated == 0


Figures = Callable[["Key"], dict[str, int]]
OBSERVED: Mapping[str, Mapping[str, Callable[..., bool]]] = {
    AT_LEAST: {"skipped": _skipped},
    ONCE: {"skipped": _skipped, "repeated": _repeated},
}
FIGURES: Mapping[str, tuple[Figures, Callable[..., bool]]] = {
    AT_LEAST: (figures, _at_least),
    ONCE: (figures, _once),
}
