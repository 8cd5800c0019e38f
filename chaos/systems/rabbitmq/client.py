"""RabbitMQ's clients: queues over AMQP 0-9-1, and what the driver's errors mean.

Publishing is confirmed (https://www.rabbitmq.com/docs/confirms): `enqueue` answers when the node
has said `basic.ack`; every message is `mandatory`, so that one for which there is no queue comes
back. What a confirm is worth is the queue's affair: a classic queue has *written* a persistent
message, and has not synced it (`rabbit_classic_queue_store_v2:sync/1`); a quorum queue has it on
the disks of a majority.

`dequeue` is `basic.get` and, with the element in hand, `basic.ack`. Nothing is taken out before the
ack, so what fails before it is definite: when the channel is gone, the node puts the element back.
RabbitMQ does not confirm acks. Behind it on the same channel goes a passive `queue.declare`, which
is answered by the process of a classic queue, and that has the ack by then. A quorum queue agrees
on an ack as on all else, and nothing waits for that: the process behind the channel sends it again
to a new leader for as long as the client's own node lives. When that dies too soon the element is
given out once more, which `at-least-once` allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pika
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosed,
    ConnectionClosed,
    NackError,
    UnroutableError,
)

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, is_on, tried_nodes
from chaos.systems._connections import first_that_serves
from chaos.systems._messages import holding, place_of
from chaos.systems.base import ClientSpec, Definite, ErrorRule
from chaos.systems.rabbitmq.conf import arguments
from chaos.systems.rabbitmq.wire import Line

DECLARE_S = 10.0  # a quorum queue is made by all of its members
PERSISTENT, TRANSIENT = 2, 1  # delivery modes


class Undone(Exception):
    """What a driver's error becomes where the operation had changed nothing by then."""


ERRORS = (
    *NOT_CONNECTED,
    ErrorRule(
        code="queue-down",
        kind=Undone,
        pattern=r"\(404\)",
        definite=True,
        reason="404: the queue's node is down, or its members have no leader; nothing was taken",
    ),
    ErrorRule(
        code="no-replica",
        kind=Undone,
        pattern=r"\(406\)",
        definite=True,
        reason="406: the stream has no replica on this node, or it does not run; nothing was read",
    ),
    ErrorRule(
        code="cancelled",
        kind=Undone,
        pattern=r"cancelled a consumer",
        definite=True,
        reason="the node ended a consumer: the replica that it read is gone; nothing was read",
    ),
    ErrorRule(
        code="no-answer",
        kind=Undone,
        pattern=r"TimeoutError",
        definite=True,
        reason="no answer in time; what was given out and not acknowledged goes back once the node "
        "notices that the channel is gone",
    ),
    ErrorRule(
        code="nothing-taken",
        kind=Undone,
        definite=True,
        reason="it failed before an element was acknowledged; the node puts back what it gave out",
    ),
    ErrorRule(
        code="unroutable",
        kind=UnroutableError,
        definite=True,
        reason="the message came back: the node knows no queue of that name that it can reach",
    ),
    ErrorRule(
        code="nack",
        kind=NackError,
        definite=False,
        reason="the node does not answer for the message: the queue's process ended, or was lost, "
        "before it confirmed; it may have written the message by then",
    ),
    ErrorRule(
        code="channel-closed",
        kind=ChannelClosed,
        definite=False,
        reason="the node ended the channel before it confirmed or answered; the operation may have "
        "happened",
    ),
    ErrorRule(
        code="connection-closed",
        kind=ConnectionClosed,
        definite=False,
        reason="the node said goodbye before it confirmed or answered, because it stops or pauses; "
        "the operation may have happened",
    ),
    ErrorRule(
        code="timeout",
        kind=TimeoutError,
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="connection-lost",
        kind=AMQPConnectionError,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
    ErrorRule(
        code="broken-connection",
        kind=OSError,
        definite=False,
        reason="the connection broke before the answer; the operation may have happened",
    ),
)


class RabbitClient:
    """One process: talks to its home node, or with `failover: true` to the first that answers."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        mode = is_on(spec.options, "persistent", default=True)
        self._properties = pika.BasicProperties(delivery_mode=PERSISTENT if mode else TRANSIENT)
        self.node = ""
        self._line: Line | None = None
        self._do: Mapping[str, Callable[[Line, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect, shake hands, and have publishing confirmed."""
        self.close()
        self.node, self._line = first_that_serves(tried_nodes(self._spec), self._opened)

    def _opened(self, node: str) -> Line:
        return Line(self._spec.endpoints[node]["db"], self._spec.timeout_s)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a connection that had an error is dropped, and made anew by the next call."""
        if operation.f == "create":
            return self._create(operation)
        if self._line is None:
            self.open()
        line = self._line
        assert line is not None
        try:
            with line.within(self._spec.timeout_s):
                return self._do[operation.f](line, operation)
        except Definite:
            raise
        except Exception:
            self._line = None
            line.cut()
            raise

    def close(self) -> None:
        """Say goodbye and drop the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _create(self, operation: Invocation) -> Result:
        """Declare a queue at the node whose turn it is, which leads it: RabbitMQ puts the leader
        where the client is. One that is there already with the same arguments is left as it is."""
        nodes = list(self._spec.endpoints)
        key = str(operation.key)
        node = nodes[place_of(key) % len(nodes)]
        line = Line(self._spec.endpoints[node]["db"], DECLARE_S)
        try:
            with line.within(DECLARE_S):
                line.channel.queue_declare(
                    key, durable=True, arguments=arguments(self._spec.settings)
                )
        finally:
            line.close()
        return Result(node=node)

    def _publish(self, line: Line, operation: Invocation) -> None:
        """Returns once it is confirmed."""
        line.channel.basic_publish(
            "", str(operation.key), str(operation.value).encode(), self._properties, mandatory=True
        )


class QueueClient(RabbitClient):
    """Elements are messages, in decimal, of durable queues."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"enqueue": self._enqueue, "dequeue": self._dequeue}

    def _enqueue(self, line: Line, operation: Invocation) -> Result:
        self._publish(line, operation)
        return Result(value=operation.value, node=self.node)

    def _dequeue(self, line: Line, operation: Invocation) -> Result:
        key = str(operation.key)
        found: Any = undone(lambda: line.channel.basic_get(key))
        method, _, body = found
        if method is None:
            return Result(value=None, node=self.node)
        element = int(body)
        with holding(element):
            line.channel.basic_ack(method.delivery_tag)
            line.channel.queue_declare(key, passive=True)
        return Result(value=element, node=self.node)


def undone(ask: Callable[[], Any]) -> Any:
    """What `ask` gives; the driver's errors as `Undone`, which says that they do not matter."""
    try:
        return ask()
    except (AMQPError, OSError) as error:
        raise Undone(f"{type(error).__name__}: {error!r}"[:300]) from error
