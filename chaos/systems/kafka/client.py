"""The Kafka client, of the kind `log`: a log is a topic of one partition.

Log k0 prefers the first node as its leader, k1 the second, and so on. What of librdkafka is off,
and what it still does by itself, stands in `driver.py`. A message is sent once, unless it is one of
a transaction, or idempotence is asked for: then librdkafka may send it again, and brokers know that
it is the same; one that got no answer is there once or not at all.

A transaction is one producer's; its sends tell their offsets before it commits. What it polled
becomes the group's place with it, where the client is in a group. One that fails before it was told
to commit is aborted, a definite `not-committed`; its messages keep their offsets, and only who
reads uncommitted sees them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED
from chaos.systems._messages import answered, logs_of, micros_of, place_of, polled, sent
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import ClientSpec, Definite, ErrorRule
from chaos.systems.kafka.conf import copies
from chaos.systems.kafka.consumers import NothingPolled, Polls
from chaos.systems.kafka.driver import Heard, common, error_of, named
from chaos.systems.kafka.producers import LOOK_S, Sender, Transactions, Unsent
from chaos.systems.kafka.wire import Line

LOG_OPERATIONS = frozenset({"subscribe", "txn"})

ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="nothing-polled",
        kind=NothingPolled,
        definite=True,
        reason="nothing of what it may have fetched was used; with `commit: before` its group may "
        "have gone on behind that",
    ),
    ErrorRule(
        code="unsent",
        kind=Unsent,
        definite=True,
        reason="nobody who leads was reached, and it was not sent; or, with `acks` 1 or 0, it was "
        "held back or refused by a broker that did not lead, which keeps nothing then",
    ),
    ErrorRule(
        code="too-few-in-sync",
        kind=KafkaException,
        pattern=r"code=NOT_ENOUGH_REPLICAS,",
        definite=True,
        reason="fewer copies are in sync than min.insync.replicas; refused before it was written",
    ),
    ErrorRule(
        code="too-few-in-sync-after",
        kind=KafkaException,
        pattern=r"code=NOT_ENOUGH_REPLICAS_AFTER_APPEND,",
        definite=False,
        reason="the leader wrote it, and then too few copies were in sync; it is not taken back",
    ),
    ErrorRule(
        code="too-large",
        kind=KafkaException,
        pattern=r"code=MSG_SIZE_TOO_LARGE,",
        definite=True,
        reason="refused before it was sent or written",
    ),
    ErrorRule(
        code="not-in-time",
        kind=KafkaException,
        pattern=r"code=REQUEST_TIMED_OUT,",
        definite=False,
        reason="the leader wrote it, and the others did not have it in time; it is not taken back",
    ),
    ErrorRule(
        code="timeout",
        kind=KafkaException,
        pattern=r"code=(_PURGE_INFLIGHT|_TIMED_OUT|_MSG_TIMED_OUT),",
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="held-back",
        kind=KafkaException,
        pattern=r"code=_PURGE_QUEUE,",
        definite=False,
        reason="never sent, or answered by a broker that no longer leads, whose copies may have "
        "it: the driver does not tell which",
    ),
    ErrorRule(
        code="connection-lost",
        kind=KafkaException,
        pattern=r"code=(_TRANSPORT|_ALL_BROKERS_DOWN|NETWORK_EXCEPTION),",
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
    ErrorRule(
        code="storage",
        kind=KafkaException,
        pattern=r"code=KAFKA_STORAGE_ERROR,",
        definite=False,
        reason="the leader could not write it; how much of it is there is not said",
    ),
    ErrorRule(
        code="refused",
        kind=KafkaException,
        definite=False,
        reason="a broker, or the driver, answered with an error; what it means for the operation "
        "is not said",
    ),
    ErrorRule(
        code="no-report",
        kind=TimeoutError,
        definite=False,
        reason="the driver did not say what became of it; the operation may have happened",
    ),
)


class LogClient:
    """One process: a producer, and a consumer once it polls."""

    def __init__(self, spec: ClientSpec) -> None:
        self.node = ""  # that it sent to last
        self._spec = spec
        self._sender: Sender | None = None
        self._transactions: Transactions | None = None
        self._polls = Polls(spec)
        self._do: Mapping[str, Callable[[Invocation], Result]] = {
            "create": self._create,
            "send": self._send,
            "assign": self._assign,
            "subscribe": self._subscribe,
            "poll": self._poll,
            "txn": self._txn,
        }

    def open(self) -> None:
        """Ask any broker who leads what."""
        self.close()
        self._sender = Sender(self._spec)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once. After an error other than an answer or a transaction that certainly did not
        commit, the next operation begins anew."""
        if self._sender is None:
            self.open()
        try:
            return self._do[operation.f](operation)
        except (Definite, NotCommitted):
            raise
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """End producers and consumer; never raises."""
        sender, self._sender = self._sender, None
        transactions, self._transactions = self._transactions, None
        self._polls.close()
        self._polls = Polls(self._spec)
        if transactions is not None:
            transactions.close()
        if sender is not None:
            sender.close()

    def _create(self, operation: Invocation) -> Result:
        """Make the log, unless it is there; its first copy is where its number says."""
        log = str(operation.key)
        nodes = len(self._spec.settings["_addresses"])
        first = place_of(log)
        kept = [(first + k) % nodes + 1 for k in range(copies(self._spec.settings, nodes))]
        admin = AdminClient(common(self._spec, Heard()))
        asked = admin.create_topics(
            [NewTopic(log, num_partitions=1, replica_assignment=[kept])],
            request_timeout=self._spec.timeout_s,
            operation_timeout=self._spec.timeout_s,
        )
        try:
            asked[log].result(2 * self._spec.timeout_s)
        except KafkaException as error:
            if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        names = named(self._spec)
        self._spread(log, [names[number] for number in kept])
        return Result()

    def _spread(self, log: str, nodes: Sequence[str]) -> None:
        """Wait for these nodes to hear of the log, but not for one that does not answer: they do so
        up to half a second after the controller (KafkaRaftClient: MAX_FETCH_WAIT_MS)."""
        end_s = self._end_s()
        for node in nodes:
            line = Line(self._spec.endpoints[node]["db"], self._spec.timeout_s)
            with suppress(OSError, ValueError), closing(line):
                while time.monotonic() < end_s:
                    if any(partition.log == log for partition in line.metadata().partitions):
                        break
                    time.sleep(LOOK_S)

    def _send(self, operation: Invocation) -> Result:
        assert self._sender is not None
        assert operation.value is not None
        log = str(operation.key)
        self.node = self._sender.leader(log)
        offset, self.node = self._sender.send(log, operation.value)
        return sent(offset, operation.value, self.node)

    def _assign(self, operation: Invocation) -> Result:
        self._polls.assign(logs_of(operation))
        return Result()

    def _subscribe(self, operation: Invocation) -> Result:
        self._polls.subscribe(logs_of(operation))
        return Result()

    def _poll(self, operation: Invocation) -> Result:
        return polled(self._polls.poll(self._end_s()))

    def _txn(self, operation: Invocation) -> Result:
        """All of it, or nothing of it: then what it polled is polled again."""
        micros = micros_of(operation)
        stood = self._polls.places()
        if self._transactions is None:
            self._transactions = Transactions(self._spec)
        try:
            answers = self._played(self._transactions, micros)
        except (Definite, NotCommitted):
            if not self._transactions.abort():
                self._transactions.close()
                self._transactions = None
            self._polls.back_to(stood)
            raise
        return answered(micros, answers)

    def _played(self, transactions: Transactions, micros: Sequence[Sequence[Any]]) -> list[Any]:
        """Its answers, once it has committed. Definite, NotCommitted; else nobody knows."""
        end_s = self._end_s()
        try:
            transactions.begin()
            answers = [self._micro(transactions, micro, end_s) for micro in micros]
            if passed := self._polls.passed:
                transactions.passed(passed, self._polls.member, end_s)
        except Definite:
            raise
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        transactions.commit(end_s)
        self._polls.went_on()
        return answers

    def _micro(self, transactions: Transactions, micro: Sequence[Any], end_s: float) -> Any:
        if micro[0] == "poll":
            return self._polls.poll(end_s, keep=False)
        return transactions.send(micro[1], micro[2], end_s)

    def _end_s(self) -> float:
        return time.monotonic() + self._spec.timeout_s


CLIENTS: Mapping[str, Callable[[ClientSpec], LogClient]] = {"log": LogClient}
