"""UDP beacons between pods: which direction passes, and since when. Standard library only."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

PROBE_PORT = 9  # UDP discard: beacons arrive here, nothing is ever answered
ARRIVALS_MAX = 20_000


class Beacons:
    """One-way reachability, measured without the firewall's word for it.

    Each beacon is a UDP datagram with the sender's name; the receiver only writes down when it
    came. So each direction is seen by itself, which a TCP connect cannot show.
    """

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("0.0.0.0", PROBE_PORT))
        self._arrivals: list[tuple[int, str]] = []  # (t_ns, sender)

    def send(self, addresses: Iterable[str]) -> None:
        """One datagram to each address; a refused send is as good as a lost one."""
        for address in addresses:
            try:
                self.socket.sendto(self._name, (address, PROBE_PORT))
            except OSError:
                pass

    def receive(self) -> None:
        """Write down everything that has arrived."""
        while True:
            try:
                data, _ = self.socket.recvfrom(256)
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
