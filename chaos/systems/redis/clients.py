"""Which client of Redis and Valkey speaks which workload, and what it can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import READS, Setting
from chaos.systems._locks import LEASE
from chaos.systems._transactions import LISTS, REGISTERS
from chaos.systems.base import Node
from chaos.systems.redis.cache import TTL, CacheClient
from chaos.systems.redis.client import RedisClient, RegisterClient, SetClient
from chaos.systems.redis.conf import mode_of, replicas_of
from chaos.systems.redis.counter import CounterClient
from chaos.systems.redis.lock import DocumentClient, LockClient
from chaos.systems.redis.session import SessionClient
from chaos.systems.redis.transactions import BankClient, ListsClient, MicroClient

CLIENTS: Mapping[str, type[RedisClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "counter": CounterClient,
    "session": SessionClient,
    "lock": LockClient,
    "document": DocumentClient,
    "cache": CacheClient,
    "bank": BankClient,
    **dict.fromkeys(LISTS, ListsClient),
    **dict.fromkeys(REGISTERS, MicroClient),
}
OPTIONS = {
    "reads": READS,
    "wait": Setting(
        about="after each write, WAIT until so many replicas have it, for at most half of the "
        "workload's timeout; default 0: do not wait",
        values=r"[0-9]{1,2}",
    ),
    "lease": LEASE,
    "ttl": TTL,
}
SEVERAL_KEYS = LISTS | REGISTERS  # these are of several keys


def refusals(
    workload: str, options: Mapping[str, Any], nodes: Sequence[Node], settings: Mapping[str, Any]
) -> Iterable[str]:
    """Why this cannot run in the topology's mode, a sentence each."""
    sharded = mode_of(settings) == "cluster"
    if sharded and workload in SEVERAL_KEYS:
        yield (
            f"{workload}: its transactions are of several keys, and Redis Cluster runs a script "
            "only where all keys are of one slot; use bank, whose accounts are one key, or a "
            "topology of mode sentinel or replication"
        )
    wait = int(options.get("wait", 0))
    if wait > (replicas := replicas_of(nodes, settings)):
        yield f"client.wait: {wait} replicas can never have a write, there are {replicas}"
