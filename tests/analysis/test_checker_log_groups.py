"""Consumer groups: what is skipped and repeated, who is a member, and what may have been shown."""

from __future__ import annotations

import pytest

from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.groups import truth

AT_LEAST, ONCE = "group-at-least-once", "group-exactly-once"


def send(value, offset, at, type="ok"):
    return Row("send", [offset, value] if type == "ok" else value, at, at + 5, type, 9, "k0")


def poll(at, *messages, process=5, type="ok"):
    shown = {"k0": [list(m) for m in messages]} if type == "ok" else None
    return Row("poll", shown, at, at + 5, type, process)


def choose(f, at, process=5, type="ok"):
    return Row(f, ["k0"], at, at + 1, type, process)


GROUP = [choose("subscribe", 0), choose("subscribe", 0, 6)]
SENT = [send(11, 0, 10), send(12, 1, 20), send(13, 2, 30)]
FIRST, LAST = poll(40, (0, 11)), poll(60, (2, 13), process=6)


def found(name, rows):
    """What is found of a history, which the truth must agree with."""
    rows = sorted(rows, key=lambda row: row.end)
    result = judged(name, rows)
    assert str(result.verdict) == truth(rows, name == ONCE)
    return result


@pytest.mark.parametrize("name", [AT_LEAST, ONCE])
def test_what_the_group_went_past_and_never_was_shown_is_skipped(name):
    result = found(name, [*GROUP, *SENT, FIRST, LAST])
    assert counts(result) == {"skipped": 1}
    (anomaly,) = result.anomalies
    assert anomaly.argument.startswith("process 9 sent 12 at offset 1 of log k0 between")
    assert "though process 6 polled 13 at offset 2 of log k0" in anomaly.argument


@pytest.mark.parametrize("name", [AT_LEAST, ONCE])
def test_all_is_well(name):
    result = found(name, [*GROUP, *SENT, poll(40, (0, 11), (1, 12)), LAST])
    assert result.verdict == "valid"
    assert result.why == "3 messages sent and acknowledged, 3 polled by the group, in 1 log"


def test_what_is_shown_again_is_told_or_counted():
    rows = [*GROUP, *SENT, poll(40, (0, 11), (1, 12)), poll(60, (1, 12), (2, 13), process=6)]
    result = found(AT_LEAST, rows)
    assert (result.verdict, "; 1 of these once more" in result.why) == ("valid", True)
    result = found(ONCE, rows)
    assert counts(result) == {"repeated": 1}
    assert result.anomalies[0].operations == (5, 6)


def test_what_others_polled_was_not_shown_to_the_group():
    alone = [choose("assign", 1, 7), poll(70, (0, 11), (1, 12), (2, 13), process=7)]
    assert counts(found(AT_LEAST, [*GROUP, *SENT, FIRST, LAST, *alone])) == {"skipped": 1}
    assert found(ONCE, [*GROUP, *SENT, poll(40, (0, 11), (1, 12), (2, 13)), *alone]).anomalies == ()
    left = [choose("assign", 50), poll(70, (1, 12))]
    assert counts(found(AT_LEAST, [*GROUP, *SENT, FIRST, LAST, *left])) == {"skipped": 1}
    stayed = [choose("assign", 50, type="fail"), poll(70, (1, 12))]
    assert found(AT_LEAST, [*GROUP, *SENT, FIRST, LAST, *stayed]).verdict == "valid"


@pytest.mark.parametrize(("at", "excused"), [(22, True), (18, True), (12, False)])
def test_a_poll_without_an_answer_may_have_shown_what_had_begun_when_it_was_given_up(at, excused):
    rows = [*GROUP, *SENT, FIRST, LAST, poll(at, process=6, type="info")]
    result = found(AT_LEAST, rows)
    assert ("1 that a poll without an answer may have shown" in result.why) == excused
    assert counts(result) == ({} if excused else {"skipped": 1})


def test_a_poll_that_failed_showed_nothing():
    rows = [*GROUP, *SENT, FIRST, LAST, poll(50, process=6, type="fail")]
    assert counts(found(AT_LEAST, rows)) == {"skipped": 1}


def test_what_the_group_had_not_got_to_is_told():
    result = found(AT_LEAST, [*GROUP, *SENT, FIRST])
    assert result.verdict == "valid"
    assert result.why.endswith("; 2 that the group had not got to")


def test_what_nothing_follows_from():
    assert "no member of a group polled" in found(ONCE, [*SENT, FIRST]).why
    assert "no send was acknowledged" in found(ONCE, [*GROUP, send(11, 0, 1, "info"), FIRST]).why


def test_transactions_show_what_they_polled():
    txn = Row("txn", [["poll", {"k0": [[1, 12]]}], ["send", "k0", [3, 14]]], 50, 55, process=5)
    assert found(ONCE, [*GROUP, *SENT, FIRST, txn, LAST]).verdict == "valid"
    assert counts(found(ONCE, [*GROUP, *SENT, FIRST, txn, txn, LAST])) == {"repeated": 1}
