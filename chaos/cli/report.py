"""What a run found, as text: the last lines that alone are enough, and the whole report."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.cli.console import out, plain, table, verdict_line

if TYPE_CHECKING:
    from analysis.compare import Comparison
    from chaos.record.reader import RunData

WIDTH = 100
ANOMALIES = 3  # of one check that the last lines tell in full, weakest broken model first


def last_lines(path: Path, results: Mapping[str, Any], *, shown: bool = False) -> None:
    """Verdict, anomalies with witness, counts, faults, availability, cost, path, what next."""
    from chaos.record.rundir import RUN_JSON

    out.print()
    verdict_line(results)
    for check in results["checks"]:
        _anomalies(check["anomalies"], len(check["anomalies"]) if shown else ANOMALIES, path)
    counts, format_ = results.get("counts", {}), results.get("format")
    if counts:  # nothing is known of what was not read in time
        told = ", ".join(f"{counts.get(k, 0):,} {k}" for k in ("ok", "fail", "info"))
        out.print(f"  operations   {told}")
    if counts and not format_:
        _faults_line(results.get("faults", {}))
    _primaries_line(results.get("primaries", {}))
    _availability_line(results.get("availability", {}))
    _cost_line(results.get("cost", {}))
    _proofs_line(path, results["checks"])
    for note in results.get("notes", ()):
        if note.lower() not in str(results["summary"]).lower():
            _fill(f"  note: {note}", "    ")
    if path.exists() and not (path / RUN_JSON).exists():  # a file, or a folder of another tool's
        _line(f"  history      {path}{f' ({format_})' if format_ else ''}")
        _line(f"  next         aftershock import {path} --to runs/{path.stem}/imported")
        return
    _line(f"  run          {path}")
    more = "" if shown else f"aftershock show {path}   ·   "
    _line(f"  next         {more}aftershock dashboard")


def _anomalies(found: Sequence[Mapping[str, Any]], most: int, path: Path) -> None:
    for anomaly in found[:most]:
        _fill(f"  {anomaly['name']} × {anomaly['count']:,}: {anomaly['argument']}", "    ")
    if rest := [f"{anomaly['name']} × {anomaly['count']:,}" for anomaly in found[most:]]:
        _fill(f"  and {', '.join(rest)}   ·   aftershock show {path}", "    ")


def _faults_line(faults: Mapping[str, Any]) -> None:
    skipped = f", {faults['skipped']} skipped" if faults.get("skipped") else ""
    if not faults.get("injected"):
        out.print(f"  faults       none injected{skipped}")
        return
    words = ("mismatch", "inconclusive", "failed")
    odd = "".join(f", {faults[k]} {k}" for k in words if faults.get(k))
    out.print(
        f"  faults       {faults['injected']} injected, {faults['confirmed']} confirmed"
        f"{odd}, {faults['healed']} healed{skipped}"
    )


def _primaries_line(primaries: Mapping[str, Any]) -> None:
    seconds = primaries.get("two_at_once_s")
    if seconds and seconds >= 0.05:
        from analysis.primaries import claimants

        _line(
            f"  primaries    {claimants(primaries)} both claimed to be primary for {seconds:.1f} s"
        )


def _availability_line(found: Mapping[str, Any]) -> None:
    if found.get("by_requests") is None:
        return
    parts = [
        f"{found['by_requests']:.2%} of requests",
        f"{found['by_time']:.2%} of time" if found.get("by_time") is not None else "",
        f"longest outage {found['longest_outage_s']:.1f} s"
        if found.get("longest_outage_s") is not None
        else "",
        f"p99 {found['latency_ms']['p99']:.1f} ms"
        if (found.get("latency_ms") or {}).get("p99") is not None
        else "",
        f"recovered {found['recover_s']:.1f} s after the last heal"
        if found.get("recover_s") is not None
        else "",
    ]
    out.print("  available    " + ", ".join(p for p in parts if p))


def _cost_line(cost: Mapping[str, Any]) -> None:
    total = (cost.get("monthly") or {}).get("total")
    if total is not None:
        _line(f"  cost         ${total:,.2f} a month ({cost.get('book', 'price book')})")
    elif cost:
        why = "; ".join(cost.get("notes") or ()) or "not all is known"
        _line(f"  cost         unknown: {why}")


def _proofs_line(path: Path, checks: Sequence[Mapping[str, Any]]) -> None:
    proofs = [check["proof"] for check in checks if check.get("proof")]
    if proofs:
        _line(f"  proof        {', '.join(proofs)}   ·   aftershock verify {path}")


def full_report(run: RunData, results: Mapping[str, Any]) -> None:
    """`aftershock show`: faults without effect, notes, each check's reasoning, each fault as
    measured, the summary."""
    from analysis.doubts import doubts
    from chaos.record.rundir import is_imported

    meta = run.meta
    for doubt in doubts(run):
        _fill(f"! {doubt}", "  ", "bold red")
    if is_imported(meta):
        imported = meta["imported"]
        _line(f"{meta['name']}  imported from {imported.get('file')} ({imported['format']})")
    else:
        _line(f"{meta['name']}  seed {meta['seed']}  {meta['started_utc']}  {meta['state']}")
    for note in run.notes:
        _fill(f"note: {note}", "  ")
    for check in results["checks"]:
        _line(f"\n{check['property']}: {check['verdict']}", "bold")
        _fill(f"  {check['why']}", "  ")
    if run.faults.num_rows:
        out.print("\nfaults", style="bold")
        for fault in run.faults.to_pylist():
            _fault(fault)
    last_lines(run.path, results, shown=True)


def _fault(fault: Mapping[str, Any]) -> None:
    """What was done to whom, whether it took effect, and whether it ended: as measured."""

    def after(one: str, other: str) -> str:
        if fault[one] is None or fault[other] is None:
            return ""
        return f" after {(fault[other] - fault[one]) / 1e6:.1f} ms"

    def at(column: str) -> str:
        return "never" if fault[column] is None else f"{fault[column] / 1e9:.3f} s"

    targets = " ".join(json.loads(fault["targets"] or "[]"))
    _fill(f"  {fault['id']} {fault['fault']}: {targets or 'no target'}", "     ")
    if fault["outcome"] == "skipped":
        _fill(f"     skipped: {fault['why']}", "     ")
        return
    told = f"     begun {at('inject_ns')}, {fault['outcome'] or 'no outcome known'}"
    told += after("inject_ns", "effect_ns")
    if fault["kind"] == "fault" and fault["inject_ns"] is not None:
        told += f"; heal begun {at('heal_ns')}, {fault['heal_outcome'] or 'not known'}"
        told += after("heal_ns", "healed_ns")
    _fill(told + (f"; {fault['why']}" if fault["why"] else ""), "     ")


def comparison_report(comparison: Comparison) -> None:
    """Runs as columns, figures as rows, then the break-even in a sentence."""
    rows = comparison.rows

    def shown(value: Any, pattern: str) -> str:
        return "unknown" if value is None else pattern.format(value)

    lines = [
        ("verdict", [r.verdict for r in rows]),
        ("lost acknowledged writes", [shown(r.lost, "{:,}") for r in rows]),
        ("acknowledged writes", [shown(r.acknowledged, "{:,}") for r in rows]),
        (
            "anomalies",
            [", ".join(f"{k} {v:,}" for k, v in r.anomalies.items()) or "none" for r in rows],
        ),
        ("two primaries at once", [shown(r.two_at_once_s, "{:.1f} s") for r in rows]),
        ("available, by requests", [shown(r.by_requests, "{:.2%}") for r in rows]),
        ("available, by time", [shown(r.by_time, "{:.2%}") for r in rows]),
        ("longest outage", [shown(r.longest_outage_s, "{:.1f} s") for r in rows]),
        ("recovery after heal", [shown(r.recover_s, "{:.1f} s") for r in rows]),
        ("p99 latency", [shown(r.p99_ms, "{:.1f} ms") for r in rows]),
        ("cost a month", [shown(r.usd_month, "${:,.2f}") for r in rows]),
    ]
    table(("", *(r.name for r in rows)), [(name, *cells) for name, cells in lines])
    for even in comparison.break_evens:
        _fill(even.sentence, "")
    for note in comparison.notes:
        _fill(f"note: {note}", "  ")


def _fill(text: str, indent: str, style: str = "") -> None:
    _line(
        textwrap.fill(
            text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ),
        style,
    )


def _line(text: str, style: str = "") -> None:
    out.print(plain(text), markup=False, style=style)
