"""Which NATS client speaks which workload."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems.nats.client import CounterClient, NatsClient, RegisterClient, SetClient
from chaos.systems.nats.messages import LogClient, QueueClient
from chaos.systems.nats.session import SessionClient

CLIENTS: Mapping[str, type[NatsClient]] = {
    "register": RegisterClient,
    "set": SetClient,
    "session": SessionClient,
    "counter": CounterClient,
    "queue": QueueClient,
    "log": LogClient,
}
