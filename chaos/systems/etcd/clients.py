"""Which etcd client speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._transactions import LISTS, REGISTERS
from chaos.systems.etcd.client import EtcdClient, RegisterClient, SetClient
from chaos.systems.etcd.counter import CounterClient
from chaos.systems.etcd.lock import DocumentClient, LockClient
from chaos.systems.etcd.session import SessionClient
from chaos.systems.etcd.transactions import BankClient, ListsClient, MicroClient

CLIENTS: Mapping[str, type[EtcdClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "session": SessionClient,
    "bank": BankClient,
    "counter": CounterClient,
    "lock": LockClient,
    "document": DocumentClient,
    **dict.fromkeys(LISTS, ListsClient),
    **dict.fromkeys(REGISTERS, MicroClient),
}
