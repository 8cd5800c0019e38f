"""Which ZooKeeper client speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._transactions import LISTS, REGISTERS
from chaos.systems._zookeeper_client import RegisterClient, SetClient, ZookeeperClient
from chaos.systems._zookeeper_counter import CounterClient
from chaos.systems._zookeeper_lock import DocumentClient, LockClient
from chaos.systems._zookeeper_session import SessionClient
from chaos.systems._zookeeper_transactions import BankClient, ListsClient, MicroClient

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
