"""Which ZooKeeper client speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._transactions import LISTS, REGISTERS
from chaos.systems.zookeeper.client import RegisterClient, SetClient, ZookeeperClient
from chaos.systems.zookeeper.counter import CounterClient
from chaos.systems.zookeeper.lock import DocumentClient, LockClient
from chaos.systems.zookeeper.session import SessionClient
from chaos.systems.zookeeper.transactions import BankClient, ListsClient, MicroClient

CLIENTS: Mapping[str, type[ZookeeperClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "session": SessionClient,
    "counter": CounterClient,
    "lock": LockClient,
    "document": DocumentClient,
    "bank": BankClient,
    **dict.fromkeys(LISTS, ListsClient),
    **dict.fromkeys(REGISTERS, MicroClient),
}
