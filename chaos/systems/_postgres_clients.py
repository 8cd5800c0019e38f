"""Which PostgreSQL client speaks which workload, and what it can be told."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._common import READS, Setting
from chaos.systems._locks import LEASE
from chaos.systems._postgres_client import PostgresClient, RegisterClient, SetClient
from chaos.systems._postgres_counter import CounterClient
from chaos.systems._postgres_lock import DocumentClient, LockClient
from chaos.systems._postgres_session import SessionClient
from chaos.systems._postgres_transactions import LEVELS, BankClient, ListsClient, MicroClient
from chaos.systems._transactions import LISTS, REGISTERS, TRANSACTIONS

CLIENTS: Mapping[str, type[PostgresClient]] = {
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
OPTIONS = {
    "isolation": Setting(
        about="isolation of each transaction: read-committed, repeatable-read (snapshots) or "
        "serializable; by default what `default_transaction_isolation` says",
        values="|".join(LEVELS),
        workloads=TRANSACTIONS,
    ),
    "reads": READS,
    "lease": LEASE,
}
