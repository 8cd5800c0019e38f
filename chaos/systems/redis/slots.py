"""How the slots of Redis Cluster are dealt over shards, and keys over slots.

A key belongs to the slot that the CRC16 of its name, or of what stands in braces there, gives
modulo 16384 (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot

from chaos.systems.base import Node

SLOTS = 16384
SHARDS = 3  # unless `shards` says otherwise; with fewer primaries nobody can be outvoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A range of slots, and the nodes that start with it."""

    first: int
    last: int
    members: Sequence[Node]  # the primary, then its replicas

    @property
    def primary(self) -> Node:
        """The node that starts as its primary."""
        return self.members[0]

    @property
    def label(self) -> str:
        """The range as nodes.conf spells it: 0-5460."""
        return f"{self.first}-{self.last}"


def shard_count(settings: Mapping[str, Any]) -> int:
    """How many shards a topology's cluster has."""
    return int(settings.get("shards", SHARDS))


@functools.cache
def ranges(shards: int) -> Sequence[tuple[int, int]]:
    """First and last slot of each shard, as `redis-cli --cluster create` deals them."""
    ends = [round(SLOTS * k / shards) for k in range(shards + 1)]
    return [(first, after - 1) for first, after in itertools.pairwise(ends)]


def assigned(nodes: Sequence[Node], settings: Mapping[str, Any]) -> list[Shard]:
    """The shards at first. Their primaries are the first nodes; of the others, number i follows
    primary i + 1 (one further each time round), so that where zones come in turn it is in another
    zone than its primary."""
    count = shard_count(settings)
    members = [[node] for node in nodes[:count]]
    for i, node in enumerate(nodes[count:]):
        members[(i + 1 + i // count) % count].append(node)
    return [
        Shard(first=first, last=last, members=own)
        for (first, last), own in zip(ranges(count), members, strict=True)
    ]


def slot_of(key: str) -> int:
    """The slot of `key`."""
    return int(key_slot(key.encode()))


def shard_of(key: str, shards: int) -> int:
    """The number of the shard that starts with `key`."""
    slot = slot_of(key)
    return next(number for number, (_, last) in enumerate(ranges(shards)) if slot <= last)


@functools.cache
def key_in_each(prefix: str, shards: int) -> Sequence[str]:
    """For each shard a key of its own, named `prefix` and a number."""
    return [
        next(
            key
            for key in (f"{prefix}:{number}" for number in itertools.count())
            if shard_of(key, shards) == shard
        )
        for shard in range(shards)
    ]


def cluster_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """A sentence for each thing wrong with the nodes of a cluster."""
    if not nodes:
        yield "there are no nodes; at least one is needed"
        return
    for node in nodes:
        if node.role is not None:
            yield (
                f"nodes.{node.name}.role: a cluster elects the primary of each shard, and the first"
                f" {shard_count(settings)} nodes start as such; leave the role out"
            )
    shards = shard_count(settings)
    if shards < 3:
        yield (
            f"settings.shards: expected at least 3, got {shards}: a majority of primaries decides "
            "who is down, and of fewer than 3 there is none without each of them"
        )
    elif shards > len(nodes):
        yield f"settings.shards: {shards} shards need as many nodes, got {len(nodes)}"
