"""Frames of version 4 of the CQL protocol, which has no checksums, for faults that knock.

https://github.com/apache/cassandra/blob/cassandra-5.0/doc/native_protocol_v4.spec
"""

from __future__ import annotations

import struct

VERSION, ANSWERED = 0x04, 0x84
STARTUP, OPTIONS, SUPPORTED, QUERY = 0x01, 0x05, 0x06, 0x07
ONE = 1  # the consistency level
COLUMNS = "SELECT * FROM system_schema.columns"
COLUMNS_BYTES = 20_000  # its answer has more, whatever tables there are


def frame(opcode: int, body: bytes = b"", stream: int = 0) -> bytes:
    """One request."""
    return struct.pack(">BBhBi", VERSION, 0, stream, opcode, len(body)) + body


def startup() -> bytes:
    """What a connection begins with."""
    return frame(STARTUP, b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0")


def query(statement: str, stream: int) -> bytes:
    """A statement without values, asked of one replica."""
    text = statement.encode()
    return frame(QUERY, struct.pack(">i", len(text)) + text + struct.pack(">HB", ONE, 0), stream)


# A live server answers this at once, and one that has too many connections does not.
ASKED = frame(OPTIONS)
SERVED = struct.pack(">BBhB", ANSWERED, 0, 0, SUPPORTED)


def bulk(request_bytes: int, answer_bytes: int) -> bytes:
    """One statement with a comment as long as asked for, and after it one that all columns of the
    schema answer, again and again."""
    asked = startup()
    if request_bytes:
        asked += query(f"SELECT key FROM system.local /* {'x' * request_bytes} */", 1)
    times = -(-answer_bytes // COLUMNS_BYTES)
    return asked + b"".join(query(COLUMNS, 2 + number) for number in range(times))
