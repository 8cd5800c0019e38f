"""UDP beacons between pods: which direction passes, and since when. Standard library only."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from typing import Any

PROBE_PORT = 9  # UDP discard: beacons arrive here, nothing is ever answered
ARRIVALS_MAX = 20_000


class Beacons:
    """One-way reachability, measured without the firewall's word for it.

    Each beacon is a UDP datagram with the sender's name; the receiver only writes down when it
    came. So each direction is seen by itself, which a TCP connect cannot show.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._name = b""
        self._socket: socket.socket
        self._arrivals: list[tuple[int, str]] = []  # (t_ns, sender)

    def greet(self, name: str, peers: dict[str, str]) -> None:
        """Open the port, at the first hello."""
        if self._name:
            return
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("0.0.0.0", PROBE_PORT))
        self._loop.when_readable(self._socket, self.receive)
        self._name = name.encode()

    def do_beacons(self, request: dict[str, Any]) -> None:
        """Send a beacon to every address in `to` each `every_ms`, for `for_ms`."""
        end = time.monotonic() + request["for_ms"] / 1000
        every_s, addresses = request["every_ms"] / 1000, request["to"]

        def send() -> None:
            self.send(addresses)
            if time.monotonic() + every_s < end:
                self._loop.after(every_s, send)

        send()

    def do_arrivals(self, request: dict[str, Any]) -> dict[str, Any]:
        """When beacons came, by sender, since `since_ns`."""
        self.receive()
        return {"arrivals": self.arrivals(request["since_ns"])}

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo: each train of beacons ends by itself."""

    def able(self) -> dict[str, Any]:
        """Always."""
        return {}

    def send(self, addresses: Iterable[str]) -> None:
        """One datagram to each address; a refused send is as good as a lost one."""
        for address in addresses:
            try:
                self._socket.sendto(self._name, (address, PROBE_PORT))
            except OSError:
                pass

    def receive(self) -> None:
        """Write down everything that has arrived."""
        while True:
            try:
                data, _ = self._socket.recvfrom(256)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier send
            self._arrivals.append((time.monotonic_ns(), data.decode(errors="replace")))
            if len(self._arrivals) > ARRIVALS_MAX:
                del self._arrivals[: ARRIVALS_MAX // 2]

    def arrivals(self, since_ns: int) -> dict[str, list[int]]:
        """{sender: [arrival times]} since `since_ns`."""
        found: dict[str, list[int]] = {}
        for t_ns, sender in self._arrivals:
            if t_ns >= since_ns:
                found.setdefault(sender, []).append(t_ns)
        return found
