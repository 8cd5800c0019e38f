"""A long talk with a node in one go: what a client says before it was answered.

A node reads one frame after the other, so that a client that knows the answers need not wait for
them (https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 2.2.4 and 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable

from pika import frame, spec

from chaos.systems._common import pieces
from chaos.systems.rabbitmq.wire import USER

NOBODY = "aftershock.nobody"  # a queue that is not there
CHANNEL = 1
FRAME_BYTES_MAX = 128 << 10  # as nodes have it
SENT_BYTES = 64 << 10  # of a message that is dropped
BACK_BYTES = 1000  # … that comes back: short, for it does so when it has come whole


def bulk(request_bytes: int, answer_bytes: int) -> bytes:
    """Log in and send messages to a queue that is not there: those that may be dropped, and, where
    an answer is wanted, those that are to come back."""
    said = [
        spec.Connection.StartOk({}, "PLAIN", f"\0{USER}\0{USER}", "en_US"),
        spec.Connection.TuneOk(CHANNEL, FRAME_BYTES_MAX, 0),
        spec.Connection.Open("/"),
    ]
    parts = [frame.ProtocolHeader().marshal(), *(frame.Method(0, each).marshal() for each in said)]
    parts.append(frame.Method(CHANNEL, spec.Channel.Open()).marshal())
    parts += _published(request_bytes, SENT_BYTES, back=False)
    parts += _published(answer_bytes, BACK_BYTES, back=True)
    return b"".join(parts)


def _published(size: int, longest: int, *, back: bool) -> Iterable[bytes]:
    """Messages of so many bytes together."""
    publish = spec.Basic.Publish(exchange="", routing_key=NOBODY, mandatory=back)
    for length in pieces(size, longest):
        yield frame.Method(CHANNEL, publish).marshal()
        yield frame.Header(CHANNEL, length, spec.BasicProperties()).marshal()
        yield frame.Body(CHANNEL, b"x" * length).marshal()
