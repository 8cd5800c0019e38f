"""Logs with offsets: producers and consumers, honest and not, and what is true of what they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, permutations
from random import Random
from typing import Any, NamedTuple

from tests.truth.definitions import is_ok
from tests.truth.rows import Row, carried

LOGS = ("0", "1", "")


class Message(NamedTuple):
    """What an operation tells."""

    log: str
    offset: int | None
    value: Any


def make(rng: Random) -> list[Row]:
    """Some clients that send and poll in turns; half of the histories have one fault."""
    return _Clients(rng).rows()


class _Clients:
    """Clients of two logs, one operation after another."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        faults = ("lost", "swapped", "skip", "back", "twice", "wild", "own", "aborted", "order")
        self.fault = rng.choice(faults) if rng.random() < 0.55 else None
        self.jepsen = rng.random() < 0.6
        self.logs = LOGS[:2] if self.jepsen else LOGS[2:]  # without a key: the log is called ""
        self.stored: dict[str, list[Any]] = {log: [] for log in LOGS}  # None: a gap
        self.position: dict[tuple[int, str], int] = {}
        self.last = 0
        self.now = 0
        self.subscribed = rng.random() < 0.2

    def rows(self) -> list[Row]:
        """The history."""
        made = []
        for _ in range(self.rng.randint(3, 12)):
            process = self.rng.randrange(3)
            draw = self.rng.random()
            if draw < 0.06:
                made.append(self._assign(process))
            elif draw < 0.5:
                made.append(self._do(process, "send", ["send"]))
            elif draw < 0.85:
                made.append(self._do(process, "poll", ["poll"]))
            else:
                mix = [self.rng.choice(("send", "poll")) for _ in range(self.rng.randint(1, 3))]
                made.append(self._do(process, "txn", mix))
        return sorted(made, key=lambda row: row.end)

    def _times(self) -> tuple[int, int]:
        start = self.now + self.rng.choice((0, 0, 1, 2)) - self.rng.choice((0, 0, 0, 0, 1, 6))
        start = max(start, 0)
        end = start + self.rng.choice((0, 1, 2, 5))
        self.now = max(self.now, end)
        return start, end

    def _assign(self, process: int) -> Row:
        chosen = [self._name(log) for log in self.logs][: self.rng.randint(0, 2)]
        f = "subscribe" if self.subscribed else "assign"
        if self.rng.random() < 0.5:
            self.position = {k: v for k, v in self.position.items() if k[0] != process}
        return Row(f, chosen, *self._times(), self._kind(), process)

    def _name(self, log: str) -> Any:
        return int(log) if log and self.rng.random() < 0.5 else log

    def _kind(self) -> str:
        return self.rng.choice((*["ok"] * 16, "info", "fail"))

    def _do(self, process: int, f: str, mix: list[str]) -> Row:
        kind = self._kind()
        ok = kind == "ok"
        micros: list[Any] = []
        for name in mix:
            if name == "poll":
                shown = self._poll(process) if ok else None
                micros.append(["poll", shown] if shown is not None else ["poll"])
            else:
                log = self.rng.choice(self.logs)
                value, offset = self._send(log, kind)
                told = [offset, value] if ok and self.rng.random() < 0.9 else value
                micros.append(["send", self._name(log), told])
        error = None if ok else "timeout"
        start, end = self._times()
        if f != "txn" and not self.jepsen and self.rng.random() < 0.8:
            content = micros[0][-1] if f == "send" or len(micros[0]) > 1 else None
            return Row(f, content, start, end, kind, process, None, None, error)
        micros = [[self.rng.choice((m[0], ":" + m[0])), *m[1:]] for m in micros]
        return Row(f, micros, start, end, kind, process, None, None, error)

    def _send(self, log: str, kind: str) -> tuple[Any, int]:
        self.last += 1
        value: Any = self.last if self.rng.random() < 0.97 else self.rng.choice((1, "a", None))
        stored = self.stored[log]
        if self.rng.random() < 0.1:
            stored.append(None)
        lost = self.fault == "lost" and self.rng.random() < 0.4
        happens = kind == "ok" or (kind == "info" and self.rng.random() < 0.5)
        happens |= kind == "fail" and self.fault == "aborted"
        offset = len(stored)
        if self.fault == "order" and offset > 1 and self.rng.random() < 0.5 and kind == "ok":
            offset -= 1
            stored.insert(offset, [value])
        elif happens and not lost:
            stored.append([value])
        elif lost:
            stored.append(None)
        if self.fault == "twice" and happens and self.rng.random() < 0.5:
            stored.append([value])
        if self.fault == "swapped" and self.rng.random() < 0.3:
            offset = max(0, offset - 1)
        return value, offset

    def _poll(self, process: int) -> dict[str, list[Any]]:
        shown: dict[str, list[Any]] = {}
        for log in self.rng.sample(self.logs, self.rng.randint(1, len(self.logs))):
            begin = self.position.get((process, log), 0)
            if self.fault == "skip" and self.rng.random() < 0.4:
                begin += 1
            if self.fault == "back" and self.rng.random() < 0.4:
                begin = max(0, begin - 1)
            end = min(len(self.stored[log]), begin + self.rng.randint(1, 3))
            found = [[at, *self.stored[log][at]] for at in range(begin, end)
                     if self.stored[log][at] is not None]  # fmt: skip
            if self.fault in ("skip", "back") and len(found) > 1 and self.rng.random() < 0.3:
                found = found[::-1] if self.fault == "back" else [found[0], *found[2:]]
            if self.fault == "wild" and found and self.rng.random() < 0.3:
                found[0] = [found[0][0], self.rng.choice((99, self.last + 1, 1))]
            self.position[process, log] = max(begin, end)
            if found or self.rng.random() < 0.3:
                shown[log] = found
        return shown


class Told(NamedTuple):
    """An operation and what it tells."""

    place: int
    row: Row
    sends: list[Message]
    polls: list[Message]
    polling: bool


def read(place: int, row: Row) -> Told:
    """The operation in this place of a history, and what it tells."""
    content, ok = row.value, is_ok(row)
    sends: list[Message] = []
    polls: list[Message] = []
    polling = row.f == "poll"
    nested = isinstance(content, list) and content and isinstance(content[0], list)
    if row.f == "send" and not nested:
        content = [] if content is None else [["send", row.key or "", content]]
    elif row.f == "poll" and isinstance(content, dict):
        content = [["poll", content]]
    for micro in content or () if row.f in ("send", "poll", "txn") else ():
        if micro[0].strip(":") == "send":
            told = micro[2]
            pair = isinstance(told, list) and len(told) == 2
            offset, value = told if pair else (None, told)
            sends.append(Message(str(micro[1]), offset if ok else None, carried(value)))
        else:
            polling = True
            for log, messages in (micro[1] if ok and len(micro) > 1 else {}).items():
                polls += [Message(log, offset, carried(value)) for offset, value in messages]
    return Told(place, row, sends, polls, polling)


def truth(rows: Sequence[Row]) -> str:
    """The definitions of docs/checkers.md, over all pairs."""
    told = [read(place, row) for place, row in enumerate(rows)]
    wrong = any(broken(told) for broken in (_unfounded, _places, _lost, _polls, _sends))
    sent = any(is_ok(t.row) and t.sends for t in told)
    return "invalid" if wrong else "valid" if sent and any(t.polls for t in told) else "unknown"


def _senders(told: Sequence[Told], message: Message) -> list[Told]:
    return [t for t in told if t.row.type != "fail" for m in t.sends
            if (m.log, m.value) == (message.log, message.value)]  # fmt: skip


def _known(told: Sequence[Told]) -> list[Message]:
    return [m for t in told for m in (*t.sends, *t.polls) if m.offset is not None]


def _unfounded(told: Sequence[Told]) -> bool:
    for t in told:
        for message in t.polls:
            senders = _senders(told, message)
            early = [s for s in senders if s.row.start <= t.row.end]
            if not early or senders == [t]:
                return True
    return False


def _places(told: Sequence[Told]) -> bool:
    known = set(_known(told))
    if any(a[:2] == b[:2] for a, b in permutations(known, 2)):
        return True
    for message in known:
        offsets = {m.offset for m in known if (m.log, m.value) == (message.log, message.value)}
        if 0 < len(_senders(told, message)) < len(offsets):
            return True
    return False


def _lost(told: Sequence[Told]) -> bool:
    shown = [m for t in told for m in t.polls]
    for t in told:
        for s in t.sends if is_ok(t.row) else ():
            unseen = all((m.log, m.value) != (s.log, s.value) for m in shown)
            if s.offset is None:
                senders = [_senders(told, m) for m in shown if m.log == s.log]
                later = [all(x.row.start > t.row.end for x in each) for each in senders if each]
            else:
                later = [m.offset > s.offset for m in shown if m.log == s.log]
            if unseen and any(later):
                return True
    return False


def _inside(messages: Sequence[Message]) -> Iterator[tuple[Message, Message]]:
    for log in LOGS:
        yield from pairwise([m for m in messages if m.log == log and m.offset is not None])


Pick = Callable[[Told], list[Message]]


def _across(told: Sequence[Told], pick: Pick) -> Iterator[tuple[Told, Told, Message, Message]]:
    """One operation and the next of its process that has messages of a log."""
    for log in LOGS:
        for process in {t.row.process for t in told}:
            mine = [t for t in told if t.row.process == process]
            mine = [t for t in mine if any(m.log == log and m.offset is not None for m in pick(t))]
            mine.sort(key=lambda t: (t.row.start, t.place))
            for p, q in pairwise(mine):
                one = [m for m in pick(p) if m.log == log and m.offset is not None]
                two = [m for m in pick(q) if m.log == log and m.offset is not None]
                if p.row.end <= q.row.start:
                    yield p, q, one[-1], two[0]


def _wrong_step(told: Sequence[Told], a: Message, b: Message) -> bool:
    between = [m for m in _known(told) if m.log == a.log and a.offset < m.offset < b.offset]
    return b.offset <= a.offset or any(_senders(told, m) for m in between)


def _polls(told: Sequence[Told]) -> bool:
    if any(_wrong_step(told, a, b) for t in told for a, b in _inside(t.polls)):
        return True
    for p, q, a, b in _across(told, lambda t: t.polls):
        own = [t for t in told if t.row.process == p.row.process]
        moved = any(
            _moves(t, a.log) for t in own if p.row.start <= t.row.start <= q.row.start
        )  # fmt: skip
        chosen = [t for t in own if t.row.f in ("assign", "subscribe") and t.row.type != "fail"
                  and t.row.start <= q.row.start]  # fmt: skip
        last = max(chosen, key=lambda t: (t.row.start, t.place), default=None)
        free = last is not None and last.row.f == "subscribe"
        if not moved and not free and _wrong_step(told, a, b):
            return True
    return False


def _moves(t: Told, log: str) -> bool:
    if t.polling and not is_ok(t.row):
        return True
    if t.row.f not in ("assign", "subscribe") or t.row.type == "fail":
        return False
    return t.row.f == "subscribe" or log not in map(str, t.row.value or ())


def _sends(told: Sequence[Told]) -> bool:
    if any(b.offset < a.offset for t in told for a, b in _inside(t.sends)):
        return True
    if any(b.offset < a.offset for _, _, a, b in _across(told, lambda t: t.sends)):
        return True
    for x, y in permutations(told, 2):
        for a in x.sends if x.row.end < y.row.start else ():
            for b in y.sends:
                if None not in (a.offset, b.offset) and a.log == b.log and b.offset < a.offset:
                    return True
    return False
