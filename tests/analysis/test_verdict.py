"""From a run directory to results.json: the whole shape, the sentence, the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.anomalies import every_kind
from analysis.primaries import two_at_once
from analysis.verdict import exit_code, judge, worst, write_results
from chaos.record.reader import open_run
from chaos.record.schema import SAMPLES
from chaos.record.writer import write_run

S = 1_000_000_000
PHASES = [
    {"name": "load", "start_ns": 0, "end_ns": 20 * S},
    {"name": "heal", "start_ns": 20 * S, "end_ns": 21 * S},
    {"name": "final", "start_ns": 25 * S, "end_ns": 26 * S},
]


def operation(f, value, start, end, type="ok", **more):
    return {
        "process": 0, "node": "n1", "zone": "a", "f": f, "value": value, "type": type,
        "start_ns": start, "end_ns": end, **more,
    }  # fmt: skip


def fault(**changes):
    return {
        "id": "f1", "kind": "fault", "fault": "partition", "asked": "{}", "targets": '["n1"]',
        "scheduled_ns": 5 * S, "inject_ns": 5 * S, "effect_ns": 5 * S, "heal_scheduled_ns": 15 * S,
        "heal_ns": 15 * S, "healed_ns": 15 * S, "requested": "{}", "measured": "{}",
        "outcome": "confirmed", "heal_outcome": "confirmed", "why": None,
    } | changes  # fmt: skip


def sample(t, node, role):
    return {"t_ns": t, "node": node, "role": role}


ADDS = [operation("add", i, i * S, i * S + 1000) for i in range(20)]
LOST = {6, 7, 8}


def final(values):
    return operation("read", None, 25 * S, 25 * S + 9, payload=json.dumps(sorted(values)))


def make(tmp_path, history, faults=(), samples=(), **meta):
    meta = {
        "phases": PHASES,
        "experiment": {"name": "x", "workload": {"name": "set"}},
        "clients": {"a": 1},
        **meta,
    }
    return open_run(write_run(tmp_path / "run", meta, history, faults, samples))


def test_a_run_that_lost_writes(tmp_path):
    run = make(
        tmp_path,
        [*ADDS, final(set(range(20)) - LOST)],
        [fault()],
        [sample(t * S, node, "primary") for t in range(6, 12) for node in ("n1", "n2")],
    )
    results = judge(run)
    assert results["verdict"] == "invalid"
    assert results["summary"] == (
        "3 of 20 acknowledged adds are missing from every final read (15 %); first "
        "lost at 6.00 s, last at 8.00 s; all 3 were acknowledged during f1 (partition, confirmed), "
        "1.0–3.0 s after it began. n1 and n2 claimed to be primary at once for 5.0 s."
    )
    (check,) = results["checks"]
    (anomaly,) = check["anomalies"]
    assert anomaly["faults"] == ["f1"]
    assert anomaly["operations"] == [6, 20]
    assert anomaly["instances"] == [6, 7, 8]
    assert anomaly["first_ns"] == 6 * S + 1000
    assert "all 3 were acknowledged during f1" in anomaly["argument"]
    assert results["counts"] == {"ok": 21, "fail": 0, "info": 0}
    assert results["faults"] == {
        "injected": 1, "confirmed": 1, "mismatch": 0, "inconclusive": 0, "failed": 0, "healed": 1,
    }  # fmt: skip
    assert results["availability"]["by_requests"] == 1.0
    assert "monthly" in results["cost"]
    assert results["primaries"]["windows"] == [
        {"start_ns": 6 * S, "end_ns": 11 * S, "nodes": ["n1", "n2"]}
    ]
    write_results(run, results)
    stored = json.loads((run.path / "results.json").read_text())
    assert stored == {**results, "path": "."}
    assert set(stored) == {
        "version", "path", "verdict", "summary", "checks", "counts", "faults",
        "primaries", "availability", "cost", "notes",
    }  # fmt: skip
    assert set(check) == {
        "property", "verdict", "why", "anomalies", "proof", "operations", "seconds", "steps",
    }  # fmt: skip


def test_a_run_that_kept_everything(tmp_path):
    results = judge(make(tmp_path, [*ADDS, final(range(20))], [fault()]))
    assert results["verdict"] == "valid"
    assert results["summary"] == ("All 20 acknowledged adds are in the final read.")
    assert results["primaries"] == {"two_at_once_s": None, "windows": []}


@pytest.mark.parametrize(
    ("changes", "start", "end"),
    [
        (
            {"outcome": "mismatch", "why": "n1 and n2 still connect"},
            "f1 (partition) did not take effect: n1 and n2 still connect. All 20 acknowledged",
            "final read.",
        ),
        (
            {"outcome": "failed", "why": None},
            "f1 (partition) did not take effect. All 20 acknowledged",
            "read.",
        ),
        (
            {"kind": "step", "fault": "promote", "outcome": "failed", "why": "no such node"},
            "f1 (promote) was not done: no such node. All 20 acknowledged",
            "final read.",
        ),
        (
            {"heal_outcome": "mismatch", "why": "heal: n2 still cut"},
            "f1 (partition) was not seen to heal: n2 still cut. All 20 acknowledged",
            "final read.",
        ),
        (
            {"outcome": "mismatch", "heal_outcome": "failed", "why": "no cut; heal: no answer"},
            "f1 (partition) did not take effect: no cut. f1 (partition) was not seen to heal: no "
            "answer. All 20 acknowledged",
            "final read.",
        ),
    ],
)
def test_what_is_wrong_with_a_fault_is_said(tmp_path, changes, start, end):
    summary = judge(make(tmp_path, [*ADDS, final(range(20))], [fault(**changes)]))["summary"]
    assert summary.startswith(start)
    assert summary.endswith(end)


def test_a_run_cut_before_its_final_reads_is_unknown_and_says_so_first(tmp_path):
    run = make(
        tmp_path, ADDS, phases=PHASES[:1], state="interrupted", reason="Ctrl-C", cut_ns=20 * S
    )
    results = judge(run)
    assert results["verdict"] == "unknown"
    assert results["summary"].startswith("The run interrupted: Ctrl-C. ")
    assert "No final read" in results["summary"]
    assert results["notes"]


def test_properties_come_from_the_workload_or_the_caller(tmp_path):
    run = make(tmp_path, ADDS, experiment={"workload": {"name": "register"}})
    assert [c["property"] for c in judge(run)["checks"]] == ["linearizable-register"]
    assert [c["property"] for c in judge(run, ["set", "nonsense"])["checks"]] == ["set", "nonsense"]
    run = make(tmp_path, ADDS, experiment={})
    assert judge(run)["checks"] == []
    assert judge(run)["verdict"] == "unknown"
    assert "no property was checked" in judge(run)["summary"]


def test_an_empty_run_is_unknown(tmp_path):
    results = judge(make(tmp_path, []))
    assert results["verdict"] == "unknown"
    assert results["counts"] == {"ok": 0, "fail": 0, "info": 0}


def test_a_register_run_names_its_stale_reads(tmp_path):
    history = [operation("write", i, i * S, i * S + 10, key="k0") for i in range(1, 15)]
    history.append(operation("read", 3, 16 * S, 16 * S + 5, key="k0"))
    results = judge(
        make(tmp_path, history, [fault()], experiment={"workload": {"name": "register"}})
    )
    (anomaly,) = results["checks"][0]["anomalies"]
    assert (anomaly["name"], anomaly["count"], anomaly["faults"]) == ("stale-read", 1, ["f1"])
    assert anomaly["argument"].endswith(
        "Of these: it was running 1.0 s after f1 (partition, confirmed) had ended"
    )


def test_verdicts_have_an_order_and_a_code():
    assert worst(["valid", "unknown", "invalid"]) == "invalid"
    assert worst(["valid", "unknown"]) == "unknown"
    assert worst(["valid"]) == "valid"
    assert worst([]) == "unknown"
    assert [exit_code(v) for v in ("valid", "invalid", "unknown")] == [0, 1, 3]


def table(rows):
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def test_a_failover_between_two_samples_is_not_two_primaries():
    rows = [sample(t, "n1", "primary" if t < 5 * S else "replica") for t in range(0, 9 * S, S)]
    rows += [sample(t + 5, "n2", "replica" if t < 4 * S else "primary") for t in range(0, 9 * S, S)]
    assert two_at_once(table(rows)) == {"two_at_once_s": 0.0, "windows": []}


def test_a_node_that_was_not_asked_for_long_is_not_taken_for_primary():
    rows = [sample(t, "n1", "primary") for t in (0, S, 30 * S, 31 * S)]
    rows += [sample(t * S, "n2", "primary") for t in range(10, 32)]
    assert two_at_once(table(rows))["windows"] == [
        {"start_ns": 30 * S, "end_ns": 31 * S, "nodes": ["n1", "n2"]}
    ]


def test_three_primaries_make_windows_by_who_they_are():
    rows = [sample(t * S, "n1", "primary") for t in range(10)]
    rows += [sample(t * S, "n2", "primary") for t in range(2, 9)]
    rows += [sample(t * S, "n3", "primary") for t in range(4, 6)]
    found = two_at_once(table(rows))
    assert [(w["start_ns"] // S, w["end_ns"] // S, len(w["nodes"])) for w in found["windows"]] == [
        (2, 4, 2), (4, 5, 3), (5, 8, 2),
    ]  # fmt: skip
    assert found["two_at_once_s"] == 6.0


def test_every_kind_of_anomaly_is_described_once():
    every = every_kind()
    assert len({(kind.property, kind.name) for kind in every}) == len(every)
    for kind in every_kind():
        assert kind.counts
        assert kind.rules_out
        assert kind.reference


def test_the_documentation_says_what_every_anomaly_counts():
    text = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text()
    for kind in every_kind():
        assert f"| `{kind.name}` | {kind.counts} |" in text


def test_faults_that_were_skipped_are_said_before_the_verdict(tmp_path):
    left = {"outcome": "skipped", "inject_ns": None, "heal_outcome": None, "effect_ns": None,
            "heal_ns": None, "healed_ns": None, "why": "this host lacks clocks"}  # fmt: skip
    run = make(
        tmp_path,
        [*ADDS, final(set(range(20)) - LOST)],
        [
            fault(id="f1", fault="clock-step", **left),
            fault(id="f2", fault="clock-skew", **left),
            fault(id="f3"),
            fault(id="f4", fault="kill", **{**left, "why": "aborted"}),
        ],
        aborted={"t_ns": 12_340_000_000, "why": "no node claimed to be primary for 2s"},
    )
    results = judge(run)
    assert results["summary"].startswith(
        "f1 (clock-step) and f2 (clock-skew) were skipped: this host lacks clocks. f4 (kill) was "
        "skipped: aborted. Aborted at 12.3 s, because no node claimed to be primary for 2s. 3 of "
    )
    assert results["faults"]["skipped"] == 3
    assert results["faults"]["injected"] == 1
    assert results["checks"][0]["anomalies"][0]["faults"] == ["f3"]
