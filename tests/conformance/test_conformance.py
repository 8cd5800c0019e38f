"""One suite over every system: the fake in memory, and the real ones in containers."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from chaos.errors import AftershockError
from chaos.registry import SYSTEMS
from chaos.runner import images_for
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.spec.files import load_topology
from chaos.systems.base import ClientSpec

# Topology, changes to it. A node that is killed must have kept what it acknowledged, so Redis syncs
# each write. How long each takes to be up and formed: tests/bench/bench_up.py.
SYNCED = ("settings.appendonly=yes", "settings.appendfsync=always")
TOPOLOGIES = [
    ("redis-sentinel", SYNCED),
    ("redis-replication", SYNCED),
    ("redis-cluster", SYNCED),
    ("valkey-sentinel", SYNCED),
    ("valkey-replication", SYNCED),
    ("valkey-cluster", SYNCED),
    ("postgres-async", ()),
    ("postgres-sync", ()),
    ("postgres-quorum", ()),
    ("patroni-three-zones", ()),
    ("etcd-three", ()),
    ("zookeeper-three", ()),
    ("rabbitmq-classic", ()),
    ("rabbitmq-quorum", ()),
    ("rabbitmq-streams", ()),
    ("kafka-three", ()),
    ("nats-three", ()),
    ("cassandra-three", ()),
    ("localfirst-three", ()),
    ("localfirst-relay", ()),
    ("localfirst-arbiter", ()),
    ("mariadb-async", ()),
    ("mariadb-semi-sync", ()),
    ("galera-three", ()),
    ("galera-arbitrator", ()),
    ("objectstore-four", ()),
    # A node that is killed must have copied what it acknowledged.
    ("objectstore-two-sites", ("settings.replication=sync",)),
]


def test_every_system_has_its_turn():
    groups = [load_topology(name).topology.each_group().values() for name, _ in TOPOLOGIES]
    tested = {group.system for each in groups for group in each}
    # What a Compose file runs nobody knows: tests/real/test_compose.py.
    assert set(SYSTEMS.builtin) == tested | {"fake", "compose"}


def test_the_fake(conformance):
    def spec_of(home: str, timeout_s: float) -> ClientSpec:
        return ClientSpec(
            zone="z",
            home=home,
            endpoints={},
            settings={"store": store},
            options={},
            timeout_s=timeout_s,
        )

    store = uuid.uuid4().hex
    conformance(SYSTEMS.get("fake"), spec_of)


@pytest.mark.real
@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(("name", "changes"), TOPOLOGIES, ids=[t[0] for t in TOPOLOGIES])
def test_a_real_system(name, changes, engine_client, conformance):
    topology = load_topology(name, changes).topology
    plan = Plan(
        run_id=f"conf{uuid.uuid4().hex[:8]}",
        topology=topology,
        images=images_for(topology, engine_client, lambda *_: None),
        owner=owner(),
    )
    cluster = RunningCluster(engine_client, plan)
    group = cluster.groups[topology.front()[0]]
    try:
        cluster.up()
        zone = next(iter(topology.clients))
        conformance(group.system, partial(group.client_spec, zone), group)
    except AftershockError as error:
        raise AssertionError(str(error)) from error
    finally:
        cluster.down()
