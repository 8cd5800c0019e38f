"""Which faults an anomaly falls in: the windows its operations overlap, else the last before them.

Falling in a window is not being caused by it; that takes runs without the fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.anomalies import kind_of
from analysis.availability import Window, fault_windows
from analysis.checkers.base import CheckResult
from analysis.history import History, Ints
from chaos.record.reader import RunData

_HEADLINES = ("vanished", "lost", "lost-write")  # the last before all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """When the instances of an anomaly were, and the verb for it."""

    start: Ints
    end: Ints
    verb: str

    def __len__(self) -> int:
        return len(self.start)


def attribute(check: CheckResult, history: History, run: RunData) -> CheckResult:
    """The check with each anomaly's `faults` filled, and said in its argument and in `why`."""
    windows, titles = fault_windows(run), fault_titles(run)
    if check.anomalies and not windows:
        return replace(check, why=f"{check.why}; no fault was injected")
    anomalies = []
    sentences: dict[str, str] = {}
    for anomaly in check.anomalies:
        kind = kind_of(check.property, anomaly.name)
        acknowledged = kind is not None and kind.acknowledged
        rows = anomaly.instances
        start = history.end_ns[rows] if acknowledged else history.start_ns[rows]
        verb = "acknowledged" if acknowledged else "running"
        moments = Moments(start=start, end=history.end_ns[rows], verb=verb)
        faults, sentence = place(moments, windows, titles)
        sentences[anomaly.name] = sentence
        argument = f"{anomaly.argument}. Of these: {sentence}"
        anomalies.append(replace(anomaly, faults=faults, argument=argument))
    if not anomalies:
        return check
    headline = max(anomalies, key=lambda a: (_weight(a.name), a.count))
    lead = "" if len(anomalies) == 1 else f"{headline.name}: "
    why = f"{check.why}; {lead}{sentences[headline.name]}"
    return replace(check, anomalies=tuple(anomalies), why=why)


def _weight(name: str) -> int:
    return _HEADLINES.index(name) if name in _HEADLINES else -1


def fault_titles(run: RunData) -> Mapping[str, str]:
    """Fault id → "f1 (partition, confirmed)"."""
    titles = {}
    for row in run.faults.to_pylist():
        outcome = row["outcome"] or "not probed"
        if outcome == "mismatch":
            outcome = "mismatch: not seen to take effect"
        titles[str(row["id"])] = f"{row['id']} ({row['fault']}, {outcome})"
    return titles


def place(
    moments: Moments, windows: Sequence[Window], titles: Mapping[str, str]
) -> tuple[tuple[str, ...], str]:
    """(fault ids, sentence): each moment is during all windows it overlaps, else after the last
    that had ended when it began, else before any fault.
    """
    total = len(moments)
    faults, parts = [], []
    covered = np.zeros(total, np.bool_)
    for window in windows:
        inside = (moments.start <= window.end_ns) & (moments.end >= window.start_ns)
        covered |= inside
        if inside.any():
            faults.append(window.name)
            since = np.maximum(moments.start[inside] - window.start_ns, 0)
            count = int(np.count_nonzero(inside))
            parts.append(
                f"{_share(count, total)} {moments.verb} during {titles[window.name]}, "
                f"{_range(since)} after it began"
            )
    rest = ~covered
    for window in sorted(windows, key=lambda w: w.end_ns, reverse=True):
        behind = rest & (moments.start > window.end_ns)
        rest &= ~behind
        if behind.any():
            if window.name not in faults:
                faults.append(window.name)
            count = int(np.count_nonzero(behind))
            lag = _range(moments.start[behind] - window.end_ns)
            parts.append(
                f"{_share(count, total)} {moments.verb} {lag} after {titles[window.name]} had ended"
            )
    if rest.any():
        count = int(np.count_nonzero(rest))
        parts.append(f"{_share(count, total)} {moments.verb} before any fault")
    return tuple(faults), "; ".join(parts)


def _share(count: int, total: int) -> str:
    if total == 1:
        return "it was"
    if count == total:
        return f"all {total:,} were"
    return f"{count:,} of {total:,} {'was' if count == 1 else 'were'}"


def _range(lengths_ns: Ints) -> str:
    low, high = f"{lengths_ns.min() / 1e9:.1f}", f"{lengths_ns.max() / 1e9:.1f}"
    return f"{low} s" if low == high else f"{low}–{high} s"
