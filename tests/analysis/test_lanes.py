"""Pictures as data and as pages: order, states, what a hostile history can do to them."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from typing import Any

import pyarrow as pa
import pytest

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, run_checker
from analysis.history import read_history
from analysis.lanes import anomalies, chosen, picture, scale, words
from analysis.lanes_html import page
from chaos.errors import RecordError, UsageError
from chaos.record.schema import HISTORY


def row(f, value, start, end, *, process=0, type="ok", key=None, payload=None, expected=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": expected,
        "payload": payload,
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def history_of(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def judged(history, *names) -> dict[str, Any]:
    found = [run_checker(name, CHECKERS, history, Context(enough=1)) for name in names]
    return {"checks": [check.to_json() for check in found]}


LATE = [
    row("write", 1, 10, 40),
    row("read", 2, 65, 90, process=2),
    row("write", 2, 50, 100, process=1, type="info"),
    row("read", 1, 120, 140),
]


def test_bars_are_ranks_of_times():
    history = history_of([*LATE, row("read", 1, 40, 65, process=3)])
    found = picture(history, judged(history, "linearizable-register"), 0)
    bars = {bar.row: bar for bar in found.bars}
    assert [bar.row for bar in found.bars] == [0, 2, 1, 3]  # by start
    assert found.moments == (10, 40, 50, 65, 90, 120, 140)
    assert (bars[0].left, bars[0].right) == (0, 1)
    assert bars[2].right is None
    assert bars[2].outcome == "info"
    assert found.lanes == ("process 0", "process 1", "process 2")
    assert [bar.row for bar in found.bars if bar.impossible] == [3]
    assert found.rules_out
    assert found.count == 1


def test_operations_around_the_witness_and_their_states():
    rows = [row("write", 100 + k, 1000 + 10 * k, 1005 + 10 * k, process=5) for k in range(40)]
    rows = [*LATE, *[{**r, "start_ns": r["start_ns"] - 1400, "end_ns": r["end_ns"] - 1400}
                     for r in rows], row("write", 7, 150, 160, key="other")]  # fmt: skip
    history = history_of(rows)
    results = judged(history, "linearizable-register")
    found = picture(history, results, 0, window=20)
    assert len(found.bars) == 20
    assert sum(found.skipped.values()) == 44 - 20
    bars = {bar.row: bar for bar in found.bars}
    assert {0, 1, 2, 3} < set(bars)
    assert 44 not in bars  # of another key
    assert (bars[0].states.before, bars[0].states.after) == ("139", "1")
    assert (bars[2].states.before, bars[2].states.after) == ("1", "2")
    assert (bars[1].states.before, bars[1].states.after) == ("2", "2")
    assert bars[3].first
    assert (bars[3].states.before, bars[3].states.after) == ("2", "")
    assert "row 3" in found.why_impossible
    assert "state is then 2" in found.why_impossible


def test_the_first_impossible_answer_may_be_another():
    """The witness is of the anomaly; that a key has no order may show before."""
    rows = [row("write", 1, 0, 10), row("write", 2, 20, 30), row("read", 1, 40, 50, process=1)]
    rows += [row("read", 9, 60, 70, process=2)]
    history = history_of(rows)
    results = judged(history, "linearizable-register")
    place = chosen(results, "thin-air-read")
    found = picture(history, results, place, window=10)
    assert [bar.row for bar in found.bars if bar.impossible] == [3]
    assert [bar.row for bar in found.bars if bar.first] == [2]
    assert found.impossible is not None
    assert found.impossible.row == 2


@pytest.mark.parametrize(
    ("name", "rows", "before"),
    [
        (
            "linearizable-queue",
            [row("enqueue", v, 10 * v, 10 * v + 1) for v in (1, 2)]
            + [row("dequeue", 2, 50, 51), row("dequeue", 1, 60, 61)],
            "[1, 2]",
        ),
        (
            "linearizable-stack",
            [row("push", v, 10 * v, 10 * v + 1) for v in (1, 2)]
            + [row("pop", 1, 50, 51), row("pop", 2, 60, 61)],
            "[1, 2]",
        ),
        (
            "linearizable-set",
            [row("add", 5, 0, 1), row("contains", None, 10, 11, payload="[5, false]")],
            "{5}",
        ),
        ("linearizable-counter", [row("add", 2, 0, 1), row("read", 3, 10, 11)], "2"),
        (
            "linearizable-lock",
            [row("acquire", None, 0, 1, key="l"), row("acquire", None, 2, 3, key="l", process=1)],
            "held by process 0",
        ),
        (
            "linearizable-kv-append",
            [row("append", None, 0, 1, payload='"ab"'), row("read", None, 2, 3, payload='"a"')],
            '"ab"',
        ),
    ],
)
def test_states_of_every_model(name, rows, before):
    if name not in CHECKERS:
        pytest.skip(f"no checker decides {name} yet")
    history = history_of(rows)
    found = picture(history, judged(history, name), 0, window=10)
    assert found.impossible is not None
    assert found.impossible.first
    assert found.impossible.states.before == before


def test_what_has_no_state_is_drawn_without():
    rows = [row("add", v, v, v + 1, process=v) for v in range(12)]
    rows += [row("read", None, 100, 101, payload=json.dumps(list(range(11))))]
    history = history_of(rows)
    found = picture(history, judged(history, "set"), 0, window=400)
    assert found.why_impossible == ""
    assert "No state is shown" in found.about_states
    assert found.impossible is not None
    assert found.impossible.row == 12  # the read that lacks it, not the add
    assert found.impossible.words == "read [0, 1, … 11 in all]"
    assert len(found.bars) == 13
    assert ">state before<" not in page(found, title="run", names=["lost-write"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row("write", 7, 0, 1), "write 7"),
        (row("read", None, 0, 1), "read nothing"),
        (row("read", None, 0, 1, type="info"), "read ?"),
        (row("cas", 5, 0, 1, expected=3), "cas 3→5"),
        (row("cas", 5, 0, 1), "cas nothing→5"),
        (row("cas", None, 0, 1, payload='["a", {"b": 1}]'), 'cas "a"→{"b": 1}'),
        (row("contains", None, 0, 1, payload="[5, false]"), "contains 5: no"),
        (row("dequeue", None, 0, 1), "dequeue nothing"),
        (row("acquire", None, 0, 1), "acquire"),
        (row("acquire", 3, 0, 1), "acquire 3"),
        (row("read", None, 0, 1, payload="[1, 2"), 'read "[1, 2"'),
        (row("read", None, 0, 1, payload="[" * 100_000), 'read "' + "[" * 38 + "…"),
        (row("add", 2, 0, 1), "add 2"),
        (row("dequeue", None, 0, 1, type="fail"), "dequeue ?"),
        (row("send", 17, 0, 1, key="k0", payload="[4,17]"), "send 17@4"),
        (row("send", 17, 0, 1, key="k0", type="info"), "send 17"),
        (row("send", None, 0, 1, payload='[["send", 0, [4, 17]]]'), "send 0 17@4"),
        (row("poll", None, 0, 1, payload="{}"), "poll nothing"),
        (row("poll", None, 0, 1, type="fail"), "poll ?"),
        (row("poll", None, 0, 1, payload='{"k0":[[0,7],[1,8]],"k1":[]}'), "poll k0 7@0 8@1"),
        (
            row("poll", None, 0, 1, payload='{"k0":[[0,7],[1,8],[2,9],[3,1],[4,2]]}'),
            "poll k0 7@0 … 2@4 (5)",
        ),
        (row("assign", None, 0, 1, payload='["k0","k1"]'), "assign k0 k1"),
        (row("subscribe", None, 0, 1, payload="[]"), "subscribe nothing"),
        (
            row("txn", None, 0, 1, payload='[["send","k0",[3,7]],["poll",{"k0":[[1,5]]}]]'),
            "send k0 7@3 · poll k0 5@1",
        ),
        (
            row("txn", None, 0, 1, payload='[["send","k0",7],["poll"]]', type="info"),
            "send k0 7 · poll ?",
        ),
    ],
)
def test_words(given, expected):
    assert words(history_of([given]), 0) == expected


def test_a_message_is_lost_with_the_poll_that_passed_it_over():
    sends = [row("send", n, n, n, key="k0", payload=f"[{n},{n}]") for n in range(3)]
    shown = row("poll", None, 5, 6, process=1, payload='{"k0":[[0,0],[2,2]]}')
    history = history_of([*sends, shown])
    results = judged(history, "log")
    names = [anomaly["name"] for _, anomaly in anomalies(results)]
    found = picture(history, results, names.index("lost-write"))
    assert [bar.words for bar in found.bars] == ["send 1@1", "poll k0 0@0 2@2"]
    assert found.impossible is not None
    assert found.impossible.words.startswith("poll")


def test_an_element_is_lost_with_the_dequeue_that_found_nothing():
    rows = [row("enqueue", 1, 0, 1, key="k0"), row("dequeue", None, 2, 3, key="k0")]
    history = history_of(rows)
    found = picture(history, judged(history, "at-least-once"), 0)
    assert found.impossible is not None
    assert [bar.words for bar in found.bars] == ["enqueue 1", "dequeue nothing"]
    assert found.impossible.words == "dequeue nothing"


def test_times_are_told_with_the_digits_that_matter():
    assert scale([0, 3_000_000, 5_500_000]) == ("ms", 6, 1)
    assert scale([0, 5, 9]) == ("ns", 0, 0)
    assert scale([0, 10**9, 2 * 10**9]) == ("s", 9, 0)
    assert scale([0, 10**9, 10**9 + 1]) == ("µs", 3, 3)
    assert scale([]) == ("ns", 0, 0)
    assert scale([7]) == ("ns", 0, 0)


def test_an_anomaly_is_chosen_by_number_or_name():
    anomaly = {"name": "a", "count": 1, "argument": "", "operations": []}
    results = {"checks": [{"property": "p", "anomalies": [anomaly, {**anomaly, "name": "b"}]}]}
    assert [chosen(results, which) for which in ("1", "2", "a", "b")] == [0, 1, 0, 1]
    for which in ("0", "3", "c", "²", ""):
        with pytest.raises(UsageError, match="by number or name"):
            chosen(results, which)
    with pytest.raises(UsageError, match="no anomaly"):
        chosen({"checks": []}, "1")


@pytest.mark.parametrize(
    "damage",
    [
        {"operations": [99]},
        {"operations": [-1]},
        {"operations": "all"},
        {"operations": ["0"]},
        {"instances": [1.5]},
        {"count": "many"},
        {"faults": 3},
    ],
)
def test_results_that_make_no_sense(damage):
    history = history_of(LATE)
    results = judged(history, "linearizable-register")
    results["checks"][0]["anomalies"][0].update(damage)
    with pytest.raises(RecordError):
        picture(history, results, 0)
    with pytest.raises(RecordError):
        anomalies({"checks": 1})


class Reader(html.parser.HTMLParser):
    """What a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e'


def hostile_page():
    rows = [
        row("write", None, 0, 10, key=HOSTILE, payload=json.dumps(HOSTILE)),
        {**row("read", None, 20, 30, key=HOSTILE, payload='"b"'), "node": HOSTILE},
        {**row(HOSTILE, None, 20, 30, key=HOSTILE, type="info", process=1), "error": HOSTILE},
    ]
    history = history_of(rows)
    results = judged(history, "linearizable-register")
    anomaly = results["checks"][0]["anomalies"][0]
    anomaly.update(argument=HOSTILE, faults=[HOSTILE])
    found = picture(history, results, 0, window=400)
    return page(found, title=HOSTILE, names=[HOSTILE])


def test_a_page_escapes_all_that_a_history_says():
    text = hostile_page()
    seen = Reader()
    seen.feed(text)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert not [a for a in seen.attributes if a[1].startswith("on") or a[1] == "style"]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_page_asks_for_nothing_and_runs_only_its_own():
    text = hostile_page()
    seen = Reader()
    seen.feed(text)
    assert not [a for a in seen.attributes if a[1] in ("src", "srcset", "action", "ping")]
    links = [value for _, name, value in seen.attributes if name == "href"]
    assert links
    assert all(value.startswith("#op-") for value in links)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(
        v for t, n, v in seen.attributes if t == "meta" and n == "content" and "-src" in v
    )
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner
        digest = base64.b64encode(hashlib.sha256(inner.group(1).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_a_page_of_many_operations():
    rows = [row("write", v, 10 * v, 10 * v + 15, process=v % 7) for v in range(1200)]
    rows += [row("read", 3, 20_000, 20_001, process=8), row("write", 1300, 9, 9, process=9)]
    history = history_of(rows)
    results = judged(history, "linearizable-register")
    text = page(picture(history, results, 0, window=2000), title="big", names=["stale-read"])
    assert text.count('<g id="op-') == 1202
    assert text.count("<tr class=") == 1202
    assert len(text) < 2_000_000
