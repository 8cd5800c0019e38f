"""UDP beacons between pods: which way passes, and since when. Standard library only."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROBE_PORT = 9  # UDP discard: beacons arrive here, nothing is ever answered
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = 4 << 20
ARRIVALS_MAX = 20_000
SILENCES_MAX = 10_000
LANES_MAX = 5_000  # of all trains so far
SILENCE_MS = 150  # beacons sent and lost for that long are written down as a silence
SILENCE_BEACONS = 5  # and at least so many: a lossy link is no silence


@dataclass(frozen=True, slots=True)
class Beacon:
    """One datagram: the train it belongs to, its number there, its way and port, when it was sent.

    It says its way itself, so that the receiver tells apart what comes to its several addresses.
    """

    train: str
    number: int
    way: tuple[str, str]  # addresses: from, to
    port: int
    sent_ns: int

    def encode(self) -> bytes:
        """As it is sent."""
        return " ".join(map(str, (self.train, self.number, *self.way, self.port, self.sent_ns))
                        ).encode()  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Beacon:
        """ValueError for anything else."""
        train, number, source, destination, port, sent_ns = data.decode().split(" ")
        return cls(train, int(number), (source, destination), int(port), int(sent_ns))

    @property
    def lane(self) -> str:
        """What arrivals are told apart by: "FROM TO PORT"."""
        return f"{self.way[0]} {self.way[1]} {self.port}"


class Arrivals:
    """What came of the beacons: each arrival, and the silences between them."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Beacon] = {}  # (train, lane) → newest
        self._silences: dict[tuple[str, str], deque[tuple[int, int]]] = {}
        self._all: deque[tuple[int, Beacon]] = deque(maxlen=ARRIVALS_MAX)

    def add(self, beacon: Beacon, t_ns: int) -> None:
        """It came at that time."""
        self._all.append((t_ns, beacon))
        key = beacon.train, beacon.lane
        last = self._last.get(key)
        if last is None and len(self._last) >= LANES_MAX:
            oldest = next(iter(self._last))
            del self._last[oldest]
            self._silences.pop(oldest, None)
        if last is not None and last.number >= beacon.number:
            return  # reordered on the way
        self._last[key] = beacon
        if last is None:
            return
        lost, length_ns = beacon.number - last.number - 1, beacon.sent_ns - last.sent_ns
        if lost >= SILENCE_BEACONS and length_ns >= SILENCE_MS * 1_000_000:
            silences = self._silences.setdefault(key, deque(maxlen=SILENCES_MAX))
            silences.append((last.sent_ns, beacon.sent_ns))

    def since(self, t_ns: int) -> dict[str, list[tuple[int, int]]]:
        """{lane: [(sent, arrived), …]} of the beacons sent since then."""
        found: dict[str, list[tuple[int, int]]] = {}
        for arrived, beacon in self._all:
            if beacon.sent_ns >= t_ns:
                found.setdefault(beacon.lane, []).append((beacon.sent_ns, arrived))
        return found

    def silences(self, train: str) -> dict[str, list[tuple[int, int]]]:
        """{lane: [(last beacon that passed, first that passed again), …]} when they were sent."""
        return {
            lane: list(self._silences.get((name, lane), ()))
            for name, lane in self._last
            if name == train
        }


@dataclass(slots=True)
class Train:
    """Beacons being sent: each way once each period, until `end_s` on the monotonic clock."""

    name: str
    ways: Sequence[Sequence[str]]
    ports: Sequence[int]
    every_s: float
    end_s: float
    number: int = 0
    sent_ns: int = 0  # when the last were


class Beacons:
    """One-way reachability, measured without the firewall's word for it.

    The receiver only writes down when a beacon came. So each direction is seen by itself, which a
    TCP connect cannot show; and as each carries the time at which it was sent, one that comes late
    over a slow link is not taken for one that was sent late.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._listening: dict[int, socket.socket] = {}  # port → socket
        self._until_s: dict[int, float] = {}  # port → when it may be closed
        self._from: dict[str, socket.socket] = {}  # own address → socket bound to it
        self._trains: dict[str, Train] = {}
        self._arrived = Arrivals()

    def greet(self, name: str, peers: dict[str, str]) -> None:
        """Open the port, at the first hello."""
        if PROBE_PORT not in self._listening:
            self._open(PROBE_PORT)

    def do_listen(self, request: dict[str, Any]) -> dict[str, Any]:
        """Hear beacons on `ports` too, for `for_ms`; those that are taken by somebody else."""
        taken = []
        for port in request["ports"]:
            end_s = time.monotonic() + request["for_ms"] / 1000
            self._until_s[port] = max(end_s, self._until_s.get(port, 0.0))
            try:
                if port not in self._listening:
                    self._open(port)
            except OSError:
                taken.append(port)
            else:
                self._loop.after(request["for_ms"] / 1000 + 0.01, self._close_unused)
        return {"taken": taken}

    def do_beacons(self, request: dict[str, Any]) -> None:
        """Send beacons of `train` on every one of `ways`, pairs of addresses (from, to), to every
        one of `ports`, each `every_ms` for `for_ms`. A train that runs is only made longer."""
        name = request["train"]
        end_s = time.monotonic() + request["for_ms"] / 1000
        if name in self._trains:
            self._trains[name].end_s = max(end_s, self._trains[name].end_s)
            return
        self._trains[name] = Train(
            name, request["ways"], request["ports"], request["every_ms"] / 1000, end_s
        )
        self._send(self._trains[name])

    def do_arrivals(self, request: dict[str, Any]) -> dict[str, Any]:
        """Of beacons sent since `since_ns`: when each was sent and came, by "FROM TO PORT"; and
        when `train` was last sent from here (0: not running)."""
        self._receive_all()
        train = self._trains.get(request["train"])
        return {
            "arrivals": self._arrived.since(request["since_ns"]),
            "sent_ns": train.sent_ns if train else 0,
        }

    def do_silences(self, request: dict[str, Any]) -> dict[str, Any]:
        """When beacons of `train` were sent and did not come, by "FROM TO PORT"."""
        self._receive_all()
        return {"silences": self._arrived.silences(request["train"])}

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo: each train of beacons ends by itself."""

    def able(self) -> dict[str, Any]:
        """Always."""
        return {}

    def _open(self, port: int) -> None:
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            line.setblocking(False)
            # A pod that gets no CPU for a while must not lose what came meanwhile.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            with contextlib.suppress(OSError):  # beyond the host's limit, as NET_ADMIN may
                line.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
            line.bind(("0.0.0.0", port))
        except OSError:
            line.close()
            raise
        self._listening[port] = line
        self._loop.when_readable(line, lambda: self._receive(line))

    def _close_unused(self) -> None:
        now = time.monotonic()
        for port, end_s in list(self._until_s.items()):
            if end_s <= now:
                del self._until_s[port]
                if line := self._listening.pop(port, None):
                    self._loop.forget(line)
                    line.close()

    def _send(self, train: Train) -> None:
        """One beacon on each way, and the next in time; a refused send is as good as a lost one."""
        train.number += 1
        for source, destination in train.ways:
            for port in train.ports:
                train.sent_ns = time.monotonic_ns()
                beacon = Beacon(
                    train.name, train.number, (source, destination), port, train.sent_ns
                )
                try:
                    self._bound(source).sendto(beacon.encode(), (destination, port))
                except OSError:
                    pass
        if time.monotonic() + train.every_s < train.end_s:
            self._loop.after(train.every_s, lambda: self._send(train))
        else:
            del self._trains[train.name]

    def _bound(self, address: str) -> socket.socket:
        if address not in self._from:
            line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            line.setblocking(False)
            line.bind((address, 0))
            self._from[address] = line
        return self._from[address]

    def _receive_all(self) -> None:
        for line in self._listening.values():
            self._receive(line)

    def _receive(self, line: socket.socket) -> None:
        """Write down everything that has arrived."""
        while True:
            try:
                data, (sender, _) = line.recvfrom(512)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier send
            now = time.monotonic_ns()
            try:
                beacon = Beacon.decode(data)
            except ValueError:
                continue  # somebody else's datagram
            if beacon.way[0] == sender:
                self._arrived.add(beacon, now)
