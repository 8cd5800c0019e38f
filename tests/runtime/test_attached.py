"""Clusters seen from another process: each node asked by its own group's system."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.runtime import attached as attached_module
from chaos.runtime.attached import AttachedCluster
from chaos.runtime.docker import KEEP, LABEL_OWNER, LABEL_SPEC, LABEL_TOPOLOGY
from chaos.systems.base import Observation

NODES = [("e1", "dcs"), ("p1", "db"), ("p2", "db")]


class Talkative:
    """Says that every node is what its settings tell."""

    def __init__(self, name: str) -> None:
        self.name = name

    def observer(self, cluster: Any, node: str, timeout_s: float) -> Any:
        assert node in [each.name for each in cluster.nodes]
        assert cluster.address(node, "db") == ("127.0.0.1", 1)
        return lambda: Observation(role=cluster.settings["role"])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> AttachedCluster:
    monkeypatch.setattr(attached_module, "SYSTEMS", SimpleNamespace(get=Talkative))
    monkeypatch.setattr(
        attached_module, "link_addresses", lambda _, links: dict.fromkeys(links, ("127.0.0.1", 1))
    )
    spec = {
        "groups": {
            "dcs": {"system": "etcd", "settings": {"role": "primary"}},
            "db": {"system": "patroni", "settings": {"role": "member"}},
        },
        "nodes": [
            {"name": name, "zone": "a", "region": "r", "provider": None, "role": None,
             "address": "198.18.0.10", "group": group}
            for name, group in NODES
        ],
        "links": [["observer", name, "db"] for name, _ in NODES],
    }  # fmt: skip
    labels = {LABEL_SPEC: json.dumps(spec), LABEL_TOPOLOGY: "mixed", LABEL_OWNER: KEEP}
    up = [SimpleNamespace(status="running")]
    databases = {"e1": up, "p1": up, "p2": [SimpleNamespace(status="exited")]}
    return AttachedCluster("r1", SimpleNamespace(labels=labels), databases)


def test_every_node_is_asked_by_its_own_system(cluster: AttachedCluster) -> None:
    assert [(row.node, row.group, row.role, row.ready) for row in cluster.states()] == [
        ("e1", "dcs", "primary", True),
        ("p1", "db", "member", True),
        ("p2", "db", "down", False),
    ]
    assert cluster.group("p2").system.name == "patroni"
    assert [node.name for node in cluster.group("p1").nodes] == ["p1", "p2"]
