"""What must be said of a run's faults before anything else: which did not take effect, or did not
end. A verdict about a database under a fault that was never there means little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaos.record.liveness import alive
from chaos.record.reader import RunData

HEAL = "heal: "  # before what the journal says of a fault's end (chaos/nemesis.py)
NAMED_MAX = 6
_NO_EFFECT = ("mismatch", "failed")
_NOT_HEALED = ("mismatch", "failed", "pending")


def doubts(run: RunData) -> list[str]:
    """Sentences without a full stop, in order of the schedule: "f1 (partition) did not take effect:
    n1 and n2 still connect", then those of faults that were not seen to end."""
    rows = run.faults.to_pylist()
    going_on = run.meta["state"] == "running" and alive(run.meta["controller"])
    return [
        *(_without_effect(row) for row in rows if row["outcome"] in _NO_EFFECT),
        *(_not_healed(row) for row in rows if _still_there(row, going_on)),
    ]


def left_out(run: RunData) -> list[str]:
    """Sentences about what was skipped on purpose, one a reason: "f2 (clock-skew) and f5
    (clock-step) were skipped: this host lacks clocks"."""
    by_reason: dict[str, list[str]] = {}
    for row in run.faults.to_pylist():
        if row["outcome"] == "skipped":
            named = f"{row['id']} ({row['fault']})"
            by_reason.setdefault((row["why"] or "").rstrip("."), []).append(named)
    return [
        f"{_and(names)} {'was' if len(names) == 1 else 'were'} skipped{f': {why}' if why else ''}"
        for why, names in by_reason.items()
    ]


def _and(names: list[str]) -> str:
    if len(names) > NAMED_MAX:
        names = [*names[: NAMED_MAX - 1], f"{len(names) - NAMED_MAX + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _still_there(row: Mapping[str, Any], going_on: bool) -> bool:
    if row["kind"] != "fault" or row["inject_ns"] is None:
        return False
    if row["outcome"] == "failed" and row["heal_outcome"] == "pending":
        return False  # it was written down, and then not injected
    return row["heal_outcome"] in _NOT_HEALED and not (
        going_on and row["heal_outcome"] == "pending"
    )


def _without_effect(row: Mapping[str, Any]) -> str:
    verb = "did not take effect" if row["kind"] == "fault" else "was not done"
    return _sentence(row, verb, (row["why"] or "").partition(HEAL)[0].rstrip("; "))


def _not_healed(row: Mapping[str, Any]) -> str:
    why = (row["why"] or "").partition(HEAL)[2]
    return _sentence(row, "was not seen to heal", why)


def _sentence(row: Mapping[str, Any], verb: str, why: str) -> str:
    return f"{row['id']} ({row['fault']}) {verb}{f': {why}' if why else ''}".rstrip(".")
