"""`probes`: what users asked was answered as often as was promised, and at the end at all.

Of each probe (a key) `context.initial` has the objective: the share of its operations that must be
ok, 1 where it says none. Nothing is said about the data behind the answers.
"""

from __future__ import annotations

import json

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import Case
from analysis.checkers.kinds import SRE, Kind
from analysis.checkers.prose import number
from analysis.history import OK, History, Ints

PROPERTY = "probes"
KINDS = (
    Kind(
        property="probes",
        name="unserved",
        counts="probes that were not answered as expected in time, of those whose share of answers "
        "is below its objective",
        rules_out="the service that its objective promises",
        reference=SRE,
    ),
    Kind(
        property="probes",
        name="not-recovered",
        counts="final probes that failed, of those of which no final probe was answered",
        rules_out="recovery without help once all faults have ended",
        reference=SRE,
    ),
)
REASONS_SHOWN = 3


def check(history: History, context: Context) -> CheckResult:
    """Decide whether probes were answered as often as promised (f: probe)."""
    case = Case(property=PROPERTY, history=history, context=context)
    objectives = {} if context.initial is None else context.initial
    if not isinstance(objectives, dict):
        return case.unknown(f"objectives are shares by probe, not {json.dumps(objectives)}")
    probes = np.flatnonzero(history.f.equals("probe"))
    if not len(probes):
        return case.unknown("nothing was probed")
    found: dict[str, list[tuple[str, Ints, int]]] = {"unserved": [], "not-recovered": []}
    for name in sorted({str(history.key.at(int(row))) for row in probes}):
        rows = probes[history.key.equals(name)[probes]]
        ok = history.type[rows] == OK
        if int(ok.sum()) < float(objectives.get(name, 1.0)) * len(rows):
            found["unserved"].append((name, rows[~ok], len(rows)))
        last = _final(history, rows, context)
        if len(last) and not (history.type[last] == OK).any():
            found["not-recovered"].append((name, last, len(last)))
    anomalies = [_anomaly(case, kind, each, objectives) for kind, each in found.items() if each]
    if anomalies:
        said = [f"{name}: {len(rows):,} of {number(total, 'probe')} failed"
                for name, rows, total in found["unserved"]]  # fmt: skip
        said += [f"{name} had not recovered at the end" for name, _, _ in found["not-recovered"]]
        return case.invalid("; ".join(said), anomalies)
    answered = int(np.count_nonzero(history.type[probes] == OK))
    why = f"{answered:,} of {number(len(probes), 'probe')} were answered as expected, in time"
    figures = {"probes": len(probes), "answered": answered, "short": 0, "unrecovered": 0}
    return case.valid(why, figures)


def _final(history: History, rows: Ints, context: Context) -> Ints:
    """Those that were asked when all was over."""
    if context.final_ns is None:
        return rows[:0]
    chosen: Ints = rows[history.start_ns[rows] >= context.final_ns[0]]
    return chosen


def _anomaly(
    case: Case, kind: str, found: list[tuple[str, Ints, int]], objectives: dict[str, float]
) -> Anomaly:
    """One anomaly of all probes; its witness is the first failure of the worst of them."""
    name, rows, total = max(found, key=lambda each: len(each[1]) / each[2])
    first = int(rows[np.argmin(case.history.start_ns[rows])])
    share = 100 * (total - len(rows)) / total
    wanted = 100 * float(objectives.get(name, 1.0))
    if kind == "unserved":
        argument = (
            f"{name} was answered {total - len(rows):,} times of {total:,} ({share:.4g} %), and "
            f"{wanted:.4g} % were promised; the reasons: {_reasons(case.history, rows)}"
        )
    else:
        argument = (
            f"all faults had ended, and {name} was not answered any more: "
            f"{_reasons(case.history, rows)}"
        )
    every = np.concatenate([each[1] for each in found])
    return case.anomaly(kind, every, [first], argument)


def _reasons(history: History, rows: Ints) -> str:
    """The codes of their errors, the most frequent first."""
    counts: dict[str, int] = {}
    for row in rows.tolist():
        code = str(history.error.at(row) or "no answer").partition(":")[0]
        counts[code] = counts.get(code, 0) + 1
    most = sorted(counts, key=lambda code: (-counts[code], code))[:REASONS_SHOWN]
    return ", ".join(f"{code} ({counts[code]:,})" for code in most)
