"""`linearizable-register`: every key behaves like one register on one machine.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts. The work is done
in `versions.py` (who wrote what was seen) and `zones.py` (can it be ordered); this file tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict, too_little
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, HERLIHY_WING, Kind
from analysis.checkers.prose import Teller, number, span_ms
from analysis.checkers.versions import NotUnique, Versions, acknowledged_reads, prepare
from analysis.checkers.zones import Blocks, Findings, analyse
from analysis.history import FAIL, History, Ints

PROPERTY = "linearizable-register"
KINDS = (
    Kind(
        property="linearizable-register",
        name="thin-air-read",
        counts="observations (ok reads, swaps that happened) of a value nobody tried to write",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="aborted-read",
        counts="observations of a value whose only writer was told that it failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property="linearizable-register",
        name="future-read",
        counts="observations that ended before the write they rest on began",
        rules_out="causality, and all above it",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="lost-update",
        counts="swaps that replaced a value which another swap had replaced: all but the first",
        rules_out="atomic compare-and-set",
        reference=HERLIHY_WING,
    ),
    Kind(
        property="linearizable-register",
        name="stale-read",
        counts="observations of a value that had been replaced, by a write begun after that value "
        "was established and seen or completed before the observation began",
        rules_out="linearizability (regular and atomic registers)",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="non-linearizable",
        counts="observations of a value after another one was established, though that other was "
        "observed to come later too; and swaps that replaced one another in a circle",
        rules_out="linearizability (atomic registers)",
        reference=GIBBONS_KORACH,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of a register history (f: read, write, cas), key by key."""
    if not len(history):
        return _result(history, Verdict.UNKNOWN, "the history is empty")
    try:
        versions = prepare(history)
    except NotUnique as error:
        value = error.args[0]
        what = (
            f"{value} was written" if value is not None else "null or the initial value was written"
        )
        why = f"written values must be unique per key, but {what} more than once"
        return _result(history, Verdict.UNKNOWN, why)
    blocks, findings = analyse(versions)
    anomalies = _Namer(history, versions, blocks, findings).all()
    if anomalies:
        return _result(history, Verdict.INVALID, _why(history, anomalies), anomalies)
    if not acknowledged_reads(history):
        return _result(history, Verdict.UNKNOWN, "no read was acknowledged: nothing was observed")
    if why := too_little(history, context):
        return _result(history, Verdict.UNKNOWN, why)
    keys = len(np.unique(history.key.codes))
    why = f"{number(len(history), 'operation')} on {number(keys, 'key')} have a linear order"
    return _result(history, Verdict.VALID, why)


def _result(
    history: History, verdict: Verdict, why: str, anomalies: tuple[Anomaly, ...] = ()
) -> CheckResult:
    return CheckResult(
        property=PROPERTY,
        verdict=verdict,
        why=why,
        anomalies=anomalies,
        operations=len(history),
    )


def _noun(name: str) -> str:
    """ "stale read"; for the one name that is no noun, what it counts."""
    return "observation out of order" if name == "non-linearizable" else name.replace("-", " ")


def _why(history: History, anomalies: tuple[Anomaly, ...]) -> str:
    reads = acknowledged_reads(history)
    counts = ", ".join(number(a.count, _noun(a.name)) for a in anomalies)
    return f"{counts} among {number(reads, 'acknowledged observation')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """The first instance of an anomaly: the operations that prove it, and the proof."""

    rows: tuple[int, ...]
    argument: str


class _Namer:
    """Turns findings about versions into anomalies about operations."""

    def __init__(
        self, history: History, versions: Versions, blocks: Blocks, findings: Findings
    ) -> None:
        self._history = history
        self._versions = versions
        self._blocks = blocks
        self._findings = findings

    def all(self) -> tuple[Anomaly, ...]:
        """Every anomaly, weakest first."""
        versions, found = self._versions, self._findings
        swaps = versions.row
        groups = [
            ("thin-air-read", versions.unexplained[~versions.aborted], self._thin_air),
            ("aborted-read", versions.unexplained[versions.aborted], self._aborted),
            (
                "future-read",
                np.append(versions.read_row[found.future_reads], swaps[found.future_swaps]),
                self._future,
            ),
            ("lost-update", swaps[self._blocks.lost], self._lost_update),
            (
                "stale-read",
                np.append(versions.read_row[found.stale_reads], swaps[found.stale_swaps]),
                self._stale,
            ),
            (
                "non-linearizable",
                np.concatenate(
                    [
                        versions.read_row[found.contested_reads],
                        swaps[found.contested_swaps],
                        swaps[self._blocks.circular],
                    ]
                ),
                self._contested,
            ),
        ]
        anomalies = []
        for name, rows, tell in groups:
            if len(rows):
                rows = np.sort(rows)
                first = int(rows[np.argmin(self._history.end_ns[rows])])
                story = tell(first)
                anomalies.append(
                    Anomaly(
                        name=name,
                        count=len(rows),
                        first_ns=int(self._history.end_ns[first]),
                        operations=story.rows,
                        argument=story.argument,
                        instances=rows,
                    )
                )
        return tuple(anomalies)

    def _tell(self, *rows: int) -> tuple[Teller, tuple[int, ...]]:
        unique = tuple(dict.fromkeys(row for row in rows if row >= 0))
        return Teller(self._history, unique), unique

    def _thin_air(self, row: int) -> _Story:
        tell, rows = self._tell(row)
        argument = (
            f"{tell.did(row)}, but no client ever tried to write {tell.seen(row)} "
            f"to {tell.key(row)}"
        )
        return _Story(rows=rows, argument=argument)

    def _aborted(self, row: int) -> _Story:
        history = self._history
        is_read = history.f.at(row) == "read"
        value = (history.value if is_read else history.expected).values[row]
        wrote = ~history.f.equals("read") & (history.type == FAIL) & (history.value.values == value)
        writer = int(np.argmax(wrote & (history.key.codes == history.key.codes[row])))
        tell, rows = self._tell(writer, row)
        argument = (
            f"{tell.did(row)}, but {tell.seen(row)} must not be there: its only writer, "
            f"{tell.whose(writer)}, was told that it failed at {tell.at(history.end_ns[writer])}"
        )
        return _Story(rows=rows, argument=argument)

    def _future(self, row: int) -> _Story:
        version = self._version(row)
        root, depth = self._blocks.root, self._blocks.depth
        chain = np.flatnonzero((root == root[version]) & (depth <= depth[version]))
        chain = chain[self._versions.live[chain]]
        writer = int(self._versions.row[chain[np.argmax(self._versions.start[chain])]])
        tell, rows = self._tell(row, int(self._versions.row[version]), writer)
        argument = f"{tell.did(row)}, but {tell.began(writer)}, after that had ended"
        if writer != self._versions.row[version] or writer == row:
            argument += f", and the value {tell.value(row)} rests on it through a chain of swaps"
        return _Story(rows=rows, argument=argument)

    def _lost_update(self, row: int) -> _Story:
        versions = self._versions
        parent = versions.parent[int(np.flatnonzero(versions.row == row)[0])]
        rivals = versions.swaps[versions.parent[versions.swaps] == parent]
        rivals = rivals[~np.isin(rivals, self._blocks.lost)]
        other = int(versions.row[rivals[0]])
        tell, rows = self._tell(other, row)
        argument = (
            f"{tell.did(other)}, and {tell.did(row)}: both replaced the same {tell.seen(row)}, "
            "so the second did not see the first"
        )
        return _Story(rows=rows, argument=argument)

    def _stale(self, row: int) -> _Story:
        """r read A, although B, begun after A was established, had been seen before r began."""
        blocks, found = self._blocks, self._findings
        version, block = self._block(row)
        start = self._clock_start(row)
        if len(found.replaced) and start > found.replaced[version]:
            return self._stale_in_chain(row, version)
        newer = blocks.roots[
            (blocks.first_end[blocks.roots] == found.superseded[block])
            & (self._versions.start[blocks.roots] > blocks.first_end[block])
            & (self._versions.start[blocks.roots] > self._versions.start[block])
        ]
        rival = int(newer[0])
        old, new = self._first_done(block), self._first_done(rival)
        writer = int(self._versions.row[rival])
        tell, rows = self._tell(old, writer, new, row)
        late = int(self._history.start_ns[row] - self._history.end_ns[new])
        initial = "" if old >= 0 else f"{tell.seen(row)} was the initial value; "
        before = f"{tell.done(old)}; " if old >= 0 and old != row else initial
        shown = "" if new == writer else f" and {tell.done(new)}"
        finished = tell.done(writer) if new == writer else tell.began(writer)
        argument = (
            f"{tell.did(row)}, although {before}{finished}{shown}: {tell.seen(row)} was "
            f"overwritten at least {span_ms(late)} before that began"
        )
        return _Story(rows=rows, argument=argument)

    def _stale_in_chain(self, row: int, version: int) -> _Story:
        blocks = self._blocks
        later = (blocks.root == blocks.root[version]) & (blocks.depth > blocks.depth[version])
        new = self._first_done(-1, np.flatnonzero(later & self._versions.live))
        swap = int(
            self._versions.row[
                np.flatnonzero(later & (blocks.depth == blocks.depth[version] + 1))[0]
            ]
        )
        tell, rows = self._tell(swap, new, row)
        late = int(self._history.start_ns[row] - self._history.end_ns[new])
        argument = (
            f"{tell.did(row)}, although {tell.whose(swap)} had replaced it: {tell.done(new)}, "
            f"{span_ms(late)} before that read began"
        )
        return _Story(rows=rows, argument=argument)

    def _contested(self, row: int) -> _Story:
        """A was established, then B, then A was seen again, and B again after A's beginning."""
        blocks, found, versions = self._blocks, self._findings, self._versions
        version, block = self._block(row)
        if version in blocks.circular or self._own(row) in blocks.circular:
            tell, rows = self._tell(*(int(r) for r in versions.row[blocks.circular[:4]]))
            return _Story(
                rows=rows,
                argument=(
                    f"{tell.did(rows[0])}, but that value could only come from a circle of "
                    "swaps, each of which needed the one before it to have happened"
                ),
            )
        rivals = blocks.roots[
            (blocks.first_end[blocks.roots] == found.contested[block])
            & (blocks.last_start[blocks.roots] > blocks.first_end[block])
            & (blocks.roots != block)
        ]
        rival = int(rivals[0])
        old, new, again = self._first_done(block), self._first_done(rival), self._last_begun(rival)
        tell, rows = self._tell(old, new, again, row)
        before = f"{tell.done(old)}" if old >= 0 else f"{tell.seen(row)} was the initial value"
        argument = (
            f"{before}; then {tell.done(new)}; then {tell.did(row)}: the register went back to an "
            f"older value, whichever write came first, since {tell.began(again)}"
        )
        return _Story(rows=rows, argument=argument)

    def _own(self, row: int) -> int:
        """The version a cas wrote; -1 for reads."""
        written = np.flatnonzero(self._versions.row == row)
        return int(written[0]) if len(written) else -1

    def _version(self, row: int) -> int:
        """The version an observation belongs to: a read's value, a cas's new value."""
        own = self._own(row)
        if own >= 0:
            return own
        read = int(np.flatnonzero(self._versions.read_row == row)[0])
        return int(self._versions.read_version[read])

    def _block(self, row: int) -> tuple[int, int]:
        version = self._version(row)
        return version, int(self._blocks.root[version])

    def _clock_start(self, row: int) -> int:
        own = self._own(row)
        if own >= 0:
            return int(self._versions.start[own])
        read = int(np.flatnonzero(self._versions.read_row == row)[0])
        return int(self._versions.read_start[read])

    def _members(self, chosen: Ints) -> tuple[Ints, Ints, Ints]:
        """(rows, starts, ends) of every operation of some versions; initial ones have row -1."""
        versions = self._versions
        reads = np.flatnonzero(np.isin(versions.read_version, chosen))
        reads = reads[~np.isin(reads, self._findings.future_reads)]
        return (
            np.append(versions.row[chosen], versions.read_row[reads]),
            np.append(versions.start[chosen], versions.read_start[reads]),
            np.append(versions.end[chosen], versions.read_end[reads]),
        )

    def _chosen(self, block: int) -> Ints:
        return np.flatnonzero((self._blocks.root == block) & self._versions.live)

    def _first_done(self, block: int, chosen: Ints | None = None) -> int:
        """The row of the operation that ends first; -1 for an initial value."""
        rows, _, ends = self._members(self._chosen(block) if chosen is None else chosen)
        return int(rows[np.argmin(ends)])

    def _last_begun(self, block: int) -> int:
        rows, starts, _ = self._members(self._chosen(block))
        return int(rows[np.argmax(starts)])
