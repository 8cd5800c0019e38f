"""One run → one verdict: what `results.json` holds, and the exit code that goes with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis import certificates
from analysis.checkers import CHECKERS
from analysis.checkers.base import (
    DEFAULT_BUDGET,
    MIN_ACKNOWLEDGED,
    Checker,
    CheckResult,
    Context,
    Meter,
    Verdict,
    run_checker,
)
from analysis.doubts import doubts, left_out
from analysis.history import History, read_history
from analysis.primaries import claimants, groups_of, two_at_once
from chaos.errors import EXIT_INVALID, EXIT_UNKNOWN, EXIT_VALID
from chaos.record import rundir
from chaos.record.reader import RunData

RESULTS_VERSION = 1
PROPERTIES: Mapping[str, Sequence[str]] = {  # what a workload's history can decide
    "register": ("linearizable-register",),
    "cache": ("linearizable-register",),
    "set": ("set",),
    "append": ("list-append",),
    "wr": ("rw-register",),
    "bank": ("bank",),
    "session": ("session-guarantees",),
    "convergence": ("convergence",),
    "queue": ("at-least-once",),
    "log": ("log",),
    "edits": ("authorised-edits", "convergence"),
    "counter": ("counter",),
    "lock": ("set",),
    "long-fork": ("long-fork", "rw-register"),
    "write-skew": ("rw-register",),
    "probes": ("probes",),
}
_EXIT = {
    Verdict.VALID: EXIT_VALID,
    Verdict.INVALID: EXIT_INVALID,
    Verdict.UNKNOWN: EXIT_UNKNOWN,
}
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What judging one path may cost; a time limit is for all its properties together."""

    budget: int = DEFAULT_BUDGET
    time_limit_s: float | None = None


def judge(
    run: RunData,
    properties: Sequence[str] | None = None,
    *,
    limits: Limits = Limits(),
    proofs: Path | None = None,
    own: Mapping[str, Checker] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything known about a run, in the shape of docs/interfaces.md.

    `properties` defaults to what the run's workload can decide. With `proofs` a certificate of each
    verdict is put into that folder. `own`: checkers of the user's own models, by property, all of
    them asked, and by default nothing else. RecordError when the history's columns make no sense;
    a checker that fails gives `unknown`.
    """
    began = time.monotonic()
    history = read_history(run.history)
    known = [] if own else default_properties(run)
    names = [*(known if properties is None else properties), *own]
    imported = run.meta["imported"]
    checks = []
    for name in names:
        left_s = None
        if limits.time_limit_s is not None:
            left_s = max(0.0, limits.time_limit_s - (time.monotonic() - began))
        context = Context(
            final_ns=final_ns(run),
            initial=imported.get("initial"),
            enough=1 if rundir.is_imported(run.meta) else MIN_ACKNOWLEDGED,
            models=imported.get("models", "adya"),
            meter=Meter(limits.budget, left_s),
        )
        check = run_checker(name, own if name in own else CHECKERS, history, context)
        checks.append(check if rundir.is_imported(run.meta) else _attributed(check, history, run))
    verdict = worst(check.verdict for check in checks)
    notes = list(run.notes)
    primaries = two_at_once(run.samples, groups_of(run.meta))
    return {
        "version": RESULTS_VERSION,
        "path": str(run.path),
        **({"format": imported["format"]} if rundir.is_imported(run.meta) else {}),
        "verdict": str(verdict),
        "summary": _summary(run, verdict, checks, primaries),
        "checks": [check.to_json() | _proof(check, run, proofs, notes) for check in checks],
        "counts": _counts(run.history),
        "faults": _fault_counts(run),
        "primaries": primaries,
        "availability": _part("availability", _measured, run, notes),
        "cost": _part("cost", _priced, run, notes),
        "notes": notes,
    }


def _proof(
    check: CheckResult, run: RunData, folder: Path | None, notes: list[str]
) -> dict[str, str]:
    """The certificate's path, relative to a run directory that holds it; {}: there is none."""
    if folder is None:
        return {}
    try:
        path = certificates.write(check, run, folder)
    except OSError as error:
        notes.append(f"no certificate of {check.property} could be written: {error}")
        return {}
    if path is None:
        return {}
    inside = run.path in path.resolve().parents
    return {"proof": str(path.resolve().relative_to(run.path) if inside else path)}


def write_results(run: RunData, results: Mapping[str, Any]) -> None:
    """Write `results.json` into the run directory; its path is "." there, so that it may move."""
    rundir.write_json(run.path / rundir.RESULTS, {**results, "path": "."})


def exit_code(verdict: str) -> int:
    """0 valid, 1 invalid, 3 unknown."""
    return _EXIT[Verdict(verdict)]


def worst(verdicts: Any) -> Verdict:
    """Invalid before unknown before valid; nothing checked is unknown."""
    found = set(verdicts)
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN, Verdict.VALID):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN


def default_properties(run: RunData) -> list[str]:
    """What the run's experiment asks, else what its workload is for; none if we do not know it."""
    if rundir.is_imported(run.meta):
        return list(run.meta["imported"].get("properties", ()))
    asked = run.meta["experiment"].get("properties")
    if isinstance(asked, list) and asked:
        return [str(name) for name in asked]
    workload = run.meta["experiment"].get("workload")
    name = workload.get("name") if isinstance(workload, dict) else None
    return list(PROPERTIES.get(str(name), ()))


def final_ns(run: RunData) -> tuple[int, int] | None:
    """From when to when the final reads were due; None: the run has no phases."""
    phases = run.meta["phases"]
    for phase in phases:
        if phase["name"] == "final":
            return phase["start_ns"], phase["end_ns"]
    return (_NEVER, _NEVER) if phases else None  # cut before its final reads: there are none


def _counts(history: pa.Table) -> dict[str, int]:
    found = {row["values"]: row["counts"] for row in pc.value_counts(history["type"]).to_pylist()}
    unsure = found.get("info", 0) + found.get("open", 0)
    return {"ok": found.get("ok", 0), "fail": found.get("fail", 0), "info": unsure}


def _fault_counts(run: RunData) -> dict[str, int]:
    rows = [row for row in run.faults.to_pylist() if row["kind"] == "fault"]
    counts = {"injected": sum(row["inject_ns"] is not None for row in rows)}
    for outcome in ("confirmed", "mismatch", "inconclusive", "failed"):
        counts[outcome] = sum(row["outcome"] == outcome for row in rows)
    counts["healed"] = sum(row["heal_outcome"] == "confirmed" for row in rows)
    if skipped := sum(row["outcome"] == "skipped" for row in rows):
        counts["skipped"] = skipped
    return counts


def _part(
    name: str, work: Callable[[RunData], dict[str, Any]], run: RunData, notes: list[str]
) -> dict[str, Any]:
    """A part of the results that must not lose the verdict when it fails; then it is empty."""
    if rundir.is_imported(run.meta):
        return {}
    try:
        return work(run)
    except Exception as error:
        notes.append(f"{name} could not be worked out: {type(error).__name__}: {error}")
        return {}


# An imported history needs none of these, and their modules take a tenth of a small check's time.


def _attributed(check: CheckResult, history: History, run: RunData) -> CheckResult:
    from analysis.attribution import attribute

    return attribute(check, history, run)


def _measured(run: RunData) -> dict[str, Any]:
    from analysis.availability import measure

    return measure(run)


def _priced(run: RunData) -> dict[str, Any]:
    from analysis.cost.model import price

    return price(run)


def _summary(
    run: RunData, verdict: Verdict, checks: Sequence[CheckResult], primaries: Mapping[str, Any]
) -> str:
    """Faults that were not what they should be, what was wrong with the run, then the verdict."""
    about_run = [_capital(note) for note in run.notes]
    foreign = rundir.is_imported(run.meta)
    parts = [] if foreign else [*doubts(run), *left_out(run), *about_run]
    if not checks:
        whose = "these operations decide" if foreign else "this workload promises"
        parts.append(f"Unknown: no property was checked, for {whose} none we know")
    for check in sorted(checks, key=lambda c: c.verdict is not verdict):
        named = f"{check.property} is {check.verdict}: " if len(checks) > 1 else ""
        parts.append(_capital(f"{named}{check.why}"))
    if foreign:
        parts += about_run
    seconds = primaries["two_at_once_s"]
    if seconds:
        lasted = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        parts.append(f"{claimants(primaries)} claimed to be primary at once for {lasted}")
    return ". ".join(parts) + "."


def _groups(run: RunData) -> dict[str, str]:
    """Node → its group, where the topology has groups."""
    return {node["name"]: node.get("group", "") for node in run.meta.get("nodes", ())}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
