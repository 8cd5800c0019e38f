"""Optional powers of a system that decide what runs on a node, beside `System.containers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from chaos.systems.base import Address, Cluster, ContainerSpec, Node


@runtime_checkable
class UsesGroups(Protocol):
    """Runs on top of another database, which is another group of the topology."""

    uses: Mapping[str, str]  # what it calls the other group → the system that must be there

    def containers_beside(
        self,
        node: Node,
        nodes: Sequence[Node],
        settings: Mapping[str, Any],
        others: Mapping[str, Sequence[Node]],
    ) -> Sequence[ContainerSpec]:
        """Takes the place of `containers`: `nodes` are those of its own group, and `others` has
        the nodes of each group that it uses, under the names of `uses`. Those groups are formed
        before this one is; the containers of all are started together."""


@runtime_checkable
class HasOwnPorts(Protocol):
    """Its nodes do not all listen at the same ports; `ports` and `knocks` are empty then.

    The port by which a node's life is told is called `db` here, too; a node may have none at all.
    """

    def node_ports(self, node: str, settings: Mapping[str, Any]) -> Mapping[str, int]:
        """Port name → port of one node, each proxied per client zone."""

    def node_knock(self, node: str, port: str, settings: Mapping[str, Any]) -> bytes:
        """What a live server at that port answers at once."""

    def node_names(self, node: str, settings: Mapping[str, Any]) -> Sequence[str]:
        """What the node is called by others in the test network, besides its name."""

    def client_settings(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of the settings that clients are given, as JSON."""


@runtime_checkable
class Watched(Protocol):
    """A cluster whose containers may end by themselves, and be started again."""

    def ended(self, node: str) -> int | None:
        """The exit code once all of the node's containers have ended; None while one has not."""

    def log(self, node: str, lines: int) -> str:
        """The last lines that the node has written."""


@runtime_checkable
class StartsEmpty(Protocol):
    """A database that must be told before a node that lost its data is started again.

    One without this power starts such a node as it started it first.
    """

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """What an operator would do for a machine with a new disk: make the other nodes take `node`
        for a new one; what is to run on it. It is down, its volumes are empty. ClusterError when
        the cluster cannot do without it."""


@runtime_checkable
class Advertises(Protocol):
    """A database whose nodes tell clients where the nodes are. A node must then know by the port
    that a client comes to of which zone it is, and where the clients of that zone reach it."""

    def zone_port(self, port: str, place: int) -> int:
        """The number under which the clients of a zone come to `port`: of the `place`-th zone with
        clients, from 0. The controller comes to what `System.ports` says."""

    def advertise(
        self, specs: Sequence[ContainerSpec], links: Mapping[str, Address]
    ) -> Sequence[ContainerSpec]:
        """`specs` of a node, told where it is reached through the links to its port "db": by the
        controller first, then by the clients of each zone, in their order."""
