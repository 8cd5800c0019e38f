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
from chaos.spec.group_checks import lent_settings
from chaos.spec.topology import Group, Lent, Topology
from chaos.systems.base import (
    Address,
    ClientSpec,
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
from chaos.systems.compose.project import PROJECT, Build, Project
from chaos.systems.placing import Advertises, HasOwnPorts, UsesGroups

if TYPE_CHECKING:
    from chaos.runtime.cluster import RunningCluster


class RunningGroup:
    """Fulfils `chaos.systems.base.Cluster` with the nodes and settings of one group."""

    def __init__(self, cluster: RunningCluster, spec: Group) -> None:
        self.name = spec.name
        self.spec = spec
        self.system: System = SYSTEMS.get(spec.system)
        self.settings: Mapping[str, Any] = spec.settings
        if spec.project is not None:
            self.settings = {**spec.settings, PROJECT: spec.project}
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

    def number(self, port: str, zone: str, node: str = "") -> int:
        """The number of `port` for those who come through the links of `zone`; of `node`, if its
        nodes differ in that."""
        if isinstance(self.system, Advertises) and zone in self._cluster.zones:
            return self.system.zone_port(port, self._cluster.zones.index(zone))
        return self.ports(node)[port]

    def numbers(self, port: str) -> list[int]:
        """All numbers of `port`, the nodes' own first; none if there is no such port."""
        zones = self._cluster.zones
        nodes = [node.name for node in self.nodes]
        every = [self.ports(node) for node in nodes]
        own = [ports[port] for ports in every if port in ports]
        told = [self.number(port, zone, nodes[0]) for zone in zones if port in every[0]]
        return list(dict.fromkeys([*own, *told]))

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
        own = {folder: ids[self.spec.image_key(folder)] for folder in self.system.images}
        services = self.spec.project.images() if self.spec.project else {}
        return own | {key: ids[key] for key in services}

    def ports(self, node: str) -> Mapping[str, int]:
        """Port name → port of one of its nodes."""
        if isinstance(self.system, HasOwnPorts):
            return self.system.node_ports(node, self.settings)
        return self.system.ports

    def names(self, node: str) -> Sequence[str]:
        """What one of its nodes is called in the test network, besides its name."""
        if isinstance(self.system, HasOwnPorts):
            return self.system.node_names(node, self.settings)
        return ()

    def endpoints(self, zone: str) -> dict[str, dict[str, Address]]:
        """{node: {port name: address}} through the links of `zone`; of the nodes that have data."""
        return {
            node.name: {port: self.address(node.name, port, zone) for port in self.ports(node.name)}
            for node in self.nodes
            if node.role != "arbitrator"
        }

    def client_settings(self) -> dict[str, Any]:
        """The settings as a client gets them: with the nodes' own addresses, and their regions."""
        found = {
            **self.told(),
            "_addresses": {node.name: node.address for node in self.nodes},
            "_regions": {node.name: node.region for node in self.nodes},
        }
        if isinstance(self.system, HasOwnPorts):
            found |= self.system.client_settings(self.settings)
            found["_containers"] = self._cluster.containers([node.name for node in self.nodes])
        return found

    def client_spec(self, zone: str, home: str, timeout_s: float) -> ClientSpec:
        """A client in `zone` at home on the node `home`, without options."""
        return ClientSpec(
            zone=zone,
            home=home,
            endpoints=self.endpoints(zone),
            settings=self.client_settings(),
            options={},
            timeout_s=timeout_s,
        )

    def told(self) -> dict[str, Any]:
        """The settings as JSON that may be seen: of a Compose file no environment."""
        project = self.spec.project
        return {**self.spec.settings, **({PROJECT: project.told()} if project else {})}

    def spoken_to(self, kind: str) -> RunningGroup | LentGroup:
        """What clients of that kind speak to: the group, or what a known system is lent to."""
        client, project = self.spec.client, self.spec.project
        if kind in self.system.workloads or client is None or project is None:
            return self
        return LentGroup(self, client, project)

    # What faults and samples ask of the system.

    def knock(self, node: str, port: str) -> bytes:
        """What a live server on that port answers at once."""
        if isinstance(self.system, HasOwnPorts):
            return self.system.node_knock(node, port, self.settings)
        return self.system.knocks[port]

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A request of so many bytes with an answer of so many; None where the system has none."""
        sizes = (request_bytes, answer_bytes)
        return self.system.bulk(port, *sizes) if isinstance(self.system, HasBulk) else None

    def handshake(self, node: str, port: str) -> Handshake:
        """How a connection to that port begins that the server counts, and serves."""
        if isinstance(self.system, HasHandshakes) and port in self.system.handshakes:
            return self.system.handshakes[port]
        return Handshake(say=self.knock(node, port), served=b"")

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

    def ended(self, node: str) -> int | None:
        """The exit code once all of the node's containers have ended; None while one has not."""
        return self._cluster.pods[node].ended()

    def log(self, node: str, lines: int) -> str:
        """The last lines that the node has written."""
        return self._cluster.pods[node].logs(lines)

    def wait(self, what: str, done: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Poll `done` until true; after the deadline ClusterError with the nodes' last lines."""
        self._cluster.wait(what, done, deadline_s)


class LentGroup:
    """A service of a Compose file, as clients of a system that we do know see it."""

    def __init__(self, group: RunningGroup, client: Lent, project: Project) -> None:
        names = project.services[client.service].nodes
        self.system: System = SYSTEMS.get(client.system)
        self.nodes = [node for node in group.nodes if node.name in names]
        self._group = group
        self._settings = lent_settings(client)

    def endpoints(self, zone: str) -> dict[str, dict[str, Address]]:
        """{node: {"db": address}} through the links of `zone`: the service's first port."""
        return {n.name: {"db": self._group.address(n.name, "db", zone)} for n in self.nodes}

    def client_settings(self) -> dict[str, Any]:
        """The settings as a client gets them."""
        return {
            **self._settings,
            "_addresses": {node.name: node.address for node in self.nodes},
            "_regions": {node.name: node.region for node in self.nodes},
        }


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
        wanted |= group.project.images() if group.project else {}
    return wanted


def builds(topology: Topology) -> dict[str, Build]:
    """The images that a Compose file builds: what stands for their references → how."""
    projects = [group.project for group in topology.each_group().values() if group.project]
    return {name: how for project in projects for name, how in project.builds().items()}


def versions(topology: Topology) -> dict[str, str]:
    """Names and versions of the drivers of all groups."""
    found: dict[str, str] = {}
    for group in topology.each_group().values():
        found |= SYSTEMS.get(group.system).versions()
        found |= SYSTEMS.get(group.client.system).versions() if group.client else {}
    return found


def port_numbers(groups: Iterable[RunningGroup], port: str | int) -> list[int]:
    """A port given by number, or the numbers that the groups have under that name."""
    if isinstance(port, int):
        return [port]
    return list(dict.fromkeys(n for group in groups for n in group.numbers(port)))
