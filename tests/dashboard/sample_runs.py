"""Run directories made up for tests of the pages: a simulated partition of a three-node Redis.

Not a recording, and never shipped as one. Zone a's clients stay with the cut-off primary n1; n2 is
promoted 5.5 s into a partition of 15 s. `guarded` refuses zone a's writes after 2 s.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from analysis.availability import measure
from analysis.cost.model import price
from chaos.record.reader import open_run
from chaos.record.rundir import write_json
from chaos.record.writer import write_run

S = 1_000_000_000
MS = 1_000_000
LOAD_S, CUT_S, HEAL_S, PROMOTED_S, REFUSES_S = 40, 10, 25, 15.5, 12
NODES = {"n1": "a", "n2": "b", "n3": "c"}


def history(guarded: bool, seed: int = 1, clients: int = 4) -> list[dict[str, Any]]:
    """About 20,000 adds: every client one after the other, a timeout 1 s, a refusal at once."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    value = 0
    for process in range(3 * clients):
        zone, t = "abc"[process % 3], rng.random() * 0.02
        while t < LOAD_S:
            kind, error, took = answer(zone, t, guarded, rng)
            value += 1
            rows.append(
                {
                    "process": process,
                    "node": "n1" if zone == "a" or t < CUT_S else "n2",
                    "zone": zone,
                    "f": "add",
                    "value": value,
                    "type": kind,
                    "error": error,
                    "start_ns": int(t * S),
                    "end_ns": int((t + took) * S),
                }
            )
            t += took + 0.012 + rng.random() * 0.01
    return rows


def answer(zone: str, t: float, guarded: bool, rng: random.Random) -> tuple[str, str | None, float]:
    if zone == "a" and guarded and REFUSES_S <= t < HEAL_S:
        return "fail", "no-replicas: NOREPLICAS Not enough good replicas to write", 0.001
    if zone != "a" and CUT_S <= t < PROMOTED_S:
        if rng.random() < 0.3:
            return "fail", "no-primary: no Sentinel knows one", 0.05
        return "info", "timeout: no answer within 1 s", min(1.0, PROMOTED_S - t + 0.05)
    if zone == "a" and HEAL_S <= t < HEAL_S + 0.7:
        return "fail", "readonly: READONLY You can't write against a read only replica.", 0.002
    return "ok", None, rng.lognormvariate(0.5, 0.6) / 1000


def samples() -> list[dict[str, Any]]:
    """Each node's claims, twice a second, from 3 s before the load until 8 s after."""
    rows = []
    for tick in range(-6, 2 * (LOAD_S + 8)):
        t = tick / 2
        for node in NODES:
            primary = "n1" if t < HEAL_S + 0.7 else "n2"
            role = "primary" if node == primary or (node == "n2" and t >= PROMOTED_S) else "replica"
            alone = CUT_S <= t < HEAL_S and node == "n3" and t < PROMOTED_S
            lag = None if role == "primary" else (t - CUT_S) * 1000 if alone else 1.5
            peers = {p: int(max(t, 0) * 40_000) for p in NODES if p != node}
            rows.append(
                {
                    "t_ns": int(t * S),
                    "node": node,
                    "role": role,
                    "lag_ms": lag,
                    "rx_bytes": json.dumps(peers),
                }
            )
    return rows


def meta(name: str, **more: Any) -> dict[str, Any]:
    times = {"up": (-6, 0), "load": (0, LOAD_S), "settle": (LOAD_S, 45), "final": (45, 48)}
    nodes = [
        {"name": n, "zone": z, "region": "r", "provider": "aws", "role": None, "address": ""}
        for n, z in NODES.items()
    ]
    return {
        "id": f"20261123T190000Z-{name}",
        "name": name,
        "topology": {"cost": {"instance": "m6i.large", "storage_gb": 100}},
        "seed": 7,
        "started_utc": "2026-11-23T19:00:00Z",
        "phases": [
            {"name": n, "start_ns": int(a * S), "end_ns": int(b * S)} for n, (a, b) in times.items()
        ],
        "nodes": nodes,
        "clients": {"a": 4, "b": 4, "c": 4},
        **more,
    }


def partition() -> dict[str, Any]:
    return {
        "id": "f1",
        "kind": "fault",
        "fault": "partition",
        "targets": json.dumps(["n1", "a"]),
        "inject_ns": CUT_S * S,
        "effect_ns": CUT_S * S + 8 * MS,
        "heal_ns": HEAL_S * S,
        "healed_ns": HEAL_S * S + 12 * MS,
        "outcome": "confirmed",
        "heal_outcome": "confirmed",
    }


def judge(path: Path, guarded: bool) -> None:
    """results.json: availability and cost are measured; the loss is what the simulation lost."""
    run = open_run(path)
    columns = {c: run.history[c].to_pylist() for c in ("type", "zone", "start_ns")}
    rows = list(zip(*columns.values(), strict=True))
    lost = [
        i
        for i, (kind, zone, t) in enumerate(rows)
        if kind == "ok" and zone == "a" and CUT_S * S <= t < HEAL_S * S
    ]
    total = sum(kind == "ok" for kind, _, _ in rows)
    summary = f"{len(lost):,} of {total:,} acknowledged writes were lost, during f1 partition"
    anomaly = {
        "name": "lost-write",
        "count": len(lost),
        "first_ns": rows[lost[0]][2],
        "operations": lost,
        "argument": f"n1 acknowledged operation {lost[0]}; no final read has its value.",
        "faults": ["f1"],
    }
    write_json(
        path / "results.json",
        {
            "version": 1,
            "verdict": "invalid",
            "summary": summary,
            "checks": [{"property": "set", "verdict": "invalid", "anomalies": [anomaly]}],
            "counts": {k: sum(r[0] == k for r in rows) for k in ("ok", "fail", "info")},
            "faults": {
                "injected": 1,
                "confirmed": 1,
                "mismatch": 0,
                "inconclusive": 0,
                "healed": 1,
            },
            "availability": measure(run),
            "cost": price(run),
            "primaries": {
                "two_at_once_s": HEAL_S + 0.7 - PROMOTED_S,
                "windows": [
                    {
                        "start_ns": int(PROMOTED_S * S),
                        "end_ns": int((HEAL_S + 0.7) * S),
                        "nodes": ["n1", "n2"],
                    }
                ],
            },
        },
    )


def make_runs(root: Path) -> Path:
    """`root` with the naked and the guarded run, both judged."""
    for name, guarded in (("redis-split-brain", False), ("redis-split-brain-guarded", True)):
        about = meta(name, started_utc=f"2026-11-23T19:0{int(guarded)}:00Z")
        path = root / name / f"20261123T190{int(guarded)}00Z-7"
        write_run(path, about, history(guarded), [partition()], samples())
        judge(path, guarded)
    return root
