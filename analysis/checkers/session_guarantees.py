"""`session-guarantees`: what a client did and saw stays done and seen, for this client.

The four guarantees of Terry et al. (1994). Named anomalies stand weakest first; docs/checkers.md
defines each and what it counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import Case
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, TERRY, Kind
from analysis.checkers.prose import Teller, counted, number
from analysis.checkers.replacements import NOBODY, read_registers
from analysis.checkers.session_kernels import OWN_READ, OWN_WRITE, THEIR_READ, THEIR_WRITE
from analysis.checkers.sessions import read_sessions
from analysis.checkers.unfounded import unfounded
from analysis.history import History
from analysis.values import coded

PROPERTY = "session-guarantees"
KINDS = (
    Kind(
        property="session-guarantees",
        name="thin-air-read",
        counts="ok reads and swaps that found a value nobody tried to write",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="session-guarantees",
        name="aborted-read",
        counts="ok reads and swaps that found a value whose writers were all told that they failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property="session-guarantees",
        name="future-read",
        counts="ok reads and swaps that ended before any write of the value they found began",
        rules_out="causality, and all above it",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="session-guarantees",
        name="writes-follow-reads",
        counts="ok reads and swaps that found a value replaced by a write which somebody had read "
        "before writing what this session had seen",
        rules_out="writes follow reads, and causal consistency",
        reference=TERRY,
    ),
    Kind(
        property="session-guarantees",
        name="monotonic-writes",
        counts="ok reads and swaps that found a value replaced by a write whose session had then "
        "written what this session had seen",
        rules_out="monotonic writes, PRAM and causal consistency",
        reference=TERRY,
    ),
    Kind(
        property="session-guarantees",
        name="monotonic-reads",
        counts="ok reads and swaps that found a value replaced by a write whose value their "
        "session had seen before",
        rules_out="monotonic reads, PRAM and causal consistency",
        reference=TERRY,
    ),
    Kind(
        property="session-guarantees",
        name="read-your-writes",
        counts="ok reads and swaps that found a value replaced by a write that their own session "
        "had completed before",
        rules_out="read your writes, PRAM and causal consistency",
        reference=TERRY,
    ),
)
_BITS = {
    "writes-follow-reads": THEIR_READ,
    "monotonic-writes": THEIR_WRITE,
    "monotonic-reads": OWN_READ,
    "read-your-writes": OWN_WRITE,
}


def check(history: History, context: Context) -> CheckResult:
    """Decide the four guarantees of each process over all registers (f: read, write, cas)."""
    case = Case(property=PROPERTY, history=history, context=context)
    guarantees = _Guarantees(case)
    anomalies = [*unfounded(case, guarantees.registers), *guarantees.broken()]
    total = number(len(guarantees.registers.look), "acknowledged observation")
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts} among {total}", anomalies)
    if not len(guarantees.registers.look):
        return case.unknown("no read was acknowledged: nothing was observed")
    if guarantees.sessions.stopped is not None:
        return case.unknown(f"not decided: {guarantees.sessions.stopped}")
    if (twice := guarantees.twice()) is not None:
        return case.unknown(f"written values must be unique per key, but {twice} more than once")
    compared = guarantees.sessions.compared
    if not compared:
        return case.unknown("no session read what it had read or written before")
    sessions = len(guarantees.sessions.events.bounds) - 1
    why = f"{compared:,} of {total} of {number(sessions, 'session')} could be compared, none is old"
    return case.valid(why, {"compared": compared, "broken": 0, "excess": 0, "twice": 0})


class _Guarantees:
    """What each session observed, and the witnesses of what is broken."""

    def __init__(self, case: Case) -> None:
        self.case, history = case, case.history
        relevant = history.f.equals("read") | history.f.equals("write") | history.f.equals("cas")
        values = coded(history, np.flatnonzero(relevant), case.context.initial)
        self.registers = read_registers(history, values)
        case.context.meter.in_time()
        self.sessions = read_sessions(history, self.registers, case.context.meter)

    def twice(self) -> str | None:
        """A value that more than one operation may have written, in words; None: there is none."""
        registers = self.registers
        again = registers.writers > np.where(registers.initial, 0, 1)
        places = np.flatnonzero(again[registers.written])
        if not len(places):
            return None
        last = places.max()
        if registers.initial[registers.written[last]]:
            return "the initial value was written, that is there"
        row = int(registers.write[last])
        return f"{self.case.tell(row).value(row)} was written"

    def broken(self) -> Iterator[Anomaly]:
        """The guarantees that were broken."""
        history = self.case.history
        for name, bit in _BITS.items():
            rows = np.flatnonzero(self.sessions.broken & bit)
            if len(rows):
                row = int(rows[np.argmin(history.end_ns[rows])])
                witness, argument = self._told(name, row)
                yield self.case.anomaly(name, rows, witness, argument)

    def _told(self, name: str, r: int) -> tuple[list[int], str]:
        """The witness, in the order of its roles, and the argument that r is wrong."""
        own = name in ("read-your-writes", "monotonic-reads")
        seen = name in ("monotonic-reads", "writes-follow-reads")
        z = q = NOBODY
        if own:
            u, p = self._replacing(r, self._before(r), seen=seen)
        else:
            u, p, z, q = self._through(r, seen=seen)
        v = int(self.sessions.look[r])
        e = NOBODY
        initial = bool(self.registers.initial[v])
        if not initial and self.sessions.over[u] != v:
            e = int(self.registers.teller[v])
        roles = [e, u, p, z, q, r]
        witness = list(dict.fromkeys(row for row in roles if row != NOBODY))
        tell = self.case.tell(*witness)
        steps, old = self._steps(tell, u, p, z, q), self._old(tell, r, u, e)
        return witness, f"{tell.did(r)}, although {steps}; {old}"

    def _old(self, tell: Teller, r: int, u: int, e: int) -> str:
        """Why what r found had been replaced by u."""
        if e != NOBODY:
            return f"{tell.done(e)}, before {tell.whose(u)} began at {self._began(tell, u)}"
        if self.registers.initial[int(self.sessions.look[r])]:
            return f"{tell.seen(r)} is the initial value, older than any write"
        return f"{tell.whose(u)} took the place of {tell.seen(r)}"

    def _began(self, tell: Teller, row: int) -> str:
        return tell.at(int(self.case.history.start_ns[row]))

    def _steps(self, tell: Teller, u: int, p: int, z: int, q: int) -> str:
        """What the session must have seen."""
        own = z == NOBODY
        who = "the same process" if own else tell.who(z)
        if p == NOBODY:
            first = f"{who} had done its {tell.deed(u)} by {self._ended(tell, u)}"
        else:
            first = f"{who} had found {tell.seen(p)} in {tell.key(p)} by {self._ended(tell, p)}"
        if own:
            return first
        return (
            f"{first}, then began its {tell.deed(z)} to {tell.key(z)}, and that was seen by "
            f"{tell.who(q)} itself by {self._ended(tell, q)}"
        )

    def _ended(self, tell: Teller, row: int) -> str:
        return tell.at(int(self.case.history.end_ns[row]))

    def _before(self, r: int) -> list[int]:
        """What r's session had done before r, the last first."""
        told = self.sessions.events
        at = int(told.place[r])
        first = int(told.bounds[np.searchsorted(told.bounds, at, "right") - 1])
        part = slice(first, at)
        rows: list[int] = told.row[part][told.insert[part]].tolist()
        return rows[::-1]

    def _replacing(self, r: int, rows: list[int], *, seen: bool) -> tuple[int, int]:
        """(u, the one of `rows` that saw it, or NOBODY): the last of `rows` that wrote, or saw,
        what certainly replaces what r found. (NOBODY, NOBODY): there is none.
        """
        sessions, registers, clock = self.sessions, self.registers, self.registers.clock
        v, key = int(sessions.look[r]), int(clock.key[r])
        for row in rows:
            if clock.key[row] != key:
                continue
            if not seen:
                start = int(clock.start(np.array([row]))[0])
                late = start > registers.since[v] or sessions.over[row] == v
                if sessions.put[row] != NOBODY and late:
                    return row, NOBODY
                continue
            w = int(sessions.look[row])
            if w >= 0:
                found = sessions.versions
                if found.begin[w] > registers.since[v] or found.expects[w] == v:
                    return int(found.writer[w]), row
        return NOBODY, NOBODY

    def _through(self, r: int, *, seen: bool) -> tuple[int, int, int, int]:
        """(u, who saw it, the write z after that, the q of r's session that saw z)."""
        told, found = self.sessions.events, self.sessions.versions
        mine = self.case.history.process[r]
        for q in self._before(r):
            version = int(self.sessions.look[q])
            z = int(found.writer[version]) if version >= 0 else NOBODY
            if z == NOBODY or self.case.history.process[z] == mine or told.place[z] < 0:
                continue
            u, p = self._replacing(r, self._before(z), seen=seen)
            if u != NOBODY:
                return u, p, z, q
        raise AssertionError(f"operation {r} breaks a guarantee without a witness")
