"""What the controller asks of Cassandra's nodes, and has them do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing

from cassandra import ConsistencyLevel, Unavailable

from chaos.systems._common import operator_step, resolve
from chaos.systems.base import Cluster, NotConnected, Reachable, Step
from chaos.systems.cassandra.client import TABLES
from chaos.systems.cassandra.conf import (
    HINTS,
    KEYSPACE,
    NODETOOL,
    TABLE,
    replication,
)
from chaos.systems.cassandra.wire import FAILURES, Session, admin_session

ADMIN_S = 2.0
SCHEMA_S = 20.0
REPAIR_S = 120.0
REJOIN_S = 60.0
# A keyspace of which every node has a copy: what is asked of it at ALL is asked of all nodes.
EVERYWHERE = f"{KEYSPACE}_everywhere"
PROBE = f"SELECT key FROM {EVERYWHERE}.probe WHERE key = 'all'"
PEERS = "SELECT peer, schema_version FROM system.peers_v2"
LOCAL = "SELECT schema_version FROM system.local"


def session(cluster: Reachable, node: str) -> Session:
    """A session with `node`."""
    return admin_session(cluster, node, ADMIN_S)


def _keyspace(name: str, copies: Mapping[str, int]) -> str:
    regions = "".join(f", '{region}': {count}" for region, count in copies.items())
    return (
        f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy'{regions}}}"
    )


def schema(cluster: Reachable) -> Sequence[str]:
    """The statements that make what workloads need."""
    nodes = cluster.nodes
    options = resolve(cluster.settings, TABLE)
    table = " AND ".join(f"{name} = '{value}'" for name, value in options.items())
    return [
        _keyspace(EVERYWHERE, Counter(node.region for node in nodes)),
        f"CREATE TABLE IF NOT EXISTS {EVERYWHERE}.probe (key text PRIMARY KEY)",
        _keyspace(KEYSPACE, replication(nodes, cluster.settings)),
        *(
            f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.{name} ({columns}) WITH {table}"
            for name, columns in TABLES.items()
        ),
    ]


def knows_all(cluster: Reachable, node: str) -> bool:
    """Whether `node` knows of all others, and they have the same schema."""
    with closing(session(cluster, node)) as asked:
        peers, own = asked.ask(PEERS), asked.ask(LOCAL)
    return len(peers) == len(cluster.nodes) - 1 and {row[-1] for row in peers} <= {own[0][0]}


def reaches_all(cluster: Reachable, node: str) -> bool:
    """Whether `node` takes all nodes for alive, and all answer it."""
    with closing(session(cluster, node)) as asked:
        try:
            asked.ask(PROBE, level=ConsistencyLevel.ALL)
        except Unavailable:
            return False
    return True


def keeps_hints(cluster: Cluster, node: str) -> bool:
    """Whether `node` has writes on disk that others missed."""
    return bool(cluster.execute(node, ["find", HINTS, "-name", "*.hints"]).strip())


def _all_reached(cluster: Cluster, node: str) -> None:
    """Wait until every node reaches all others, after `node` was away."""
    cluster.wait(
        f"all nodes see {node}",
        lambda: all(reaches_all(cluster, n.name) for n in cluster.nodes),
        REJOIN_S,
    )


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; the others send it the hints they kept."""
    cluster.start(node)
    _all_reached(cluster, node)


def _repair(cluster: Cluster, node: str) -> None:
    """Compare what `node` has with the other replicas, and exchange what differs. While a replica
    is missing Cassandra refuses that; what is written meanwhile reaches all."""
    _all_reached(cluster, node)
    cluster.execute(node, [*NODETOOL, "repair", "--full", KEYSPACE], deadline_s=REPAIR_S)


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down; the others send it the hints they kept",
        run=operator_step(_rejoin, (*FAILURES, NotConnected)),
    ),
    "repair": Step(
        about="nodetool repair --full: compare this node's data with the other replicas' and "
        "exchange what differs",
        run=operator_step(_repair, (*FAILURES, NotConnected)),
    ),
}
