"""NATS' queues and logs.

A dequeue takes two requests: a pull, which hands out one element or says after a moment that there
is none, and an acknowledgement, which the server answers (nats-py's `ack_sync`). Only with the
second the element is gone. What was taken and whose acknowledgement had no answer is indefinite;
who did not acknowledge at all, because the pull's answer came too late or not at all, gives it back
after `ack_wait`. An empty pull does not say that the queue is empty, for others may have elements
and die of them: then the stream's leader is asked how many are left, and while some are it is a
definite `handed-out`.

A log's offsets are the sequence numbers of its stream, from 1. A client polls each of its logs
through a consumer of its own, which does not outlive the node that it is on, and begins where the
client stands: one that is gone is made anew by the next poll. It reads from one replica, which may
be behind, and in order.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import api

from chaos.record.op import Invocation, Result
from chaos.systems._messages import Message, Places, holding, logs_of, polled, sent
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.nats.client import NatsClient, NotAcknowledged
from chaos.systems.nats.streams import (
    WORKERS,
    log_stream,
    make_log,
    make_queue,
    queue_stream,
    subject_of,
)
from chaos.systems.nats.wire import NEVER_S, Line

FIRST = 1  # the offset at which a log begins
POLLED_MAX = 100  # messages of one log that one poll shows
WAIT_S = 0.1  # how long a server looks for messages before it says that there are none
IDLE_S = 30.0  # a consumer that nobody asks for so long is removed
NONE = ("404", "408")  # statuses that end a pull for want of messages


class Streams(NatsClient):
    """What queues and logs share."""

    make: Callable[[Line, Mapping[str, Any], object, Sequence[str]], bool]

    def _create(self, line: Line, operation: Invocation) -> Result:
        nodes = list(self._spec.endpoints)
        if not type(self).make(line, self._spec.settings, operation.key, nodes):
            raise Definite("not-led", f"the node of {operation.key} does not lead it")
        return Result(node=self.node)

    def _send(self, line: Line, stream: str, value: int | None) -> int:
        """Append, and wait for the confirmation; the sequence number."""
        ack = line.run(line.js.publish(subject_of(stream), str(value).encode()))
        return int(ack.seq)


class QueueClient(Streams):
    """A queue is a stream with the retention `workqueue`, and its one consumer."""

    make = staticmethod(make_queue)

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"create": self._create, "enqueue": self._enqueue, "dequeue": self._dequeue}

    def _enqueue(self, line: Line, operation: Invocation) -> Result:
        self._send(line, queue_stream(operation.key), operation.value)
        return Result(value=operation.value, node=self.node)

    def _dequeue(self, line: Line, operation: Invocation) -> Result:
        stream = queue_stream(operation.key)
        taken = line.run(_next(line, stream, WORKERS))
        status, said = _status(taken)
        if status in NONE:
            return self._none(line, stream)
        if status:
            raise Definite("pull-refused", f"{status} {said}")
        element = int(taken.data)
        with holding(element):
            try:
                line.run(taken.ack_sync(timeout=self._spec.timeout_s))
            except Exception as error:
                raise NotAcknowledged(f"{type(error).__name__}: {error}") from error
        return Result(value=element, node=self.node)

    def _none(self, line: Line, stream: str) -> Result:
        """Nothing was handed out: because there is nothing, or because others have it."""
        try:
            info = line.run(line.js.stream_info(stream))
        except (OSError, Error) as error:
            raise Definite("not-told", f"how much is left: {type(error).__name__}") from error
        if info.cluster is not None and not info.cluster.leader:
            raise Definite("not-told", "a replica answered, which knows no leader")
        if info.state.messages:
            raise Definite("handed-out", f"{info.state.messages} elements, to others, for now")
        return Result(node=self.node)


class LogClient(Streams):
    """A log is a stream."""

    make = staticmethod(make_log)

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._places = Places(FIRST)
        self._consumers: dict[str, str] = {}  # log → the consumer that stands where we do
        self._do = {
            "create": self._create,
            "send": self._append,
            "assign": self._assign,
            "poll": self._poll,
        }

    def open(self) -> None:
        """Connect anew; places are kept, consumers are not."""
        self._consumers = {}
        super().open()

    def _append(self, line: Line, operation: Invocation) -> Result:
        offset = self._send(line, log_stream(operation.key), operation.value)
        return sent(offset, operation.value, self.node)

    def _assign(self, line: Line, operation: Invocation) -> Result:
        self._places.assign(logs_of(operation))
        kept = self._places.all()
        self._consumers = {log: name for log, name in self._consumers.items() if log in kept}
        return Result(node=self.node)

    def _poll(self, line: Line, operation: Invocation) -> Result:
        """All logs at once. One that cannot be read shows nothing; if none can, that is said."""
        standing = self._places.next()
        try:
            got = line.run(self._polled(line, standing))
        except BaseException:
            self._consumers = {}  # they may have gone on, and we have not
            raise
        shown: dict[str, list[Message]] = {}
        refused = {log: why for log, why in got.items() if isinstance(why, Exception)}
        for log, messages in got.items():
            if not isinstance(messages, Exception):
                shown[log] = messages
                if messages:
                    self._places.passed(log, messages[-1][0])
        for log in refused:
            self._consumers.pop(log, None)
        if refused and not shown:
            log, why = next(iter(refused.items()))
            raise Definite("not-polled", f"{log}: {type(why).__name__}: {why}")
        return polled(shown, self.node)

    async def _polled(
        self, line: Line, standing: Mapping[str, int]
    ) -> dict[str, list[Message] | Error | Definite]:
        reads = [self._read(line, log, offset) for log, offset in standing.items()]
        return dict(zip(standing, await asyncio.gather(*reads), strict=True))

    async def _read(self, line: Line, log: str, offset: int) -> list[Message] | Error | Definite:
        """What comes next in one log, or why it cannot be read."""
        stream = log_stream(log)
        try:
            if log not in self._consumers:
                made = await line.js.add_consumer(stream, _reader(offset))
                self._consumers[log] = made.name
            return await _batch(line, stream, self._consumers[log])
        except (Error, Definite) as error:
            return error


def _reader(offset: int) -> api.ConsumerConfig:
    """A consumer that begins at this offset, and asks for no acknowledgements."""
    return api.ConsumerConfig(
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=offset,
        ack_policy=api.AckPolicy.NONE,
        inactive_threshold=IDLE_S,
        num_replicas=1,
        mem_storage=True,
    )


def _asked(batch: int, *, at_once: bool) -> bytes:
    """A pull. `at_once`: it ends as soon as there is nothing more."""
    body = {"batch": batch, "expires": int(WAIT_S * 1e9)}
    return json.dumps({**body, "no_wait": True} if at_once else body).encode()


def _pull_subject(stream: str, consumer: str) -> str:
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


async def _next(line: Line, stream: str, consumer: str) -> Msg:
    """One element, or a status. An element comes with its own subject, and not with that of the
    inbox it is sent to, by which nats-py would tell whose answer it is: so each has an inbox."""
    asked = _asked(1, at_once=False)
    subject = _pull_subject(stream, consumer)
    return await line.nats.request(subject, asked, timeout=NEVER_S, old_style=True)


async def _batch(line: Line, stream: str, consumer: str) -> list[Message]:
    """What a consumer has now, up to POLLED_MAX messages; in their order."""
    inbox = line.nats.new_inbox()
    answers = await line.nats.subscribe(inbox)
    found: list[Message] = []
    try:
        subject = _pull_subject(stream, consumer)
        await line.nats.publish(subject, _asked(POLLED_MAX, at_once=True), reply=inbox)
        while len(found) < POLLED_MAX:
            message = await answers.next_msg(timeout=NEVER_S)
            status, said = _status(message)
            if status in NONE:
                break
            if status:
                if found:
                    break
                raise Definite("pull-refused", f"{status} {said}")
            found.append((message.metadata.sequence.stream, int(message.data)))
    finally:
        await answers.unsubscribe()
    return found


def _status(message: Msg) -> tuple[str, str]:
    """A status in the place of a message, and what it says; ("", "") of a message."""
    headers = message.headers or {}
    return headers.get("Status", ""), headers.get("Description", "")
