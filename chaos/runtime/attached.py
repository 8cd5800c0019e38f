"""Clusters that already run, seen from another process: what `ps`, `logs` and `exec` need.

Everything is read from the labels and the state of containers; no agent is spoken to, because each
agent has one controller only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker

from chaos.errors import ClusterError, SpecError, UsageError
from chaos.registry import SYSTEMS
from chaos.runtime.clients import link_addresses
from chaos.runtime.docker import (
    KEEP,
    LABEL_NODE,
    LABEL_OWNER,
    LABEL_PART,
    LABEL_RUN,
    LABEL_SPEC,
    LABEL_TOPOLOGY,
    engine_errors,
    owner_alive,
)
from chaos.runtime.toxiproxy import OBSERVER, Link
from chaos.systems.base import Address, HasRoles, Node, System
from chaos.systems.placing import HasOwnPorts

ROLE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One row of `ps`."""

    run: str
    topology: str
    node: str
    group: str  # "" where the topology has none
    system: str
    zone: str
    role: str  # as it claims; "down" when its containers do not run, "unknown" when it is not asked
    address: str
    ready: bool | None  # None: it runs, and nobody here can ask it
    state: str  # kept | running | leftover


READY = ("primary", "member", "replica")  # roles of a node that belongs to a working cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedGroup:
    """Fulfils `chaos.systems.base.Reachable` for the nodes that run one system."""

    cluster: AttachedCluster
    system: System
    settings: Mapping[str, Any]
    nodes: Sequence[Node]

    def address(self, node: str, port: str, zone: str | None = None) -> Address:
        """Where to dial `port` of `node` through `zone`'s link, or the controller's own."""
        return self.cluster.address(node, port, zone)

    def ports(self, node: str) -> Mapping[str, int]:
        """Port name → port of one of its nodes."""
        if isinstance(self.system, HasOwnPorts):
            return self.system.node_ports(node, self.settings)
        return self.system.ports

    def knock(self, node: str, port: str) -> bytes:
        """What a live server on that port answers at once."""
        if isinstance(self.system, HasOwnPorts):
            return self.system.node_knock(node, port, self.settings)
        return self.system.knocks[port]


class AttachedCluster:
    """Enough of a running topology to ask its nodes who they are."""

    def __init__(self, run: str, clients: Any, databases: dict[str, list[Any]]) -> None:
        """`clients`: the container of the clients' agent, which knows what was started.
        ClusterError where it tells so in words that are not ours."""
        self.run = run
        self._databases = databases
        try:
            self.topology = clients.labels[LABEL_TOPOLOGY]
            self.owner = clients.labels[LABEL_OWNER]
            spec = json.loads(clients.labels[LABEL_SPEC])
            self.nodes = [Node(**node) for node in spec["nodes"]]
            self.groups = spec["groups"]
            links = [Link(*names) for names in spec["links"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ClusterError(
                f"run {run} was started by another version of Aftershock: what its containers say "
                f"of it cannot be read ({type(error).__name__}: {error})",
                fix=f"use that version, or remove it: `aftershock down --topology {run}`",
            ) from error
        self._addresses = link_addresses(clients, links)

    def address(self, node: str, port: str, zone: str | None = None) -> Address:
        """Where to dial `port` of `node` through `zone`'s link, or the controller's own."""
        return self._addresses[Link(zone or OBSERVER, node, port)]

    @property
    def state(self) -> str:
        """kept (`up` left it), running (a run in progress) or leftover (its controller is dead)."""
        if self.owner == KEEP:
            return "kept"
        return "running" if owner_alive(self.owner) else "leftover"

    def states(self) -> list[NodeState]:
        """What each node says now."""
        rows = []
        strange = self.strange()
        for node in self.nodes:
            system = self.groups[node.group]["system"]
            role: str | None = "down"
            if self._runs(node.name):
                role = None if system in strange else self._role(node.name)
            rows.append(
                NodeState(
                    run=self.run,
                    topology=self.topology,
                    node=node.name,
                    group=node.group,
                    system=system,
                    zone=node.zone,
                    role=role or "unknown",
                    address=node.address,
                    ready=None if role is None else role in READY,
                    state=self.state,
                )
            )
        return rows

    def strange(self) -> dict[str, str]:
        """Why, of each of its systems that cannot be had here, as when another installation that
        has its package started this cluster, or the package was removed since."""
        found = {}
        for name in {group["system"]: None for group in self.groups.values()}:
            try:
                SYSTEMS.get(name)
            except SpecError as error:
                listed = name in SYSTEMS.names()
                found[name] = error.what if listed else f"the system {name} is not known here"
        return found

    def _runs(self, node: str) -> bool:
        containers = self._databases.get(node, [])
        return bool(containers) and all(c.status == "running" for c in containers)

    def _role(self, node: str) -> str | None:
        """The role that a node claims; None where its system has no roles."""
        group = self.group(node)
        if not isinstance(group.system, HasRoles):
            return None
        return group.system.observer(group, node, ROLE_TIMEOUT_S)().role

    def group(self, node: str) -> AttachedGroup:
        """The group that a node belongs to; SpecError where its system cannot be had here."""
        name = next(each.group for each in self.nodes if each.name == node)
        return AttachedGroup(
            cluster=self,
            system=SYSTEMS.get(self.groups[name]["system"]),
            settings=self.groups[name]["settings"],
            nodes=[node for node in self.nodes if node.group == name],
        )

    def containers(self, node: str) -> list[Any]:
        """The node's database containers; UsageError for a node that is not there."""
        if node not in self._databases:
            raise UsageError(
                f"expected a node of {self.topology}: {', '.join(sorted(self._databases))};"
                f" got {node!r}"
            )
        return self._databases[node]


def attach(client: docker.DockerClient) -> list[AttachedCluster]:
    """Every cluster on the engine whose clients' pod was made, in order of run id."""
    with engine_errors("looking for running topologies"):
        found = client.containers.list(all=True, filters={"label": LABEL_RUN}, ignore_removed=True)
    by_run: dict[str, list[Any]] = {}
    for container in found:
        by_run.setdefault(container.labels[LABEL_RUN], []).append(container)
    clusters = []
    for run, containers in sorted(by_run.items()):
        databases: dict[str, list[Any]] = {}
        for container in sorted(containers, key=lambda c: c.attrs["Created"]):
            if container.labels.get(LABEL_PART) == "database":
                databases.setdefault(container.labels[LABEL_NODE], []).append(container)
        for clients in (c for c in containers if LABEL_SPEC in c.labels):
            clusters.append(AttachedCluster(run, clients, databases))
    return clusters


def pick(clusters: Sequence[AttachedCluster], name: str | None) -> AttachedCluster:
    """The cluster of that topology or run; the only one if none is named. Else UsageError."""
    matching = [c for c in clusters if name in (None, c.topology, c.run)]
    if len(matching) == 1:
        return matching[0]
    there = ", ".join(f"{c.topology} ({c.run})" for c in clusters) or "none"
    raise UsageError(
        f"expected one running topology{f' {name!r}' if name else ''}, got {len(matching)};"
        f" running: {there}",
        fix="name it with --topology, or start one: `aftershock up TOPOLOGY`",
    )
