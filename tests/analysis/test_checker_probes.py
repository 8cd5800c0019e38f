"""`probes`: objectives held against how often there was an answer, and against the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.availability import Window, outages, requests_of, slot_counts
from analysis.checkers.base import Context, Verdict
from analysis.checkers.probes import check
from analysis.history import read_history
from analysis.proof.rows import Rows
from analysis.recount.counted import FIGURES, OBSERVED, Key
from chaos.record.schema import HISTORY

MS = 1_000_000
FINAL = (1_000 * MS, 2_000 * MS)


def table(*rows: tuple[str, str, int]) -> pa.Table:
    """Probes as (name, "ok" or an error, start in ms), each of 10 ms."""
    return pa.Table.from_pylist(
        [
            {
                "process": 0, "node": "n", "zone": "z", "f": "probe", "key": name, "value": None,
                "expected": None, "payload": None, "type": "ok" if said == "ok" else "fail",
                "error": None if said == "ok" else said, "start_ns": at * MS,
                "end_ns": (at + 10) * MS,
            }
            for name, said, at in rows
        ],
        schema=HISTORY,
    )  # fmt: skip


def judged(rows: pa.Table, initial: Any = None, final: tuple[int, int] | None = FINAL) -> Any:
    return check(read_history(rows), Context(initial=initial, final_ns=final, enough=1))


def few(name: str, ok: int, bad: int, at: int = 0) -> Sequence[tuple[str, str, int]]:
    return [(name, "ok" if k < ok else "refused: x", at + 20 * k) for k in range(ok + bad)]


def test_an_objective_is_held_or_not() -> None:
    rows = table(*few("page", 9, 1), *few("db", 5, 5))
    assert judged(rows, {"page": 0.9, "db": 0.5}).verdict is Verdict.VALID
    found = judged(rows, {"page": 0.91, "db": 0.5})
    assert found.verdict is Verdict.INVALID
    assert found.why == "page: 1 of 10 probes failed"
    (anomaly,) = found.anomalies
    assert (anomaly.name, anomaly.count, anomaly.operations) == ("unserved", 1, (9,))
    assert "90 %), and 91 % were promised; the reasons: refused (1)" in anomaly.argument
    both = judged(rows, {})  # nothing said: all of them
    assert both.anomalies[0].count == 6
    assert both.anomalies[0].operations == (15,)  # of the worst


def test_what_is_not_answered_at_the_end_has_not_recovered() -> None:
    rows = table(*few("page", 99, 0, -1000), ("page", "too-slow: x", 1500))
    found = judged(rows, {"page": 0.9})
    assert [a.name for a in found.anomalies] == ["not-recovered"]
    assert judged(rows, {"page": 0.9}, final=None).verdict is Verdict.VALID
    again = table(*few("page", 99, 0, -1000), ("page", "too-slow: x", 1500), ("page", "ok", 1600))
    assert judged(again, {"page": 0.9}).verdict is Verdict.VALID


@pytest.mark.parametrize(("rows", "initial", "why"), [
    (table(), {}, "nothing was probed"),
    (table(("a", "ok", 0)), [1], "objectives are shares by probe"),
])  # fmt: skip
def test_unknown(rows: pa.Table, initial: Any, why: str) -> None:
    found = judged(rows, initial)
    assert found.verdict is Verdict.UNKNOWN
    assert why in found.why


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from(["ok", "refused: x"]), st.integers(0, 1500)
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS, st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([0.3, 0.5, 0.75])))
def test_the_recount_agrees(given_rows: list[tuple[str, str, int]], initial: dict[str, float]
                            ) -> None:  # fmt: skip
    rows = table(*given_rows)
    found = judged(rows, initial)
    columns = Rows(rows)
    keys = {
        code: Key(columns.ops((columns.key == code).nonzero()[0]), "probes", initial, FINAL[0],
                  columns.keys)
        for code in set(columns.key.tolist())
    }  # fmt: skip
    count, right = FIGURES["probes"]
    counted = [count(key) for key in keys.values()]
    total = {name: sum(each[name] for each in counted) for name in counted[0]}
    assert right(**total) == (found.verdict is Verdict.VALID)
    for anomaly in found.anomalies:
        for row in anomaly.instances.tolist():
            key = keys[int(columns.key[row])]
            (op,) = [op for op in key.ops if op.row == row]
            assert OBSERVED["probes"][anomaly.name](key, None, op)


def test_each_probe_of_a_zone_is_available_by_itself() -> None:
    load = Window(name="load", start_ns=0, end_ns=1000 * MS)
    bad = [("page", "refused: x", at) for at in range(0, 1000, 50)]
    good = [("db", "ok", at) for at in range(0, 1000, 50)]
    requests = requests_of(table(*bad, *good), load)
    assert list(requests.zones) == ["z/page", "z/db"]
    lanes = {name: requests.where(requests.zone == k) for k, name in enumerate(requests.zones)}
    assert outages(lanes["z/page"], load) == [(0, 1000 * MS)]
    assert outages(lanes["z/db"], load) == []
    assert slot_counts(lanes["z/db"], load) == (10, 0)
