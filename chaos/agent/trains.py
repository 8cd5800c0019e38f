"""Trains of numbered UDP datagrams between pods: what a link does to packets, seen by its ends.

Each datagram says which train and way it belongs to, its number, and when it was sent, on the
monotonic clock that all pods of a host share: so the receiver sees one-way delays. Standard library
only; part of the agent.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PORT = 19  # UDP character generator: trains arrive here, nothing is ever answered
HEAD = struct.Struct("!IIHIq")  # our mark, train, way, number, sent_ns
MARK = 0x61667368
HEADERS_BYTES = 28  # of IP and UDP
RECEIVE_BYTES = 8 << 20
ARRIVALS_MAX = 100_000  # of all trains that nobody has asked for yet
PACKETS_MAX = 5_000  # of one train and way
SO_RCVBUFFORCE = 33

Message = dict[str, Any]
Loop = Any  # chaos.agent.agent.Loop


class Trains:
    """Sends trains, and keeps what arrived of others' until it is asked for."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._senders: dict[str, socket.socket] = {}  # own address → socket
        self._arrived: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._left: dict[int, int] = {}  # train → datagrams to be sent on each way
        self._count = 0

    def do_train_listen(self, request: Message) -> Message:
        """Be ready to receive; how many datagrams so far had a wrong checksum."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
            self._socket.setblocking(False)
            self._socket.bind(("0.0.0.0", PORT))
            self._loop.when_readable(self._socket, self._receive)
        return {"bad_checksums": bad_checksums()}

    def do_train(self, request: Message) -> Message:
        """Send `count` datagrams of `bytes` on each of `ways` ([number, from, to]), one each
        `every_us`; 0: as fast as it goes. Answers at once, unless it goes as fast as it goes."""
        count, every_us = request["count"], request["every_us"]
        if not 0 < count <= PACKETS_MAX:
            raise ValueError(f"expected 1 to {PACKETS_MAX} datagrams, got {count}")
        size = max(0, request["bytes"] - HEADERS_BYTES - HEAD.size)
        train = _Train(request["train"], request["ways"], count, every_us * 1000, b"\0" * size)
        if every_us == 0:
            for sender, way, to in self._routes(train.ways):
                for number in range(count):
                    _send(sender, to, train, way, number)
        else:
            self._continue(train, 0, time.monotonic_ns())
        return {}

    def do_train_left(self, request: Message) -> Message:
        """How many datagrams of `train` are still to be sent on each way: a busy pod is late."""
        return {"left": self._left.get(request["train"], 0)}

    def do_train_arrivals(self, request: Message) -> Message:
        """What came of `train`, and is forgotten now: {way: [[number, sent_ns, arrived_ns], …]},
        in order of arrival; and how many datagrams so far had a wrong checksum."""
        self._receive()
        wanted = [key for key in self._arrived if key[0] == request["train"]]
        found = {str(way): self._arrived.pop((train, way)) for train, way in wanted}
        self._count -= sum(len(arrived) for arrived in found.values())
        return {"arrivals": found, "bad_checksums": bad_checksums()}

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo: each train ends by itself."""

    def able(self) -> Message:
        """Always."""
        return {}

    def _continue(self, train: _Train, number: int, began_ns: int) -> None:
        """Send all that is due; timers are exact to a millisecond only."""
        now = time.monotonic_ns()
        due = min(train.count, (now - began_ns) // train.every_ns + 1)
        routes = self._routes(train.ways)
        for k in range(number, due):
            for sender, way, to in routes:
                _send(sender, to, train, way, k)
        self._left[train.id] = train.count - due
        if due == train.count:
            del self._left[train.id]
        else:
            wait_s = max(0.001, (began_ns + due * train.every_ns - now) / 1e9)
            self._loop.after(wait_s, lambda: self._continue(train, due, began_ns))

    def _routes(self, ways: Sequence[tuple[int, str, str]]) -> list[tuple[socket.socket, int, str]]:
        return [(self._from(source), way, to) for way, source, to in ways]

    def _from(self, address: str) -> socket.socket:
        """A socket that sends from one of the pod's own addresses."""
        if address not in self._senders:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setblocking(False)
            made.bind((address, 0))
            self._senders[address] = made
        return self._senders[address]

    def _receive(self) -> None:
        if self._socket is None:
            return
        while True:
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier send
            now = time.monotonic_ns()
            if len(data) < HEAD.size or self._count >= ARRIVALS_MAX:
                continue
            mark, train, way, number, sent_ns = HEAD.unpack_from(data)
            if mark == MARK:
                self._count += 1
                self._arrived.setdefault((train, way), []).append((number, sent_ns, now))


class _Train:
    def __init__(
        self, id: int, ways: Sequence[tuple[int, str, str]], count: int, every_ns: int, rest: bytes
    ) -> None:
        self.id, self.ways, self.count, self.every_ns = id, ways, count, every_ns
        self.rest = rest


def _send(sender: socket.socket, to: str, train: _Train, way: int, number: int) -> None:
    head = HEAD.pack(MARK, train.id, way, number, time.monotonic_ns())
    try:
        sender.sendto(head + train.rest, (to, PORT))
    except OSError:
        pass  # a refused send is as good as a lost one


def bad_checksums() -> int:
    """How many UDP datagrams of this network namespace had a wrong checksum so far."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("InCsumErrors")])
