"""What a pod of Redis or Valkey is configured with: settings, server's and Sentinel's files.

Every process starts with its whole configuration: replicas know their primary, Sentinels all their
peers, the nodes of a cluster each other and their slots. Nothing has to be discovered, so that
forming takes no longer than the first synchronization.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import (
    DURATION,
    INTEGER,
    YES_NO,
    Setting,
    milliseconds,
    primary_of,
    problems,
    resolve,
)
from chaos.systems.base import ContainerSpec, Node
from chaos.systems.redis.slots import SHARDS, assigned

MASTER_NAME = "aftershock"
PORTS = {"db": 6379, "sentinel": 26379}
BUS_PORT = 16379  # where the nodes of a cluster speak with each other
MODES = ("replication", "sentinel", "cluster")

_MODE = {
    "mode": Setting(
        about="replication (an operator fails over), sentinel (default) or cluster (sharded)",
        values="|".join(MODES),
        default="sentinel",
    )
}
_SENTINEL = {
    "down-after": Setting(
        about="how long a node must be silent before a Sentinel calls it down",
        values=DURATION,
        default="2s",
    ),
    "failover-timeout": Setting(
        about="Sentinel's own; a failed failover is tried again after twice this",
        values=DURATION,
        default="5s",
    ),
}
_FORMING = {
    "shards": Setting(
        about="cluster: how many shards; the first nodes are their primaries, the others replicas",
        values=INTEGER,
        default=str(SHARDS),
    ),
    "cluster-node-timeout": Setting(
        about="how long a node must be silent before the others call it down, and before a primary "
        "that hears no majority takes no writes",
        values=DURATION,
        default="5s",
    ),
}
_CLUSTER = {
    "cluster-require-full-coverage": Setting(
        about="whether a cluster that lacks a shard refuses everything", values=YES_NO
    ),
    "cluster-allow-reads-when-down": Setting(
        about="whether a node that takes no writes answers reads", values=YES_NO
    ),
    "cluster-replica-validity-factor": Setting(
        about="a replica silent for more node timeouts than this does not stand for election; "
        "0: it always does",
        values=INTEGER,
    ),
    "cluster-migration-barrier": Setting(
        about="replicas a primary keeps before one of them moves to a shard without any",
        values=INTEGER,
    ),
    "cluster-allow-replica-migration": Setting(
        about="whether replicas move to shards that have none", values=YES_NO
    ),
    "cluster-replica-no-failover": Setting(
        about="whether replicas never stand for election", values=YES_NO
    ),
}
_SERVER = {
    "appendonly": Setting(about="keep an append-only file", values=YES_NO, default="no"),
    "appendfsync": Setting(about="when the file is synced", values="always|everysec|no"),
    "save": Setting(
        about='snapshot points, "seconds changes …"; "" for none',
        values=r"([0-9]+ [0-9]+)?( [0-9]+ [0-9]+)*",
        default="",
    ),
    "min-replicas-to-write": Setting(
        about="refuse writes with fewer connected replicas than this", values=INTEGER, default="0"
    ),
    "min-replicas-max-lag": Setting(
        about="a replica silent for more seconds than this does not count", values=INTEGER
    ),
    "repl-backlog-size": Setting(
        about="how much a replica may miss and still catch up without a full copy",
        values=r"[0-9]+([kmg]b?)?",
        default="16mb",
    ),
    "repl-timeout": Setting(about="seconds until a silent link is dropped", values=INTEGER),
    "repl-ping-replica-period": Setting(
        about="seconds between a primary's pings", values=INTEGER, default="1"
    ),
    "replica-serve-stale-data": Setting(
        about="whether a replica without its primary answers reads", values=YES_NO
    ),
    "replica-read-only": Setting(about="whether replicas refuse writes", values=YES_NO),
    "maxmemory": Setting(about="most memory for data", values=r"[0-9]+([kmg]b?)?"),
    "maxmemory-policy": Setting(
        about="what goes when memory is full",
        values=r"noeviction|(allkeys|volatile)-(lru|lfu|random)|volatile-ttl",
    ),
    "maxclients": Setting(about="most connections", values=INTEGER),
    "io-threads": Setting(about="threads that read and write sockets", values=r"[1-9][0-9]?"),
}
_OF_MODE = {"sentinel": _SENTINEL, "cluster": {**_FORMING, **_CLUSTER}}
SETTINGS = {**_MODE, **_SENTINEL, **_FORMING, **_CLUSTER, **_SERVER}


def mode_of(settings: Mapping[str, Any]) -> str:
    """replication, sentinel or cluster."""
    return resolve(settings, _MODE)["mode"]


def setting_problems(settings: Mapping[str, Any]) -> Iterable[str]:
    """A sentence for each setting that cannot be meant, or means nothing in this mode (where it
    may stand as it is anyway)."""
    yield from problems(settings, SETTINGS)
    own = mode_of(settings)
    for mode, known in _OF_MODE.items():
        for name in known.keys() & settings.keys() if mode != own else ():
            if resolve(settings, known)[name] != known[name].default:
                yield f"settings.{name}: means nothing in mode {own}; it is for mode {mode}"


def replicas_of(nodes: Sequence[Node], settings: Mapping[str, Any]) -> int:
    """How many replicas a primary has; in a cluster, that of the shard with the fewest."""
    if mode_of(settings) == "cluster":
        return min(len(shard.members) for shard in assigned(nodes, settings)) - 1
    return len(nodes) - 1


def server_conf(
    flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
) -> str:
    """The whole configuration of the server on `node`; `flavour`: redis or valkey."""
    lines = [
        f"port {PORTS['db']}",
        "bind * -::*",
        "protected-mode no",
        f"dir {home(flavour)}",
        "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0",
        f"replica-announce-ip {node.address}",
    ]
    values = resolve(settings, _SERVER)
    if mode_of(settings) == "cluster":
        timeout = resolve(settings, _FORMING)["cluster-node-timeout"]
        lines += [
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            f"cluster-announce-ip {node.address}",
            f"cluster-node-timeout {milliseconds(timeout)}",
        ]
        values |= resolve(settings, _CLUSTER)
    elif node.name != (primary := primary_of(nodes)).name:
        lines.append(f"replicaof {primary.address} {PORTS['db']}")
    for name, value in values.items():
        lines.append(f"{name} {value}" if value else f'{name} ""')
    return "\n".join(lines) + "\n"


def nodes_conf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The nodes.conf of `node`: what it would have written after `CLUSTER MEET` with all others,
    `ADDSLOTSRANGE` and `REPLICATE` (https://redis.io/docs/latest/commands/cluster-nodes/)."""
    lines = []
    shards = assigned(nodes, settings)
    for epoch, shard in enumerate(shards, 1):
        for member in shard.members:
            leads = member is shard.primary
            words = [
                _id(member.name),
                f"{member.address}:{PORTS['db']}@{BUS_PORT},,shard-id={_id(f'shard {epoch}')}",
                ("myself," if member.name == node.name else "") + ("master" if leads else "slave"),
                "-" if leads else _id(shard.primary.name),
                f"0 0 {epoch} connected",
            ]
            lines.append(" ".join([*words, shard.label] if leads else words))
    lines.append(f"vars currentEpoch {len(shards)} lastVoteEpoch 0")
    return "\n".join(lines) + "\n"


def sentinel_conf(
    flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
) -> str:
    """The whole sentinel.conf of `node`: the master, its replicas and the other Sentinels."""
    values = resolve(settings, _SENTINEL)
    primary = primary_of(nodes)
    lines = [
        f"port {PORTS['sentinel']}",
        "bind * -::*",
        "protected-mode no",
        f"dir {home(flavour)}",
        f"sentinel myid {_id(node.name)}",
        f"sentinel announce-ip {node.address}",
        f"sentinel monitor {MASTER_NAME} {primary.address} 6379 {len(nodes) // 2 + 1}",
        f"sentinel down-after-milliseconds {MASTER_NAME} {milliseconds(values['down-after'])}",
        f"sentinel failover-timeout {MASTER_NAME} {milliseconds(values['failover-timeout'])}",
        f"sentinel parallel-syncs {MASTER_NAME} {len(nodes)}",
    ]
    for other in nodes:
        if other.name != primary.name:
            lines.append(f"sentinel known-replica {MASTER_NAME} {other.address} 6379")
        if other.name != node.name:
            lines.append(
                f"sentinel known-sentinel {MASTER_NAME} {other.address} 26379 {_id(other.name)}"
            )
    return "\n".join(lines) + "\n"


def home(flavour: str) -> str:
    """The data directory."""
    return f"/var/lib/{flavour}"


def process(flavour: str, name: str, program: str, files: Mapping[str, str]) -> ContainerSpec:
    """One process that may rewrite its files, of which the first configures it: a failover is
    remembered over a restart.

    The copies are synced, as an operator's files would be long before: power may be lost any time.
    """
    own = home(flavour)
    copied = "; ".join(
        f"test -s {own}/{file} || {{ cp /etc/aftershock/{file} {own}/{file};"
        f" sync {own}/{file} {own}; }}"
        for file in files
    )
    return ContainerSpec(
        name=name,
        image=flavour,
        command=["sh", "-c", f"{copied}; exec {flavour}-{program} {own}/{next(iter(files))}"],
        files={f"/etc/aftershock/{file}": text for file, text in files.items()},
        data_dir=own,
    )


def server(
    flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
) -> ContainerSpec:
    """The server on `node`."""
    files = {f"{flavour}.conf": server_conf(flavour, node, nodes, settings)}
    if mode_of(settings) == "cluster":
        files["nodes.conf"] = nodes_conf(node, nodes, settings)
    return process(flavour, flavour, "server", files)


def _id(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
