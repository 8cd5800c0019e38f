"""Out and in again: the same operations, in the same precedence, with the same verdict."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.formats import open_history
from analysis.formats.export import EXPORTS, export, own_processes, timeless
from analysis.verdict import judge
from chaos.record.schema import HISTORY
from chaos.record.tables import table_of
from chaos.record.writer import write_run
from tests.analysis.formats.reading import read, rows

KEPT = ("f", "key", "value", "expected", "payload", "type", "error", "start_ns", "end_ns")
JSON = st.recursive(
    st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(2**63, 2**70)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner | st.integers(0, 3), max_size=3),
    max_leaves=5,
)  # fmt: skip


def canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@st.composite
def operations(draw):
    """A history as a table: reads, writes and cas of integers and other values, with many ties."""
    table = []
    keys = draw(st.sampled_from([[None], ["k"], ["0", "b c", None]]))
    plain = draw(st.booleans())
    for process in range(draw(st.integers(1, 4))):
        clock = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(0, 4))):
            start = clock + draw(st.integers(0, 2))
            clock = start + draw(st.integers(0, 3))
            f = draw(st.sampled_from(["read", "write", "cas"]))
            kind = draw(st.sampled_from(["ok", "ok", "ok", "fail", "info"]))
            row: dict[str, Any] = {"process": process, "f": f, "type": kind}
            row |= {"start_ns": start, "end_ns": clock, "key": draw(st.sampled_from(keys))}
            if kind != "ok":
                row["error"] = draw(st.sampled_from(["timeout: no answer", "refused", None]))
            if f == "read" and kind != "ok":
                pass
            elif plain or draw(st.booleans()):
                row["value"] = draw(
                    st.integers(-(2**62), 2**62) if f != "cas" else st.integers(0, 3)
                )
                row["expected"] = draw(st.integers(0, 3)) if f == "cas" else None
            else:
                other = draw(JSON)
                row["payload"] = canonical([other, 1] if f == "cas" else other)
            table.append(row)
    table.sort(key=lambda row: row["end_ns"])
    return table_of(table, HISTORY, "made")


def precedence(run_rows: list[tuple[Any, ...]]) -> set[tuple[int, int]]:
    spans = [row[-2:] for row in run_rows]
    return {(i, j) for i, a in enumerate(spans) for j, b in enumerate(spans) if a[1] < b[0]}


@settings(max_examples=120, deadline=None)
@given(operations(), st.sampled_from(EXPORTS))
def test_what_goes_out_comes_in_again(tmp_path_factory, table, name):
    written = [tuple(row[column] for column in KEPT) for row in table.to_pylist()]
    text = "".join(export(table, name))
    if not text:
        return
    run = read(tmp_path_factory.mktemp("export"), text)
    assert run.meta["imported"]["format"] == name
    found = rows(run, *KEPT)
    assert found == written
    assert precedence(found) == precedence(written)
    again = "".join(export(run.history, name))
    assert list(map(len, again.splitlines())) == list(map(len, text.splitlines()))


def test_touching_operations_stay_concurrent(tmp_path):
    spans = {0: [(0, 5), (5, 9)], 1: [(5, 5), (9, 12)], 2: [(1, 5), (6, 9)]}
    table = table_of(
        [
            {"process": p, "f": "write", "value": start, "type": "ok", "start_ns": start,
             "end_ns": end}
            for p, held in spans.items() for start, end in held
        ], HISTORY, "made",
    ).sort_by("end_ns")  # fmt: skip
    written = [tuple(row[column] for column in KEPT) for row in table.to_pylist()]
    for name in EXPORTS:
        run = read(tmp_path, "".join(export(table, name)))
        assert rows(run, *KEPT) == written
    # Process 0 began its second operation as its first ended: on its own it would follow.
    assert sorted(own_processes(table).tolist()) == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("stale", [False, True])
def test_the_verdict_stays(tmp_path, name, stale):
    rng = random.Random(3)
    made, value, clock = [], 0, 0
    for k in range(300):
        clock += rng.randint(0, 2)
        row = {"process": k, "type": "ok", "start_ns": clock, "end_ns": clock + rng.randint(0, 1)}
        row["f"] = "write" if k % 3 == 0 else "read"
        value = k if k % 3 == 0 else value
        clock = row["end_ns"] + 1
        made.append({**row, "value": value})
    if stale:
        made[-1]["value"] = 30
    path = write_run(tmp_path / "run", {"experiment": {"workload": {"name": "register"}}}, made)
    before = judge(open_history(path))
    text = "".join(export(open_history(path).history, name))
    after = judge(read(tmp_path, text))
    assert before["verdict"] == after["verdict"] == ("invalid" if stale else "valid")
    for one, other in zip(before["checks"], after["checks"], strict=True):
        assert one["property"] == other["property"] == "linearizable-register"
        assert [a["operations"] for a in one["anomalies"]] == [
            a["operations"] for a in other["anomalies"]
        ]


def test_lines_are_those_of_the_tools(tmp_path):
    table = table_of(
        [
            {"process": 0, "f": "cas", "expected": 1, "value": 2, "type": "fail", "error": "a: b",
             "start_ns": 5, "end_ns": 7},
            {"process": 1, "f": "txn", "payload": '[["append",1,2],["r","k",[3]]]', "type": "ok",
             "start_ns": 6, "end_ns": 9},
        ], HISTORY, "made",
    )  # fmt: skip
    assert list(export(table.slice(0, 1), "jepsen-edn")) == [
        "{:type :invoke, :f :cas, :value [1 2], :time 5, :process 0, :index 0}\n",
        '{:type :fail, :f :cas, :value [1 2], :time 7, :process 0, :index 1, :error "a: b"}\n',
    ]
    assert list(export(table, "jepsen-edn"))[3] == (
        '{:type :ok, :f :txn, :value [[:append 1 2] [:r "k" [3]]], :time 9, :process 1, '
        ":index 3, :key nil}\n"
    )
    assert json.loads(list(export(table, "elle-json"))[3]) == {
        "type": "ok", "f": "txn", "value": [["append", 1, 2], ["r", "k", [3]]], "time": 9,
        "process": 1, "index": 3, "key": None,
    }  # fmt: skip


TRANSACTIONS = [
    {"process": 0, "payload": '[["append",1,2],["r",":k",[3,null]]]', "type": "ok", "start_ns": 0},
    {"process": 1, "payload": '[["r","1",null],["append","a b",-1]]', "type": "info", "start_ns": 0,
     "error": "timeout"},
    {"process": 2, "payload": '[["append",1,[2]]]', "type": "fail", "start_ns": 3, "error": "no"},
    {"process": 0, "payload": '[["r",1,null]]', "type": "ok", "start_ns": 5},
]  # fmt: skip


def txns(kept) -> Any:
    return table_of(
        [{"f": "txn", "end_ns": row["start_ns"] + 4, **row} for row in kept], HISTORY, "made"
    ).sort_by("end_ns")


@pytest.mark.parametrize("name", EXPORTS)
def test_transactions_come_in_again(tmp_path, name):
    table = txns(TRANSACTIONS)
    text = "".join(export(table, name))
    assert "key" not in text
    run = read(tmp_path, text)
    assert rows(run, *KEPT) == [tuple(row[column] for column in KEPT) for row in table.to_pylist()]
    assert run.meta["imported"]["properties"] == ["list-append"]
    assert run.meta["imported"]["format"] == name


def test_transactions_are_written_as_elle_reads_them():
    lines = list(export(txns(TRANSACTIONS[:2]), "jepsen-edn"))
    assert lines == [
        '{:type :invoke, :f :txn, :value [[:append 1 2] [:r ":k" nil]], :time 0, :process 0, '
        ":index 0}\n",
        '{:type :invoke, :f :txn, :value [[:r "1" nil] [:append "a b" -1]], :time 0, :process 1, '
        ":index 1}\n",
        '{:type :ok, :f :txn, :value [[:append 1 2] [:r ":k" [3 nil]]], :time 4, :process 0, '
        ":index 2}\n",
        '{:type :info, :f :txn, :value [[:r "1" nil] [:append "a b" -1]], :time 4, :process 1, '
        ':index 3, :error "timeout"}\n',
    ]


@pytest.mark.parametrize("name", EXPORTS)
def test_sessions_without_times_are_put_in_step(tmp_path, name):
    made = {"f": "txn", "type": "ok", "start_ns": 0, "end_ns": 0}
    sessions = {3: 2, 1: 3, 7: 1}
    table = table_of(
        [
            {**made, "process": process, "payload": f'[["w",{process},{number}]]'}
            for process, count in sessions.items() for number in range(count)
        ], HISTORY, "made",
    )  # fmt: skip
    assert timeless(table)
    text = "".join(export(table, name))
    found = rows(read(tmp_path, text), "process", "payload", "start_ns", "end_ns")
    assert found == [
        (process, f'[["w",{process},{number}]]', 2 * number, 2 * number + 1)
        for number in range(3) for process, count in sessions.items() if number < count
    ]  # fmt: skip
    assert not timeless(table.slice(0, 1))


def test_a_bank_as_jepsen_writes_it(tmp_path):
    moved = {"process": 0, "type": "ok", "start_ns": 0, "end_ns": 1}
    table = table_of(
        [
            {**moved, "f": "transfer", "payload": '{"amount":3,"from":0,"to":1}'},
            {**moved, "f": "read", "payload": '{"0":7,"a":3}', "start_ns": 2, "end_ns": 3},
        ], HISTORY, "made",
    )  # fmt: skip
    lines = list(export(table, "jepsen-edn"))
    assert ":f :transfer, :value {:amount 3, :from 0, :to 1}" in lines[1]
    assert ':f :read, :value {0 7, "a" 3}' in lines[3]
    for name in EXPORTS:
        run = read(tmp_path, "".join(export(table, name)))
        assert rows(run, "f", "payload") == rows_of(table)
        assert run.meta["imported"]["properties"] == ["bank"]


def rows_of(table) -> list[tuple[Any, ...]]:
    return [(row["f"], row["payload"]) for row in table.to_pylist()]


def test_a_log_is_written_with_the_offsets_that_were_told(tmp_path):
    done = {"process": 0, "type": "ok", "start_ns": 0, "end_ns": 1}
    table = table_of(
        [
            {**done, "f": "send", "key": "k0", "value": 7, "payload": "[0,7]"},
            {**done, "f": "send", "key": "k0", "value": 8, "type": "info"},
            {**done, "f": "txn", "payload": '[["send","k0",[1,9]],["poll",{"k0":[[0,7]]}]]'},
            {**done, "f": "poll", "payload": '{"k0":[[1,9]]}'},
        ], HISTORY, "made",
    )  # fmt: skip
    lines = [json.loads(line) for line in export(table, "elle-json")]
    shown = {(line["f"], line["type"]): line["value"] for line in lines if line["value"] != 8}
    assert shown["send", "invoke"] == 7
    assert shown["send", "ok"] == [0, 7]
    assert shown["txn", "invoke"] == [["send", "k0", 9], ["poll"]]
    assert shown["txn", "ok"] == [["send", "k0", [1, 9]], ["poll", {"k0": [[0, 7]]}]]
    assert (shown["poll", "invoke"], shown["poll", "ok"]) == (None, {"k0": [[1, 9]]})
    for name in EXPORTS:
        run = read(tmp_path, "".join(export(table, name)))
        assert run.meta["imported"]["properties"] == ["log"]
        assert judge(run)["verdict"] == "valid"
