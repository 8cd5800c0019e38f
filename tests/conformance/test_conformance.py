"""One suite over every system: the fake in memory, and the real ones in containers."""

from __future__ import annotations

import time
import uuid

import pytest

from chaos.errors import AftershockError
from chaos.registry import SYSTEMS
from chaos.runtime import images
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.spec.topology import Region, Topology, TopologyNode
from chaos.systems.base import ClientSpec

UP_S_MAX = {"etcd": 3.0, "postgres": 5.0, "redis": 5.0}  # promised; twice that on a busy machine

TOPOLOGIES = [
    ("redis", 3, {"appendonly": "yes", "appendfsync": "always"}),
    ("postgres", 2, {"replication": "async"}),
    ("postgres", 3, {"replication": "sync"}),
    ("postgres", 3, {"replication": "quorum"}),
    ("etcd", 3, {}),
]


def test_the_fake(conformance):
    def spec_of(home: str) -> ClientSpec:
        return ClientSpec(
            zone="z",
            home=home,
            endpoints={},
            settings={"store": store},
            options={},
            timeout_s=1.0,
        )

    store = uuid.uuid4().hex
    conformance(SYSTEMS.get("fake"), spec_of)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count", "settings"),
    TOPOLOGIES,
    ids=lambda value: value.get("replication", "") if isinstance(value, dict) else value,
)
def test_a_real_system(name, count, settings, engine_client, conformance):
    system = SYSTEMS.get(name)
    needed = ["agent", "toxiproxy", *system.images]
    led = name != "etcd"
    plan = Plan(
        run_id=f"conf{uuid.uuid4().hex[:8]}",
        topology=Topology(
            name="conformance",
            system=name,
            settings=settings,
            regions={"here": Region(zones=(*(f"z{k + 1}" for k in range(count)), "clients"))},
            nodes={
                f"n{k + 1}": TopologyNode(
                    zone=f"z{k + 1}", role="primary" if led and k == 0 else None
                )
                for k in range(count)
            },
            clients={"clients": 1},
        ),
        system=system,
        images=images.ensure(needed, client=engine_client, progress=lambda _: None),
        owner="tests",
    )
    cluster = RunningCluster(engine_client, plan)

    def spec_of(home: str) -> ClientSpec:
        addresses = {node.name: node.address for node in cluster.nodes}
        return ClientSpec(
            zone="clients",
            home=home,
            endpoints=cluster.endpoints("clients"),
            settings={**settings, "_addresses": addresses},
            options={},
            timeout_s=1.0,
        )

    begun = time.monotonic()
    try:
        cluster.up()
        up_s = time.monotonic() - begun
        conformance(system, spec_of, cluster)
    except AftershockError as error:
        raise AssertionError(str(error)) from error
    finally:
        cluster.down()
    assert up_s < 2 * UP_S_MAX[name]
