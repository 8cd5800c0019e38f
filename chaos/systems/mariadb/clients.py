"""Which of MariaDB's clients speaks which workload, and what it can be told; Galera's are these."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._common import READS, TRUE_FALSE, Setting
from chaos.systems._locks import LEASE
from chaos.systems._transactions import LISTS, REGISTERS, TRANSACTIONS
from chaos.systems.mariadb.client import MariadbClient, RegisterClient, SetClient
from chaos.systems.mariadb.counter import CounterClient
from chaos.systems.mariadb.lock import DocumentClient, LockClient
from chaos.systems.mariadb.session import SessionClient
from chaos.systems.mariadb.transactions import LEVELS, BankClient, ListsClient, MicroClient

CLIENTS: Mapping[str, type[MariadbClient]] = {
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
TRANSACTION_OPTIONS = {
    "isolation": Setting(
        about="isolation of each transaction: read-uncommitted, read-committed, repeatable-read or "
        "serializable; by default what `transaction_isolation` says",
        values="|".join(LEVELS),
        workloads=TRANSACTIONS,
    ),
    "locking-reads": Setting(
        about="true: every read of a transaction is SELECT … FOR UPDATE; default false",
        values=TRUE_FALSE,
        workloads=TRANSACTIONS,
    ),
}
OPTIONS = {**TRANSACTION_OPTIONS, "reads": READS, "lease": LEASE}
