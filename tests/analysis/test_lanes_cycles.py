"""Pictures of cycles of transactions: words, edges in the terminal and on the page."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pytest

from analysis.history import read_history
from analysis.lanes import picture, words
from analysis.lanes_html import page
from chaos.cli import lanes as terminal
from chaos.errors import RecordError
from chaos.record.schema import HISTORY

SKEW = (
    (0, [["r", 1, None], ["append", 2, 7]], 10, 50, "ok"),
    (1, [["r", 2, None], ["append", 1, 8]], 20, 40, "ok"),
    (2, [["r", 1, None], ["append", 1, 9]], 30, 60, "info"),
)
EDGES = [[0, 1, "rw: row 0 read 1 without the 8"], [1, 0, "rw: row 1 read 2 without the 7"]]


def history_of(rows):
    return read_history(
        pa.Table.from_pylist(
            [
                {
                    "process": process,
                    "f": "txn",
                    "payload": json.dumps(payload),
                    "type": type_,
                    "start_ns": start,
                    "end_ns": end,
                }
                for process, payload, start, end, type_ in rows
            ],
            schema=HISTORY,
        )
    )


def results(edges):
    anomaly = {
        "name": "write-skew",
        "count": 1,
        "first_ns": 40,
        "operations": [0, 1],
        "instances": [0],
        "argument": "each read what the other wrote over",
        "faults": [],
        "edges": edges,
    }
    return {"checks": [{"property": "list-append", "anomalies": [anomaly]}]}


def test_transactions_in_words():
    history = history_of(SKEW)
    assert words(history, 0) == "r 1 nothing · append 2 7"
    assert words(history, 2) == "r 1 ? · append 1 9"  # without an answer nothing was learnt


def test_the_terminal_lists_what_comes_before_what():
    found = picture(history_of(SKEW), results(EDGES), 0)
    text = [str(line) for line in terminal.lines(found, ["write-skew"], "x", 120, fancy=True)]
    assert "row 0 ─rw→ row 1 ─rw→ row 0" in text
    assert "row 0 → row 1  rw: row 0 read 1 without the 8" in text  # the argument does not say so
    assert "row 1 → row 0  rw: row 1 read 2 without the 7" in text
    plain = [str(line) for line in terminal.lines(found, ["write-skew"], "x", 120, fancy=False)]
    assert all(line.isascii() for line in plain)


def test_the_mark_is_at_the_answer_that_closed_the_cycle():
    found = picture(history_of(SKEW), results(EDGES), 0)
    assert found.impossible is not None
    assert found.impossible.row == 0  # it ended last
    swapped = [(p, m, a, 45 if p == 0 else b + 20, t) for p, m, a, b, t in SKEW]
    found = picture(history_of(swapped), results(EDGES), 0)
    assert found.impossible is not None
    assert found.impossible.row == 1


def test_the_page_has_an_arrow_for_each_edge():
    found = picture(history_of(SKEW), results(EDGES), 0, window=20)
    text = page(found, title="<run>", names=["write-skew"])
    assert text.count('<g class="edge">') == 2
    assert re.findall(r'<li><a href="#op-(\d)">row \d</a> → <a href="#op-(\d)">', text) == [
        ("0", "1"),
        ("1", "0"),
    ]
    assert "&lt;run&gt;" in text


@pytest.mark.parametrize("edges", [[[0, 2, "rw"]], [[0]], 5, [["a", 0, "x"]]])
def test_edges_that_make_no_sense_are_refused(edges):
    with pytest.raises(RecordError, match="cycle"):
        picture(history_of(SKEW), results(edges), 0)


def test_an_anomaly_has_its_kind_whatever_was_imported_before():
    import analysis.checkers.kinds  # noqa: F401 - a module may not take the place of a function
    from analysis.anomalies import kind_of

    kind = kind_of("list-append", "write-skew")
    assert kind is not None
    assert kind.property == "list-append"
