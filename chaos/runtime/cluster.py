"""A running topology: its network, pods and client links, started side by side."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker

from chaos.agent.link import AgentLink, ask_all
from chaos.errors import AftershockError, ClusterError
from chaos.runtime import base_links, engine, groups
from chaos.runtime.claims import Claims
from chaos.runtime.clients import ClientsPod
from chaos.runtime.disks import Disk
from chaos.runtime.docker import (
    LABEL_OWNER,
    LABEL_RECORD,
    LABEL_RUN,
    LABEL_SPEC,
    LABEL_TOPOLOGY,
    create_network,
    reaches_directly,
    remove_run,
)
from chaos.runtime.groups import RunningGroup
from chaos.runtime.helper import Helper, made_disks
from chaos.runtime.pod import Pod
from chaos.runtime.toxiproxy import OBSERVER, Link, Links
from chaos.runtime.ways import CLIENTS, Layout, Way
from chaos.spec.group_checks import placed
from chaos.spec.topology import Topology
from chaos.systems.base import Address, ContainerSpec, Node
from chaos.systems.placing import StartsEmpty

# Claims on a node: its database is kept down; it does not answer; it may not answer; the engine
# froze it.
DOWN, SILENT, HINDERED, FROZEN = "down", "silent", "hindered", "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, with which images, and for whom."""

    run_id: str
    topology: Topology
    images: Mapping[str, str]  # as `chaos.runtime.groups.wanted_images` names them → id
    owner: str
    record: str = ""  # the run directory; "" when there is none


class RunningCluster:
    """All nodes, whatever they run; `groups` are what the systems' code sees."""

    def __init__(self, client: docker.DockerClient, plan: Plan) -> None:
        self._client = client
        self._plan = plan
        self._labels = {
            LABEL_RUN: plan.run_id,
            LABEL_TOPOLOGY: plan.topology.name,
            LABEL_OWNER: plan.owner,
            LABEL_RECORD: plan.record,
        }
        self._prefix = f"aftershock-{plan.run_id}"
        self._own = (client, plan.images["agent"], self._prefix, self._labels)
        self._network: Any = None
        self.zones = list(plan.topology.clients)  # those with clients
        self.clients = ClientsPod(client, self._prefix, self._labels)
        self.nodes: list[Node] = []
        self.groups = {
            name: RunningGroup(self, spec) for name, spec in plan.topology.each_group().items()
        }
        self.pods: dict[str, Pod] = {}
        self.layout: Layout
        self.hello: dict[str, dict[str, Any]] = {}
        self.disks: dict[str, dict[str, Disk]] = {}  # node → container's name → its disk
        self._empty: set[str] = set()  # nodes whose data is gone
        self.claims = Claims()

    def up(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start everything and form the cluster. Whatever happens, `down` removes it."""
        self._start()
        say("forming the cluster")
        groups.form(self.groups)
        if self.disks:
            asked = ("witness", dict[str, Any]())
            ask_all(self.agents(), dict.fromkeys(self.disks, asked), 10.0)

    def _start(self) -> None:
        plan = self._plan
        self._network = create_network(self._client, self._prefix, self._labels)
        self._network.reload()
        config = self._network.attrs["IPAM"]["Config"][0]
        base = config["Subnet"].rpartition(".")[0]
        nodes = placed(plan.topology)
        self.layout = Layout(base, [n.name for n in nodes], list(plan.topology.clients))
        self.nodes = [dataclasses.replace(n, address=self.layout.nodes[n.name]) for n in nodes]
        specs = {n.name: self.group(n.name).containers(n) for n in self.nodes}
        with (
            made_disks(*self._own, plan.topology.disk, specs) as self.disks,
            ThreadPoolExecutor(len(self.nodes) + 1) as pool,
        ):
            proxies = pool.submit(self._start_clients, config["Gateway"])
            waiting = [pool.submit(self._start_pod, n, specs[n.name], proxies) for n in self.nodes]
            for job in (proxies, *waiting):
                job.result()

    def helper(self, **rights: Any) -> Helper:
        """A new helper container of this run; its rights as `Helper` takes them."""
        return Helper(*self._own, **rights)

    def _start_pod(self, node: Node, specs: Sequence[ContainerSpec], proxies: Future[None]) -> None:
        plan = self._plan
        pod = Pod(self._client, node, self._prefix, self._labels)
        pod.disks = self.disks.get(node.name, {})
        self.pods[node.name] = pod
        peers = {n.name: n.address for n in self.nodes if n.name != node.name}
        self.hello[node.name] = pod.start_agent(
            plan.images["agent"],
            self._network.name,
            peers,
            self.layout.aliases(node.name),
            (group := self.group(node.name)).names(node.name),
        )
        self._delay(node.name, pod.link)
        told = group.advertised(node.name, specs, proxies.result)
        pod.start_databases(told, group.images(plan.images))

    def _start_clients(self, gateway: str) -> None:
        alias, own = self.layout.alias, self.layout.nodes
        upstreams = {
            Link(zone, node, port): (own[node] if zone == OBSERVER else alias(node, zone))
            + f":{self.group(node).number(port, zone, node)}"
            for zone in (OBSERVER, *self.zones)
            for node in own
            for port in self.group(node).ports(node)
        }
        self.hello[CLIENTS] = self.clients.start(
            self._plan.images,
            (self._network.name, self.layout.clients),
            upstreams,
            publish=not reaches_directly(gateway),
            labels={LABEL_SPEC: self._spec(upstreams)},
        )
        self._delay(CLIENTS, self.clients.link)

    def _delay(self, receiver: str, link: AgentLink) -> None:
        """Make its links as long as the topology says, before anything is sent on them."""
        hello = self.hello[receiver]
        base_links.apply(self._plan.topology, self.layout, receiver, link, hello)

    def _spec(self, links: Iterable[Link]) -> str:
        """What `attached.py` needs to know this cluster again, as a label."""
        return json.dumps(
            {
                "groups": {
                    name: {"system": group.system.name, "settings": group.told()}
                    for name, group in self.groups.items()
                },
                "nodes": [dataclasses.asdict(node) for node in self.nodes],
                "links": [[link.zone, link.node, link.port] for link in links],
            }
        )

    def hang_up(self) -> None:
        """Leave the agents to themselves: they heal, and keep the pods."""
        for pod in (*self.pods.values(), self.clients):
            if hasattr(pod, "link"):
                pod.link.close()

    def down(self) -> dict[str, int]:
        """Hang up and remove everything of this run; how many of each kind went."""
        self.hang_up()
        return remove_run(self._client, self._plan.run_id)

    def lost(self) -> str:
        """Why the cluster can no longer be controlled; "" while it can."""
        gone = [name for name, link in self.agents().items() if link.closed]
        return f"the agents of {', '.join(gone)} are gone" if gone else ""

    def agents(self) -> dict[str, AgentLink]:
        """The lines to the agents: by node, and CLIENTS."""
        return {name: pod.link for name, pod in self.pods.items()} | {CLIENTS: self.clients.link}

    @property
    def links(self) -> Links:
        """The clients' links in Toxiproxy."""
        return self.clients.links

    def address(self, node: str, port: str, zone: str | None = None) -> Address:
        """Where to dial `port` of `node`: the controller's own link, or that of a client zone."""
        return self.clients.addresses[Link(zone or OBSERVER, node, port)]

    def containers(self, nodes: Iterable[str]) -> dict[str, Any]:
        """Where another process of this host runs commands: the engine, and containers by node."""
        found = engine.require()
        where = {"engine": found.url, "certificates": str(found.certificates or "")}
        ids = {node: self.pods[node].container_ids().values() for node in nodes}
        return where | {node: next(iter(its), "") for node, its in ids.items()}

    def ways(self, sources: Iterable[str], destinations: Iterable[str]) -> list[Way]:
        """Every directed way from any source to any destination; places are nodes' names and
        `clients@ZONE` (chaos/runtime/ways.py)."""
        return self.layout.ways(sources, destinations)

    def group(self, node: str) -> RunningGroup:
        """The group that a node belongs to."""
        return self.groups[next(n.group for n in self.nodes if n.name == node)]

    def ports(self, *names: str | int) -> list[int]:
        """The numbers of ports given by name or number, in whatever group; all if none are."""
        every = [port for node in self.nodes for port in self.group(node.name).ports(node.name)]
        found = [groups.port_numbers(self.groups.values(), port) for port in names or every]
        return list(dict.fromkeys(number for numbers in found for number in numbers))

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
        pool = ThreadPoolExecutor(1)
        try:
            code, output = pool.submit(self.pods[node].execute, command, container, user).result(
                deadline_s
            )
        except TimeoutError:
            raise ClusterError(
                f"{' '.join(command)!r} on {node} did not end within {deadline_s:g} s"
            ) from None
        finally:
            pool.shutdown(wait=False)
        if code:
            raise ClusterError(
                f"{' '.join(command)!r} on {node} ended with exit code {code}",
                detail=output.strip()[-1500:],
            )
        return output

    def stop(self, node: str) -> None:
        """SIGKILL every database process of the node, and wait until the engine has noticed."""
        self.pods[node].link.ask("kill", 10.0)
        self.pods[node].wait_stopped()

    def start(self, node: str) -> None:
        """Start the node's database containers again, unless a fault keeps the node down."""
        with self.claims.changing(("start", node)):
            if not self.claims.of((DOWN, node)):
                self._start_pod_again(node)

    def keep_down(self, node: str, fault: str) -> None:
        """From now on nobody starts the node's database but `release` of the last such fault."""
        with self.claims.changing(("start", node)):
            self.claims.put((DOWN, node), fault)

    def release(self, node: str, fault: str) -> set[str]:
        """End `keep_down`, and start the database once the engine has seen that it ended.

        Returns the other faults that still keep the node down; it is not started then.
        """
        with self.claims.changing(("start", node)):
            others = set(self.claims.drop((DOWN, node), fault))
            if not others:
                pod = self.pods[node]
                seen = pod.link.ask("processes", 10.0)["processes"]
                if all(state in "ZX" for _, _, state in seen):
                    pod.wait_stopped()
                self._start_pod_again(node)
            return others

    def emptied(self, node: str) -> None:
        """The node's data is gone: when it is started next, it is started as a new one."""
        self._empty.add(node)

    def _as_new(self, node: str) -> None:
        """Have the cluster take an emptied node for a new one, if the database needs that."""
        if node in self._empty:
            group = self.group(node)
            if isinstance(group.system, StartsEmpty):
                self.pods[node].recreate(group.system.start_empty(group, node))
            self._empty.discard(node)

    def _start_pod_again(self, node: str) -> None:
        self._as_new(node)
        self.pods[node].start()
        self.freeze_again(node)

    def restart(self, node: str) -> set[str]:
        """Restart the node's databases in order, unless a fault keeps it down; which faults do."""
        if others := set(self.claims.of((DOWN, node))):
            return others
        self.pods[node].restart()
        with self.claims.changing(("start", node)):
            others = set(self.claims.of((DOWN, node)))
            if others:  # killed while it restarted: that fault has the last word
                self.pods[node].link.ask("kill", 10.0)
        return others

    def start_ended(self, node: str) -> bool:
        """Start those of the node's containers that have ended; False: a fault keeps it down."""
        with self.claims.changing(("start", node)):
            if self.claims.of((DOWN, node)):
                return False
            self._as_new(node)
            if self.pods[node].start_ended():
                self.freeze_again(node)
            return True

    def freeze_again(self, node: str) -> None:
        """Freeze what runs on the node, if a fault has the engine freeze it."""
        if self.claims.of((FROZEN, node)):
            self.pods[node].freeze()

    def silenced_by(self, node: str, but: str = "") -> list[str]:
        """The faults, other than `but`, that now keep the node from answering."""
        claims = self.claims.of
        return sorted({*claims((DOWN, node), but), *claims((SILENT, node), but)})

    def hindered_by(self, node: str, but: str = "") -> list[str]:
        """The same, and those that may keep it from answering."""
        return sorted({*self.silenced_by(node, but), *self.claims.of((HINDERED, node), but)})

    def wait(self, what: str, done: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Poll `done` until true; after the deadline ClusterError with the nodes' last lines."""
        end = time.monotonic() + deadline_s
        last = ""
        next_check = time.monotonic() + 1.0
        while True:
            try:
                if done():
                    return
                last = ""
            except Exception as error:  # a database that is starting refuses in many ways
                last = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            if now > next_check:
                next_check = now + 1.0
                for pod in list(self.pods.values()):
                    pod.check()
            if now > end:
                raise ClusterError(
                    f"{what} did not happen within {deadline_s:g} s",
                    detail="\n".join(filter(None, [last[:500], self.last_lines(8)])),
                    fix="`aftershock logs` shows more; a slower machine needs longer",
                )
            time.sleep(0.03)

    def last_lines(self, count: int) -> str:
        """The last lines of each node's log, for an error."""
        parts = []
        for name, pod in self.pods.items():
            try:
                lines = pod.logs(count).strip()
            except AftershockError as error:
                lines = error.what
            parts.append(f"--- {name}\n{lines}")
        return "\n".join(parts)

    def place_of(self, zone: str) -> dict[str, str | None]:
        """The zone, its region and whose that is: {"zone", "region", "provider"}."""
        topology = self._plan.topology
        region = topology.region_of(zone)
        return {"zone": zone, "region": region, "provider": topology.regions[region].provider}

    def nodes_in(self, zones: Iterable[str]) -> list[str]:
        """Names of the nodes in any of `zones`."""
        wanted = set(zones)
        return [node.name for node in self.nodes if node.zone in wanted]
