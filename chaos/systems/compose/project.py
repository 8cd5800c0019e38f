"""A Compose file, read: plain data, which `chaos/spec/compose` makes and this system runs.

What a service is told may hold passwords, so it never leaves this process for a file: a label of
the engine and the clients get `told()`, and a run directory the Compose file's path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = "_compose"  # under which the project stands among a group's settings
TAKEN = ("primary", "replica", "one", "all", "majority", "minority", "random")
STARTED, HEALTHY, COMPLETED = (
    "service_started",
    "service_healthy",
    "service_completed_successfully",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A healthcheck. It is run in the container until it succeeds once, while the project forms."""

    command: Sequence[str]
    interval_ns: int
    timeout_ns: int
    retries: int
    start_period_ns: int

    @property
    def deadline_s(self) -> float:
        """How long a service may take to be healthy: what the engine would have given it."""
        tries_ns = self.retries * (self.interval_ns + self.timeout_ns)
        return (self.start_period_ns + tries_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A service that must have come so far before another is started."""

    service: str
    condition: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A file or folder of this host, or a text, that stands in the container."""

    target: str
    source: Path | None = None
    text: str = ""
    mode: int | None = None  # None: as it is here


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image is built."""

    context: Path
    dockerfile: str = "Dockerfile"
    text: str | None = None  # of a Dockerfile that stands in the Compose file
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, as each of its nodes runs it."""

    name: str
    zones: Sequence[str]  # of its nodes, in turn
    image: str  # a reference, or the name of an image folder of ours
    build: Build | None = None
    replicas: int = 1
    command: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    data: str | None = None  # where its own volume is
    volumes: Mapping[str, str] = field(default_factory=dict)  # of the project's: path → name
    copies: Sequence[Copy] = ()
    needs: Sequence[Need] = ()
    health: Health | None = None
    names: Sequence[str] = ()  # what others may call it, besides its nodes' names
    ports: Sequence[int] = ()  # the first is the one that tells whether it lives
    knock: bytes | None = None  # what it answers there at once; None: nobody said
    user: str | None = None
    restarts: bool = False  # started again when it ends while the project forms
    options: Mapping[str, Any] = field(default_factory=dict)  # of the engine, in its driver's words

    @property
    def nodes(self) -> list[str]:
        """Its nodes' names: its own, or with a number where there are several, or where its own
        is a word that faults are aimed with. By its own name others find it in any case."""
        name = self.name.lower().replace("_", "-").replace(".", "-").strip("-")
        if self.replicas == 1 and name not in TAKEN:
            return [name]
        return [f"{name}-{k + 1}" for k in range(self.replicas)]


# What a live server says at once, by the port that its protocol has; others are asked as HTTP.
KNOCKS = {
    3306: b"",  # MySQL speaks first
    5432: bytes.fromhex("0000000804d2162f"),  # PostgreSQL's SSLRequest, answered with one letter
    5672: b"AMQP\x00\x00\x09\x01",
    6379: b"PING\r\n",
    11211: b"version\r\n",
    26379: b"PING\r\n",
}
HTTP_KNOCK = b"OPTIONS * HTTP/1.0\r\n\r\n"  # of the server as such, and no page of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """All that runs. `services` are in the order of the file."""

    path: Path  # the Compose file
    services: Mapping[str, Service]
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def by_node(self) -> dict[str, Service]:
        """Node → its service."""
        return {node: service for service in self.services.values() for node in service.nodes}

    def images(self) -> dict[str, str]:
        """What each service's image is kept under → its reference."""
        return {f"compose:{name}": service.image for name, service in self.services.items()}

    def builds(self) -> dict[str, Build]:
        """Reference → how it is built."""
        return {s.image: s.build for s in self.services.values() if s.build is not None}

    def told(self) -> dict[str, Any]:
        """What clients, and other processes, may know of it, as JSON."""
        nodes = {}
        for node, service in self.by_node().items():
            ports = port_names(service.ports)
            knock = KNOCKS.get(next(iter(service.ports), 0), HTTP_KNOCK)
            knock = knock if service.knock is None else service.knock
            nodes[node] = {
                "service": service.name,
                "ports": ports,
                "knocks": {
                    name: (knock if name == "db" else KNOCKS.get(port, HTTP_KNOCK)).hex()
                    for name, port in ports.items()
                },
            }
        return {"nodes": nodes}


def port_names(ports: Sequence[int]) -> dict[str, int]:
    """Names of a service's ports: `db` is the first, as of any system; others by number."""
    return {"db" if k == 0 else str(port): port for k, port in enumerate(dict.fromkeys(ports))}


def told(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known of each node, whoever asks: here it is a project, elsewhere what it told."""
    project = settings.get(PROJECT)
    found: Mapping[str, Any] = project.told() if isinstance(project, Project) else (project or {})
    nodes: Mapping[str, Any] = found.get("nodes", {})
    return nodes


def as_text(value: object) -> str:
    """A value as YAML would write it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
