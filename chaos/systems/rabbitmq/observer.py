"""What one RabbitMQ node says of itself: which queues it leads, and how long they are.

A node that leads a queue is a `primary`, and its shard names all the queues that it leads. Others
hand on what clients send them, and follow: they are a `replica` of those queues that the leader
leads of the first queue they know. While there is no queue all are `member`s. A node whose Erlang
runs and RabbitMQ does not starts, or has paused because it is in a minority: a `candidate`.

Who leads is what the node itself has written down, so that two can say it of themselves at once.
The figures are those of the leader's own processes, a second old at most.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._http import Connection
from chaos.systems.base import Address, Observation, Reachable
from chaos.systems.rabbitmq.admin import FAILURES, HEADERS, QUEUES, checked
from chaos.systems.rabbitmq.conf import rabbit

FIGURES = "/metrics/detailed?family=queue_coarse_metrics&family=ra_metrics"
READY, UNACKED = (
    "rabbitmq_detailed_queue_messages_ready",
    "rabbitmq_detailed_queue_messages_unacked",
)
TERM = "rabbitmq_detailed_raft_term_total"
NAMES = b"\x00\x01n"  # asks Erlang's port mapper for the names it knows
Figures = Mapping[tuple[str, str], int]  # (figure, queue) → value


class Observer:
    """Asks one node over kept connections."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        self._node = node
        self._addresses: Mapping[str, Address] = {
            port: cluster.address(node, port) for port in ("management", "metrics", "epmd")
        }
        self._timeout_s = timeout_s
        self._kept: dict[str, Connection] = {}

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            queues = checked(self._kept_open("management").request("GET", QUEUES, None, HEADERS))
            figures = checked(self._kept_open("metrics").fetch("GET", FIGURES))
        except FAILURES as error:
            self._kept.clear()
            if isinstance(error, TimeoutError) or "timed out" in str(error):
                return Observation(role="unknown", note=str(error))
            return self._silence(error)
        return observation(rabbit(self._node), queues, figures_of(figures.decode()))

    def _kept_open(self, port: str) -> Connection:
        if port not in self._kept:
            self._kept[port] = Connection(self._addresses[port], self._timeout_s)
        return self._kept[port]

    def _silence(self, error: Exception) -> Observation:
        """Of a node that does not answer: whether its Erlang runs, as the port mapper knows."""
        try:
            with socket.create_connection(self._addresses["epmd"], self._timeout_s) as line:
                line.sendall(NAMES)
                known = b"".join(iter(lambda: line.recv(1024), b""))
        except OSError as nobody:
            role = "unknown" if isinstance(nobody, TimeoutError) else "down"
            return Observation(role=role, note=str(nobody))
        if b"name rabbit at " in known:
            return Observation(
                role="candidate", note=f"Erlang runs: it starts, or has paused ({error})"
            )
        return Observation(role="down", note=str(error))


def figures_of(text: str) -> Figures:
    """Prometheus' text, by figure and queue."""
    found = re.findall(r'^(\w+)\{[^}]*queue="([^"]*)"[^}]*\} ([0-9]+)', text, re.MULTILINE)
    return {(name, queue): int(value) for name, queue, value in found}


def observation(own: str, queues: Sequence[Mapping[str, Any]], figures: Figures) -> Observation:
    """The answers as an Observation; `own`: the node's name as RabbitMQ has it."""
    leaders = {str(queue["name"]): queue.get("leader") or queue.get("node") for queue in queues}
    if not leaders:
        return Observation(role="member", note="there are no queues")
    led: dict[Any, list[str]] = {}
    for name in sorted(leaders):
        led.setdefault(leaders[name], []).append(name)
    shard = ",".join(led.get(own) or led[leaders[min(leaders)]])
    if own not in led:
        return Observation(role="replica", shard=shard)
    terms = [figures[TERM, name] for name in led[own] if (TERM, name) in figures]
    return Observation(
        role="primary",
        shard=shard,
        term=max(terms, default=None),
        note="; ".join(
            _depth(queue, figures) for queue in queues if leaders[str(queue["name"])] == own
        ),
    )


def _depth(queue: Mapping[str, Any], figures: Figures) -> str:
    """How long a queue is, as its leader knows, and how many of its members are there."""
    name = str(queue["name"])
    ready, unacked = (figures.get((figure, name), 0) for figure in (READY, UNACKED))
    said = f"{name}: {ready} ready, {unacked} given out"
    if members := queue.get("members"):
        said += f", {len(queue.get('online', ()))} of {len(members)} members online"
    return said
