"""`staleness`: no read of a register is provably stale; else how stale, in time and versions.

What is counted is a lower bound (`replacements.py` says why). The two measures are those of Golab,
Li & Shah (2011). Named anomalies stand weakest first; docs/checkers.md defines each.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import NEVER, Case, quantiles_ms
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, GOLAB, Kind
from analysis.checkers.prose import number, span_ms
from analysis.checkers.replacements import NOBODY, read_registers, replacements
from analysis.checkers.unfounded import unfounded
from analysis.history import History, Ints
from analysis.values import coded

PROPERTY = "staleness"
KINDS = (
    Kind(
        property="staleness",
        name="thin-air-read",
        counts="ok reads and swaps that found a value nobody tried to write",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="staleness",
        name="aborted-read",
        counts="ok reads and swaps that found a value whose writers were all told that they failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property="staleness",
        name="future-read",
        counts="ok reads and swaps that ended before any write of the value they found began",
        rules_out="causality, and all above it",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="staleness",
        name="stale-read",
        counts="ok reads and swaps that found a value which had certainly been replaced before "
        "they began",
        rules_out="linearizability (regular and atomic registers)",
        reference=GOLAB,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Measure how stale reads of registers are, key by key (f: read, write, cas)."""
    case = Case(property=PROPERTY, history=history, context=context)
    looks = _Looks(case)
    found = unfounded(case, looks.registers)
    stale = looks.stale()
    anomalies = [*found, stale] if stale else found
    total = number(len(looks.row), "acknowledged observation")
    if anomalies:
        counts = ", ".join(
            number(anomaly.count, anomaly.name.replace("-", " ")) for anomaly in anomalies
        )
        extent = f"; {looks.extent()}" if stale else ""
        return case.invalid(f"{counts} among {total}{extent}", anomalies)
    if not len(looks.row):
        return case.unknown("no read was acknowledged: nothing was observed")
    if looks.twice is not None:
        what = f"{looks.twice} was written" if looks.twice else "the initial value was written"
        return case.unknown(f"written values must be unique per key, but {what} more than once")
    telling = looks.telling()
    if not telling:
        return case.unknown("no read began after a write was known: nothing could be stale")
    keys = len(np.unique(looks.registers.clock.key[looks.row]))
    why = f"none of {total} of {number(keys, 'key')} is provably stale"
    return case.valid(why, {"reads": telling, "stale": 0, "excess": 0})


class _Looks:
    """What was found in registers: ok reads, and ok swaps of the value they expected."""

    def __init__(self, case: Case) -> None:
        self.case, history = case, case.history
        relevant = history.f.equals("read") | history.f.equals("write") | history.f.equals("cas")
        values = coded(history, np.flatnonzero(relevant), case.context.initial)
        self.registers = registers = read_registers(history, values)
        case.context.meter.in_time()
        self.replacements = replacements(history, registers)
        self.row, self.found = registers.look, registers.found
        self.start = registers.clock.start(self.row)
        self.late = np.flatnonzero(self.replacements.replaced[self.found] < self.start)
        again = registers.writers > np.where(registers.initial, 0, 1)
        self.twice: str | None = None
        if again.any():
            places = np.flatnonzero(again[registers.written])
            first = int(registers.write[places.max()])
            is_initial = bool(registers.initial[registers.written[places.max()]])
            self.twice = "" if is_initial else case.tell(first).value(first)

    def telling(self) -> int:
        """How many began after a value that is not the initial one was known."""
        registers = self.registers
        clock, history = registers.clock, self.case.history
        told = np.full(clock.keys, NEVER)
        for rows, numbers in ((self.row, self.found), (registers.write, registers.written)):
            known = ~registers.initial[numbers] & (history.type[rows] == 0)
            np.minimum.at(told, clock.key[rows[known]], clock.end(rows[known]))
        return int(np.count_nonzero(self.start > told[clock.key[self.row]]))

    def lags(self) -> Ints:
        """Per stale observation: how long before it began its value was replaced, at least."""
        by = self.replacements.by[self.found[self.late]]
        history = self.case.history
        return history.start_ns[self.row[self.late]] - history.end_ns[self.replacements.proof[by]]

    def behind(self) -> Ints:
        """Per stale observation: how many versions it lies behind, at least."""
        return self.replacements.behind(self.found[self.late], self.start[self.late])

    def extent(self) -> str:
        """How stale the stale ones are."""
        lags, behind = self.lags(), np.sort(self.behind())
        middle, most = int(behind[len(behind) // 2]), int(behind[-1])
        return (
            f"they are at least {quantiles_ms(lags)} behind (median / 99 % / most), and at least "
            f"{middle:,} (median) to {most:,} versions"
        )

    def stale(self) -> Anomaly | None:
        """Observations of a value that had been replaced."""
        if not len(self.late):
            return None
        history, registers, found = self.case.history, self.registers, self.replacements
        rows = self.row[self.late]
        nth = int(np.argmin(history.end_ns[rows]))
        row, version = int(rows[nth]), int(self.found[self.late[nth]])
        place = int(found.by[version])
        writer, proof = int(registers.write[place]), int(found.proof[place])
        swapped = bool(registers.expected[place] == version)
        first = bool(registers.initial[version])
        old = NOBODY if swapped or first else int(registers.teller[version])
        witness = [each for each in (old, writer, proof, row) if each != NOBODY]
        tell = self.case.tell(*witness)
        why = "" if old == NOBODY else f"{tell.done(old)}, then "
        if first:
            why = f"{tell.seen(row)} was the initial value, and "
        shown = "" if proof == writer else f" and {tell.done(proof)}"
        wrote = tell.done(writer) if proof == writer else tell.began(writer)
        late, behind = int(self.lags()[nth]), int(self.behind()[nth])
        argument = (
            f"{tell.did(row)}, although {why}{wrote}{shown}: {tell.seen(row)} was replaced at "
            f"least {span_ms(late)} and {number(behind, 'version')} before that began"
        )
        return self.case.anomaly("stale-read", rows, witness, argument)
