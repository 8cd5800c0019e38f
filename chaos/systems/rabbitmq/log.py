"""RabbitMQ's logs: streams, read over AMQP 0-9-1 (https://www.rabbitmq.com/docs/streams).

A stream is a log with one leader and replicas. A send is confirmed once a majority of them has
written it, and nobody syncs it to disk; which offset it got the publisher is not told. A poll is
answered by the replica on the client's own node, from what it knows to be agreed: each log that is
assigned has a consumer, which is sent messages as long as there is credit for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._messages import Places, logs_of, polled, sent
from chaos.systems.base import ClientSpec
from chaos.systems.rabbitmq.client import RabbitClient, Undone, undone
from chaos.systems.rabbitmq.wire import Line

WAIT_S = 0.1  # a poll waits so long for something new
CREDIT = 500  # messages of each log that may be under way


class LogClient(RabbitClient):
    """A log is a stream; messages are decimal integers."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"send": self._send, "assign": self._assign, "poll": self._poll}
        self._forget()

    def open(self) -> None:
        """Connect, with no log assigned."""
        super().open()
        self._forget()

    def _forget(self) -> None:
        self._places = Places()
        self._consuming: Any = None  # the consumers' channel
        self._come: dict[str, list[tuple[int, int]]] = {}
        self._cancelled = False

    def _send(self, line: Line, operation: Invocation) -> Result:
        self._publish(line, operation)
        return sent(None, operation.value, self.node)

    def _assign(self, line: Line, operation: Invocation) -> Result:
        """New consumers for all of them; those that were end, and what they were sent and nobody
        has polled comes again."""
        self._places.assign(logs_of(operation))
        undone(partial(self._consume, line))
        return Result(node=self.node)

    def _consume(self, line: Line) -> None:
        if self._consuming is not None:
            self._consuming.close()
        self._come = {}
        self._consuming = line.new_channel()
        self._consuming.add_on_cancel_callback(self._cancel)
        self._consuming.basic_qos(prefetch_count=CREDIT)
        for log, offset in self._places.all().items():
            self._consuming.basic_consume(
                log, partial(self._take, log), arguments={"x-stream-offset": offset}
            )

    def _take(self, log: str, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """What a consumer does with a message: keep it for the next poll, and give new credit."""
        self._come.setdefault(log, []).append(
            (int(properties.headers["x-stream-offset"]), int(body))
        )
        self._consuming.basic_ack(method.delivery_tag)

    def _cancel(self, _method: Any) -> None:
        """The node ends a consumer when the replica that it read is gone."""
        self._cancelled = True

    def _poll(self, line: Line, _operation: Invocation) -> Result:
        places = self._places.next()
        undone(partial(line.listen, WAIT_S))
        if self._cancelled:
            raise Undone("the node cancelled a consumer")
        come, self._come = self._come, {}
        shown: Mapping[str, list[tuple[int, int]]] = {
            log: [(offset, value) for offset, value in messages if offset >= places[log]]
            for log, messages in come.items()
        }
        for log, messages in shown.items():
            for offset, _ in messages:
                self._places.passed(log, offset)
        return polled(shown, self.node)
