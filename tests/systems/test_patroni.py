"""Patroni's configuration, what is refused of it, and its REST API as words."""

from __future__ import annotations

import dataclasses
import subprocess
from datetime import UTC, datetime

import pytest
import yaml

from chaos.systems.base import Node
from chaos.systems.patroni.api import FAILURES, status, words
from chaos.systems.patroni.conf import NO_SYNC, START, barred, container, patroni_yml
from chaos.systems.patroni.system import SYSTEM

ETCD = [
    Node(name=f"e{k}", zone=f"z{k}", role=None, address=f"198.18.7.{19 + k}") for k in (1, 2, 3)
]


@pytest.fixture
def nodes(nodes: list[Node]) -> list[Node]:
    regions = {"n1": "east", "n2": "east", "n3": "west"}
    return [dataclasses.replace(node, region=regions[node.name]) for node in nodes]


def written(node: Node, nodes: list[Node], **settings):
    return yaml.safe_load(patroni_yml(node, nodes, settings, ETCD))


def test_only_the_first_primary_makes_the_database(nodes):
    assert ["bootstrap" in written(node, nodes) for node in nodes] == [True, False, False]


def test_every_node_knows_etcd_and_itself(nodes):
    conf = written(nodes[1], nodes)
    assert conf["etcd3"]["hosts"] == ["198.18.7.20:2379", "198.18.7.21:2379", "198.18.7.22:2379"]
    assert (conf["name"], conf["postgresql"]["connect_address"]) == ("n2", "198.18.7.11:5432")
    assert container(nodes[1], nodes, {}, ETCD).env["ETCD"].split() == [e.address for e in ETCD]


def test_settings_reach_etcd_as_patroni_reads_them(nodes):
    given = {"synchronous_mode": True, "failsafe_mode": "on", "ttl": 30, "fsync": False}
    held = written(nodes[0], nodes, **given)["bootstrap"]["dcs"]
    assert (held["ttl"], held["loop_wait"], held["retry_timeout"]) == (30, 1, 3)
    assert held["synchronous_mode"] is True
    assert held["failsafe_mode"] is True
    assert held["postgresql"]["use_pg_rewind"] is True
    assert held["postgresql"]["parameters"]["fsync"] == "off"
    quorum = written(nodes[0], nodes, synchronous_mode="quorum")["bootstrap"]["dcs"]
    assert quorum["synchronous_mode"] == "quorum"
    assert "failsafe_mode" not in quorum


@pytest.mark.parametrize(
    ("said", "meant"),
    [("n3", {"n3"}), ("region:west", {"n3"}), ("zone:z2, n3", {"n2", "n3"}), (None, set())],
)
def test_nodes_that_never_become_primary(nodes, said, meant):
    settings = {"nofailover": said} if said else {}
    assert barred(nodes, settings) == meant
    tags = {node.name: written(node, nodes, **settings)["tags"]["nofailover"] for node in nodes}
    assert {name for name, tag in tags.items() if tag} == meant


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ttl": 10}, "settings.ttl: Patroni takes 20 seconds at least, got 10"),
        ({"retry_timeout": 2}, "settings.retry_timeout: Patroni takes 3"),
        ({"loop_wait": 0}, "settings.loop_wait: Patroni takes 1"),
        ({"loop_wait": 10, "retry_timeout": 6}, "10 + 2 × 6 > 20"),
        ({"ttl": "soon"}, "settings.ttl: expected"),
        ({"synchronous_mode": "sometimes"}, "settings.synchronous_mode: expected"),
        ({"synchronous_mode_strict": True}, "means nothing without synchronous_mode"),
        ({"synchronous_node_count": 2}, "means nothing without synchronous_mode"),
        ({"nofailover": "n1"}, "n1 is the first primary"),
        ({"nofailover": "region:east"}, "n1 is the first primary"),
        ({"nofailover": "region:north"}, "region:north is none of n1, n2, n3, region:east"),
        ({"max_connections": "300'\nfsync=off"}, "settings.max_connections"),
    ],
)
def test_settings_that_cannot_be_meant(nodes, settings, said):
    assert list(SYSTEM.check(nodes, {"nofailover": "region:west"})) == []
    found = list(SYSTEM.check(nodes, settings))
    assert any(said in problem for problem in found), found


def test_a_single_node_cannot_wait_for_another(nodes):
    found = list(SYSTEM.check(nodes[:1], {"synchronous_mode": "on"}))
    assert found == ["settings.synchronous_mode: nothing can be waited for with a single node"]


def test_on_a_disk_that_can_lose_power_what_is_made_is_synced(nodes):
    text = patroni_yml(nodes[0], nodes, {}, ETCD)
    kept = [line for line in text.splitlines() if NO_SYNC not in line]  # START's grep -v
    conf, synced = yaml.safe_load(text), yaml.safe_load("\n".join(kept))
    for options, fewer in (
        (conf["bootstrap"]["initdb"], synced["bootstrap"]["initdb"]),
        (conf["postgresql"]["basebackup"], synced["postgresql"]["basebackup"]),
    ):
        assert [option for option in options if option != NO_SYNC] == fewer != options


def test_the_start_script_is_one():
    subprocess.run(["bash", "-n"], input=START, text=True, check=True)


def test_a_layer_is_shared_with_postgres(root):
    """The engine keeps a step once where the steps of two images begin alike."""
    first = [
        (root / "topologies" / "images" / name / "Dockerfile").read_text().split("\nRUN ")[1]
        for name in ("patroni", "postgres")
    ]
    assert first[0] == first[1].partition("\nENV")[0]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"role": "primary", "state": "running", "dcs_last_seen": 1_700_000_000},
            "Patroni: primary, running, etcd seen 7 s ago",
        ),
        (
            {"role": "replica", "state": "running", "pause": True, "cluster_unlocked": True},
            "Patroni: replica, running, failover paused, no leader in etcd",
        ),
        (
            {"role": "primary", "state": "running", "failsafe_mode_is_active": True},
            "Patroni: primary, running, failsafe mode is active",
        ),
        ({}, "Patroni: no role, no state"),
    ],
)
def test_what_patroni_says(found, said):
    assert words(found, datetime.fromtimestamp(1_700_000_007, UTC)) == said


@pytest.mark.parametrize("behaviour", ["silent", "closes", "refuses"])
def test_a_patroni_that_does_not_answer(listening, behaviour):
    with pytest.raises(FAILURES):
        status(("127.0.0.1", listening(behaviour)), 0.2)
