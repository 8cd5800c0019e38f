"""Which etcd client speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._etcd_client import EtcdClient, RegisterClient, SetClient
from chaos.systems._etcd_counter import CounterClient
from chaos.systems._etcd_lock import DocumentClient, LockClient
from chaos.systems._etcd_session import SessionClient
from chaos.systems._etcd_transactions import BankClient, ListsClient, MicroClient
from chaos.systems._transactions import LISTS, REGISTERS

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
