"""MariaDB 11.8: one primary, the other nodes its replicas, by global transaction ids.

A replica fetches the primary's binary log and applies it. With `replication: async` a commit waits
for none of that; with `semi-sync` until one replica has received it, or a timeout has passed: from
then on nothing waits, until a replica has caught up. See
https://mariadb.com/kb/en/semisynchronous-replication/. Nothing fails over by itself: `promote` and
`rejoin` are an operator's steps. Until its rejoin, an old primary that comes back is a second
primary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import address_of, node_of, primary_of, problems, role_problems
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    Node,
    Observation,
    Reachable,
)
from chaos.systems.mariadb.admin import ask, follows, primaries, settled
from chaos.systems.mariadb.base import MariadbServers
from chaos.systems.mariadb.client import ERRORS, TABLES
from chaos.systems.mariadb.clients import CLIENTS, OPTIONS
from chaos.systems.mariadb.conf import PORT, SETTINGS, container, only_semi_sync, semi_sync
from chaos.systems.mariadb.observer import Observer
from chaos.systems.mariadb.sql import MariadbSql
from chaos.systems.mariadb.steps import STEPS
from chaos.systems.mariadb.wire import DATABASE
from chaos.systems.sql import SqlSession

WAITED_FOR = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'"


class Mariadb(MariadbServers):
    """MariaDB 11.8."""

    name = "mariadb"
    about = "MariaDB 11.8, one primary with replicas, failover by an operator"
    ports: Mapping[str, int] = {"db": PORT}
    images: Sequence[str] = ("mariadb",)
    elects = False
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    options = OPTIONS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from role_problems(nodes)
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if wrong:
            return
        if semi_sync(settings) and len(nodes) < 2:
            yield "settings.replication: nothing can be waited for with a single node"
        for name in only_semi_sync(settings):
            yield f"settings.{name}: means nothing with `replication: async`"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One MariaDB, which makes or copies its database when it first starts."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """A copy of the present primary; where there is none, what it was at first."""
        own = node_of(cluster, node)
        follow = [address_of(cluster, primary) for primary in primaries(cluster, besides=node)]
        return [container(own, cluster.nodes, cluster.settings, *follow[:1])]

    def form(self, cluster: Cluster) -> None:
        """Wait until every replica follows, make the tables, wait until every node has them."""
        primary = primary_of(cluster.nodes).name
        others = [node.name for node in cluster.nodes if node.name != primary]

        def following() -> bool:
            return all(follows(cluster, node, primary) for node in others)

        def waited_for() -> bool:
            return int(ask(cluster, primary, WAITED_FOR).rows[0][1]) == len(others)

        cluster.wait(f"{primary} is primary", lambda: primaries(cluster) == [primary], 60.0)
        cluster.wait("every replica follows the primary", following, 60.0)
        if semi_sync(cluster.settings):
            cluster.wait("every replica says what it received", waited_for)
        ask(cluster, primary, f"USE {DATABASE}", *TABLES, timeout_s=10.0)
        cluster.wait("every replica has the tables", lambda: settled(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def sql(self, cluster: Reachable) -> SqlSession:
        """A session on the primary; ClusterError if there is none."""
        for node in primaries(cluster):
            return MariadbSql(cluster.address(node, "db"))
        raise ClusterError("no session for the probes: no node that answers is primary")

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: whether it is read-only, whom it follows, how far it is behind."""
        return Observer(cluster.address(node, "db"), timeout_s).observe

    def converged(self, cluster: Cluster) -> bool:
        """One primary; every other node follows it and has applied what it had when asked."""
        return settled(cluster)


SYSTEM = Mariadb()
