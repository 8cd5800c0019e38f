"""The streams that clients use: how they are made, and who leads them.

Registers, counters and the set are keys of one bucket, which is a stream that keeps the last
message of each subject
(https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md). A queue is a
stream whose messages go when they are acknowledged, with one durable consumer; a log is a stream
that keeps all.

NATS 2.10 elects a stream's leader by chance, and lets nobody choose the next one. So a stream is
made on the node that is to lead it, and spread from there (`make`), and one that is led by another
node is moved by having its leader step down until chance has it right (`lead`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nats.errors import Error
from nats.js import api
from nats.js.errors import BadRequestError

from chaos.systems._messages import place_of
from chaos.systems.nats.conf import ack_wait_s, replicas
from chaos.systems.nats.wire import Line, Lost

BUCKET = "data"
BUCKET_STREAM = f"KV_{BUCKET}"
WORKERS = "workers"  # the consumer of every queue
NAME_IN_USE = 10058  # the server's code for a stream that is there with another configuration
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
    """The node that leads a queue or a log."""
    return nodes[place_of(key) % len(nodes)]


def make_bucket(line: Line, settings: Mapping[str, Any], nodes: Sequence[str]) -> bool:
    """The bucket, led by the first node: what nats-py's `create_key_value` asks for, with direct
    reads allowed, as the Go client has them."""
    config = api.StreamConfig(
        name=BUCKET_STREAM,
        subjects=[f"$KV.{BUCKET}.>"],
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        discard=api.DiscardPolicy.NEW,
    )
    return _make(line, settings, config, nodes[0], nodes)


def make_log(line: Line, settings: Mapping[str, Any], key: object, nodes: Sequence[str]) -> bool:
    """A log's stream, led by its node."""
    name = log_stream(key)
    config = api.StreamConfig(name=name, subjects=[subject_of(name)])
    return _make(line, settings, config, preferred(key, nodes), nodes)


def make_queue(line: Line, settings: Mapping[str, Any], key: object, nodes: Sequence[str]) -> bool:
    """A queue's stream and its consumer, both led by its node. Of what the consumer hands out it
    waits for an acknowledgement each."""
    name, node = queue_stream(key), preferred(key, nodes)
    retention = api.RetentionPolicy.WORK_QUEUE
    config = api.StreamConfig(name=name, subjects=[subject_of(name)], retention=retention)
    workers = api.ConsumerConfig(
        durable_name=WORKERS,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s(settings),
    )
    if not _make(line, settings, config, node, nodes):
        return False
    line.begin()
    line.run(line.js.add_consumer(name, workers))
    return len(nodes) == 1 or lead(line, name, node, WORKERS)


def _make(
    line: Line,
    settings: Mapping[str, Any],
    config: api.StreamConfig,
    node: str,
    nodes: Sequence[str],
) -> bool:
    """Make a stream, if it is not there: on `node` alone, then on as many as it is to be on. False
    if `node` does not lead it in time."""
    first = config.evolve(storage=api.StorageType.FILE, num_replicas=1)
    if len(nodes) > 1:
        first = first.evolve(placement=api.Placement(tags=[node]))
    try:
        line.run(line.js.add_stream(first))
    except BadRequestError as error:
        if error.err_code != NAME_IN_USE:
            raise
    if (count := replicas(settings)) > 1:
        line.begin()
        line.run(line.js.update_stream(first.evolve(num_replicas=count, placement=None)))
    return len(nodes) == 1 or lead(line, str(config.name), node)


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
