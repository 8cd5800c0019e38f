"""The operations of an anomaly as bars on the lanes of their processes: data for pictures.

Times become ranks: equal times are one rank, so order and overlap are exact however close they are.
Drawn in a terminal by `chaos.cli.lanes`, as a page by `analysis.lanes_html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from analysis.anomalies import kind_of
from analysis.history import FAIL, INFO, UNREAD, History, Ints
from analysis.lanes_states import NOTHING_KNOWN, Followed, States, follow
from analysis.lanes_words import words
from chaos.errors import RecordError, UsageError

WINDOW = 400  # operations around a witness, at most
CYCLE_WINDOW = 60  # around a cycle: all transactions are on the same keys
UNITS = (("s", 9), ("ms", 6), ("µs", 3), ("ns", 0))
_CHANGES = (  # nothing is learnt
    *("write", "add", "append", "enqueue", "push", "remove", "release"),
    *("send", "assign", "subscribe"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One operation. `right` is None where it has no answer: its effect may come at any time."""

    row: int
    lane: int
    words: str  # "write 7", "cas 3→5"
    key: str | None
    outcome: str  # ok | info | fail
    error: str
    node: str
    start_ns: int
    end_ns: int  # of an info: when the client gave up
    left: int  # ranks of start and end
    right: int | None
    witness: bool
    impossible: bool  # with it the promise was broken, of the witness
    first: bool  # the first answer to leave no order of its object's operations, if that is known
    states: States  # before and after it, where they are known

    @property
    def marked(self) -> bool:
        """Whether it gets the mark of the impossible."""
        return self.impossible or self.first


@dataclass(frozen=True, slots=True)
class Edge:
    """That one operation of a cycle comes before another, and by what kind of dependency."""

    before: int  # rows
    after: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An anomaly as lanes. `moments[rank]` is a time; `skipped[rank]`: how many operations that
    began between that rank and the one before it are left out.
    """

    number: int  # of the anomaly, among all of the results, from 1
    property_name: str
    name: str
    count: int
    argument: str
    counts: str  # what `count` counts
    rules_out: str
    reference: str
    faults: tuple[str, ...]
    lanes: tuple[str, ...]
    bars: tuple[Bar, ...]  # by start
    edges: tuple[Edge, ...] = ()  # of a cycle, in its order
    moments: tuple[int, ...]
    skipped: Mapping[int, int]
    why_impossible: str  # in which states the first would have to happen, and cannot; or ""
    about_states: str  # how the states are known, or why they are not

    @property
    def impossible(self) -> Bar | None:
        """The first operation that is impossible, or else the one that broke the promise."""
        first = next((bar for bar in self.bars if bar.first), None)
        return first or next((bar for bar in self.bars if bar.impossible), None)


def anomalies(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(property, anomaly) of all checks, in the order of the results; RecordError if malformed."""
    try:
        found: list[tuple[str, Mapping[str, Any]]] = [
            (str(check["property"]), _checked(anomaly))
            for check in results["checks"]
            for anomaly in check["anomalies"]
        ]
    except (KeyError, TypeError, ValueError):
        raise RecordError("the results hold no list of checks with their anomalies") from None
    return found


def _checked(anomaly: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        **anomaly,
        "name": str(anomaly["name"]),
        "argument": str(anomaly["argument"]),
        "count": int(anomaly["count"]),
        "faults": tuple(map(str, anomaly.get("faults", ()))),
    }


def chosen(results: Mapping[str, Any], which: str) -> int:
    """The place of the anomaly that a user means by a number from 1, or a name; UsageError."""
    found = anomalies(results)
    names = [anomaly["name"] for _, anomaly in found]
    if which.isascii() and which.isdigit() and 1 <= int(which) <= len(found):
        return int(which) - 1
    if which in names:
        return names.index(which)
    if not found:
        raise UsageError("no anomaly was found, so there is none to show")
    known = ", ".join(f"{place} {name}" for place, name in enumerate(names, 1))
    raise UsageError(f"expected an anomaly by number or name, got {which!r}", fix=f"one of {known}")


def picture(
    history: History,
    results: Mapping[str, Any],
    place: int,
    *,
    initial: Any = None,
    window: int = 0,
    past: bool = False,
) -> Picture:
    """The anomaly at `place` of `anomalies(results)`: its witness and `window` operations near it,
    of the `past` only if that is asked for: begun before the promise was broken.

    States are looked for where a window is asked for. RecordError for results of another history.
    """
    property_, anomaly = anomalies(results)[place]
    name = anomaly["name"]
    witness = _rows(anomaly.get("operations"), len(history))
    instances = _rows(anomaly.get("instances", []), len(history))
    edges = _edges(anomaly.get("edges", ()), witness)
    impossible = _impossible(history, witness, instances[:0] if edges else instances)
    window = min(window, CYCLE_WINDOW) if edges else window
    known = NOTHING_KNOWN
    if window:
        known = follow(history, property_, witness, impossible, initial)
    shown = [row for row in (impossible, known.first) if row is not None]
    rows = np.union1d(witness, np.array(shown, np.int64))
    if window:
        end = int(history.end_ns[impossible]) if past and impossible is not None else None
        rows = around(history, rows, window, end)
    kind = kind_of(property_, name)
    lanes, bars, moments = _drawn(history, rows)
    return Picture(
        number=place + 1,
        property_name=property_,
        name=name,
        count=anomaly["count"],
        argument=anomaly["argument"],
        counts=kind.counts if kind else "",
        rules_out=kind.rules_out if kind else "",
        reference=kind.reference if kind else "",
        faults=anomaly["faults"],
        lanes=lanes,
        bars=_marked(bars, witness, impossible, known),
        edges=edges,
        moments=tuple(moments.tolist()),
        skipped=_skipped(history, rows, moments) if window else {},
        why_impossible=known.why,
        about_states=known.about,
    )


def _marked(
    bars: Sequence[Bar], witness: Ints, impossible: int | None, known: Followed
) -> tuple[Bar, ...]:
    """The bars with what is known of each."""
    return tuple(
        replace(
            bar,
            witness=bar.row in witness,
            impossible=bar.row == impossible,
            first=bar.row == known.first,
            states=known.states.get(bar.row, States()),
        )
        for bar in bars
    )


def around(history: History, witness: Ints, window: int, until_ns: int | None = None) -> Ints:
    """The witness, and of what is on its keys the operations nearest to it by their start; of
    those that began by `until_ns`, if that is given.
    """
    rows = _same_keys(history, witness)
    if until_ns is not None:
        rows = np.union1d(rows[history.start_ns[rows] <= until_ns], witness)
    begun = rows[np.lexsort((rows, history.start_ns[rows]))]
    if len(begun) <= window:
        return np.sort(begun)
    at = np.flatnonzero(np.isin(begun, witness))
    place = np.arange(len(begun))
    right = np.searchsorted(at, place)
    after = np.where(right < len(at), at[np.minimum(right, len(at) - 1)] - place, len(begun))
    before = np.where(right > 0, place - at[np.maximum(right - 1, 0)], len(begun))
    nearest = np.argsort(np.minimum(before, after), kind="stable")[: max(window, len(at))]
    return np.sort(begun[nearest])


def scale(moments: Sequence[int]) -> tuple[str, int, int]:
    """A unit, its power of ten in ns, and the digits that tell how far apart all times are: the
    last one stands for a fifth of the shortest time between two, or less.
    """
    span = moments[-1] - moments[0] if moments else 0
    least = min((b - a for a, b in pairwise(moments)), default=0)
    for unit, power in UNITS:
        for decimals in range(min(power, 3) + 1):
            exact = not any((t - moments[0]) % 10 ** (power - decimals) for t in moments)
            if span >= 10**power and (exact or 5 * 10 ** (power - decimals) <= least):
                return unit, power, decimals
    return "ns", 0, 0


def _same_keys(history: History, witness: Ints) -> Ints:
    """Rows on the keys of the witness; their failed ones too."""
    names = {history.key.at(int(row)) for row in witness}
    keys = [code for code, name in enumerate(history.key.names) if name in names]
    on_key = np.isin(history.key.codes, keys + ([-1] if None in names else []))
    if not on_key.any():
        return witness
    return np.flatnonzero(on_key)


def _rows(value: Any, count: int) -> Ints:
    if not isinstance(value, Sequence | np.ndarray) or not all(
        isinstance(row, int | np.integer) and 0 <= row < count for row in value
    ):
        raise RecordError(
            f"an anomaly names operations that this history of {count:,} has not: {value!r:.80}",
            fix="judge it again: aftershock check",
        )
    return np.array(sorted(set(value)), np.int64)


def _edges(value: Any, witness: Ints) -> tuple[Edge, ...]:
    rows = set(witness.tolist())
    try:
        found = tuple(Edge(int(a), int(b), str(why)) for a, b, why in value)
    except (TypeError, ValueError):
        found = (Edge(-1, -1, ""),)
    if any({edge.before, edge.after} - rows for edge in found):
        raise RecordError(
            f"a cycle goes through operations that its anomaly does not name: {value!r:.80}",
            fix="judge it again: aftershock check",
        )
    return found


def _impossible(history: History, witness: Ints, instances: Ints) -> int | None:
    """With which operation of the witness the promise was broken: the one that is counted if it
    learnt something, else the last answer that told something (of a cycle: that closed it).
    """
    if not len(witness):
        return None
    first = instances[np.argmin(history.end_ns[instances])] if len(instances) else -1
    learnt = [row for row in witness.tolist() if history.f.at(row) not in _CHANGES]
    if int(first) in learnt:
        return int(first)
    definite = [row for row in learnt or witness.tolist() if history.type[row] != INFO]
    among: list[int] = definite or witness.tolist()
    return max(among, key=lambda row: int(history.end_ns[row]))


def _drawn(history: History, rows: Ints) -> tuple[tuple[str, ...], list[Bar], Ints]:
    """Lanes, bars by start, and the times of the ranks."""
    start, end = history.start_ns[rows], history.end_ns[rows]
    closed = (history.type[rows] != INFO) | history.errors(UNREAD)[rows]
    moments, rank = np.unique(np.append(start, end[closed]), return_inverse=True)
    left, right = rank[: len(rows)], np.full(len(rows), -1)
    right[closed] = rank[len(rows) :]
    processes, lane = np.unique(history.process[rows], return_inverse=True)
    bars = [
        Bar(
            row=int(row),
            lane=int(lane[at]),
            words=words(history, int(row)),
            key=history.key.at(int(row)),
            outcome=_outcome(history, int(row), bool(closed[at])),
            error=history.error.at(int(row)) or "",
            node=history.node.at(int(row)) or "",
            start_ns=int(start[at]),
            end_ns=int(end[at]),
            left=int(left[at]),
            right=int(right[at]) if closed[at] else None,
            witness=False,
            impossible=False,
            first=False,
            states=States(),
        )
        for at, row in enumerate(rows.tolist())
    ]
    bars.sort(key=lambda bar: (bar.start_ns, bar.end_ns, bar.row))
    return tuple(f"process {number}" for number in processes.tolist()), bars, moments


def _outcome(history: History, row: int, closed: bool) -> str:
    if not closed:
        return "info"
    return "fail" if history.type[row] == FAIL else "ok"


def _skipped(history: History, rows: Ints, moments: Ints) -> dict[int, int]:
    """How many operations on the same keys begin before each rank, after the one before it."""
    others = np.setdiff1d(_same_keys(history, rows), rows)
    between, count = np.unique(
        np.searchsorted(moments, history.start_ns[others]), return_counts=True
    )
    return dict(zip(between.tolist(), count.tolist(), strict=True))
