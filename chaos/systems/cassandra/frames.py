"""Frames of version 4 of the CQL protocol, which has no checksums, for faults that knock.

https://github.com/apache/cassandra/blob/cassandra-5.0/doc/native_protocol_v4.spec
"""

from __future__ import annotations

import struct

from chaos.systems._common import pieces

VERSION, ANSWERED = 0x04, 0x84
OPTIONS, SUPPORTED = 0x05, 0x06
BODY_BYTES = 200_000  # of one frame; a server takes many more
ANSWER_BYTES = 100  # of SUPPORTED, at least


def frame(opcode: int, body: bytes = b"") -> bytes:
    """One request."""
    return struct.pack(">BBhBi", VERSION, 0, 0, opcode, len(body)) + body


# A live server answers this at once, and one that has too many connections does not.
ASKED = frame(OPTIONS)
SERVED = struct.pack(">BBhB", ANSWERED, 0, 0, SUPPORTED)


def bulk(request_bytes: int, answer_bytes: int) -> bytes:
    """Questions for what the server speaks, which come before all else: with a body as long as
    asked for, which is read and not looked at, and then short ones. What follows a `STARTUP` before
    its answer is lost (5.0.4)."""
    bodies = pieces(request_bytes, BODY_BYTES)
    asked = b"".join(frame(OPTIONS, b"x" * size) for size in bodies)
    return asked + ASKED * -(-answer_bytes // ANSWER_BYTES)
