"""One suite over every system: the fake in memory, and the real ones in containers."""

from __future__ import annotations

import time
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

IN_COMPANY_S = 20.0  # that which is up in a second or two waits for others to start, too
# Topology, changes to it, seconds until it is up and formed: as promised; thrice that in company,
# which these tests have. A node that is killed must have kept what it acknowledged, so Redis syncs
# each write.
SYNCED = ("settings.appendonly=yes", "settings.appendfsync=always")
TOPOLOGIES = [
    ("redis-sentinel", SYNCED, 5.0),
    ("redis-replication", SYNCED, 5.0),
    ("redis-cluster", SYNCED, 8.0),
    ("valkey-sentinel", SYNCED, 5.0),
    ("valkey-replication", SYNCED, 5.0),
    ("valkey-cluster", SYNCED, 8.0),
    ("postgres-async", (), 5.0),
    ("postgres-sync", (), 5.0),
    ("postgres-quorum", (), 5.0),
    ("patroni-three-zones", (), 15.0),
    ("etcd-three", (), 3.0),
    ("zookeeper-three", (), 8.0),
    ("rabbitmq-classic", (), 20.0),
    ("rabbitmq-quorum", (), 20.0),
    ("rabbitmq-streams", (), 20.0),
    ("kafka-three", (), 15.0),
    ("nats-three", (), 3.0),
    ("cassandra-three", (), 60.0),
    ("localfirst-three", (), 5.0),
    ("localfirst-relay", (), 5.0),
    ("localfirst-arbiter", (), 5.0),
    ("mariadb-async", (), 10.0),
    ("mariadb-semi-sync", (), 10.0),
    ("galera-three", (), 15.0),
    ("galera-arbitrator", (), 15.0),
    ("objectstore-four", (), 10.0),
    # A node that is killed must have copied what it acknowledged.
    ("objectstore-two-sites", ("settings.replication=sync",), 15.0),
]


def test_every_system_has_its_turn():
    groups = [load_topology(name).topology.each_group().values() for name, _, _ in TOPOLOGIES]
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
@pytest.mark.parametrize(
    ("name", "changes", "up_s_max"), TOPOLOGIES, ids=[t[0] for t in TOPOLOGIES]
)
def test_a_real_system(name, changes, up_s_max, engine_client, conformance):
    topology = load_topology(name, changes).topology
    plan = Plan(
        run_id=f"conf{uuid.uuid4().hex[:8]}",
        topology=topology,
        images=images_for(topology, engine_client, lambda *_: None),
        owner=owner(),
    )
    cluster = RunningCluster(engine_client, plan)
    group = cluster.groups[topology.front()[0]]
    begun = time.monotonic()
    try:
        cluster.up()
        up_s = time.monotonic() - begun
        zone = next(iter(topology.clients))
        conformance(group.system, partial(group.client_spec, zone), group)
    except AftershockError as error:
        raise AssertionError(str(error)) from error
    finally:
        cluster.down()
    assert up_s < max(3 * up_s_max, IN_COMPANY_S)
