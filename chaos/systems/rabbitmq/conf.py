"""What a RabbitMQ pod is configured with: settings, rabbitmq.conf, how the node starts, queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, Setting, milliseconds, resolve
from chaos.systems.base import ContainerSpec, Node

PORTS = {"db": 5672, "management": 15672, "metrics": 15692, "epmd": 4369}
DISTRIBUTION_PORT = 25672  # the nodes' own
VOLUME = "/var/lib/rabbitmq"
DATA = f"{VOLUME}/data"
CONF = "/etc/aftershock/rabbitmq.conf"
HOSTS = "/etc/aftershock/hosts.inetrc"
COOKIE = "aftershock"  # what Erlang nodes show each other
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"

CLASSIC, QUORUM, STREAM = TYPES = ("classic", "quorum", "stream")
TYPE = "queue_type"
MEMBERS = "group_size"
LIMIT = "delivery_limit"

_OURS = {
    TYPE: Setting(
        about="what clients make: classic queues (each on one node), quorum queues (a raft group "
        "each), or streams, which are logs; RabbitMQ's own default is classic",
        values="|".join(TYPES),
        default=CLASSIC,
    ),
    MEMBERS: Setting(
        about="on how many nodes a quorum queue or a stream is (x-quorum-initial-group-size, "
        "x-initial-cluster-size); a classic queue is on one",
        values="[1-9]",
        default="3",
    ),
    LIMIT: Setting(
        about="how often a quorum queue gives out an element that comes back before it drops it "
        "(x-delivery-limit; RabbitMQ's own: 20); -1: without end",
        values="-1|[1-9][0-9]{0,5}",
    ),
}
_CONF = {
    "cluster_partition_handling": Setting(
        about="what nodes do that have lost others: ignore (RabbitMQ's default), pause_minority, "
        "or autoheal: when the network is whole again, one side is started anew",
        values="ignore|pause_minority|autoheal",
        default="ignore",
    ),
}
_TICK = {
    "net_ticktime": Setting(
        about="how long a node hears nothing of another before it takes it for down (RabbitMQ's "
        "own: 60s), give or take a quarter; whole seconds",
        values=DURATION,
        default="5s",
    ),
}
SETTINGS = {**_OURS, **_CONF, **_TICK}


def queue_type(settings: Mapping[str, Any]) -> str:
    """What clients make: classic, quorum or stream."""
    return resolve(settings, _OURS)[TYPE]


def arguments(settings: Mapping[str, Any]) -> dict[str, str | int]:
    """With what a queue is declared. Whoever declares it is at the node that is to lead it."""
    ours = resolve(settings, _OURS)
    kind, members = ours[TYPE], int(ours[MEMBERS])
    found: dict[str, str | int] = {
        "x-queue-type": kind,
        "x-queue-leader-locator": "client-local",
    }
    if kind == QUORUM:
        found["x-quorum-initial-group-size"] = members
        if LIMIT in ours:
            found["x-delivery-limit"] = int(ours[LIMIT])
    if kind == STREAM:
        found["x-initial-cluster-size"] = members
    return found


def setting_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with settings each of which could be meant."""
    kind = queue_type(settings)
    if LIMIT in settings and kind != QUORUM:
        yield f"settings.{LIMIT}: only quorum queues have one; {TYPE} is {kind}"
    if MEMBERS in settings and kind == CLASSIC:
        yield f"settings.{MEMBERS}: a classic queue is on one node; {TYPE} is {kind}"
    elif int(settings.get(MEMBERS, 1)) > len(nodes):
        yield f"settings.{MEMBERS}: expected at most {len(nodes)}, for so many nodes there are"
    if milliseconds(resolve(settings, _TICK)["net_ticktime"]) % 1000:
        yield "settings.net_ticktime: expected whole seconds"


def rabbit(node: str) -> str:
    """A node's name as RabbitMQ has it."""
    return f"rabbit@{node}"


def rabbitmq_conf(known: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole rabbitmq.conf. A node without data joins the one of `known` that is the oldest; one
    that is told of itself alone begins a cluster."""
    lines = {
        "listeners.tcp.default": PORTS["db"],
        "management.tcp.port": PORTS["management"],
        "prometheus.tcp.port": PORTS["metrics"],
        "loopback_users": "none",
        "log.console": "true",
        "log.console.level": "info",
        "log.file": "false",
        "collect_statistics_interval": 1000,  # ms, for who asks how long queues are
        "raft.wal_max_size_bytes": 32 << 20,  # RabbitMQ's own is half a gigabyte
        "cluster_formation.peer_discovery_backend": "classic_config",
        "cluster_formation.discovery_retry_interval": 500,  # ms
        **{
            f"cluster_formation.classic_config.nodes.{number}": rabbit(node.name)
            for number, node in enumerate(known, 1)
        },
        **resolve(settings, _CONF),
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def hosts(nodes: Sequence[Node]) -> str:
    """Erlang's own list of hosts, so that no name service is asked."""
    found = [f'{{host, {{{node.address.replace(".", ",")}}}, ["{node.name}"]}}.' for node in nodes]
    return "\n".join([*found, "{lookup, [file, native]}.", ""])


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], *, join: bool = False
) -> ContainerSpec:
    """The node's container.

    The first node begins the cluster, unless it is to `join`. The others wait for it when they have
    no data yet: a node joins the oldest that it meets, and two that met without the first would be
    a cluster of their own. Erlang's port mapper is started by hand, because RabbitMQ would start a
    whole Erlang to do that.
    """
    tick_s = milliseconds(resolve(settings, _TICK)["net_ticktime"]) // 1000
    first = nodes[0]
    begins = node.name == first.name and not join
    knock = f"(exec 3<>/dev/tcp/{first.address}/{DISTRIBUTION_PORT}) 2> /dev/null"
    wait = "" if begins or join else f"[ -d {DATA} ] || until {knock}; do sleep 0.1; done; "
    start = (
        f"{wait}umask 077; mkdir -p {DATA} && printf {COOKIE} > {VOLUME}/.erlang.cookie || exit; "
        f"epmd -daemon; exec {SERVER}"
    )
    return ContainerSpec(
        name="rabbitmq",
        image="rabbitmq",
        command=["bash", "-c", start],
        env={
            "RABBITMQ_NODENAME": rabbit(node.name),
            "RABBITMQ_CONFIG_FILE": CONF,
            "RABBITMQ_MNESIA_BASE": DATA,
            "RABBITMQ_DIST_PORT": str(DISTRIBUTION_PORT),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-kernel net_ticktime {tick_s} -rabbit quorum_tick_interval 1000 "
                "+sbwt none +sbwtdcpu none +sbwtdio none"
            ),
            "ERL_INETRC": HOSTS,
        },
        files={
            CONF: rabbitmq_conf([node] if begins else nodes, settings),
            HOSTS: hosts(nodes),
        },
        data_dir=VOLUME,
    )
