"""How librdkafka is set up here, and what it says.

What it does by itself and what becomes of it (librdkafka 2.16):

- It sends again what got no answer or a passing error: `retries` is 0, and one request is under way
  at a time. Only who asks for idempotence gets that, which needs retries: brokers then know a
  message that came twice, and keep one.
- Whatever `retries` says, it sends again what a broker refused because it no longer leads. With
  `acks: all` that broker may have kept the message, and even the new leader may have it, so that it
  would be there twice: the wait before a retry is longer than anybody waits here.
- It holds back messages while it knows no leader, for minutes: after the operation's deadline they
  are purged, and librdkafka tells whether they were under way or held back.
- It connects again, and learns anew who leads, as often as it likes: that reads, and is kept.
- A consumer fetches ahead, in threads of its own: what a poll shows may have been fetched before.
- A consumer that stands where its log no longer is begins at an end of the log: here it says so
  (`auto.offset.reset: error`), except in a group, which begins anew.
- It may read from brokers that follow: only with `client.rack`, which is not set.
- It joins, heartbeats and commits for a group in the background: kept for who subscribes.
- It makes topics that are asked for: refused by the brokers.
- It writes to standard error, and sends brokers its metrics: off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from chaos.systems._common import is_on
from chaos.systems.base import ClientSpec

NEVER_MS = 300_000  # the longest that librdkafka can be told
CONNECT_MS_MIN = 1000  # the shortest that it can be told
FETCH_BYTES_MIN = 1000  # an answer to a consumer waits for so many, for at most
FETCH_MS_MAX = 50
GONE_S = 1.0  # how long a client waits for the driver's end; it ends by itself then
GROUP = "aftershock"
SESSION_MS = 3000  # after which a group goes on without a member that says nothing
TRANSACTION_S = 5.0  # after which a coordinator ends a transaction that nobody goes on with


class Heard:
    """The last thing that the driver said went wrong; for `error_cb`."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, error: KafkaError) -> None:
        """Keep it: that all brokers are down says less than why one was."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error.str()


def common(spec: ClientSpec, heard: Heard) -> dict[str, Any]:
    """What every kind of client is told; it may begin with any node, and prefers none."""
    limit_ms = max(10, int(spec.timeout_s * 1000))
    return {
        "bootstrap.servers": ",".join(f"{h}:{p}" for h, p in _addresses(spec)),
        "client.id": "aftershock",
        "error_cb": heard,
        "log_level": 0,
        "enable.metrics.push": False,
        "broker.address.family": "v4",
        "socket.timeout.ms": limit_ms,
        "socket.connection.setup.timeout.ms": max(CONNECT_MS_MIN, limit_ms),
        "api.version.request.timeout.ms": limit_ms,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
    }


def _addresses(spec: ClientSpec) -> list[tuple[str, int]]:
    return [ports["db"] for ports in spec.endpoints.values()]


def producing(spec: ClientSpec) -> dict[str, Any]:
    """Of a producer whose messages are sent once, or with idempotence are there once."""
    limit_ms = max(10, int(spec.timeout_s * 1000))
    conf: dict[str, Any] = {
        "acks": spec.options.get("acks", "all"),
        "linger.ms": 0,
        "max.in.flight.requests.per.connection": 1,
        "request.timeout.ms": limit_ms,
        "message.timeout.ms": NEVER_MS,
    }
    if idempotent(spec):
        return {**conf, "enable.idempotence": True}
    never = {"retry.backoff.ms": NEVER_MS, "retry.backoff.max.ms": NEVER_MS}
    return {**conf, **never, "enable.idempotence": False, "retries": 0}


def idempotent(spec: ClientSpec) -> bool:
    """Whether brokers are to know messages that came twice."""
    return is_on(spec.options, "idempotence")


def commits_first(spec: ClientSpec) -> bool:
    """Whether the group goes on behind what a poll got before the poll shows it, or afterwards."""
    return str(spec.options.get("commit", "after")) == "before"


def transacting(spec: ClientSpec, name: str) -> dict[str, Any]:
    """Of a producer of transactions, which is idempotent and wants all acknowledgements."""
    limit_ms = max(1000, int(spec.timeout_s * 1000))
    return {
        "transactional.id": name,
        "transaction.timeout.ms": max(int(TRANSACTION_S * 1000), 2 * limit_ms),
        "message.timeout.ms": limit_ms,
        "linger.ms": 0,
        "max.in.flight.requests.per.connection": 1,
    }


def consuming(spec: ClientSpec, *, group: bool) -> dict[str, Any]:
    """Of a consumer: in the group, or of what it is assigned."""
    conf: dict[str, Any] = {
        "group.id": GROUP,
        "isolation.level": spec.options.get("isolation", "read_committed"),
        "enable.auto.offset.store": False,
        "enable.partition.eof": False,
        "fetch.min.bytes": FETCH_BYTES_MIN,
        "fetch.wait.max.ms": FETCH_MS_MAX,
        "queued.min.messages": 1000,
        "queued.max.messages.kbytes": 1024,
    }
    if not group:
        return {**conf, "enable.auto.commit": False, "auto.offset.reset": "error"}
    return {
        **conf,
        "enable.auto.commit": not commits_first(spec),  # of what `store_offsets` was told
        "auto.commit.interval.ms": 100,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": SESSION_MS // 15,
    }


def error_of(error: KafkaException) -> KafkaError:
    """What an exception is about."""
    found: KafkaError = error.args[0]
    return found


def end(close: Callable[[], object]) -> None:
    """Have the driver end something, which it may take its time for; never raises."""

    def ending() -> None:
        try:
            close()
        except Exception:  # what is being dropped may be broken in any way
            pass

    thread = threading.Thread(target=ending, daemon=True)
    thread.start()
    thread.join(GONE_S)


def named(spec: ClientSpec) -> Mapping[int, str]:
    """A broker's number → its node: they are counted from 1, in the topology's order."""
    return dict(enumerate(spec.settings["_addresses"], 1))
