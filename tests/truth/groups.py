"""Consumer groups of logs, whose members go on where the group is, or elsewhere, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.truth.definitions import is_ok
from tests.truth.logs import Told, read
from tests.truth.rows import Row

LOGS = ("k0", "k1")
KINDS = (*["ok"] * 36, "info", "fail", "fail")


def make(rng: Random) -> list[Row]:
    """Some processes that send, and poll as members of a group or not; most groups do not keep to
    their place."""
    return _Members(rng).rows()


class _Members:
    """One operation after another, some of them at the same time."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.fault = rng.choice(("skip", "skip", "again", "zombie")) if rng.random() < 0.8 else None
        self.stored: dict[str, list[int | None]] = {log: [] for log in LOGS}  # None: a gap
        self.place = dict.fromkeys(LOGS, 0)  # the group's
        self.own: dict[tuple[int, str], int] = {}  # of who is no member, and of zombies
        self.last = 0
        self.now = 0

    def rows(self) -> list[Row]:
        """The history."""
        members = [process for process in range(3) if self.rng.random() < 0.8]
        made = [self._choice("subscribe", process) for process in members]
        for _ in range(self.rng.randint(4, 16)):
            process, draw = self.rng.randrange(3), self.rng.random()
            if draw < 0.08:
                made.append(self._choice(self.rng.choice(("assign", "subscribe")), process))
                continue
            f = "send" if draw < 0.5 else "poll" if draw < 0.85 else "txn"
            mix = [f] if f != "txn" else self.rng.choices(("send", "poll"), k=2)
            made.append(self._do(process, f, mix, process in members))
        return sorted(made, key=lambda row: row.end)

    def _times(self) -> tuple[int, int]:
        start = max(0, self.now + self.rng.choice((0, 1, 2)) - self.rng.choice((0, 0, 0, 6)))
        end = start + self.rng.choice((0, 1, 2, 5))
        self.now = max(self.now, end)
        return start, end

    def _choice(self, f: str, process: int) -> Row:
        return Row(f, list(LOGS), *self._times(), self.rng.choice(KINDS), process)

    def _do(self, process: int, f: str, mix: list[str], member: bool) -> Row:
        kind = self.rng.choice(KINDS)
        micros: list[list[Any]] = []
        for name in mix:
            if name == "send":
                micros.append(self._send(kind))
            else:
                shown = self._poll(process, kind, member)
                micros.append(["poll", shown] if kind == "ok" else ["poll"])
        key, content = None, micros
        if f == "send":
            _, key, content = micros[0]
        elif f == "poll":
            content = shown if kind == "ok" else None
        error = None if kind == "ok" else "timeout"
        return Row(f, content, *self._times(), kind, process, key, None, error)

    def _send(self, kind: str) -> list[Any]:
        log = self.rng.choice((*LOGS, "k0", "k0"))
        stored = self.stored[log]
        if self.rng.random() < 0.1:
            stored.append(None)
        self.last += 1
        if kind == "ok" or (kind == "info" and self.rng.random() < 0.5):
            stored.append(self.last)
        told = kind == "ok" and self.rng.random() < 0.95
        return ["send", log, [len(stored) - 1, self.last] if told else [None, self.last]]

    def _poll(self, process: int, kind: str, member: bool) -> dict[str, list[Any]]:
        shown: dict[str, list[Any]] = {}
        for log in self.rng.sample(LOGS, self.rng.choice((1, 2, 2))):
            zombie = self.fault == "zombie" and self.rng.random() < 0.3
            own = zombie or not member
            begin = self.own.get((process, log), 0) if own else self.place[log]
            if self.fault == "again" and self.rng.random() < 0.3:
                begin = max(0, begin - 1)
            end = min(len(self.stored[log]), begin + self.rng.randint(1, 3))
            found = [[at, self.stored[log][at]] for at in range(begin, end)]
            found = [[at, value] for at, value in found if value is not None]
            goes_on = kind == "ok" or (kind == "info" and self.rng.random() < 0.5)
            if goes_on or (self.fault == "skip" and kind == "fail"):
                self.own[process, log] = end
                if not own:
                    self.place[log] = end
            if self.fault == "skip" and found and self.rng.random() < 0.5:
                found = found[1:]
            if found:
                shown[log] = found
        return shown


def truth(rows: Sequence[Row], once: bool) -> str:
    """The definitions of docs/checkers.md, message by message."""
    told = [read(place, row) for place, row in enumerate(rows)]
    group = [t for t in told if _is_member(told, t)]
    shown = [m for t in group for m in t.polls]
    unsure = [t.row for t in group if t.polling and not is_ok(t.row) and t.row.type != "fail"]
    sent = [(t.row, m) for t in told if is_ok(t.row) for m in t.sends if m.offset is not None]
    doubtful = False
    for row, message in sent:
        unseen = all((m.log, m.value) != (message.log, message.value) for m in shown)
        behind = any(m.log == message.log and m.offset > message.offset for m in shown)
        if unseen and behind:
            if all(other.end < row.start for other in unsure):
                return "invalid"
            doubtful = True
    if once and len(set(shown)) < len(shown):
        return "invalid"
    return "valid" if sent and shown and not doubtful else "unknown"


def _is_member(told: Sequence[Told], one: Told) -> bool:
    chosen = [t for t in told if t.row.process == one.row.process and t.row.type != "fail"
              and t.row.f in ("assign", "subscribe") and t.row.start <= one.row.start]  # fmt: skip
    last = max(chosen, key=lambda t: (t.row.start, t.place), default=None)
    return last is not None and last.row.f == "subscribe"
