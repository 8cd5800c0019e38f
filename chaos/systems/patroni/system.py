"""Patroni 4 over PostgreSQL 17: a primary with streaming standbys, its leader's lease in etcd.

On each node Patroni starts PostgreSQL and, every `loop_wait`, renews or looks for the lease. Who
holds it is primary. A primary that cannot renew it steps down before it ends (after
`retry_timeout`), the standby that is furthest takes over when it has ended (`ttl`); see
https://patroni.readthedocs.io/en/latest/ and patroni/ha.py. etcd decides who leads, not what is
lost: without `synchronous_mode` a commit is acknowledged before any standby has it.

There is no watchdog: when Patroni itself hangs, nobody stops its PostgreSQL at the lease's end.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import problems, resolve, role_problems
from chaos.systems.base import Cluster, ContainerSpec, Node, Observation, Reachable
from chaos.systems.patroni.api import FAILURES, call, status, words
from chaos.systems.patroni.conf import API_PORT, SETTINGS, container, setting_problems
from chaos.systems.patroni.steps import STEPS
from chaos.systems.postgres.admin import ask, primaries
from chaos.systems.postgres.base import KNOCK, PostgresServers
from chaos.systems.postgres.conf import PORT

OF_POSTGRES = 0.75  # of an observation's time at most; what it leaves is for Patroni


class Patroni(PostgresServers):
    """Patroni 4."""

    name = "patroni"
    about = "Patroni 4 over PostgreSQL 17, failover by a lease in etcd"
    ports: Mapping[str, int] = {"db": PORT, "api": API_PORT}
    knocks: Mapping[str, bytes] = {
        "db": KNOCK,
        "api": b"GET /liveness HTTP/1.1\r\nHost: patroni\r\n\r\n",
    }
    images: Sequence[str] = ("patroni",)
    elects = True
    uses: Mapping[str, str] = {"dcs": "etcd"}
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    steps = STEPS

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from role_problems(nodes)
        wrong = list(problems(settings, SETTINGS))
        yield from wrong or setting_problems(nodes, settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """It runs only beside etcd."""
        raise ClusterError("Patroni needs a group of etcd", fix="`uses: {dcs: GROUP}`")

    def containers_beside(
        self,
        node: Node,
        nodes: Sequence[Node],
        settings: Mapping[str, Any],
        others: Mapping[str, Sequence[Node]],
    ) -> Sequence[ContainerSpec]:
        """One Patroni, which makes or copies its database when it first starts."""
        return [container(node, nodes, settings, others["dcs"])]

    def form(self, cluster: Cluster) -> None:
        """As PostgreSQL; then, until what the settings promise at a failover is promised."""
        super().form(cluster)
        values = resolve(cluster.settings, SETTINGS)
        if values["synchronous_mode"] != "off":
            cluster.wait("a synchronous standby is named", lambda: _names_standbys(cluster))
        if values.get("failsafe_mode") == "on":
            cluster.wait("every member knows whom to ask", lambda: _know_members(cluster))

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """PostgreSQL's own role, which clients meet; in the note what Patroni says of it."""
        server = super().observer(cluster, node, OF_POSTGRES * timeout_s)
        api = cluster.address(node, "api")

        def observe() -> Observation:
            end = time.monotonic() + timeout_s
            seen = server()
            try:
                said = words(*status(api, max(0.05, end - time.monotonic())))
            except FAILURES as error:
                said = f"Patroni does not answer: {str(error).strip()[:100]}"
            note = "; ".join(filter(None, [seen.note, said]))
            return dataclasses.replace(seen, note=note)

        return observe


def _names_standbys(cluster: Cluster) -> bool:
    """Whether the primary waits for a standby."""
    [primary] = primaries(cluster)
    return ask(cluster, primary, "SHOW synchronous_standby_names") != [""]


def _know_members(cluster: Cluster) -> bool:
    """Whether the list of who must answer a primary without etcd has reached every member."""
    for node in cluster.nodes:
        text, _ = call(cluster.address(node.name, "api"), "GET", "/failsafe")
        if any(f'"{member.name}"' not in text for member in cluster.nodes):
            return False
    return True


SYSTEM = Patroni()
