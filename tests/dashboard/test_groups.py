"""A run with several groups on the pages: each node with the group it belongs to."""

from __future__ import annotations

from pathlib import Path

from chaos.record.reader import open_run
from chaos.record.writer import write_run
from dashboard.data import _by_group, _lanes
from dashboard.theme import ROLES
from dashboard.views.run import _node

NODES = [{"name": "p1", "zone": "a", "group": "db"}, {"name": "c1", "zone": "b", "group": "cache"}]
SAMPLES = [
    {"t_ns": t, "node": node, "role": role}
    for t in (0, 10**9)
    for node, role in (("p1", "primary"), ("c1", "member"))
]


def test_lanes_are_by_group(tmp_path: Path) -> None:
    run = open_run(write_run(tmp_path / "run", {"nodes": NODES}, [], [], SAMPLES))
    lanes = _lanes(_by_group(run), 2.0)
    assert list(zip(lanes["node"], lanes["role"], strict=True)) == [
        ("cache/c1", "member"),
        ("db/p1", "primary"),
    ]
    assert set(lanes["role"]) <= set(ROLES)


def test_without_groups_nodes_keep_their_names(tmp_path: Path) -> None:
    nodes = [{"name": node["name"], "zone": node["zone"]} for node in NODES]
    run = open_run(write_run(tmp_path / "run", {"nodes": nodes}, [], [], SAMPLES))
    assert set(_lanes(_by_group(run), 2.0)["node"]) == {"c1", "p1"}


def test_what_a_run_was_made_on() -> None:
    assert [_node(node) for node in NODES] == ["p1 (db) in a", "c1 (cache) in b"]
    assert _node({"name": "n1", "zone": "a", "group": ""}) == "n1 in a"
