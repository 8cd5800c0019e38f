"""Logs: each anomaly by name, what is allowed, and payloads read at once and one by one."""

from __future__ import annotations

import random

import pytest

from analysis.checkers import CHECKERS, log_columns
from analysis.checkers.base import Context, run_checker
from analysis.formats import jepsen
from analysis.history import read_history
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.logs import make, truth
from tests.truth.rows import history


def send(value, offset, at, process=0, log=0, type="ok"):
    told = value if offset is None else [offset, value]
    return Row("send", [["send", log, told]], at, at + 5, type, process)


def poll(at, *messages, process=5, log="0", type="ok"):
    return Row("poll", [["poll", {log: [list(m) for m in messages]}]], at, at + 5, type, process)


SENT = [send(11, 0, 0), send(12, 1, 10), send(13, 2, 20)]
ALL = poll(30, (0, 11), (1, 12), (2, 13), process=6)
CASES = {
    "thin-air-poll": [*SENT, poll(40, (7, 99))],
    "aborted-read": [send(99, None, 0, type="fail"), *SENT, poll(40, (3, 99))],
    "future-poll": [*SENT, poll(40, (3, 14)), send(14, 3, 50)],
    "inconsistent-offsets": [*SENT, send(14, None, 30, 1, type="info"), poll(40, (2, 14))],
    "duplicate": [*SENT, poll(40, (0, 11), (3, 11)), ALL],
    "lost-write": [*SENT, poll(40, (0, 11)), poll(50, (2, 13), process=7)],
    "vanished": [*SENT, ALL, send(14, 1, 40, 1), poll(50, (1, 14), process=7)],
    "int-nonmonotonic-poll": [*SENT, ALL, poll(40, (1, 12), (0, 11))],
    "int-poll-skip": [*SENT, ALL, poll(40, (0, 11), (2, 13))],
    "nonmonotonic-poll": [*SENT, ALL, poll(40, (0, 11), (1, 12)), poll(50, (1, 12), (2, 13))],
    "poll-skip": [*SENT, ALL, poll(40, (0, 11)), poll(50, (2, 13))],
    "nonmonotonic-send": [send(11, 1, 0), send(12, 0, 10), poll(30, (0, 12), (1, 11))],
    "reordered": [send(11, 1, 0), send(12, 0, 10, 1), poll(30, (0, 12), (1, 11))],
    "precommitted-read": [
        Row("txn", [["send", 0, [0, 11]], ["poll", {"0": [[0, 11]]}]], 0, 5),
    ],
    "int-nonmonotonic-send": [
        Row("txn", [["send", 0, [1, 11]], ["send", 0, [0, 12]]], 0, 5),
        poll(30, (0, 12), (1, 11)),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_each_anomaly_has_its_name(name):
    rows = sorted(CASES[name], key=lambda row: row.end)
    assert counts(judged("log", rows))[name] == 1
    assert truth(rows) == "invalid"


def test_all_is_well():
    result = judged("log", [*SENT, ALL])
    assert result.verdict == "valid"
    assert result.why == "3 messages sent and acknowledged, 3 polled, in 1 log"


@pytest.mark.parametrize("between", ["subscribe", "assign", "info"])
def test_jumps_that_may_be(between):
    moved = {
        "subscribe": Row("subscribe", [0], 47, 48, process=5),
        "assign": Row("assign", [1], 47, 48, process=5),
        "info": Row("poll", [["poll"]], 47, 48, "info", 5),
    }[between]
    for first, second in (((0, 11), (2, 13)), ((2, 13), (0, 11))):
        rows = [*SENT, ALL, poll(40, first), moved, poll(50, second)]
        assert judged("log", rows).verdict == "valid"
    kept = Row("assign", [0, 1], 47, 48, process=5)
    rows = [*SENT, ALL, poll(40, (0, 11)), kept, poll(50, (2, 13))]
    assert counts(judged("log", rows)) == {"poll-skip": 1}


def test_jumps_of_who_subscribed_are_told():
    subscribed = Row("subscribe", [0], 1, 2, process=5)
    rows = [subscribed, *SENT, ALL, poll(40, (0, 11)), poll(50, (2, 13))]
    rows.sort(key=lambda row: row.end)
    result = judged("log", rows)
    assert result.verdict == "valid"
    assert "1 jump of subscribed consumers, which may" in result.why


def test_gaps_and_what_nobody_polled_are_told():
    result = judged("log", [*SENT, send(14, 9, 30), poll(40, (0, 11), (1, 12), (2, 13))])
    assert result.verdict == "valid"
    assert "1 acknowledged never polled; 6 offsets that nobody told of" in result.why


def test_what_nobody_polled_in_a_run_of_our_own_leaves_it_open():
    rows = [*SENT, send(14, None, 30), poll(40, (0, 11), (1, 12), (2, 13))]
    table = history(rows)
    assert run_checker("log", CHECKERS, table, Context(enough=1)).verdict == "valid"
    result = run_checker("log", CHECKERS, table, Context(enough=1, final_ns=(40, 50)))
    assert result.verdict == "unknown"
    assert "not read to the end" in result.why
    rows[3] = send(14, 3, 30, type="info")
    result = run_checker("log", CHECKERS, history(rows), Context(enough=1, final_ns=(40, 50)))
    assert result.verdict == "valid"


def test_what_vanished_was_there_and_is_replaced():
    rows = [*SENT, ALL, send(14, 1, 40, 1), poll(50, (1, 14), process=7)]
    found = {anomaly.name: anomaly for anomaly in judged("log", rows).anomalies}
    assert found["vanished"].operations == (1, 5)
    words = "which was acknowledged; but afterwards process 7 polled 14 at offset 1 of log 0"
    assert words in found["vanished"].argument
    again = poll(52, (1, 12), process=8)  # whoever polls it at the same time still finds it
    assert "vanished" not in counts(judged("log", [*rows, again]))
    never = [*SENT, send(14, 2, 40, 1), poll(50, (2, 14), process=7)]  # 13 was never polled
    assert counts(judged("log", never)) == {
        "inconsistent-offsets": 1,
        "lost-write": 2,
        "vanished": 1,
    }


def test_a_message_without_an_offset_is_lost_if_later_ones_are_there():
    """RabbitMQ's streams tell their publishers no offsets."""
    sent = [send(11, None, 0), send(12, None, 10), send(13, None, 20), send(14, None, 22)]
    rows = [*sent, poll(40, (0, 11), (1, 13))]
    result = judged("log", rows)
    assert counts(result) == {"lost-write": 1}  # 14 may stand behind 13
    (lost,) = result.anomalies
    assert lost.operations == (1, 4)
    assert lost.argument.endswith("which nobody had begun to send by then")
    assert truth(rows) == "invalid"
    rows[2] = sent[2]._replace(start=14, end=25)  # it began before the other had ended
    assert judged("log", rows).verdict == truth(rows) == "valid"
    rows[2] = sent[2]._replace(type="fail")  # nor does what was never sent say anything
    assert "lost-write" not in counts(judged("log", rows))


def test_an_aborted_message_may_be_left_out():
    rows = [*SENT, ALL, poll(40, (0, 11), (2, 13))]
    rows[1] = rows[1]._replace(type="fail", value=[["send", 0, 12]])
    assert counts(judged("log", rows)) == {"aborted-read": 1}


@pytest.mark.parametrize(
    "content",
    [[["send", 0]], [["r", 0, 1]], [["poll", {"0": [[1]]}]], [["poll", {"0": [["1", 2]]}]], 7,
     [["poll", [1]]], [["poll", {"0": [[-1, 2]]}]]],
)  # fmt: skip
def test_what_is_no_log_is_said(content):
    rows = [*SENT, Row("txn", content, 50, 55)]
    result = run_checker("log", CHECKERS, history(rows), Context())
    assert result.verdict == "unknown"
    assert "the checker failed: " in result.why


def columns(told):
    found = set()
    for messages in (told.sent, told.polled):
        names = [told.names[log] for log in messages.log.tolist()]
        values = [repr(told.content(value)) for value in messages.value.tolist()]
        rest = (messages.row.tolist(), messages.offset.tolist())
        found |= {(messages is told.sent, *row) for row in zip(names, values, *rest, strict=True)}
    return found, told.polls.tolist()


def test_payloads_read_at_once_are_read_as_one_by_one(monkeypatch):
    rng = random.Random(7)
    several = 0
    for _ in range(60):
        rows = make(rng)
        parts = []
        for least in (1, 10_000):
            monkeypatch.setattr(log_columns, "ARROW_FROM", least)
            parts.append(columns(log_columns.read_log(history(rows))))
        assert parts[0] == parts[1]
        several += len(parts[0][0]) > 5
    assert several > 20


def test_truth_with_payloads_read_at_once(monkeypatch):
    monkeypatch.setattr(log_columns, "ARROW_FROM", 1)
    rng = random.Random(8)
    for _ in range(200):
        rows = make(rng)
        assert str(judged("log", rows).verdict) == truth(rows)


@pytest.mark.parametrize("least", [1, 10_000])
def test_keys_of_sends_are_logs(monkeypatch, least):
    monkeypatch.setattr(log_columns, "ARROW_FROM", least)
    rows = [Row("send", [0, 11], 0, 5, key="t-0"), Row("send", 12, 10, 15, key="t-0"),
            Row("poll", {"t-0": [[0, 11], [1, 12]]}, 20, 25)]  # fmt: skip
    assert judged("log", rows).verdict == "valid"
    assert counts(judged("log", [rows[0]._replace(key="t-1"), *rows[1:]])) == {"thin-air-poll": 1}


def test_huge_offsets_are_ranked():
    far = 10**17
    rows = [send(1, far, 0), send(2, far + 1, 10), send(3, 0, 20, log=900)]
    rows += [poll(30, (far, 1), (far + 1, 2)), poll(40, (0, 3), log="900")]
    rows += [poll(50 + n, (0, 3), log="900", process=50 + n) for n in range(3)]
    assert judged("log", rows).verdict == "valid"


JEPSEN = """{:type :invoke, :f :assign, :value [0 1], :process 0, :index 0}
{:type :ok, :f :assign, :value [0 1], :process 0, :index 1}
{:type :invoke, :f :send, :value [[:send 0 7]], :process 0, :index 2}
{:type :ok, :f :send, :value [[:send 0 [3 7]]], :process 0, :index 3}
{:type :invoke, :f :txn, :value [[:poll] [:send 1 8]], :process 0, :index 4}
{:type :ok, :f :txn, :value [[:poll {0 [[3 7]]}] [:send 1 [0 8]]], :process 0, :index 5}
{:type :invoke, :f :poll, :value [[:poll]], :process 0, :index 6}
{:type :ok, :f :poll, :value [[:poll {0 [[LAST]], 1 [[0 8]]}]], :process 0, :index 7}
{:type :invoke, :f :crash, :value nil, :process 0, :index 8}
{:type :info, :f :crash, :value nil, :process 0, :index 9}
"""


@pytest.mark.parametrize(("last", "name"), [("3 7", "nonmonotonic-poll"), ("4 9", "thin-air-poll")])
def test_histories_of_jepsen(tmp_path, last, name):
    path = tmp_path / "kafka.edn"
    path.write_text(JEPSEN.replace("LAST", last))
    found = jepsen.read(path, None)
    assert found.properties == ("log",)
    result = run_checker("log", CHECKERS, read_history(found.table), Context(enough=1))
    assert counts(result) == {name: 1}
    path.write_text(JEPSEN.replace("[[LAST]]", "[]"))
    table = jepsen.read(path, None).table
    result = run_checker("log", CHECKERS, read_history(table), Context(enough=1))
    assert result.verdict == "valid"
