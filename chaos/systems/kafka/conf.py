"""What a Kafka pod is configured with: settings, server.properties, and how the broker starts.

Every node is broker and controller. It listens on a port of its own for each zone that has clients,
because it tells clients where all brokers are, and those of each zone reach them by other ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chaos.systems._common import DURATION, INTEGER, TRUE_FALSE, Setting, milliseconds, resolve
from chaos.systems.base import Address, ContainerSpec, Node

PORTS = {"db": 9092, "replication": 9091, "controller": 9093}
ZONE_PORT = 9100  # that of the first zone with clients; the others follow
VOLUME = "/var/lib/kafka"
DATA = f"{VOLUME}/data"
CONF = "/etc/aftershock/server.properties"
RUN = "sh /usr/lib/kafka/run"  # topologies/images/kafka/run
CLUSTER_ID = "AftershockKafkaBrokerA"  # 16 bytes in base64
COPIES_MAX = 3

_DURATIONS = {
    "replica.lag.time.max.ms": Setting(
        about="how long a follower may be behind its leader and still count as in sync "
        "(Kafka's own: 30s)",
        values=DURATION,
        default="3s",
    ),
    "broker.session.timeout.ms": Setting(
        about="how long the controller hears nothing of a broker before others lead its logs "
        "(Kafka's own: 9s)",
        values=DURATION,
        default="3s",
    ),
    "broker.heartbeat.interval.ms": Setting(
        about="how often a broker says to the controller that it lives (Kafka's own: 2s)",
        values=DURATION,
        default="500ms",
    ),
    "controller.quorum.election.timeout.ms": Setting(
        about="how long a candidate for controller waits for votes", values=DURATION
    ),
    "controller.quorum.fetch.timeout.ms": Setting(
        about="silence after which a controller stands for election, or steps down (Kafka's own: "
        "2s)",
        values=DURATION,
    ),
    "log.flush.interval.ms": Setting(
        about="how long messages may wait to be synced to disk; never synced if not set",
        values=DURATION,
    ),
}
_PLAIN = {
    "default.replication.factor": Setting(
        about="brokers that have a copy of each log; 3, or as many as there are, if not set",
        values=r"[1-9]",
    ),
    "min.insync.replicas": Setting(
        about="copies in sync without which a send with `acks: all` is refused; Kafka's own: 1",
        values=r"[1-9]",
    ),
    "unclean.leader.election.enable": Setting(
        about="true: a copy that is not in sync may lead when no other is there, and what it lacks "
        "is gone; Kafka's own: false",
        values=TRUE_FALSE,
    ),
    "log.flush.interval.messages": Setting(
        about="messages of a log between syncs to disk; 1: each is synced before it is "
        "acknowledged; never synced if not set",
        values=r"[1-9][0-9]{0,11}",
    ),
    "auto.leader.rebalance.enable": Setting(
        about="true: the controller gives logs back to the brokers that they prefer by itself; "
        "here that is the step `elect-preferred`",
        values=TRUE_FALSE,
        default="false",
    ),
    "max.connections": Setting(about="most connections to one broker", values=INTEGER),
}
_OURS = {
    "heap": Setting(
        about="the most memory of the Java heap", values=r"[1-9][0-9]{2,4}m", default="256m"
    ),
}
SETTINGS = {**_DURATIONS, **_PLAIN, **_OURS}

# For clusters this small: memory and threads are bounded, nothing expires, groups begin at once.
_FIXED = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "REPLICATION",
    "log.dirs": DATA,
    "auto.create.topics.enable": "false",
    "log.retention.ms": "-1",
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "replica.fetch.backoff.ms": "100",
    "replica.fetch.wait.max.ms": "100",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
}


def copies(settings: Mapping[str, Any], nodes: int) -> int:
    """How many brokers have each log."""
    return int(settings.get("default.replication.factor", min(COPIES_MAX, nodes)))


def setting_problems(settings: Mapping[str, Any], nodes: int) -> Iterable[str]:
    """What is wrong with settings each of which could be meant."""
    there = copies(settings, nodes)
    if there > nodes:
        yield f"settings.default.replication.factor: {there} copies need as many nodes, got {nodes}"
    if int(settings.get("min.insync.replicas", 1)) > there:
        yield (
            f"settings.min.insync.replicas: expected at most the {there} copies there are, or no "
            "send would ever be taken"
        )
    times = {name: milliseconds(value) for name, value in resolve(settings, _DURATIONS).items()}
    if times["broker.heartbeat.interval.ms"] >= times["broker.session.timeout.ms"]:
        yield "settings.broker.heartbeat.interval.ms: expected less than broker.session.timeout.ms"


def number(node: str, names: Sequence[str]) -> int:
    """A node's id, from 1."""
    return 1 + list(names).index(node)


def server_properties(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
) -> dict[str, str]:
    """All properties of `node` but where its clients reach it."""
    names = [other.name for other in nodes]
    there = copies(settings, len(nodes))
    inner = f"REPLICATION://{node.address}:{PORTS['replication']}"
    times = {name: milliseconds(value) for name, value in resolve(settings, _DURATIONS).items()}
    return {
        **_FIXED,
        "node.id": str(number(node.name, names)),
        "controller.quorum.voters": ",".join(
            f"{number(n.name, names)}@{n.address}:{PORTS['controller']}" for n in nodes
        ),
        "listeners": f"CONTROLLER://{node.address}:{PORTS['controller']},{inner}",
        "advertised.listeners": inner,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,REPLICATION:PLAINTEXT",
        "default.replication.factor": str(there),
        "offsets.topic.replication.factor": str(there),
        "transaction.state.log.replication.factor": str(there),
        "transaction.state.log.min.isr": str(min(2, there)),
        **{name: str(value) for name, value in times.items()},
        **resolve(settings, _PLAIN),
    }


def zone_port(port: str, place: int) -> int:
    """The number under which the clients of the `place`-th zone come to `port`."""
    return ZONE_PORT + place if port == "db" else PORTS[port]


def container(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> ContainerSpec:
    """The node's container. Its directory is formatted when there is none yet; what that writes it
    leaves to the kernel to sync."""
    start = (
        f"[ -s {DATA}/meta.properties ] || {{ {RUN} format -Xmx64m kafka.tools.StorageTool format "
        f"-t {CLUSTER_ID} -c {CONF} && find {DATA} -exec sync {{}} +; }} || exit; "
        f"exec {RUN} server -Xmx{resolve(settings, _OURS)['heap']} kafka.Kafka {CONF}"
    )
    return ContainerSpec(
        name="kafka",
        image="kafka",
        command=["sh", "-c", start],
        files={CONF: _text(server_properties(node, nodes, settings))},
        data_dir=VOLUME,
    )


def advertised(spec: ContainerSpec, links: Mapping[str, Address]) -> ContainerSpec:
    """The container with a listener for each zone, the controller's first, and the address under
    which that zone reaches it."""
    values = dict(line.split("=", 1) for line in spec.files[CONF].splitlines())
    numbers = [PORTS["db"], *(zone_port("db", place) for place in range(len(links) - 1))]
    for place, ((host, port), own) in enumerate(zip(links.values(), numbers, strict=True)):
        values["listeners"] += f",CLIENTS{place}://0.0.0.0:{own}"
        values["advertised.listeners"] += f",CLIENTS{place}://{host}:{port}"
        values["listener.security.protocol.map"] += f",CLIENTS{place}:PLAINTEXT"
    return replace(spec, files={**spec.files, CONF: _text(values)})


def _text(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
