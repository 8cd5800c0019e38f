"""The groups of a running topology, each as its own system sees it.

A topology without `groups:` is one group, called "". What a system's code gets is always one group:
its own nodes and settings, and nothing of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from chaos.registry import SYSTEMS
from chaos.runtime.toxiproxy import OBSERVER
from chaos.spec.topology import Group, Topology
from chaos.systems.base import (
    Address,
    ClockReading,
    ContainerSpec,
    Handshake,
    HasBulk,
    HasClock,
    HasConvergence,
    HasHandshakes,
    HasOperators,
    HasRoles,
    Node,
    Observation,
    Step,
    System,
)
from chaos.systems.placing import Advertises, UsesGroups

if TYPE_CHECKING:
    from chaos.runtime.cluster import RunningCluster


class RunningGroup:
    """Fulfils `chaos.systems.base.Cluster` with the nodes and settings of one group."""

    def __init__(self, cluster: RunningCluster, spec: Group) -> None:
        self.name = spec.name
        self.spec = spec
        self.system: System = SYSTEMS.get(spec.system)
        self.settings: Mapping[str, Any] = spec.settings
        self._cluster = cluster

    @property
    def nodes(self) -> Sequence[Node]:
        """The group's nodes, in the topology's order."""
        return [node for node in self._cluster.nodes if node.group == self.name]

    def containers(self, node: Node) -> Sequence[ContainerSpec]:
        """What runs on a node of this group."""
        if not isinstance(self.system, UsesGroups):
            return self.system.containers(node, self.nodes, self.settings)
        groups = self._cluster.groups
        others = {word: groups[name].nodes for word, name in self.spec.uses.items()}
        return self.system.containers_beside(node, self.nodes, self.settings, others)

    def number(self, port: str, zone: str) -> int:
        """The number of `port` for those who come through the links of `zone`."""
        if isinstance(self.system, Advertises) and zone in self._cluster.zones:
            return self.system.zone_port(port, self._cluster.zones.index(zone))
        return self.system.ports[port]

    def numbers(self, port: str) -> list[int]:
        """All numbers of `port`, the nodes' own first."""
        zones = self._cluster.zones
        own = self.system.ports[port]
        return list(dict.fromkeys([own, *(self.number(port, zone) for zone in zones)]))

    def advertised(
        self, node: str, specs: Sequence[ContainerSpec], linked: Callable[[], None]
    ) -> Sequence[ContainerSpec]:
        """What runs on a node, told where clients reach it if the system wants to know that.

        `linked` returns once the clients' links are there.
        """
        if not isinstance(self.system, Advertises):
            return specs
        linked()
        links = {zone: self.address(node, "db", zone) for zone in (OBSERVER, *self._cluster.zones)}
        return self.system.advertise(specs, links)

    def images(self, ids: Mapping[str, str]) -> dict[str, str]:
        """This group's images, folder → id, of those of the whole topology (`wanted_images`)."""
        return {folder: ids[self.spec.image_key(folder)] for folder in self.system.images}

    def endpoints(self, zone: str) -> dict[str, dict[str, Address]]:
        """{node: {port name: address}} through the links of `zone`; of the nodes that have data."""
        return {
            node.name: {port: self.address(node.name, port, zone) for port in self.system.ports}
            for node in self.nodes
            if node.role != "arbitrator"
        }

    def client_settings(self) -> dict[str, Any]:
        """The settings as a client gets them: with the nodes' own addresses, and their regions."""
        return {
            **self.settings,
            "_addresses": {node.name: node.address for node in self.nodes},
            "_regions": {node.name: node.region for node in self.nodes},
        }

    # What faults and samples ask of the system.

    def knock(self, port: str) -> bytes:
        """What a live server on that port answers at once."""
        return self.system.knocks[port]

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A request of so many bytes with an answer of so many; None where the system has none."""
        sizes = (request_bytes, answer_bytes)
        return self.system.bulk(port, *sizes) if isinstance(self.system, HasBulk) else None

    def handshake(self, port: str) -> Handshake:
        """How a connection to that port begins that the server counts, and serves."""
        if isinstance(self.system, HasHandshakes) and port in self.system.handshakes:
            return self.system.handshakes[port]
        return Handshake(say=self.knock(port), served=b"")

    def clock(self, node: str, timeout_s: float) -> Callable[[], ClockReading | None] | None:
        """A function that asks the node what time it is; None where the system has no such."""
        system = self.system
        return system.clock(self, node, timeout_s) if isinstance(system, HasClock) else None

    def observer(self, node: str, timeout_s: float) -> Callable[[], Observation]:
        """A function that asks the node for its view of itself, once per call."""
        if isinstance(self.system, HasRoles):
            return self.system.observer(self, node, timeout_s)
        nothing = Observation(role="unknown", note=f"{self.system.name} has no roles")
        return lambda: nothing

    @property
    def steps(self) -> Mapping[str, Step]:
        """The operator's steps of its system."""
        return self.system.steps if isinstance(self.system, HasOperators) else {}

    @property
    def tells_convergence(self) -> bool:
        """Whether its system can say that the nodes agree."""
        return isinstance(self.system, HasConvergence)

    def converged(self) -> bool:
        """Whether the nodes agree; raises what the driver raises while a node does not answer."""
        return isinstance(self.system, HasConvergence) and self.system.converged(self)

    # `Cluster`, as the whole topology does it.

    def address(self, node: str, port: str, zone: str | None = None) -> Address:
        """Where to dial `port` of `node`: the controller's own link, or that of a client zone."""
        return self._cluster.address(node, port, zone)

    def execute(
        self,
        node: str,
        command: Sequence[str],
        *,
        container: str | None = None,
        user: str | None = None,
        deadline_s: float = 30.0,
    ) -> str:
        """Run a command in the node's database container; its output. ClusterError if it fails."""
        return self._cluster.execute(
            node, command, container=container, user=user, deadline_s=deadline_s
        )

    def stop(self, node: str) -> None:
        """SIGKILL every database process of the node."""
        self._cluster.stop(node)

    def start(self, node: str) -> None:
        """Start the node's database containers again, unless a fault keeps the node down."""
        self._cluster.start(node)

    def wait(self, what: str, done: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Poll `done` until true; after the deadline ClusterError with the nodes' last lines."""
        self._cluster.wait(what, done, deadline_s)


def form(groups: Mapping[str, RunningGroup]) -> None:
    """Form each group once those that it uses are formed, the others meanwhile.

    The first error is raised when all have ended.
    """
    jobs: dict[str, Future[None]] = {}

    def formed(group: RunningGroup) -> None:
        for name in group.spec.uses.values():
            jobs[name].result()
        group.system.form(group)

    with ThreadPoolExecutor(len(groups)) as pool:
        for group in _in_order(groups):
            jobs[group.name] = pool.submit(formed, group)
    for job in jobs.values():
        job.result()


def _in_order(groups: Mapping[str, RunningGroup]) -> list[RunningGroup]:
    """Those that are used before those that use them; there are no circles."""
    found: dict[str, RunningGroup] = {}

    def visit(group: RunningGroup) -> None:
        for name in group.spec.uses.values():
            visit(groups[name])
        found.setdefault(group.name, group)

    for group in groups.values():
        visit(group)
    return list(found.values())


def wanted_images(topology: Topology) -> dict[str, str]:
    """The images a topology needs: what each is kept under → image folder or reference."""
    groups = topology.each_group().values()
    overrides = {key: image for group in groups for key, image in group.image.items()}
    wanted = {name: overrides.get(name, name) for name in ("agent", "toxiproxy")}
    for group in groups:
        for folder in SYSTEMS.get(group.system).images:
            wanted[group.image_key(folder)] = group.image.get(folder, folder)
    return wanted


def versions(topology: Topology) -> dict[str, str]:
    """Names and versions of the drivers of all groups."""
    found: dict[str, str] = {}
    for group in topology.each_group().values():
        found |= SYSTEMS.get(group.system).versions()
    return found


def port_numbers(groups: Iterable[RunningGroup], port: str | int) -> list[int]:
    """A port given by number, or the numbers that the groups have under that name."""
    if isinstance(port, int):
        return [port]
    found = [n for g in groups if port in g.system.ports for n in g.numbers(port)]
    return list(dict.fromkeys(found))
