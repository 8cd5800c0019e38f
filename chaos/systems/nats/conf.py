"""What a NATS pod is configured with: settings, nats-server.conf, and how the server starts.

Election time-outs of raft (4 to 9 s), its heartbeats (1 s) and the time after which a leader
notices that it has lost its majority (10 s) are constants of the server
(https://github.com/nats-io/nats-server/blob/v2.10.27/server/raft.go): there is nothing to set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, INTEGER, Setting, equals_problems, milliseconds, resolve
from chaos.systems.base import ContainerSpec, Node

PORTS = {"db": 4222, "monitor": 8222}
ROUTE_PORT = 6222  # where servers connect to each other
DATA = "/var/lib/nats"
CONF = "/etc/aftershock/nats-server.conf"

_JETSTREAM = {
    "sync_interval": Setting(
        about="how often files are synced to disk (2m if not set), or always: before each write is "
        "answered, in streams and in the logs of raft",
        values=r"always|[1-9][0-9]{0,5}(ms|s|m)",
    ),
    "max_file_store": Setting(
        about="the most that a server's streams may take on disk; three quarters of what is free "
        "when it starts if not set",
        values=r"[1-9][0-9]{0,5}(MB|GB)",
    ),
}
_SERVER = {
    "max_payload": Setting(about="largest message in bytes; 1 MiB if not set", values=INTEGER),
    "ping_interval": Setting(
        about="how often a server asks a silent connection whether it lives; 2m if not set",
        values=r"[1-9][0-9]{0,5}(ms|s|m)",
    ),
    "write_deadline": Setting(
        about="how long a server waits for a connection to take what it writes; 10s if not set",
        values=r"[1-9][0-9]{0,5}(ms|s|m)",
    ),
}
_STREAMS = {
    "replicas": Setting(
        about="servers that hold each stream: 1, 3 or 5; a message is acknowledged once a majority "
        "of them has it",
        values="1|3|5",
        default="3",
    ),
    "ack_wait": Setting(
        about="how long who took an element off a queue may take to acknowledge it, before another "
        "gets it (NATS's own default: 30s)",
        values=DURATION,
        default="2s",
    ),
}
SETTINGS = {**_STREAMS, **_JETSTREAM, **_SERVER}


def replicas(settings: Mapping[str, Any]) -> int:
    """How many servers hold each stream."""
    return int(resolve(settings, _STREAMS)["replicas"])


def ack_wait_s(settings: Mapping[str, Any]) -> float:
    """How long an element that was taken is kept from others, in seconds."""
    return milliseconds(resolve(settings, _STREAMS)["ack_wait"]) / 1000


def node_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with the nodes, and with as many replicas on them; a sentence each."""
    yield from equals_problems(nodes, "NATS elects a leader for each stream; leave it out")
    wanted = str(settings.get("replicas", _STREAMS["replicas"].default))
    if nodes and re.fullmatch(_STREAMS["replicas"].values, wanted) and int(wanted) > len(nodes):
        yield f"settings.replicas: expected at most the number of nodes, {len(nodes)}, got {wanted}"


def conf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole nats-server.conf of `node`. Its name is its tag, too, by which a stream of one
    replica is put on it. All nodes are routes of all, its own among them, for the first election
    counts them to know how many it needs. Clients are told of no other node than theirs."""
    plain = resolve(settings, {**_SERVER, **_JETSTREAM})
    server = "".join(f"{name}: {plain[name]}\n" for name in _SERVER if name in plain)
    stream = "".join(f"  {name}: {plain[name]}\n" for name in _JETSTREAM if name in plain)
    text = (
        f"server_name: {node.name}\n"
        f"server_tags: [{node.name}]\n"
        f"listen: 0.0.0.0:{PORTS['db']}\n"
        f"http: 0.0.0.0:{PORTS['monitor']}\n"
        f"{server}"
        f"jetstream {{\n  store_dir: {DATA}\n{stream}}}\n"
    )
    if len(nodes) == 1:
        return text
    routes = "".join(f"    nats://{other.address}:{ROUTE_PORT}\n" for other in nodes)
    return (
        f"{text}cluster {{\n  name: aftershock\n  listen: 0.0.0.0:{ROUTE_PORT}\n"
        f"  no_advertise: true\n  routes: [\n{routes}  ]\n}}\n"
    )


def container(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> ContainerSpec:
    """The node's container; a server that lost its data starts as it started first. One without
    data waits a moment for the others (topologies/images/nats/together)."""
    number = [other.name for other in nodes].index(node.name)
    others = " ".join(other.address for other in nodes if other.name != node.name)
    together = f"perl /usr/lib/nats/together {ROUTE_PORT} {number} {others}"
    wait = f"[ -e {DATA}/jetstream ] || {together}; "
    return ContainerSpec(
        name="nats",
        image="nats",
        command=["sh", "-c", f"{wait if others else ''}exec nats-server --config {CONF}"],
        files={CONF: conf(node, nodes, settings)},
        data_dir=DATA,
    )
