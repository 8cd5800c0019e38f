"""What one RabbitMQ node says of itself: which queues it leads, and how long they are.

A node that leads a queue is a `primary`, and its shard names all the queues that it leads. Others
hand on what clients send them: they are a `replica` of all queues. While there is no queue all are
`member`s. A node whose Erlang runs and RabbitMQ does not starts, or has paused because it is in a
minority: a `candidate`.

Who leads is what the node itself has written down, so that two can say it of themselves at once.
But before it answers it asks the others whether they run, and of those that are cut off it waits
for an answer until it takes them for down. Meanwhile the figures tell, which are the node's own:
only who leads a queue has its length.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._common import late, silence
from chaos.systems._connections import Kept
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
AGAIN_S = 1.0  # a node that waits for others is not asked at once again
Figures = Mapping[tuple[str, str], int]  # (figure, queue) → value


class Observer:
    """Asks one node over kept connections."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        self._node = node
        self._epmd = cluster.address(node, "epmd")
        self._timeout_s = timeout_s
        self._management = _kept(cluster.address(node, "management"), timeout_s)
        self._metrics = _kept(cluster.address(node, "metrics"), timeout_s)
        self._known: Sequence[Mapping[str, Any]] = ()  # the queues, as it said last
        self._ask_at_s = 0.0

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._metrics as line:
                figures = figures_of(checked(line.fetch("GET", FIGURES)).decode())
            queues = self._queues()
        except FAILURES as error:
            self._metrics.drop()
            self._management.drop()
            if late(error):
                return Observation(role="unknown", note=str(error))
            return self._silence(error)
        own = rabbit(self._node)
        if queues is None and not self._known:
            return Observation(role="unknown", note="it waits for other nodes")
        if queues is None:
            queues = [
                {"name": queue["name"], "leader": own if leads(queue["name"], figures) else None}
                for queue in self._known
            ]
        return observation(own, queues, figures)

    def _queues(self) -> Sequence[Mapping[str, Any]] | None:
        """The queues as the node knows them; None while it waits for other nodes."""
        if time.monotonic() < self._ask_at_s:
            return None
        try:
            with self._management as line:
                answer = line.request("GET", QUEUES, None, HEADERS)
        except FAILURES as error:
            if not late(error):
                raise
            self._ask_at_s = time.monotonic() + AGAIN_S
            return None
        self._known = checked(answer)
        return self._known

    def _silence(self, error: Exception) -> Observation:
        """Of a node that does not answer: whether its Erlang runs, as the port mapper knows."""
        try:
            with socket.create_connection(self._epmd, self._timeout_s) as line:
                line.sendall(NAMES)
                known = b"".join(iter(lambda: line.recv(1024), b""))
        except OSError as nobody:
            return silence(nobody)
        if b"name rabbit at " in known:
            return Observation(
                role="candidate", note=f"Erlang runs: it starts, or has paused ({error})"
            )
        return Observation(role="down", note=str(error))


def _kept(address: Address, timeout_s: float) -> Kept[Connection]:
    return Kept(lambda: Connection(address, timeout_s))


def leads(queue: str, figures: Figures) -> bool:
    """Whether the node has the queue's length among its own figures."""
    return (READY, queue) in figures


def figures_of(text: str) -> Figures:
    """Prometheus' text, by figure and queue."""
    found = re.findall(r'^(\w+)\{[^}]*queue="([^"]*)"[^}]*\} ([0-9]+)', text, re.MULTILINE)
    return {(name, queue): int(value) for name, queue, value in found}


def observation(own: str, queues: Sequence[Mapping[str, Any]], figures: Figures) -> Observation:
    """The answers as an Observation; `own`: the node's name as RabbitMQ has it."""
    leaders = {str(queue["name"]): queue.get("leader") or queue.get("node") for queue in queues}
    if not leaders:
        return Observation(role="member", note="there are no queues")
    led = sorted(name for name, leader in leaders.items() if leader == own)
    if not led:
        return Observation(role="replica", shard=",".join(sorted(leaders)))
    terms = [figures[TERM, name] for name in led if (TERM, name) in figures]
    return Observation(
        role="primary",
        shard=",".join(led),
        term=max(terms, default=None),
        note="; ".join(_depth(queue, figures) for queue in queues if queue["name"] in led),
    )


def _depth(queue: Mapping[str, Any], figures: Figures) -> str:
    """How long a queue is, as its leader knows, and how many of its members are there."""
    name = str(queue["name"])
    ready, unacked = (figures.get((figure, name), 0) for figure in (READY, UNACKED))
    said = f"{name}: {ready} ready, {unacked} given out"
    if members := queue.get("members"):
        said += f", {len(queue.get('online', ()))} of {len(members)} members online"
    return said
