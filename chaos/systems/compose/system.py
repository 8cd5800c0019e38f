"""Software that we do not know: the services of a Compose file, each a node.

What Compose promises of starting is kept (`forming.py`): a service is started when those that it
waits for are so far; names of services resolve; volumes are the project's. Of data nothing is
known, so nothing is claimed: clients probe (`prober.py`), and what they were answered is the
history. A node is `member` when it answers a knock, whatever that means to its software.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    ErrorRule,
    Node,
    Observation,
    Reachable,
    Step,
)
from chaos.systems.compose.forming import Forming
from chaos.systems.compose.knocking import knock
from chaos.systems.compose.ours import STARTS
from chaos.systems.compose.prober import ERRORS, Prober
from chaos.systems.compose.project import PROJECT, Project, Service, told

ROLES = {"answered": "member", "silent": "unknown", "refused": "down"}


def _service(node: str, settings: Mapping[str, Any]) -> Service:
    project = settings[PROJECT]
    assert isinstance(project, Project)
    return project.by_node()[node]


def _start(cluster: Cluster, node: str) -> None:
    cluster.start(node)


STEPS: Mapping[str, Step] = {
    "start": Step(about="start this node's container if it has ended", run=_start)
}


class Compose:
    """See `chaos.systems.base.System`."""

    name = "compose"
    about = "Software that we do not know, from a Compose file: probed, not understood"
    ports: Mapping[str, int] = {}
    knocks: Mapping[str, bytes] = {}
    images: Sequence[str] = ()
    elects = False
    workloads = frozenset({"probes"})
    settings: Mapping[str, str] = {}
    client_options: Mapping[str, str] = {}
    errors: Sequence[ErrorRule] = ERRORS
    steps = STEPS

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Roles mean nothing here; the rest is checked where the Compose file is read."""
        for node in nodes:
            if node.role is not None:
                yield f"nodes.{node.name}.role: a service has no role here; leave it out"

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """There are none."""
        return ()

    def node_ports(self, node: str, settings: Mapping[str, Any]) -> Mapping[str, int]:
        """The ports of the node's service; none where nobody says that it listens."""
        found: Mapping[str, int] = told(settings)[node]["ports"]
        return found

    def node_knock(self, node: str, port: str, settings: Mapping[str, Any]) -> bytes:
        """What the service answers at once, as its probes or its port say."""
        return bytes.fromhex(told(settings)[node]["knocks"][port])

    def node_names(self, node: str, settings: Mapping[str, Any]) -> Sequence[str]:
        """What other services call it."""
        return _service(node, settings).names

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One, as the Compose file says; an image of ours starts as the official one does."""
        service = _service(node.name, settings)
        start = STARTS.get(service.image) if service.entrypoint is None else None
        entrypoint = start.entrypoint if start else service.entrypoint
        command = service.command or (start.command if start else ())
        return [
            ContainerSpec(
                name="service",
                image=f"compose:{service.name}",
                command=command,
                env=service.environment,
                data_dir=service.data,
                user=service.user or ("0:0" if start else None),
                later=True,
                shared=service.volumes,
                copies=[(c.target, c.source or c.text, c.mode) for c in service.copies],
                options={**service.options, **({"entrypoint": entrypoint} if entrypoint else {})},
            )
        ]

    def form(self, cluster: Cluster) -> None:
        """Start the services in order; returns when each is healthy or listens."""
        Forming(cluster).run()

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """One that probes."""
        return Prober(spec)

    def client_settings(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is asked; the rest of the project stays here."""
        project = settings[PROJECT]
        assert isinstance(project, Project)
        return {"_probes": project.probes}

    def versions(self) -> Mapping[str, str]:
        """What probes are made with."""
        drivers = {name: version(name) for name in ("psycopg", "pymysql")}
        return {"http.client": platform.python_version(), **drivers}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """Whether the node answers a knock."""
        if not self.node_ports(node, cluster.settings):
            deaf = Observation(role="unknown", note="it listens nowhere that we know of")
            return lambda: deaf
        say = self.node_knock(node, "db", cluster.settings)
        address = cluster.address(node, "db")
        return lambda: Observation(role=ROLES[knock(address, say, timeout_s)])


SYSTEM = Compose()
