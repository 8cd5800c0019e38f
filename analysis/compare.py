"""Runs beside each other, and the price at which the safer one wins.

For a baseline (naked) and a candidate (guarded), with k such faults a month, downtime at c $/h and
a lost write at p $, a month costs

    infrastructure + k · down_s / 3600 · c + k · lost · p

so the candidate wins iff  extra + k · c · ΔD / 3600  <  k · p · ΔL,  where extra is what its
infrastructure costs more, ΔD how many seconds longer its users are down per fault, and ΔL how many
acknowledged writes it keeps that the baseline loses. With ΔL > 0 the break-even is

    p* = (extra + k · c · ΔD / 3600) / (k · ΔL)

and the candidate wins at any price when that is not above 0. Losses and downtime are those of the
runs' own load and fault: a month with other load or other faults has others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from chaos.errors import RecordError
from chaos.record.reader import RunSummary
from chaos.record.rundir import RESULTS

LOSSES = {  # properties whose checkers look for lost writes → the anomalies that count them
    "set": ("lost-write",),
    "set-full": ("lost",),
    "total-queue": ("lost",),
    "at-least-once": ("lost",),
    "log": ("lost-write", "vanished"),
    "authorised-edits": ("lost-edit",),
}
KEEP_NOTHING = frozenset(  # operations that nobody would look for later
    {
        *("read", "acquire", "release", "dequeue", "peek", "drain", "poll", "assign", "subscribe"),
        *("revoke", "admit"),
    }
)
Kind = Literal["above", "always", "below", "never", "same", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run in numbers; None: not known (not measured, or no checker looked)."""

    name: str
    path: str
    verdict: str
    lost: int | None  # acknowledged writes that no final read has
    acknowledged: int | None
    anomalies: Mapping[str, int]
    by_requests: float | None  # 0-1
    by_time: float | None  # 0-1
    down_s: float | None  # in this run, mean of clients
    p99_ms: float | None
    longest_outage_s: float | None
    recover_s: float | None
    usd_month: float | None
    usd_month_at_least: float | None
    cost_unknown: Sequence[str]  # parts of the cost that are not known
    two_at_once_s: float | None

    @property
    def lost_share(self) -> float | None:
        """Lost ÷ acknowledged writes, 0-1."""
        return None if self.lost is None or not self.acknowledged else self.lost / self.acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What the runs cannot say: the user's own figures."""

    faults_per_month: float = 1.0
    downtime_usd_per_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """When `candidate` is the better buy. `kind`: wins above or below `usd_per_lost_write`, ..."""

    baseline: str
    candidate: str
    kind: Kind
    usd_per_lost_write: float | None
    extra_usd_month: float | None
    extra_down_s: float | None  # per fault
    kept_writes: int | None  # per fault
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs in the order given; every later one is weighed against the first."""

    rows: Sequence[Row]
    break_evens: Sequence[BreakEven]
    assumptions: Assumptions
    notes: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `compare --json`."""
        data = asdict(self)
        for row, shown in zip(self.rows, data["rows"], strict=True):
            shown["lost_share"] = row.lost_share
        return data


def compare(runs: Sequence[RunSummary], assumptions: Assumptions | None = None) -> Comparison:
    """Put runs side by side. One that was not judged yet is `unknown` and has no figures."""
    assumptions = assumptions or Assumptions()
    rows = [row_of(run) for run in runs]
    notes = [
        f"{row.name}: the cost leaves out {', '.join(row.cost_unknown)}, which is not known"
        for row in rows
        if row.cost_unknown
    ]
    for row, run in zip(rows, runs, strict=True):
        if skipped := ((run.results or {}).get("faults") or {}).get("skipped"):
            notes.append(f"{row.name}: {skipped} of its faults were skipped, not injected")
    return Comparison(
        rows=rows,
        break_evens=[break_even(rows[0], row, assumptions) for row in rows[1:]],
        assumptions=assumptions,
        notes=notes,
    )


def row_of(run: RunSummary) -> Row:
    """The figures of one run; RecordError when its `results.json` is not one of ours."""
    try:
        return _row(run)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{run.path / RESULTS} is not as `aftershock check` writes it: {error!r}",
            fix=f"judge the run again: aftershock check {run.path}",
        ) from None


def _row(run: RunSummary) -> Row:
    results = run.results or {}
    available: Mapping[str, Any] = results.get("availability") or {}
    monthly: Mapping[str, Any] = (results.get("cost") or {}).get("monthly") or {}
    parts = {k: v for k, v in monthly.items() if k not in ("total", "at_least")}
    verdict = results.get("verdict")
    return Row(
        name=run.meta.get("name") or run.path.name,
        path=str(run.path),
        verdict=verdict if verdict in ("valid", "invalid") else "unknown",
        lost=lost_writes(results),
        acknowledged=acknowledged_writes(results) if available else None,
        anomalies=anomalies(results),
        by_requests=_number(available.get("by_requests")),
        by_time=_number(available.get("by_time")),
        down_s=_number(available.get("down_s")),
        p99_ms=_number((available.get("latency_ms") or {}).get("p99")),
        longest_outage_s=_number(available.get("longest_outage_s")),
        recover_s=_number(available.get("recover_s")),
        usd_month=_number(monthly.get("total")),
        usd_month_at_least=_number(monthly.get("at_least")),
        cost_unknown=[str(part) for part, value in parts.items() if value is None],
        two_at_once_s=_number((results.get("primaries") or {}).get("two_at_once_s")),
    )


def anomalies(results: Mapping[str, Any]) -> dict[str, int]:
    """How often each anomaly was found, by name, over all checks."""
    found: dict[str, int] = {}
    for check in results.get("checks") or []:
        for anomaly in check.get("anomalies") or []:
            name = str(anomaly.get("name"))
            found[name] = found.get(name, 0) + int(anomaly.get("count") or 0)
    return found


def lost_writes(results: Mapping[str, Any]) -> int | None:
    """Acknowledged writes that were lost; None when no check that looks for them came to an end."""
    found = [
        sum(anomalies({"checks": [check]}).get(name, 0) for name in LOSSES[check["property"]])
        for check in results.get("checks") or []
        if check.get("property") in LOSSES and check.get("verdict") in ("valid", "invalid")
    ]
    return max(found, default=None)  # two that looked have found the same ones


def acknowledged_writes(results: Mapping[str, Any]) -> int:
    """Operations that wrote something to keep and were answered ok under load."""
    groups = (results.get("availability") or {}).get("groups") or []
    return sum(int(group["ok"]) for group in groups if group.get("f") not in KEEP_NOTHING)


def monthly_cost(
    row: Row, assumptions: Assumptions, usd_per_lost_write: float
) -> dict[str, float | None]:
    """What a month costs with this run's topology, in $: infrastructure, downtime, lost writes."""
    k, c = assumptions.faults_per_month, assumptions.downtime_usd_per_hour
    return {
        "infrastructure": row.usd_month,
        "downtime": None if row.down_s is None else k * row.down_s / 3600 * c,
        "lost writes": None if row.lost is None else k * row.lost * usd_per_lost_write,
    }


def break_even(baseline: Row, candidate: Row, assumptions: Assumptions) -> BreakEven:
    """The price of a lost write at which `candidate` wins; the formula stands at the top."""
    extra, why = _extra_usd(baseline, candidate)
    down = _minus(candidate.down_s, baseline.down_s)
    kept = (
        None if baseline.lost is None or candidate.lost is None else baseline.lost - candidate.lost
    )
    kind, price = _weigh(extra, down, kept, assumptions)
    if kind == "unknown":
        missing = [
            text
            for value, text in (
                (extra, why),
                (down, "downtime was not measured in both"),
                (kept, "lost writes were not counted in both"),
            )
            if value is None
        ]
        sentence = f"No break-even for {candidate.name}: {'; '.join(missing)}."
    else:
        sentence = _sentence(baseline, candidate, kind, price, assumptions) + _because(
            extra or 0.0, down or 0.0, kept or 0
        )
    return BreakEven(
        baseline=baseline.name,
        candidate=candidate.name,
        kind=kind,
        usd_per_lost_write=price,
        extra_usd_month=extra,
        extra_down_s=down,
        kept_writes=kept,
        sentence=sentence,
    )


def _extra_usd(baseline: Row, candidate: Row) -> tuple[float | None, str]:
    """Extra $/month; where both lack the same parts of the cost, those are left out of both."""
    extra = _minus(candidate.usd_month, baseline.usd_month)
    if extra is None and set(baseline.cost_unknown) == set(candidate.cost_unknown):
        extra = _minus(candidate.usd_month_at_least, baseline.usd_month_at_least)
    return extra, "the monthly cost is not known of both"


def _weigh(
    extra: float | None, down_s: float | None, kept: int | None, assumptions: Assumptions
) -> tuple[Kind, float | None]:
    if extra is None or down_s is None or kept is None:
        return "unknown", None
    k = assumptions.faults_per_month
    fixed = extra + k * assumptions.downtime_usd_per_hour * down_s / 3600
    gain = k * kept
    if gain == 0:
        return ("always" if fixed < 0 else "never" if fixed > 0 else "same"), None
    if gain > 0:
        return ("always", None) if fixed <= 0 else ("above", fixed / gain)
    return ("never", None) if fixed >= 0 else ("below", fixed / gain)


def _sentence(
    baseline: Row, candidate: Row, kind: Kind, price: float | None, assumptions: Assumptions
) -> str:
    k, c = assumptions.faults_per_month, assumptions.downtime_usd_per_hour
    given = f"With {k:g} such fault{'' if k == 1 else 's'} a month and downtime at {usd(c)}/h, "
    name, other = candidate.name, baseline.name
    ends = {
        "above": f"{name} wins when a lost write costs more than {usd(price)}",
        "below": f"{name} wins only while a lost write costs less than {usd(price)}",
        "always": f"{name} wins at any price of a lost write",
        "never": f"{name} never wins over {other}",
        "same": f"{name} and {other} cost the same",
    }
    return given + ends[kind]


def _because(extra: float, down_s: float, kept: int) -> str:
    money = (
        "its infrastructure costs the same"
        if abs(extra) < 0.005
        else f"it costs {usd(abs(extra))} {'more' if extra > 0 else 'less'} a month"
    )
    time = (
        "users are down as long"
        if abs(down_s) < 0.05
        else f"users are down {abs(down_s):.1f} s {'longer' if down_s > 0 else 'less'} per fault"
    )
    writes = (
        "it loses as many acknowledged writes"
        if not kept
        else f"it loses {abs(kept):,} {'fewer' if kept > 0 else 'more'} acknowledged writes"
    )
    return f": {money}, {time}, and {writes}."


def usd(amount: float | None) -> str:
    """Dollars as people write them: $1,234.50; small ones with enough digits to be no zero."""
    if amount is None:
        return "unknown"
    sign = "-" if amount < 0 else ""
    if amount and abs(amount) < 0.01:
        digits = 1 - math.floor(math.log10(abs(amount)))  # two that matter, and no 7e-05
        return f"{sign}${abs(amount):.{digits}f}"
    return f"{sign}${abs(amount):,.2f}"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 6)
