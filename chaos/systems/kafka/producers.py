"""Sending: one message at a time, or several and what was polled as one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from chaos.systems._deadline import within
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec, NotConnected
from chaos.systems.kafka.driver import (
    Heard,
    common,
    end,
    error_of,
    idempotent,
    named,
    producing,
    transacting,
)
from chaos.systems.kafka.wire import Line

PURGED_S = 1.0
INIT_S = 3.0  # librdkafka asks for its number, waits for half a second, and asks again
ABORT_S = 1.0
LATE_S = 0.5  # how much later than it was told the driver may answer
LOOK_S = 0.05


class Unsent(Exception):
    """Nobody was there who would take the message; or it was held back, and dropped in the end."""


class Reports:
    """What became of a message; for `on_delivery`."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.offset: int | None = None
        self.there = False

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """A message that was acknowledged has an offset, unless nobody told it."""
        offset = message.offset()
        self.error = error
        self.offset = offset if offset is not None and offset >= 0 else None
        self.there = True


def deliver(producer: Producer, log: str, value: int, end_s: float) -> Reports:
    """Hand a message over, and wait for the report until `end_s`."""
    report = Reports()
    producer.produce(log, str(value).encode(), partition=0, on_delivery=report)
    while not report.there and (left_s := end_s - time.monotonic()) > 0:
        producer.poll(left_s)
    return report


class Sender:
    """A producer, opened by being made: NotConnected if no broker answers in time."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._nodes = named(spec)
        self._leaders: dict[str, int] = {}
        self._seen: set[str] = set()  # logs whose leader has said so itself
        # Then what is held back has never been kept by a broker: one that refuses has not kept it.
        self._holds_unsent = spec.options.get("acks", "all") != "all" and not idempotent(spec)
        heard = Heard()
        self._producer = Producer({**common(spec, heard), **producing(spec)})
        try:
            self._look(spec.timeout_s)
        except KafkaException as error:
            self._producer.poll(0)
            self.close()
            why = heard.last or f"{error_of(error).str()}: timed out"
            raise NotConnected(f"asking who leads: {why}") from error

    def _look(self, timeout_s: float, log: str | None = None) -> None:
        found = self._producer.list_topics(log, timeout=timeout_s)
        for name, topic in found.topics.items():
            if topic.error is None and 0 in topic.partitions:
                self._leaders[name] = topic.partitions[0].leader

    def _see_that_it_is_led(self, log: str, end_s: float) -> None:
        """Ask the log's leader itself, again and again: else the driver would hold the message
        back, and not tell whether it had been sent. Unsent if there is none that says so in time.
        """
        while True:
            try:
                self._ask_leader(log, max(0.01, end_s - time.monotonic()))
            except Unsent:
                self._leaders.pop(log, None)
                if time.monotonic() + LOOK_S > end_s:
                    raise
                time.sleep(LOOK_S)
            else:
                self._seen.add(log)
                return

    def _ask_leader(self, log: str, timeout_s: float) -> None:
        try:
            if log not in self._leaders:
                self._look(timeout_s, log)
        except KafkaException as error:
            raise Unsent(f"nobody says who leads {log}: {error_of(error).str()}") from error
        leader = self._leaders.get(log, -1)
        if leader not in self._nodes:
            raise Unsent(f"nobody leads {log}")
        node = self._nodes[leader]
        line = Line(self._spec.endpoints[node]["db"], timeout_s)
        try:
            known = line.metadata()
        except (OSError, ValueError) as error:
            raise Unsent(f"{node} leads {log} and does not answer: {error}") from error
        finally:
            line.close()
        if not any(p.log == log and p.leader == leader for p in known.partitions):
            raise Unsent(f"{node} does not lead {log}")

    def leader(self, log: str) -> str:
        """The node that led the log when it was asked for last; "" if nobody did."""
        return self._nodes.get(self._leaders.get(log, -1), "")

    def send(self, log: str, value: int) -> tuple[int | None, str]:
        """The message's offset, None where the broker does not tell, and the node that took it."""
        end_s = time.monotonic() + self._spec.timeout_s
        if log not in self._seen:
            self._see_that_it_is_led(log, end_s)
        report = deliver(self._producer, log, value, end_s)
        if not report.there:
            self._producer.purge()
            end_s = time.monotonic() + PURGED_S
            while not report.there and (left_s := end_s - time.monotonic()) > 0:
                self._producer.poll(left_s)
        if not report.there:
            raise TimeoutError("no report of the message, not even that it was purged")
        if report.error is None:
            return report.offset, self.leader(log)
        if report.error.code() == KafkaError._PURGE_QUEUE and self._holds_unsent:
            raise Unsent(report.error.str())
        raise KafkaException(report.error)

    def close(self) -> None:
        """End the producer; what it still has is dropped."""
        self._producer.purge()
        end(self._producer.close)


class Transactions:
    """A producer of transactions, ready by being made: NotCommitted if its coordinator is not.

    It ends when nobody holds it: librdkafka's own `close` would first abort what it has no answer
    to.
    """

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        name = f"aftershock-{uuid.uuid4()}"
        self._producer = Producer({**common(spec, Heard()), **transacting(spec, name)})
        self._open = False
        try:
            limit_s = max(INIT_S, spec.timeout_s)
            within(limit_s + LATE_S, lambda: self._producer.init_transactions(limit_s))
        except (KafkaException, TimeoutError) as error:
            self.close()
            why = error_of(error).str() if isinstance(error, KafkaException) else str(error)
            raise NotCommitted(f"no coordinator: {why}") from error

    def begin(self) -> None:
        """A transaction begins."""
        self._producer.begin_transaction()
        self._open = True

    def send(self, log: str, value: int, end_s: float) -> int | None:
        """The offset of one of its messages. KafkaException or TimeoutError."""
        report = deliver(self._producer, log, value, end_s)
        if not report.there:
            raise TimeoutError("no report of a message in time")
        if report.error is not None:
            raise KafkaException(report.error)
        return report.offset

    def passed(self, places: Mapping[str, int], member: Any, end_s: float) -> None:
        """The group's places, its own when it commits. KafkaException or TimeoutError."""
        offsets = [TopicPartition(log, 0, at) for log, at in places.items()]
        left_s = max(0.001, end_s - time.monotonic())
        send = self._producer.send_offsets_to_transaction
        within(left_s + LATE_S, lambda: send(offsets, member, left_s))

    def commit(self, end_s: float) -> None:
        """Have it happen. NotCommitted where it certainly did not; KafkaException or TimeoutError:
        who knows."""
        self._open = False
        left_s = max(0.001, end_s - time.monotonic())
        try:
            within(left_s + LATE_S, lambda: self._producer.commit_transaction(left_s))
        except KafkaException as error:
            if error_of(error).txn_requires_abort() and self._aborted():
                raise NotCommitted(f"aborted: {error_of(error).str()}") from error
            raise

    def abort(self) -> bool:
        """Have it not happen, if it is open: it was not told to commit. Its coordinator ends one of
        which it hears nothing by itself. Whether this producer may begin another."""
        was_open, self._open = self._open, False
        return was_open and self._aborted()

    def _aborted(self) -> bool:
        try:
            within(ABORT_S + LATE_S, lambda: self._producer.abort_transaction(ABORT_S))
        except (KafkaException, TimeoutError):
            return False
        return True

    def close(self) -> None:
        """Abort what is open; end the producer, which takes as long as it likes."""
        self.abort()
        last = [self._producer]
        del self._producer
        end(last.clear)
