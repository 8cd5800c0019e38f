"""What is left of a transaction that a cut of the record takes the answer from."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from chaos.record.merge import CUT, ROWS, _unanswered


@pytest.mark.parametrize(
    ("f", "payload", "left"),
    [
        ("txn", [["append", 1, 7], ["r", 2, [3, 4]]], [["append", 1, 7], ["r", 2, None]]),
        ("txn", [["w", "x", 1], ["r", "y", 5]], [["w", "x", 1], ["r", "y", None]]),
        ("transfer", {"from": 0, "to": 1, "amount": 5}, {"from": 0, "to": 1, "amount": 5}),
        ("read", {"0": 10}, None),
        ("txn", "no list", None),
        ("add", None, None),
    ],
)
def test_what_was_asked_is_kept_and_what_was_read_is_not(
    f: str, payload: object, left: object
) -> None:
    row = {
        "process": 0, "node": "n1", "zone": "a", "f": f, "type": "ok", "start_ns": 1, "end_ns": 9,
        "payload": None if payload is None else json.dumps(payload),
    }  # fmt: skip
    rows = pa.RecordBatch.from_pylist([row], schema=ROWS)
    (cut,) = _unanswered(rows, CUT, 5).to_pylist()
    assert (cut["type"], cut["error"], cut["end_ns"]) == ("info", CUT, 5)
    assert (None if cut["payload"] is None else json.loads(cut["payload"])) == left
