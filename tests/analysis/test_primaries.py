"""Two primaries at once: of one group and of one shard only."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from analysis.primaries import claimants, groups_of, two_at_once
from chaos.record.schema import SAMPLES

S = 1_000_000_000


def samples(*spans: tuple[str, str, str | None, int, int]) -> pa.Table:
    """A sample a second of each (node, role, shard, from, until), ends included."""
    rows = [
        {"t_ns": t * S, "node": node, "role": role, "shard": shard}
        for node, role, shard, start, end in spans
        for t in range(start, end + 1)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def test_primaries_of_two_groups_are_not_two() -> None:
    table = samples(("e1", "primary", None, 0, 9), ("p1", "primary", None, 0, 9))
    assert two_at_once(table, {"e1": "dcs", "p1": "db"}) == {"two_at_once_s": 0.0, "windows": []}
    assert two_at_once(table)["two_at_once_s"] == 9.0


def test_two_of_one_group_are_told_with_it() -> None:
    table = samples(
        ("e1", "primary", None, 0, 9), ("p1", "primary", None, 0, 6), ("p2", "primary", None, 4, 9)
    )
    found = two_at_once(table, {"e1": "dcs", "p1": "db", "p2": "db"})
    window = {"start_ns": 4 * S, "end_ns": 6 * S, "nodes": ["p1", "p2"], "group": "db"}
    assert found == {"two_at_once_s": 2.0, "windows": [window]}
    assert claimants(found) == "p1 and p2 (db)"


def test_every_shard_has_a_primary_of_its_own() -> None:
    table = samples(("n1", "primary", "0", 0, 9), ("n2", "primary", "1", 0, 9))
    assert two_at_once(table)["windows"] == []
    table = samples(
        ("n1", "primary", "0", 0, 9), ("n2", "primary", "1", 0, 9), ("n3", "primary", "0", 5, 9)
    )
    found = two_at_once(table)
    assert [(w["nodes"], w["shard"]) for w in found["windows"]] == [(["n1", "n3"], "0")]
    assert found["two_at_once_s"] == 4.0


def test_a_node_that_changes_its_shard_is_certain_of_neither_in_between() -> None:
    table = samples(
        ("n1", "primary", "0", 0, 4), ("n1", "primary", "1", 5, 9), ("n2", "primary", "1", 0, 9)
    )
    assert two_at_once(table)["windows"] == [
        {"start_ns": 5 * S, "end_ns": 9 * S, "nodes": ["n1", "n2"], "shard": "1"}
    ]


def test_time_is_not_counted_twice() -> None:
    table = samples(
        ("n1", "primary", "0", 0, 6), ("n2", "primary", "0", 0, 6),
        ("n3", "primary", "1", 4, 9), ("n4", "primary", "1", 4, 9),
    )  # fmt: skip
    found = two_at_once(table)
    assert found["two_at_once_s"] == 9.0
    assert claimants(found) == "n1 and n2 (0), n3 and n4 (1)"


def test_members_are_no_primaries() -> None:
    table = samples(("n1", "member", None, 0, 9), ("n2", "member", None, 0, 9))
    assert two_at_once(table) == {"two_at_once_s": 0.0, "windows": []}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([{"name": "n1", "zone": "a"}], {"n1": ""}),
        (
            [{"name": "p1", "group": "db"}, {"name": "e1", "group": "dcs"}],
            {"p1": "db", "e1": "dcs"},
        ),
    ],
)
def test_groups_as_runs_say_them(nodes: list[dict[str, Any]], expected: dict[str, str]) -> None:
    assert groups_of({"nodes": nodes}) == expected


def test_a_node_may_lead_several_shards() -> None:
    table = samples(
        ("n1", "primary", "k0", 0, 9),
        ("n2", "primary", "k1", 0, 4),
        ("n2", "primary", "k0,k1", 5, 9),
    )
    assert two_at_once(table)["windows"] == [
        {"start_ns": 5 * S, "end_ns": 9 * S, "nodes": ["n1", "n2"], "shard": "k0"}
    ]
