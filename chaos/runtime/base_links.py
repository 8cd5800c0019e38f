"""The topology's `links:` as delays on every directed way between places, for as long as it runs.

A way lies between two zones: those of two nodes, or of a node and of the clients that come to it. A
link between these two zones decides; else the one between their regions. Within a zone there is
none. The receiver's agent holds packets back (chaos/agent/line.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from chaos.agent.link import AgentLink
from chaos.errors import ClusterError
from chaos.runtime.ways import CLIENTS, Layout, Way
from chaos.spec.topology import Link, Topology

Base = list[tuple[str, str, float, float]]  # from, to (addresses), delay and jitter in µs


def link_between(topology: Topology, source: str, destination: str) -> Link | None:
    """The link that packets from one zone to another take; None without one."""
    if source == destination:
        return None
    regions = topology.region_of(source), topology.region_of(destination)
    for one, other in ((source, destination), regions):
        for link in topology.links:
            if {one, other} == set(link.between) and link.from_ in (None, one):
                return link
    return None


def delayed(topology: Topology, layout: Layout) -> list[tuple[Way, Link]]:
    """Every way that a link of the topology delays, and that link."""
    if not topology.links:
        return []
    places = layout.places()
    found = []
    for way in layout.ways(places, places):
        link = link_between(topology, *(_zone(topology, p) for p in (way.source, way.destination)))
        if link is not None:
            found.append((way, link))
    return found


def bases(topology: Topology, layout: Layout) -> dict[str, Base]:
    """What each agent is told: {key of the receiver in `cluster.agents()`: its ways}."""
    found: dict[str, Base] = {}
    for way, link in delayed(topology, layout):
        found.setdefault(way.receiver, []).append(
            (way.from_address, way.to_address, link.delay_ns / 1000, link.jitter_ns / 1000)
        )
    return found


def apply(
    topology: Topology, layout: Layout, receiver: str, link: AgentLink, hello: Mapping[str, object]
) -> None:
    """Delay what comes to this receiver; before its database starts. Agents without a link are not
    even asked. ClusterError where the host cannot delay packets."""
    base = bases(topology, layout).get(receiver)
    if not base:
        return
    if not hello["line"]:
        raise ClusterError(
            f"the topology {topology.name} has `links:`, and this host cannot delay packets",
            detail=str(hello["line_why"]),
            fix="its kernel needs NFQUEUE or netem (`aftershock doctor`); or leave out `links:`",
        )
    link.ask("base", ways=base)


def _zone(topology: Topology, place: str) -> str:
    """The zone in which a place lies."""
    if place.startswith(CLIENTS):
        return place.removeprefix(CLIENTS)
    return topology.nodes[place].zone
