"""What Kafka's driver does not tell: one broker's own view, over one kept connection.

librdkafka asks whichever broker it likes best and merges what several say; here one is asked, and
what it says is taken as it is. A few requests of Kafka's protocol are all that takes
(https://kafka.apache.org/protocol), in versions that Kafka 2.1 and later know.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaos.systems.base import Address

T = TypeVar("T")

API_VERSIONS = (18, 0)
LIST_OFFSETS = (2, 1)
METADATA = (3, 7)
OFFSET_FETCH = (9, 2)
COORDINATOR = (10, 1)
DESCRIBE_QUORUM = (55, 0)
REASSIGN = (45, 0)
QUORUM_LOG = "__cluster_metadata"
ANSWER_BYTES_MAX = 16 << 20
ANY_COPY, ITS_END = -2, -1  # who asks for offsets so is answered by a follower, too
CORRELATION = struct.pack("!i", 7)

# A question that any broker answers at once, whatever it may or may not do; and its length.
GREETING = struct.pack("!ihh4sh", 10, *API_VERSIONS, CORRELATION, -1)


NAME_BYTES = 200


def long_question(size: int) -> bytes:
    """A request of at least so many bytes whose answer has as many: who leads logs that nobody has,
    each of which the answer names."""
    names = (f"{at:0{NAME_BYTES}d}" for at in range(-(-size // NAME_BYTES)))
    logs = [struct.pack("!h", NAME_BYTES) + name.encode() for name in names]
    asked = struct.pack("!hh4sh", *METADATA, CORRELATION, -1)
    asked += struct.pack("!i", len(logs)) + b"".join(logs) + b"\0"
    return struct.pack("!i", len(asked)) + asked


@dataclass(frozen=True, slots=True)
class Partition:
    """A log as one broker knows it; brokers are numbers, and `leader` -1 is nobody."""

    log: str
    leader: int
    epoch: int  # in which it leads
    copies: tuple[int, ...]  # the one that it prefers as leader first
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who is there and who leads what, as one broker knows it."""

    brokers: tuple[int, ...]
    partitions: tuple[Partition, ...]  # of logs that are not Kafka's own


class Reader:
    """A body of Kafka's protocol, from its beginning. ValueError where it is cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        """An integer, as `struct` calls its form: b, h, i, q."""
        return int(struct.unpack(f"!{form}", self._take(struct.calcsize(form)))[0])

    def short(self) -> int:
        """An unsigned varint: seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def text(self) -> str:
        """A string, or null, for which it is empty."""
        size = self.number("h")
        return self._take(max(0, size)).decode()

    def compact(self) -> str:
        """The same where its length is a varint."""
        return self._take(max(0, self.short() - 1)).decode()

    def each(self, read: Callable[[], T]) -> tuple[T, ...]:
        """An array."""
        return tuple(read() for _ in range(self.number("i")))

    def each_compact(self, read: Callable[[], T]) -> tuple[T, ...]:
        """The same where its length is a varint."""
        return tuple(read() for _ in range(self.short() - 1))

    def tags(self) -> None:
        """Fields that only later versions know, passed by."""
        for _ in range(self.short()):
            self.short()
            self._take(self.short())

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ValueError("the answer was cut short")
        self._at += size
        return self._data[self._at - size : self._at]


class Line:
    """One connection to one broker, made when first needed and again after an error."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def metadata(self) -> Metadata:
        """What the broker knows. OSError, or ValueError where the answer is none."""
        reader = Reader(self._ask(METADATA, struct.pack("!ib", -1, 0)))
        reader.number("i")  # for how long it throttles

        def broker() -> int:
            found = reader.number("i")
            reader.text()
            reader.number("i")
            reader.text()
            return found

        brokers = reader.each(broker)
        reader.text()  # the cluster's id
        reader.number("i")  # any broker: nobody is told who the controller is
        topics = reader.each(lambda: _topic(reader))
        return Metadata(brokers, tuple(p for own, ps in topics if not own for p in ps))

    def ends(self, logs: Sequence[str]) -> dict[str, int]:
        """Where this broker's own copies of these logs end."""
        asked = b"".join(_text(log) + struct.pack("!iiq", 1, 0, ITS_END) for log in logs)
        body = struct.pack("!ii", ANY_COPY, len(logs)) + asked
        reader = Reader(self._ask(LIST_OFFSETS, body))

        def partition() -> int | None:
            reader.number("i")
            error = reader.number("h")
            reader.number("q")
            offset = reader.number("q")
            return None if error else offset

        found = reader.each(lambda: (reader.text(), reader.each(partition)))
        return {log: ends[0] for log, ends in found if ends and ends[0] is not None}

    def places(self, group: str) -> dict[str, int]:
        """Where the group is in its logs; {} where this broker is not its coordinator."""
        reader = Reader(self._ask(OFFSET_FETCH, _text(group) + struct.pack("!i", -1)))

        def partition() -> int:
            reader.number("i")
            place = reader.number("q")
            reader.text()
            reader.number("h")
            return place

        found = reader.each(lambda: (reader.text(), reader.each(partition)))
        return {log: places[0] for log, places in found if places and places[0] >= 0}

    def coordinates(self, kind: int) -> bool:
        """Whether the broker names a coordinator (kind 0: of groups, 1: of transactions); asked for
        the first time, it has the log made that these keep."""
        reader = Reader(self._ask(COORDINATOR, _text("aftershock") + struct.pack("!b", kind)))
        reader.number("i")
        return reader.number("h") == 0

    def controls(self) -> int | None:
        """The epoch in which this node is the controller, or None: it is not.

        To be asked on a controller's port.
        """
        body = b"\x02" + _compact(QUORUM_LOG) + b"\x02" + struct.pack("!i", 0) + bytes(3)
        reader = Reader(self._ask(DESCRIBE_QUORUM, body, compact=True))
        if reader.number("h"):
            return None

        def partition() -> tuple[int, int]:
            reader.number("i")
            error = reader.number("h")
            reader.number("i")
            return error, reader.number("i")

        reader.short()
        reader.compact()
        reader.short()
        error, epoch = partition()
        return None if error else epoch

    def reassign(self, log: str, copies: Sequence[int]) -> None:
        """Have exactly these brokers keep a copy of the log, the first of them preferred as its
        leader. ValueError with what the controller said if it refuses."""
        wanted = bytes([len(copies) + 1]) + struct.pack(f"!{len(copies)}i", *copies)
        one = struct.pack("!i", 0) + wanted + b"\0"
        topic = _compact(log) + b"\x02" + one + b"\0"
        limit_ms = struct.pack("!i", int(self._timeout_s * 1000))
        reader = Reader(self._ask(REASSIGN, limit_ms + b"\x02" + topic + b"\0", compact=True))
        reader.number("i")
        code, said = reader.number("h"), reader.compact()

        def partition() -> tuple[int, str]:
            reader.number("i")
            found = reader.number("h"), reader.compact()
            reader.tags()
            return found

        def partitions() -> tuple[tuple[int, str], ...]:
            reader.compact()
            found = reader.each_compact(partition)
            reader.tags()
            return found

        answers = (
            [(code, said)] if code else [a for t in reader.each_compact(partitions) for a in t]
        )
        for code, said in answers:
            if code:
                raise ValueError(f"error {code} {said}".strip())

    def close(self) -> None:
        """Drop the connection; the next question makes another."""
        line, self._socket = self._socket, None
        if line is not None:
            line.close()

    def __del__(self) -> None:
        self.close()

    def _ask(self, api: tuple[int, int], body: bytes, *, compact: bool = False) -> bytes:
        """The body of the answer to one request, with one deadline for all of it."""
        end_s = time.monotonic() + self._timeout_s
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=self._timeout_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = struct.pack("!hh", *api) + CORRELATION + struct.pack("!h", -1)
            request += (b"\0" if compact else b"") + body
            self._socket.sendall(struct.pack("!i", len(request)) + request)
            size = int(struct.unpack("!i", _exactly(self._socket, 4, end_s))[0])
            if not len(CORRELATION) <= size <= ANSWER_BYTES_MAX:
                raise ValueError(f"an answer of {size} bytes")
            answer = _exactly(self._socket, size, end_s)
        except BaseException:
            self.close()
            raise
        head = len(CORRELATION)
        if answer[:head] != CORRELATION:
            self.close()
            raise ValueError("the answer to another question")
        return answer[head + (1 if compact else 0) :]


def _topic(reader: Reader) -> tuple[bool, tuple[Partition, ...]]:
    """Whether it is Kafka's own, and its partitions."""
    reader.number("h")
    name = reader.text()
    own = bool(reader.number("b"))

    def partition() -> Partition:
        reader.number("h")
        place, leader, epoch = (reader.number("i") for _ in range(3))
        copies, in_sync, _ = (reader.each(lambda: reader.number("i")) for _ in range(3))
        log = name if place == 0 else f"{name}-{place}"
        return Partition(log, leader, epoch, copies, in_sync)

    return own, reader.each(partition)


def _text(text: str) -> bytes:
    return struct.pack("!h", len(text)) + text.encode()


def _compact(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode()


def _exactly(line: socket.socket, size: int, end_s: float) -> bytes:
    parts = b""
    while len(parts) < size:
        line.settimeout(max(0.001, end_s - time.monotonic()))
        got = line.recv(size - len(parts))
        if not got:
            raise ConnectionError("the connection was closed without an answer")
        parts += got
    return parts
