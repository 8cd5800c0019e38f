"""From nothing to a formed cluster, images present: what `aftershock up` and every run wait for.

Memory is what the containers of all nodes hold once the cluster is formed and cannot give back (no
file cache), the agent's beside each database included, the clients' pod not.
"""

from __future__ import annotations

import statistics
import time

from chaos import paths
from chaos.runtime.cluster import RunningCluster
from tests.bench.support import Row, planned, row, say

ROUNDS = 5
GOALS = {
    "etcd-three": "< 3",
    "postgres-async": "< 5",
    "redis-sentinel": "< 5",
    "valkey-sentinel": "< 5",
    "redis-cluster": "< 8",
    "zookeeper-three": "< 8",
    "nats-three": "< 3",
    "localfirst-three": "< 5",
    "mariadb-async": "< 10",
    "galera-three": "< 15",
    "patroni-three-zones": "< 15",
    "objectstore-four": "< 10",
    "kafka-three": "< 15",
    "rabbitmq-quorum": "< 20",
    "cassandra-three": "< 60",
}
MEMORY_GOAL = "< 6000"


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}: medians of five, then the memory of each that ships.

    Topologies without a goal are started once.
    """
    rows, memory = [], []
    for name in _names():
        rounds = ROUNDS if name in GOALS else 1
        start_s, form_s, down_s, held = zip(*(_once(name) for _ in range(rounds)), strict=True)
        whole = [a + b for a, b in zip(start_s, form_s, strict=True)]
        memory.append(row(f"{name}: memory", statistics.median(held) / 1e6, "MB", MEMORY_GOAL))
        if name in GOALS:
            rows += [
                row(f"{name}: up and formed", statistics.median(whole), "s", GOALS[name]),
                row("· the slowest of five", max(whole), "s"),
                row("· containers started", statistics.median(start_s), "s"),
                row("· cluster formed", statistics.median(form_s), "s"),
                row("· everything removed again", statistics.median(down_s), "s"),
            ]
        else:
            rows.append(row(f"{name}: up and formed, once", whole[0], "s"))
    return rows + memory


def _names() -> list[str]:
    return [*GOALS, *(n for n in paths.names(paths.topologies()) if n not in GOALS)]


def _once(name: str) -> tuple[float, float, float, int]:
    """Seconds to start the containers, to form the cluster, to remove it all; bytes held."""
    with planned(name) as (_, _, cluster):
        marks = [time.perf_counter()]
        cluster.up(lambda _: marks.append(time.perf_counter()))
        marks.append(time.perf_counter())
        began, started, formed = marks
        held = _held_bytes(cluster)
        asked = time.perf_counter()
        cluster.down()
        removed = time.perf_counter()
    say(
        f"  {name}: started {started - began:.2f} s, formed {formed - started:.2f} s, "
        f"{held / 1e6:,.0f} MB"
    )
    return started - began, formed - started, removed - asked, held


def _held_bytes(cluster: RunningCluster) -> int:
    """What the kernel counts for every container of every node, without file cache."""
    groups = [g for pod in cluster.pods.values() for g in pod.link.ask("counters")["groups"]]
    return sum(group["held_bytes"] or 0 for group in groups)
