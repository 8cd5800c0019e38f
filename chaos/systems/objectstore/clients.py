"""Which client of the object store speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems.objectstore.client import ObjectClient, RegisterClient
from chaos.systems.objectstore.counter import CounterClient
from chaos.systems.objectstore.lock import DocumentClient, LockClient
from chaos.systems.objectstore.session import SessionClient
from chaos.systems.objectstore.sets import SetClient

CLIENTS: Mapping[str, type[ObjectClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "session": SessionClient,
    "counter": CounterClient,
    "lock": LockClient,
    "document": DocumentClient,
}
