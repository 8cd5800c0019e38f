"""Places of a running topology and the directed ways between them, as packets show them.

A place is a node's name or `clients@ZONE`. Every way is known by its pair of addresses: each node
has its own address, by which the other nodes and the controller reach it, and one alias for each
client zone, by which only the clients of that zone do. All clients send from the one address of
their pod, so that a request from zone Z to node n is told by its destination, and the answer by its
source. The controller's own links dial a node's own address and are part of no way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.errors import FaultError
from chaos.spec.topology import ADDRESSES_MAX

CLIENTS = "clients@"  # before a zone: its clients; by itself: the key of their pod's agent
CLIENTS_HOST = 2  # last octet of the clients' pod; .1 is the gateway
FIRST_HOST = 10  # of the first node; aliases follow the last node


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """What one place sends to another. `receiver` and `sender` are keys of `cluster.agents()`."""

    source: str
    destination: str
    from_address: str
    to_address: str
    receiver: str
    sender: str

    def __str__(self) -> str:
        return f"{self.source}→{self.destination}"


class Layout:
    """Who has which address in the test network."""

    def __init__(self, base: str, nodes: Sequence[str], zones: Sequence[str]) -> None:
        """`base`: the network's first three octets; `zones`: those with clients.

        That there are addresses enough is checked with the topology (chaos/spec/checks.py).
        """
        self._names = tuple(nodes)
        self._zones = tuple(zones)
        self.clients = f"{base}.{CLIENTS_HOST}"
        free = iter(range(FIRST_HOST, FIRST_HOST + ADDRESSES_MAX))
        self.nodes = {name: f"{base}.{next(free)}" for name in nodes}
        self._aliases = {(n, z): f"{base}.{next(free)}" for n in nodes for z in zones}

    def alias(self, node: str, zone: str) -> str:
        """Where the clients of `zone` dial `node`."""
        return self._aliases[node, zone]

    def aliases(self, node: str) -> list[str]:
        """All aliases of a node, in order of zones."""
        return [self._aliases[node, zone] for zone in self._zones]

    def places(self) -> list[str]:
        """Every node, then the clients of every zone."""
        return [*self._names, *(CLIENTS + zone for zone in self._zones)]

    def ways(self, sources: Iterable[str], destinations: Iterable[str]) -> list[Way]:
        """Every way from any source to any destination, but from a place to itself and between
        client zones, which do not talk to each other. FaultError for an unknown place."""
        ends = list(dict.fromkeys(destinations))
        return [
            self._way(a, b)
            for a in dict.fromkeys(sources)
            for b in ends
            if a != b and not (a.startswith(CLIENTS) and b.startswith(CLIENTS))
        ]

    def _way(self, source: str, destination: str) -> Way:
        for place in (source, destination):
            if place not in self.places():
                raise FaultError(f"expected a place: {', '.join(self.places())}; got {place}")
        if source.startswith(CLIENTS):
            alias = self.alias(destination, source.removeprefix(CLIENTS))
            return Way(source, destination, self.clients, alias, destination, CLIENTS)
        if destination.startswith(CLIENTS):
            alias = self.alias(source, destination.removeprefix(CLIENTS))
            return Way(source, destination, alias, self.clients, CLIENTS, source)
        return Way(source, destination, self.nodes[source], self.nodes[destination],
                   destination, source)  # fmt: skip
