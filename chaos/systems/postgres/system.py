"""PostgreSQL 17: one primary, the other nodes its physical streaming standbys.

The topology says what a commit waits for: `replication: async` nothing, `sync` one standby that has
applied it (`FIRST 1`, `remote_apply`), `quorum` half of the other nodes (`ANY k`, `on`); see
https://www.postgresql.org/docs/17/warm-standby.html#SYNCHRONOUS-REPLICATION. Nothing fails over by
itself: `promote` and `rejoin` are an operator's steps. Until its rejoin, an old primary that comes
back is a second primary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import address_of, node_of, problems, role_problems
from chaos.systems.base import Cluster, ContainerSpec, Node
from chaos.systems.postgres.admin import primaries
from chaos.systems.postgres.base import KNOCK, PostgresServers
from chaos.systems.postgres.conf import PORT, SETTINGS, container
from chaos.systems.postgres.steps import STEPS


class Postgres(PostgresServers):
    """PostgreSQL 17."""

    name = "postgres"
    about = "PostgreSQL 17, one primary with streaming standbys, failover by an operator"
    ports: Mapping[str, int] = {"db": PORT}
    knocks: Mapping[str, bytes] = {"db": KNOCK}
    images: Sequence[str] = ("postgres",)
    elects = False
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    steps = STEPS

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from role_problems(nodes)
        yield from problems(settings, SETTINGS)
        if settings.get("replication", "async") != "async" and len(nodes) < 2:
            yield "settings.replication: nothing can be waited for with a single node"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One PostgreSQL, which makes or copies its cluster when it first starts."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """A standby of the present primary; where there is none, what it was at first."""
        own = node_of(cluster, node)
        follow = [address_of(cluster, primary) for primary in primaries(cluster, besides=node)]
        return [container(own, cluster.nodes, cluster.settings, *follow[:1])]


SYSTEM = Postgres()
