"""What a Redis pod is configured with: settings, redis.conf, sentinel.conf."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._common import (
    DURATION,
    INTEGER,
    YES_NO,
    Setting,
    milliseconds,
    primary_of,
    resolve,
)
from chaos.systems._redis_client import MASTER_NAME
from chaos.systems.base import Node

PORTS = {"db": 6379, "sentinel": 26379}
HOME = "/var/lib/redis"

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
_REDIS = {
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
SETTINGS = {**_SENTINEL, **_REDIS}


def redis_conf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole redis.conf of `node`."""
    lines = [
        "port 6379",
        "bind * -::*",
        "protected-mode no",
        f"dir {HOME}",
        "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0",
        f"replica-announce-ip {node.address}",
    ]
    primary = primary_of(nodes)
    if node.name != primary.name:
        lines.append(f"replicaof {primary.address} 6379")
    for name, value in resolve(settings, _REDIS).items():
        lines.append(f"{name} {value}" if value else f'{name} ""')
    return "\n".join(lines) + "\n"


def sentinel_conf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole sentinel.conf of `node`: the master, its replicas and the other Sentinels."""
    values = resolve(settings, _SENTINEL)
    primary = primary_of(nodes)
    lines = [
        "port 26379",
        "bind * -::*",
        "protected-mode no",
        f"dir {HOME}",
        f"sentinel myid {_sentinel_id(node)}",
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
                f"sentinel known-sentinel {MASTER_NAME} {other.address} 26379 {_sentinel_id(other)}"
            )
    return "\n".join(lines) + "\n"


def _sentinel_id(node: Node) -> str:
    return hashlib.sha1(node.name.encode(), usedforsecurity=False).hexdigest()
