"""One node as a pod: an agent container that owns the namespaces, database containers that join.

The database's image is unmodified and its container has no added privilege. It can be killed and
started again without losing its address or the faults around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from chaos.agent.link import AgentLink
from chaos.errors import ClusterError
from chaos.runtime.copies import copied
from chaos.runtime.disks import Disk, data_places, group_folder, volume_options
from chaos.runtime.docker import LABEL_NODE, LABEL_PART, LABEL_ZONE, archive, engine_errors
from chaos.systems.base import ContainerSpec, Node

AGENT_HOME = "/aftershock"
AGENT_COMMAND = ["python3", "-u", "-m", "chaos.agent.agent"]
AGENT_CAPABILITIES = ("NET_ADMIN", "SYS_PTRACE", "KILL")
DISK_CAPABILITY = "SYS_ADMIN"  # to shut a filesystem down; only where the topology has `disk:`
# What the agent does must take effect on a busy machine too, and its burners have to win over the
# databases (1024). It uses next to nothing otherwise.
AGENT_CPU_SHARES = 65536
LOGS = LogConfig(type="json-file", config={"max-size": "20m", "max-file": "1"})


class Pod:
    """The containers of one node."""

    def __init__(
        self, client: docker.DockerClient, node: Node, prefix: str, labels: Mapping[str, str]
    ) -> None:
        self.node = node
        self.link: AgentLink
        self._client = client
        self._run = prefix
        self._run_labels = dict(labels)
        self._prefix = f"{prefix}-{node.name}"
        self._labels = {**labels, LABEL_NODE: node.name, LABEL_ZONE: node.zone}
        self._agent: Any = None
        self._databases: dict[str, Any] = {}  # container spec's name → container
        self._images: Mapping[str, str] = {}
        self.disks: Mapping[str, Disk] = {}  # container spec's name → its disk, with `disk:`

    def start_agent(
        self,
        image: str,
        network: str,
        peers: Mapping[str, str],
        aliases: Sequence[str],
        names: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Create and start the agent, attach to it, say hello; its answer.

        `peers` maps the other nodes' names to addresses. `aliases`: the node's further addresses;
        `names`: its further names in the network.
        """
        own = place_in(self._client.api, network, self.node.address, self.node.name, *names)
        self._agent, self.link = start_agent(
            self._client,
            image,
            name=f"{self._prefix}-agent",
            hostname=self.node.name,
            labels=self._labels,
            networking=own,
            devices=[disk.device for disk in self.disks.values()],
        )
        hello = self.link.ask("hello", 10.0, name=self.node.name, peers=dict(peers))
        self.link.ask("aliases", addresses=list(aliases))
        return hello

    def start_databases(self, specs: Sequence[ContainerSpec], images: Mapping[str, str]) -> None:
        """Create and start the containers of `specs`, joined to the agent's namespaces."""
        self._images = images
        for spec in specs:
            self._databases[spec.name] = self._create(spec, images[spec.image])
        self.link.ask("disks", places=data_places(specs, self.disks))
        if not any(spec.later for spec in specs):
            self.start()

    def recreate(self, specs: Sequence[ContainerSpec]) -> None:
        """Other containers on the volumes of those of the same names; the old ones have ended."""
        for spec in specs:
            with engine_errors(f"removing {spec.name} of {self.node.name}"):
                self._databases[spec.name].remove()
            self._databases[spec.name] = self._create(spec, self._images[spec.image])

    def _create(self, spec: ContainerSpec, image: str) -> Any:
        name = f"{self._prefix}-{spec.name}"
        joined = f"container:{self._agent.id}"
        binds = []
        with engine_errors(f"creating {spec.name} of {self.node.name}"):
            if spec.data_dir:
                volume = self._client.volumes.create(
                    f"{name}-data",
                    labels=self._labels,
                    driver_opts=volume_options(self.disks.get(spec.name)),
                )
                binds.append(f"{volume.name}:{spec.data_dir}:rw")
            binds += [f"{self._shared(at)}:{path}:rw" for path, at in spec.shared.items()]
            container = self._client.containers.create(
                image,
                list(spec.command) or None,
                name=name,
                environment=dict(spec.env),
                network_mode=joined,
                pid_mode=joined,
                volumes=binds,
                user=spec.user,
                labels={**self._labels, LABEL_PART: "database"},
                log_config=LOGS,
                **spec.options,
            )
            if spec.files:
                container.put_archive("/", archive(spec.files))
            if spec.copies:
                container.put_archive("/", copied(spec.copies))
        return container

    def _shared(self, volume: str) -> str:
        """The engine's name of a volume that nodes of the run share; made if it is not there."""
        name = f"{self._run}-shared-{volume}"
        self._client.volumes.create(name, labels=self._run_labels)
        return name

    def start(self) -> None:
        """Start the database containers, at once; those that run already are left alone."""
        with (
            engine_errors(f"starting the database of {self.node.name}"),
            ThreadPoolExecutor(len(self._databases) or 1) as pool,
        ):
            list(pool.map(_start, self._databases.values()))

    def start_ended(self) -> list[str]:
        """Start the containers that have ended, as the engine says now; their names."""
        ended = []
        with engine_errors(f"starting the database of {self.node.name}"):
            for name, container in self._databases.items():
                container.reload()
                if container.status not in ("running", "paused"):
                    container.start()
                    ended.append(name)
        return ended

    def freeze(self) -> None:
        """Freeze the database containers by the engine; those that do not run are left alone."""
        self._all(f"freezing {self.node.name}", "running", lambda c: c.pause())

    def thaw(self) -> None:
        """Undo `freeze`; what is not frozen is left alone."""
        self._all(f"thawing {self.node.name}", "paused", lambda c: c.unpause())

    def _all(self, doing: str, status: str, order: Callable[[Any], None]) -> None:
        """Give every container an order, at once; it is meant for those of that status only."""

        def give(container: Any) -> None:
            with engine_errors(doing):
                try:
                    order(container)
                except APIError as error:
                    container.reload()
                    if error.status_code not in (409, 500) or container.status == status:
                        raise

        with ThreadPoolExecutor(len(self._databases) or 1) as pool:
            list(pool.map(give, self._databases.values()))

    def data_volumes(self) -> list[str]:
        """The engine's names of the volumes that hold the node's data."""
        return [m["Name"] for c in self._databases.values() for m in c.attrs["Mounts"]
                if m["Type"] == "volume" and "-shared-" not in m["Name"]]  # fmt: skip

    def io_group(self, container: str) -> tuple[str, dict[str, Any]] | None:
        """Where the engine's host has a database container's control group for I/O, and the rights
        a helper needs to join it; None when the containers do not all run."""
        if not self.running():
            return None
        with engine_errors("reading the engine's control groups"):
            info = self._client.info()
        rights = {"cgroupns": "host"} if info.get("CgroupVersion") == "2" else {}
        return group_folder(info, self.container_ids()[container]), rights

    def container_ids(self) -> dict[str, str]:
        """The engine's ids of the database containers, by the spec's names."""
        return {name: container.id for name, container in self._databases.items()}

    def limits(self) -> dict[str, dict[str, Any]]:
        """The engine's limits by container: HostConfig of its API."""
        with engine_errors(f"reading the limits of {self.node.name}"):
            for container in self._databases.values():
                container.reload()
        return {name: dict(c.attrs["HostConfig"]) for name, c in self._databases.items()}

    def limit(self, container: str, **limits: int) -> None:
        """Change a container's limits; the keys are docker-py's `Container.update`'s."""
        with engine_errors(f"limiting {container} of {self.node.name}"):
            self._databases[container].update(**limits)

    def oom_kills(self, since_s: float) -> int:
        """How often the kernel killed for want of memory since then (seconds of UNIX time)."""
        where = {"container": [c.id for c in self._databases.values()], "event": ["oom"]}
        with engine_errors(f"reading what happened on {self.node.name}"):
            events = self._client.api.events(
                since=int(since_s), until=int(time.time()) + 1, filters=where, decode=True
            )
            return sum(1 for event in events if event["timeNano"] / 1e9 >= since_s)

    def restart(self) -> None:
        """Orderly: SIGTERM, ten seconds, SIGKILL; then start."""
        for container in self._databases.values():
            with engine_errors(f"restarting {container.name}"):
                container.stop(timeout=10)  # the engine's own restart breaks off when another
                container.start()  # fault kills, or starts, the container in between

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

    def ended(self) -> int | None:
        """The greatest exit code once all database containers have ended; None while one has not.

        Those that were never started have not ended.
        """
        codes = []
        for container in self._databases.values():
            with engine_errors(f"looking at {container.name}"):
                container.reload()
            if container.status not in ("exited", "dead"):
                return None
            codes.append(int(container.attrs["State"]["ExitCode"]))
        return max(codes, default=None)

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
    devices: Sequence[str] = (),
    network_mode: str | None = None,
    sysctls: Mapping[str, str] | None = None,
) -> tuple[Any, AgentLink]:
    """Create and start an agent's container; it, and the line to the agent.

    `ports` are published on loopback. `devices`: the node's disks, which the agent keeps open.
    `network_mode` "none": without `networking`. `sysctls`: of its network namespace.
    """
    api = client.api
    with engine_errors(f"starting the agent of {hostname}"):
        host = api.create_host_config(
            cap_add=[*AGENT_CAPABILITIES, *([DISK_CAPABILITY] if devices else [])],
            devices=[f"{device}:{device}:rwm" for device in devices],
            init=False,
            log_config=LOGS,
            cpu_shares=AGENT_CPU_SHARES,
            port_bindings=dict.fromkeys(ports, ("127.0.0.1", None)),
            network_mode=network_mode,
            sysctls=dict(sysctls or {}),
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
        return attach(client, made["Id"], hostname)


def attach(client: docker.DockerClient, id: str, name: str) -> tuple[Any, AgentLink]:
    """Put our program into a created container and start it; it, and the line to the program.

    Attached before the start, so that no answer can be missed; `StdinOnce` turns our end-of-file
    into the program's.
    """
    container = client.containers.get(id)
    container.put_archive("/", archive(agent_files()))
    attached = client.api.attach_socket(
        id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    )
    container.start()
    return container, AgentLink(name, attached)


def _start(container: Any) -> None:
    """Start it; a frozen one cannot be started, and runs as soon as it is thawed."""
    container.reload()
    if container.status != "paused":
        container.start()


def place_in(api: docker.APIClient, network: str, address: str, *names: str) -> Any:
    """The networking part of a container's configuration: its network, address and names there."""
    at = api.create_endpoint_config(ipv4_address=address, aliases=list(dict.fromkeys(names)))
    create: Any = api.create_networking_config  # its stubs ask for something else
    return create({network: at})


def agent_files() -> dict[str, str]:
    """The agent's modules as files of the container; `chaos` there is just these."""
    package = Path(__file__).parent.parent
    modules = [package / "__init__.py", *(package / "agent").glob("*.py")]
    return {
        f"{AGENT_HOME}/chaos/{module.relative_to(package)}": module.read_text()
        for module in modules
        if module.name != "link.py"  # the controller's end
    }
