"""Which Redis client speaks which workload, and what it can be told."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._common import READS
from chaos.systems._redis_client import RedisClient, RegisterClient, SetClient
from chaos.systems._redis_session import SessionClient
from chaos.systems._redis_transactions import BankClient, ListsClient, MicroClient
from chaos.systems._transactions import LISTS, REGISTERS

CLIENTS: Mapping[str, type[RedisClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "session": SessionClient,
    "bank": BankClient,
    **dict.fromkeys(LISTS, ListsClient),
    **dict.fromkeys(REGISTERS, MicroClient),
}
OPTIONS = {"reads": READS}
