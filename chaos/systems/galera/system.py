"""MariaDB 11.8 with Galera 4: every node takes writes, and a commit is certified by all of them.

A transaction runs on one node alone. At its commit what it changed (the writeset) is sent to all,
in one order, and every node comes to the same answer, whether one before it in that order changed
the same rows. Then the client is answered; the other nodes apply it soon after. What a transaction
has read is not in the writeset
(https://galeracluster.com/library/documentation/certification-based-replication.html).

A node that is in no majority refuses statements. One that comes back is sent what it missed (IST)
or a whole copy (SST) by itself. An arbitrator (`role: arbitrator`) votes, and has no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import node_of, problems
from chaos.systems.base import (
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Node,
    Observation,
    Reachable,
)
from chaos.systems.galera.clients import ERRORS, OPTIONS, GaleraAccess
from chaos.systems.galera.conf import (
    ARBITRATOR,
    SETTINGS,
    SUSPECT_MS_MIN,
    TIMEOUTS,
    container,
    data_nodes,
    timeouts_ms,
)
from chaos.systems.galera.observer import ArbitratorObserver, Observer
from chaos.systems.galera.steps import STEPS, asked, in_sync, members
from chaos.systems.mariadb.admin import ask
from chaos.systems.mariadb.base import MariadbServers
from chaos.systems.mariadb.client import TABLES
from chaos.systems.mariadb.clients import CLIENTS
from chaos.systems.mariadb.conf import PORT
from chaos.systems.mariadb.sql import MariadbSql
from chaos.systems.mariadb.wire import DATABASE
from chaos.systems.sql import SqlSession

FORM_S = 60.0
SUSPECT, INACTIVE = TIMEOUTS


class Galera(MariadbServers):
    """MariaDB 11.8 with Galera 4."""

    name = "galera"
    about = "MariaDB 11.8 with Galera 4: every node takes writes, certified at commit"
    ports: Mapping[str, int] = {"db": PORT}
    images: Sequence[str] = ("mariadb",)
    elects = True
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    options = OPTIONS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        if not data_nodes(nodes):
            yield "there are no nodes with data; at least one is needed"
        for node in nodes:
            if node.role not in (None, ARBITRATOR):
                yield (
                    f"nodes.{node.name}.role: every Galera node takes writes; leave the role out, "
                    f"or write `arbitrator` for one without data, got {node.role!r}"
                )
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if not wrong:
            suspect_ms, inactive_ms = timeouts_ms(settings)
            if suspect_ms < SUSPECT_MS_MIN:
                yield f"settings.{SUSPECT}: Galera wants at least {SUSPECT_MS_MIN} ms"
            if inactive_ms < suspect_ms:
                yield f"settings.{INACTIVE}: Galera wants at least {SUSPECT}, {suspect_ms} ms"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One MariaDB; on the arbitrator, garbd."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """A node without data, which the others send a whole copy. It begins no cluster: where
        there is none it waits for one."""
        own = node_of(cluster, node)
        return [container(own, cluster.nodes, cluster.settings, join=True)]

    def form(self, cluster: Cluster) -> None:
        """Wait until all have joined, make the tables, wait until every node has them."""
        cluster.wait("all nodes have joined", lambda: self.converged(cluster), FORM_S)
        first = data_nodes(cluster.nodes)[0].name
        ask(cluster, first, f"USE {DATABASE}", *TABLES, timeout_s=10.0)
        cluster.wait("every node has the tables", lambda: self.converged(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec, GaleraAccess())

    def sql(self, cluster: Reachable) -> SqlSession:
        """A session on one node; ClusterError if none takes writes. All sessions are on that one:
        between nodes no level holds."""
        for node in members(cluster):
            return MariadbSql(cluster.address(node, "db"))
        raise ClusterError("no session for the probes: no node is in a primary component")

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: its component, whether it is in sync, how much it has yet to apply."""
        address = cluster.address(node, "db")
        if any(n.name == node and n.role == ARBITRATOR for n in cluster.nodes):
            return ArbitratorObserver(address, timeout_s).observe
        return Observer(address, timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time a data node gives in answer to `SELECT SYSDATE(6)`; an arbitrator gives none."""
        if any(n.name == node and n.role == ARBITRATOR for n in cluster.nodes):
            return lambda: None
        return super().clock(cluster, node, timeout_s)

    def converged(self, cluster: Cluster) -> bool:
        """All nodes are in one primary component; those with data are in sync and have applied
        what any of them had when asked."""
        data = [node.name for node in data_nodes(cluster.nodes)]
        before = [asked(cluster, node) for node in data]
        agreed = max(int(said["wsrep_last_committed"]) for said in before)
        after = [asked(cluster, node) for node in data]
        views = {(said["wsrep_cluster_conf_id"], said["wsrep_cluster_size"]) for said in after}
        return (
            all(in_sync(cluster, node) for node in data)
            and len(views) == 1
            and {size for _, size in views} == {str(len(cluster.nodes))}
            and all(int(said["wsrep_last_committed"]) >= agreed for said in after)
        )


SYSTEM = Galera()
