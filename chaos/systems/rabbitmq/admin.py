"""What RabbitMQ's nodes say over HTTP: the management API, and figures for Prometheus.

The management API answers with what the node knows of the whole cluster; the figures are the
node's own (https://www.rabbitmq.com/docs/http-api-reference,
https://www.rabbitmq.com/docs/prometheus).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._http import Connection
from chaos.systems.base import NotConnected, Reachable
from chaos.systems.rabbitmq.wire import USER

TIMEOUT_S = 5.0
SLOW_S = 30.0  # for what a node asks the others before it answers
NODES = "/api/nodes?columns=name,running,partitions"
QUEUES = "/api/queues?disable_stats=true"  # who leads and who is there, as the node knows itself
COUNTED = "/api/queues?columns=name,messages_unacknowledged"
HEADERS = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{USER}".encode()).decode()}


class Refused(Exception):
    """An answer that is not 2xx."""


FAILURES = (OSError, http.client.HTTPException, NotConnected, Refused)


def checked(answer: tuple[int, Any]) -> Any:
    """What came with a status of 2xx; Refused with any other."""
    status, content = answer
    if status // 100 != 2:
        raise Refused(f"HTTP status {status}: {str(content)[:200]}")
    return content


def ask(
    cluster: Reachable,
    node: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """What the node's management API says, over a connection of its own."""
    method = "GET" if body is None else "POST"
    with contextlib.closing(Connection(cluster.address(node, "management"), timeout_s)) as line:
        return checked(line.request(method, path, body, HEADERS))


def whole(cluster: Reachable, node: str) -> bool:
    """Whether the node says that all nodes run, and that it is apart from none of them."""
    known: Sequence[Mapping[str, Any]] = ask(cluster, node, NODES)
    return len(known) == len(cluster.nodes) and all(
        one.get("running") and not one.get("partitions") for one in known
    )
