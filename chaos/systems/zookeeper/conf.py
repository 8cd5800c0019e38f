"""What a ZooKeeper pod is configured with: settings, zoo.cfg, and how the server starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, INTEGER, YES_NO, Setting, milliseconds, resolve
from chaos.systems.base import ContainerSpec, Node

PORTS = {"db": 2181}
QUORUM_PORT = 2888  # the leader's, to which the others connect
ELECTION_PORT = 3888
VOLUME = "/var/lib/zookeeper"
DATA = f"{VOLUME}/data"  # snapshots and the log of transactions
CONF = "/etc/aftershock/zoo.cfg"
SERVER_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
CLASS_PATH = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
# With other flags than those it was made with (topologies/images/zookeeper/warm), the archive of
# loaded classes would be passed by, and the start take twice as long.
JAVA = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:SharedArchiveFile=/usr/lib/zookeeper/classes.jsa",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
)
ASKED = "srvr"  # the four-letter word that roles are asked with

_DURATIONS = {
    "tickTime": Setting(
        about="the tick, in which the other times are counted; a leader lets go of a lost majority "
        "within syncLimit ticks (ZooKeeper's own example: 2000ms)",
        values=DURATION,
        default="500ms",
    ),
    "minSessionTimeout": Setting(
        about="the shortest session a client gets; 2 ticks if not set", values=DURATION
    ),
    "maxSessionTimeout": Setting(
        about="the longest session a client gets; 20 ticks if not set", values=DURATION
    ),
}
_PLAIN = {
    "initLimit": Setting(
        about="ticks that a follower may take to connect and to copy what it lacks",
        values=INTEGER,
        default="20",
    ),
    "syncLimit": Setting(
        about="ticks of silence after which a leader and a follower let go of each other",
        values=INTEGER,
        default="10",
    ),
    "forceSync": Setting(
        about="no: acknowledge before the log is synced to disk: faster, and loses writes with "
        "power",
        values=YES_NO,
        default="yes",
    ),
    "snapCount": Setting(
        about="transactions between snapshots; at least 2", values=r"[2-9]|[0-9]{2,9}"
    ),
    "preAllocSize": Setting(about="KB by which the log is made longer in advance", values=INTEGER),
    "autopurge.snapRetainCount": Setting(
        about="snapshots that are kept; at least 3", values=r"[3-9]|[0-9]{2,9}"
    ),
    "autopurge.purgeInterval": Setting(
        about="hours between purges of old snapshots; 0: never", values=INTEGER
    ),
    "maxClientCnxns": Setting(
        about="most connections from one address; 0: any number; 60 if not set. All clients of a "
        "zone have one address",
        values=INTEGER,
    ),
    "4lw.commands.whitelist": Setting(
        about="four-letter words that are answered; srvr must be one of them",
        values=r"\*|[a-z]{4}(, ?[a-z]{4})*",
        default="srvr, mntr, ruok, stat, cons",
    ),
}
_OURS = {
    "heap": Setting(
        about="the most memory of the Java heap", values=r"[1-9][0-9]{1,4}m", default="128m"
    ),
}
SETTINGS = {**_DURATIONS, **_PLAIN, **_OURS}


def votes(node: Node) -> bool:
    """Whether it counts for majorities."""
    return node.role != "observer"


def setting_problems(settings: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with settings each of which could be meant."""
    words = resolve(settings, _PLAIN)["4lw.commands.whitelist"]
    if words != "*" and ASKED not in words.replace(" ", "").split(","):
        yield f"settings.4lw.commands.whitelist: {ASKED} is how nodes are asked for their role"
    times = {name: milliseconds(value) for name, value in resolve(settings, _DURATIONS).items()}
    tick_ms = times["tickTime"]
    least, most = times.get("minSessionTimeout"), times.get("maxSessionTimeout")
    if (2 * tick_ms if least is None else least) > (20 * tick_ms if most is None else most):
        yield "settings.minSessionTimeout: expected at most maxSessionTimeout"


def zoo_cfg(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole zoo.cfg of `node`; keys ZooKeeper has no field for become its properties."""
    times = {name: milliseconds(value) for name, value in resolve(settings, _DURATIONS).items()}
    values = {
        "dataDir": DATA,
        "clientPort": PORTS["db"],
        "admin.enableServer": "false",
        **times,
        **resolve(settings, _PLAIN),
    }
    if not votes(node):
        values["peerType"] = "observer"
    for number, other in enumerate(nodes, 1):
        kind = "" if votes(other) else ":observer"
        values[f"server.{number}"] = f"{other.address}:{QUORUM_PORT}:{ELECTION_PORT}{kind}"
    return "".join(f"{name}={value}\n" for name, value in values.items())


def container(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> ContainerSpec:
    """The node's container. Its number is written where ZooKeeper wants it: beside the data."""
    number = 1 + [other.name for other in nodes].index(node.name)
    java = ["java", f"-Xmx{resolve(settings, _OURS)['heap']}", *JAVA, "-cp", CLASS_PATH]
    start = (
        f"[ -s {DATA}/myid ] || {{ mkdir -p {DATA} && echo {number} > {DATA}/myid; }} || exit; "
        f"exec {' '.join([*java, SERVER_CLASS, CONF])}"
    )
    return ContainerSpec(
        name="zookeeper",
        image="zookeeper",
        command=["sh", "-c", start],
        files={CONF: zoo_cfg(node, nodes, settings)},
        data_dir=VOLUME,
    )
