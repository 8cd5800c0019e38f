"""Which RabbitMQ client speaks which workload, and what an experiment may tell them."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.systems._common import FAILOVER, TRUE_FALSE, Setting
from chaos.systems.rabbitmq.client import QueueClient, RabbitClient
from chaos.systems.rabbitmq.log import LogClient

CLIENTS: Mapping[str, type[RabbitClient]] = {"queue": QueueClient, "log": LogClient}
OPTIONS = {
    "persistent": Setting(
        about="false: messages are published with delivery mode 1, AMQP's own default, and a "
        "classic queue keeps them in memory; quorum queues and streams write all; default true",
        values=TRUE_FALSE,
    ),
    "failover": FAILOVER,
}
