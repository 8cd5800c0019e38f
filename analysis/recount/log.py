"""Claims about logs with offsets: docs/certificates.md has each in words.

All logs count together here: `Key` has the operations of every key.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from analysis.proof.rows import NEVER, Op, plain

if TYPE_CHECKING:
    from analysis.recount.counted import Key


class Message(NamedTuple):
    """What an operation tells of a message; `offset` None: it does not know it."""

    log: str
    offset: int | None
    value: Any


class Ops:
    """What each operation sent and polled."""

    def __init__(self, key: Key) -> None:
        self.ops, self._names = key.ops, key.names
        self.sends: dict[int, list[Message]] = {}
        self.polls: dict[int, list[Message]] = {}
        self.may_poll: set[int] = set()
        for op in key.ops:
            if op.f in ("send", "poll", "txn"):
                self._read(op)
        self.senders: dict[tuple[str, Any], list[Op]] = defaultdict(list)
        self.refused: set[tuple[str, Any]] = set()
        for op in key.ops:
            for sent in self.sends.get(op.row, ()):
                if op.failed:
                    self.refused.add((sent.log, sent.value))
                else:
                    self.senders[sent.log, sent.value].append(op)
        self.seen = {(m.log, m.value) for shown in self.polls.values() for m in shown}

    def _read(self, op: Op) -> None:
        sends, polls = self.sends.setdefault(op.row, []), self.polls.setdefault(op.row, [])
        for name, log, told in self._micros(op):
            if name == "poll":
                self.may_poll.add(op.row)
                for log, messages in (told or {}).items() if op.ok else ():
                    for offset, value in messages or ():
                        polls.append(Message(log, _whole(offset), plain(value)))
                continue
            offset, value = None, told
            pair = type(told) is list and len(told) == 2
            if pair and (told[0] is None or (type(told[0]) is int and told[0] >= 0)):
                offset, value = told
            sends.append(Message(log, offset if op.ok else None, plain(value)))

    def _micros(self, op: Op) -> Iterator[tuple[str, str, Any]]:
        content = op.value
        nested = type(content) is list and content and type(content[0]) is list
        if op.f == "send" and not nested:
            if content is not None:
                yield "send", self._names[op.key] if op.key >= 0 else "", content
        elif op.f == "poll" and (content is None or type(content) is dict):
            yield "poll", "", content
        else:
            if op.f == "poll":
                self.may_poll.add(op.row)
            for micro in content or ():
                name = micro[0].removeprefix(":")
                if name == "send" and len(micro) == 3:
                    log = micro[1] if type(micro[1]) is str else json.dumps(micro[1])
                    yield "send", log, micro[2]
                elif name == "poll" and len(micro) <= 2:
                    yield "poll", "", micro[1] if len(micro) > 1 else None
                else:
                    raise ValueError(f"operation {op.row} does {micro!r}"[:100])

    def tells(self, op: Op) -> list[Message]:
        """The messages whose offsets an ok operation knows."""
        sent = [m for m in self.sends.get(op.row, ()) if m.offset is not None]
        return sent + self.polls.get(op.row, [])

    def committed(self, message: Message) -> bool:
        """Whether somebody sent it who was not told that it failed."""
        return bool(self.senders.get((message.log, message.value)))

    def begun(self, message: Message) -> int:
        """When the first who did not fail had begun to send it; -NEVER: nobody."""
        senders = self.senders.get((message.log, message.value), [])
        return min((op.start for op in senders), default=-NEVER)

    def may_move(self, op: Op) -> bool:
        """Whether it may change the position of its process in some log."""
        unsure = op.row in self.may_poll and not op.ok
        return unsure or (op.f in ("assign", "subscribe") and not op.failed)

    def moves(self, op: Op, log: str) -> bool:
        """The same for this log."""
        listed = op.value if op.f == "assign" and type(op.value) is list else []
        names = [each if type(each) is str else json.dumps(each) for each in listed]
        return self.may_move(op) and log not in names

    def steady(self, p: Op, q: Op, log: str) -> bool:
        """Whether a process could not lose its position in a log from p to q."""
        own = [op for op in self.ops if op.process == p.process]
        chosen = [op for op in own if op.f in ("assign", "subscribe") and not op.failed]
        last = max(((op.start, op.row, op.f) for op in chosen if op.start <= q.start), default=())
        if "subscribe" in last:
            return False
        return not any(p.start <= op.start <= q.start and self.moves(op, log) for op in own)


def _whole(offset: Any) -> int:
    if type(offset) is not int or offset < 0:
        raise ValueError(f"{offset!r} is no offset")
    return offset


def _unfounded(who: str, key: Key, _: Any, p: Op) -> bool:
    there = Ops(key)
    return any(who in _doubts(there, p, m) for m in there.polls.get(p.row, ()))


def _doubts(there: Ops, p: Op, message: Message) -> list[str]:
    """Why a message that p polled should not have been there."""
    senders = there.senders.get((message.log, message.value), [])
    if not senders:
        refused = (message.log, message.value) in there.refused
        return ["failed" if refused else "nobody"]
    later = min(op.start for op in senders) > p.end
    return ["later"] * later + ["own"] * ([op.row for op in senders] == [p.row])


def _inconsistent(key: Key, _: Any, *ops: Op) -> bool:
    there = Ops(key)
    told = {m for op in ops for m in there.tells(op)}
    return len({(m.log, m.offset) for m in told}) < len(told)


def _duplicate(key: Key, _: Any, *ops: Op) -> bool:
    there = Ops(key)
    offsets: dict[tuple[str, Any], set[int | None]] = defaultdict(set)
    for op in ops:
        for m in there.tells(op):
            offsets[m.log, m.value].add(m.offset)
    return any(0 < len(there.senders.get(m, ())) < len(found) for m, found in offsets.items())


def _lost(key: Key, _: Any, s: Op, p: Op | None = None) -> bool:
    there = Ops(key)
    shown = there.polls.get((p or s).row, [])
    return s.ok and any(
        (m.log, m.value) not in there.seen
        and any(o.log == m.log and _behind(there, o, m, s) for o in shown)
        for m in there.sends.get(s.row, ())
    )


def _behind(there: Ops, o: Message, m: Message, s: Op) -> bool:
    """Whether what a poll shows stands behind m, which s sent."""
    if m.offset is not None:
        return (o.offset or 0) > m.offset
    return there.begun(o) > s.end


def _vanished(key: Key, _: Any, s: Op, p: Op | None = None) -> bool:
    there, p = Ops(key), p or s
    return any(
        (m.log, m.offset) == (o.log, o.offset) and m.value != o.value
        and all(op.end < p.start for op in there.ops if m in there.tells(op))
        for m in there.sends.get(s.row, ()) if m.offset is not None
        for o in there.polls.get(p.row, ())
    )  # fmt: skip


def _between(there: Ops, a: Message, b: Message, m: Op) -> bool:
    """Whether m tells of a message that a step from a to b leaves out."""
    low, high = a.offset or 0, b.offset or 0
    return any(o.log == a.log and low < (o.offset or 0) < high and there.committed(o)
               for o in there.tells(m))  # fmt: skip


def _inside(messages: list[Message]) -> Iterator[tuple[Message, Message]]:
    """One message after another of the same log."""
    logs: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        if message.offset is not None:
            logs[message.log].append(message)
    for part in logs.values():
        yield from pairwise(part)


def _back_inside(what: str, key: Key, _: Any, p: Op) -> bool:
    there = Ops(key)
    if what == "sends":
        return any((b.offset or 0) < (a.offset or 0) for a, b in _inside(there.sends[p.row]))
    return any((b.offset or 0) <= (a.offset or 0) for a, b in _inside(there.polls[p.row]))


def _skip_inside(key: Key, _: Any, p: Op, m: Op | None = None) -> bool:
    there = Ops(key)
    return any(_between(there, a, b, m or p) for a, b in _inside(there.polls[p.row]))


def _edges(there: Ops, p: Op, q: Op, polls: bool) -> Iterator[tuple[Message, Message]]:
    """Of each log the last message of p and the first of q, which is after p in its process."""
    told = there.polls if polls else there.sends
    if p.process != q.process or p.over > q.start:
        return
    last = {m.log: m for m in told.get(p.row, ()) if m.offset is not None}
    first = {m.log: m for m in reversed(told.get(q.row, ())) if m.offset is not None}
    for log in last.keys() & first.keys():
        yield last[log], first[log]


def _back(what: str, key: Key, _: Any, p: Op, q: Op) -> bool:
    there = Ops(key)
    for a, b in _edges(there, p, q, what == "polls"):
        low, high = a.offset or 0, b.offset or 0
        if what == "sends" and high < low:
            return True
        if what == "polls" and high <= low and there.steady(p, q, a.log):
            return True
    return False


def _skip(key: Key, _: Any, p: Op, q: Op, m: Op | None = None) -> bool:
    there = Ops(key)
    for a, b in _edges(there, p, q, True):
        own = [op for op in there.ops if op.process == p.process]
        between = [op for op in own if (p.start, p.row) < (op.start, op.row) < (q.start, q.row)]
        again = any(o.log == a.log for op in between for o in there.polls.get(op.row, ()))
        missed = any(_between(there, a, b, op) for op in (m or p, p, q))
        if missed and not again and there.steady(p, q, a.log):
            return True
    return False


def _reordered(key: Key, _: Any, a: Op, b: Op) -> bool:
    there = Ops(key)
    one = [m for m in there.sends.get(a.row, ()) if m.offset is not None]
    two = [m for m in there.sends.get(b.row, ()) if m.offset is not None]
    return a.precedes(b) and any(
        m.log == n.log and (n.offset or 0) < (m.offset or 0) for m in one for n in two
    )


def figures(key: Key) -> dict[str, int]:
    """What was sent and polled, and what is wrong with it."""
    there = Ops(key)
    known = {m for op in key.ops for m in there.tells(op)}
    offsets: dict[tuple[str, Any], int] = defaultdict(int)
    values: dict[tuple[str, Any], int] = defaultdict(int)
    places: dict[str, set[int]] = defaultdict(set)
    for m in known:
        offsets[m.log, m.value] += 1
        values[m.log, m.offset] += 1
        if there.committed(m):
            places[m.log].add(m.offset or 0)
    sorted_places = {log: sorted(found) for log, found in places.items()}
    top, late = ({m.log: -NEVER for m in known} for _ in range(2))
    for shown in there.polls.values():
        for m in shown:
            top[m.log] = max(top[m.log], m.offset or 0)
            late[m.log] = max(late[m.log], there.begun(m))
    ok = [(op, m) for op in key.ops if op.ok for m in there.sends.get(op.row, ())]
    return {
        "acknowledged": len(ok),
        "polled": sum(map(len, there.polls.values())),
        "unfounded": sum(bool(_doubts(there, op, m)) for op in key.ops
                         for m in there.polls.get(op.row, ())),
        "inconsistent": sum(count > 1 for count in values.values()),
        "duplicate": sum(0 < len(there.senders.get(m, ())) < n for m, n in offsets.items()),
        "lost": sum((m.log, m.value) not in there.seen
                    and (late.get(m.log, -NEVER) > op.end if m.offset is None
                         else top[m.log] > m.offset) for op, m in ok),
        "polls": sum(_bad_polls(there, sorted_places, ops) for ops in _processes(key)),
        "sends": _bad_sends(there, key),
    }  # fmt: skip


def _processes(key: Key) -> list[list[Op]]:
    processes: dict[int, list[Op]] = defaultdict(list)
    for op in sorted(key.ops, key=lambda op: (op.start, op.row)):
        processes[op.process].append(op)
    return list(processes.values())


def _bad_polls(there: Ops, places: Mapping[str, list[int]], ops: list[Op]) -> int:
    """Steps of one process that go back, or over a message."""

    def wrong(a: Message, b: Message) -> bool:
        low, high = a.offset or 0, b.offset or 0
        found = places.get(a.log, [])
        return high <= low or bisect_left(found, high) > bisect_right(found, low)

    bad, free, at = 0, False, 0
    movers = [op for op in ops if there.may_move(op)]
    moments: dict[int, list[Op]] = {op.start: [] for op in movers}
    for op in movers:
        moments[op.start].append(op)
    last: dict[str, tuple[Op, Message]] = {}
    for op in ops:
        # What began at the same moment counts as well, whatever the order of rows.
        while at < len(movers) and movers[at].start <= op.start:
            if movers[at].f in ("assign", "subscribe"):
                free = movers[at].f == "subscribe"
            for log in [log for log in last if there.moves(movers[at], log)]:
                del last[log]
            at += 1
        shown = there.polls.get(op.row, [])
        bad += sum(wrong(a, b) for a, b in _inside(shown))
        for b in {m.log: m for m in reversed(shown)}.values():
            if b.log in last and not free:
                p, a = last[b.log]
                bad += p.over <= op.start and wrong(a, b)
        for b in {m.log: m for m in shown}.values():
            if any(there.moves(other, b.log) for other in moments.get(op.start, ())):
                last.pop(b.log, None)
            else:
                last[b.log] = (op, b)
    return bad


def _bad_sends(there: Ops, key: Key) -> int:
    """Messages that got a lower offset than one sent before, in the operation or in time."""
    bad = 0
    logs: dict[str, list[tuple[Op, int]]] = defaultdict(list)
    for ops in _processes(key):
        last: dict[str, tuple[Op, int]] = {}
        for op in ops:
            for m in there.sends.get(op.row, ()):
                if m.offset is not None:
                    if m.log in last:
                        p, offset = last[m.log]
                        bad += (p is op or p.over <= op.start) and m.offset < offset
                    last[m.log] = (op, m.offset)
                    logs[m.log].append((op, m.offset))
    for told in logs.values():
        ended = sorted((op.end, offset) for op, offset in told)
        most, at = -1, 0
        for op, offset in sorted(told, key=lambda each: each[0].start):
            while at < len(ended) and ended[at][0] < op.start:
                most = max(most, ended[at][1])
                at += 1
            bad += offset < most
    return bad


def right(acknowledged: int, polled: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return acknowledged > 0 < polled and sum(bad.values()) == 0


OBSERVED: Mapping[str, Callable[..., bool]] = {
    "thin-air-poll": partial(_unfounded, "nobody"),
    "aborted-read": partial(_unfounded, "failed"),
    "future-poll": partial(_unfounded, "later"),
    "precommitted-read": partial(_unfounded, "own"),
    "inconsistent-offsets": _inconsistent,
    "duplicate": _duplicate,
    "lost-write": _lost,
    "vanished": _vanished,
    "int-nonmonotonic-poll": partial(_back_inside, "polls"),
    "int-poll-skip": _skip_inside,
    "nonmonotonic-poll": partial(_back, "polls"),
    "poll-skip": _skip,
    "int-nonmonotonic-send": partial(_back_inside, "sends"),
    "nonmonotonic-send": partial(_back, "sends"),
    "reordered": _reordered,
}
