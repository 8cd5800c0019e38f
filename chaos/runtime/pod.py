"""One node as a pod: an agent container that owns the namespaces, database containers that join.

The database's image is unmodified and its container has no added privilege. It can be killed and
started again without losing its address or the faults around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker.types import LogConfig

from chaos.agent.link import AgentLink
from chaos.errors import ClusterError
from chaos.runtime.docker import LABEL_NODE, LABEL_PART, LABEL_ZONE, archive, engine_errors
from chaos.systems.base import ContainerSpec, Node

AGENT_HOME = "/aftershock"
AGENT_COMMAND = ["python3", "-u", "-m", "chaos.agent.agent"]
AGENT_CAPABILITIES = ("NET_ADMIN", "SYS_PTRACE", "KILL")
LOGS = LogConfig(type="json-file", config={"max-size": "20m", "max-file": "1"})


class Pod:
    """The containers of one node."""

    def __init__(
        self, client: docker.DockerClient, node: Node, prefix: str, labels: Mapping[str, str]
    ) -> None:
        self.node = node
        self.link: AgentLink
        self._client = client
        self._prefix = f"{prefix}-{node.name}"
        self._labels = {**labels, LABEL_NODE: node.name, LABEL_ZONE: node.zone}
        self._agent: Any = None
        self._databases: dict[str, Any] = {}  # container spec's name → container
        self._specs: dict[str, ContainerSpec] = {}

    def start_agent(
        self, image: str, network: str, peers: Mapping[str, str], aliases: Sequence[str]
    ) -> dict[str, Any]:
        """Create and start the agent, attach to it, say hello; its answer.

        `peers` maps the other nodes' names to addresses. `aliases`: the node's further addresses.
        """
        self._agent, self.link = start_agent(
            self._client,
            image,
            name=f"{self._prefix}-agent",
            hostname=self.node.name,
            labels=self._labels,
            networking=place_in(self._client.api, network, self.node.address, self.node.name),
        )
        hello = self.link.ask("hello", 10.0, name=self.node.name, peers=dict(peers))
        self.link.ask("aliases", addresses=list(aliases))
        return hello

    def start_databases(self, specs: Sequence[ContainerSpec], images: Mapping[str, str]) -> None:
        """Create and start the containers of `specs`, joined to the agent's namespaces."""
        for spec in specs:
            self._specs[spec.name] = spec
            self._databases[spec.name] = self._create(spec, images[spec.image])
        self.start()

    def _create(self, spec: ContainerSpec, image: str) -> Any:
        name = f"{self._prefix}-{spec.name}"
        joined = f"container:{self._agent.id}"
        volumes = {}
        with engine_errors(f"creating {spec.name} of {self.node.name}"):
            if spec.data_dir:
                volume = self._client.volumes.create(f"{name}-data", labels=self._labels)
                volumes[volume.name] = {"bind": spec.data_dir, "mode": "rw"}
            container = self._client.containers.create(
                image,
                list(spec.command),
                name=name,
                environment=dict(spec.env),
                network_mode=joined,
                pid_mode=joined,
                volumes=volumes,
                user=spec.user,
                labels={**self._labels, LABEL_PART: "database"},
                log_config=LOGS,
            )
            if spec.files:
                container.put_archive("/", archive(spec.files))
        return container

    def start(self) -> None:
        """Start the database containers, at once; those that run already are left alone."""
        with (
            engine_errors(f"starting the database of {self.node.name}"),
            ThreadPoolExecutor(len(self._databases) or 1) as pool,
        ):
            list(pool.map(lambda container: container.start(), self._databases.values()))

    def restart(self) -> None:
        """Orderly: SIGTERM, ten seconds, SIGKILL; then start."""
        for container in self._databases.values():
            with engine_errors(f"restarting {container.name}"):
                container.restart(timeout=10)

    def wait_stopped(self, deadline_s: float = 10.0) -> None:
        """Until the engine has noticed that the database containers ended."""
        for container in self._databases.values():
            with engine_errors(f"waiting for {container.name} to end"):
                container.wait(timeout=deadline_s)

    def running(self) -> bool:
        """Whether every database container runs, as the engine says."""
        for container in self._databases.values():
            try:
                container.reload()
            except NotFound:
                return False
            if container.status != "running":
                return False
        return bool(self._databases)

    def execute(
        self, command: Sequence[str], container: str | None, user: str | None
    ) -> tuple[int, str]:
        """Run a command in a database container (the first by default): exit code and output."""
        name = container or next(iter(self._databases))
        with engine_errors(f"running {command[0]} on {self.node.name}"):
            code, output = self._databases[name].exec_run(list(command), user=user or "")
        return code, output.decode(errors="replace")

    def logs(self, tail: int | str = "all") -> str:
        """What the node's containers have written."""
        text = []
        for name, container in self._databases.items():
            with engine_errors(f"reading the log of {container.name}"):
                lines = container.logs(tail=tail).decode(errors="replace")
            text.append(f"==> {name} <==\n{lines}" if len(self._databases) > 1 else lines)
        return "\n".join(text)

    def check(self) -> None:
        """ClusterError with its last lines if a database container has ended by itself."""
        for name, container in self._databases.items():
            container.reload()
            if container.status == "exited":
                raise ClusterError(
                    f"{name} on {self.node.name} ended with exit code "
                    f"{container.attrs['State']['ExitCode']}",
                    detail=container.logs(tail=15).decode(errors="replace").strip(),
                )


def start_agent(
    client: docker.DockerClient,
    image: str,
    *,
    name: str,
    hostname: str,
    labels: Mapping[str, str],
    networking: Any,
    ports: Sequence[int] = (),
) -> tuple[Any, AgentLink]:
    """Create and start an agent's container; it, and the line to the agent.

    Attached before the start, so that no answer can be missed; `StdinOnce` turns our end-of-file
    into the agent's. `ports` are published on loopback.
    """
    api = client.api
    with engine_errors(f"starting the agent of {hostname}"):
        host = api.create_host_config(
            cap_add=list(AGENT_CAPABILITIES),
            init=False,
            log_config=LOGS,
            port_bindings=dict.fromkeys(ports, ("127.0.0.1", None)),
        )
        made = api.create_container(
            image,
            AGENT_COMMAND,
            name=name,
            working_dir=AGENT_HOME,
            hostname=hostname,
            stdin_open=True,
            ports=list(ports) or None,
            host_config=host,
            labels={**labels, LABEL_PART: "agent"},
            networking_config=networking,
        )
        container = client.containers.get(made["Id"])
        container.put_archive("/", archive(_agent_files()))
        attached = api.attach_socket(
            made["Id"], params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        container.start()
    return container, AgentLink(hostname, attached)


def place_in(api: docker.APIClient, network: str, address: str, name: str) -> Any:
    """The networking part of a container's configuration: its network, address and name there."""
    at = api.create_endpoint_config(ipv4_address=address, aliases=[name])
    create: Any = api.create_networking_config  # its stubs ask for something else
    return create({network: at})


def _agent_files() -> dict[str, str]:
    """The agent's modules as files of the container; `chaos` there is just these."""
    package = Path(__file__).parent.parent
    modules = [package / "__init__.py", *(package / "agent").glob("*.py")]
    return {
        f"{AGENT_HOME}/chaos/{module.relative_to(package)}": module.read_text()
        for module in modules
        if module.name != "link.py"  # the controller's end
    }
