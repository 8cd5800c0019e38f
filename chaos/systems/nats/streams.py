"""The streams that clients use: how they are made, and who leads them.

Registers, counters and the set are keys of one bucket, which is a stream that keeps the last
message of each subject
(https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md). A queue is a
stream whose messages go when they are acknowledged, with one durable consumer; a log is a stream
that keeps all.

NATS 2.10 elects a stream's leader by chance, and lets nobody choose the next one: `lead` has the
leader step down until it is the node that is wanted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from nats.errors import Error
from nats.js import api

from chaos.systems.nats.conf import ack_wait_s, replicas
from chaos.systems.nats.wire import Line, Lost

BUCKET = "data"
BUCKET_STREAM = f"KV_{BUCKET}"
WORKERS = "workers"  # the consumer of every queue
LEAD_S = 15.0  # for that node to lead; an election that nobody wins takes 4 to 9 s
LOOK_S = 0.3  # a server that knows no leader does not answer at all
SETTLE_S = 0.02
UNSURE = (Error, TimeoutError)  # who leads is not known just now


def key_subject(kind: str, key: object) -> str:
    """The subject that a key of the bucket is: `$KV.data.register.c0`."""
    return f"$KV.{BUCKET}.{kind}.{key}"


def queue_stream(key: object) -> str:
    """The stream of a queue."""
    return f"queue_{key}"


def log_stream(key: object) -> str:
    """The stream of a log."""
    return f"log_{key}"


def subject_of(stream: str) -> str:
    """The one subject that a queue or a log is sent to: `queue.k0`."""
    return stream.replace("_", ".", 1)


def preferred(key: object, nodes: Sequence[str]) -> str:
    """The node that leads k{i}: the i-th, modulo their number."""
    number = re.search(r"\d+$", str(key))
    return nodes[int(number[0]) % len(nodes) if number else 0]


def bucket_config(settings: Mapping[str, Any], node: str) -> api.StreamConfig:
    """What nats-py's `create_key_value` asks for, with direct reads allowed, as the Go client
    has them."""
    return _config(
        settings,
        node,
        BUCKET_STREAM,
        f"$KV.{BUCKET}.>",
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        discard=api.DiscardPolicy.NEW,
    )


def queue_config(settings: Mapping[str, Any], key: object, node: str) -> api.StreamConfig:
    """A queue's stream."""
    name = queue_stream(key)
    return _config(settings, node, name, subject_of(name), retention=api.RetentionPolicy.WORK_QUEUE)


def log_config(settings: Mapping[str, Any], key: object, node: str) -> api.StreamConfig:
    """A log's stream."""
    name = log_stream(key)
    return _config(settings, node, name, subject_of(name))


def workers_config(settings: Mapping[str, Any]) -> api.ConsumerConfig:
    """A queue's consumer: of what it hands out it waits for an acknowledgement each."""
    return api.ConsumerConfig(
        durable_name=WORKERS,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s(settings),
    )


def _config(
    settings: Mapping[str, Any], node: str, name: str, subject: str, **more: Any
) -> api.StreamConfig:
    count = replicas(settings)
    return api.StreamConfig(
        name=name,
        subjects=[subject],
        storage=api.StorageType.FILE,
        num_replicas=count,
        # One replica is put where it is wanted; of several the leader is moved.
        placement=api.Placement(tags=[node]) if count == 1 else None,
        **more,
    )


def leader_of(line: Line, stream: str, consumer: str | None = None) -> str:
    """Who leads a stream, or a consumer of it; "" where nobody says so just now."""
    line.begin(LOOK_S)
    try:
        if consumer is None:
            led = line.run(line.js.stream_info(stream)).cluster
        else:
            led = line.run(line.js.consumer_info(stream, consumer)).cluster
    except Lost:
        raise
    except UNSURE:
        return ""
    return (led.leader or "") if led is not None else ""


def lead(
    line: Line, stream: str, node: str, consumer: str | None = None, within_s: float = LEAD_S
) -> bool:
    """Have `node` lead a stream, or a consumer of it. False if it does not within that time."""
    words = ["STREAM", "LEADER", "STEPDOWN", stream]
    if consumer is not None:
        words = ["CONSUMER", "LEADER", "STEPDOWN", stream, consumer]
    end_s = time.monotonic() + within_s
    while (leader := leader_of(line, stream, consumer)) != node:
        if time.monotonic() > end_s:
            return False
        if leader:
            line.begin(1.0)
            try:
                line.run(line.nats.request(".".join(["$JS.API", *words]), timeout=1.0))
            except Lost:
                raise
            except UNSURE:
                pass
        time.sleep(SETTLE_S)
    return True
