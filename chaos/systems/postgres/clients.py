"""Which PostgreSQL client speaks which workload, and what it can be told."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._common import READS, Setting
from chaos.systems._locks import LEASE
from chaos.systems._transactions import LISTS, REGISTERS, TRANSACTIONS
from chaos.systems.postgres.client import PostgresClient, RegisterClient, SetClient
from chaos.systems.postgres.counter import CounterClient
from chaos.systems.postgres.lock import DocumentClient, LockClient
from chaos.systems.postgres.session import SessionClient
from chaos.systems.postgres.transactions import LEVELS, BankClient, ListsClient, MicroClient

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
