"""The agent: process 1 of a pod, holding its network and PID namespaces. Standard library only.

It is copied into the agent container with the modules it imports, and with nothing else of `chaos`
(see AGENT_MODULES in chaos/runtime/pod.py).

It reads one JSON object a line from standard input and answers one a line on standard output:

    {"id": 7, "do": "block", "fault": "f1", "sources": ["198.19.3.12"]}
    {"id": 7, "ok": true, "t_ns": 123}          or  {"id": 7, "ok": false, "error": "…"}

All times are CLOCK_MONOTONIC nanoseconds, which every container of one host shares.

Nothing it does outlives it: packets are dropped by nftables set elements that expire by themselves
(`LEASE_S`) unless renewed, and it renews only while it hears from the controller. End of input, or
silence for a lease, heals everything; the agent then stays as the holder of the namespaces.
"""

from __future__ import annotations

import heapq
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from chaos.agent.beacons import Beacons
from chaos.agent.firewall import LEASE_S, Firewall
from chaos.agent.processes import Processes

RENEW_S = 1.0

Message = dict[str, Any]


class Agent:
    """The loop: commands in, answers out, timers between."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # A heap of (due, number, function); the number breaks ties.
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_number = 0
        self._heard = time.monotonic()
        self._partial = b""
        self._firewall: Firewall | None = None
        self._why_no_firewall = "the controller has not said hello"
        self._processes = Processes()
        self._beacons: Beacons | None = None

    def run(self) -> None:
        """Serve until SIGTERM."""
        os.set_blocking(0, False)
        self._selector.register(0, selectors.EVENT_READ, self._read)
        self._after(RENEW_S, self._tick)
        while True:
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(wait):
                key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _after(self, seconds: float, function: Callable[[], None]) -> None:
        self._timer_number += 1
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, self._timer_number, function))

    def _tick(self) -> None:
        """Renew the leases while the controller lives, else heal."""
        if time.monotonic() - self._heard < LEASE_S:
            if self._firewall:
                self._firewall.renew()
        else:
            self._heal()
        self._after(RENEW_S, self._tick)

    def _heal(self) -> None:
        self._processes.heal()
        if self._firewall:
            self._firewall.heal()

    def _read(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(0)
            self._heard = float("-inf")
            self._heal()
            return
        self._heard = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        number = None
        try:
            request = json.loads(line)
            number = request["id"]
            answer = getattr(self, "do_" + request["do"])(request) or {}
            answer.update(id=number, ok=True, t_ns=time.monotonic_ns())
        except Exception as error:
            answer = {"id": number, "ok": False, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def do_hello(self, request: Message) -> Message:
        """Learn one's name and peers ({name: address}); say what this pod can do."""
        if self._beacons is None:
            self._beacons = Beacons(request["name"])
            self._selector.register(
                self._beacons.socket, selectors.EVENT_READ, self._beacons.receive
            )
        try:
            self._firewall = Firewall({a: n for n, a in request["peers"].items()})
            self._why_no_firewall = ""
        except (OSError, RuntimeError) as error:
            self._why_no_firewall = str(error)
        return {
            "nftables": not self._why_no_firewall,
            "why": self._why_no_firewall,
            "lease_s": LEASE_S,
        }

    def do_beat(self, request: Message) -> None:
        """Nothing: hearing it is the point."""

    def do_block(self, request: Message) -> None:
        """Drop packets from `sources` for `fault`."""
        if self._firewall is None:
            raise RuntimeError(self._why_no_firewall)
        self._firewall.block(request["fault"], request["sources"])

    def do_unblock(self, request: Message) -> Message:
        """End `fault`'s drops; which sources another fault still drops."""
        still = self._firewall.unblock(request["fault"]) if self._firewall else set()
        return {"still": sorted(still)}

    def do_beacons(self, request: Message) -> None:
        """Send a beacon to every address in `to` each `every_ms`, for `for_ms`."""
        end = time.monotonic() + request["for_ms"] / 1000
        every_s = request["every_ms"] / 1000
        addresses, beacons = request["to"], self._heard_hello()

        def send() -> None:
            beacons.send(addresses)
            if time.monotonic() + every_s < end:
                self._after(every_s, send)

        send()

    def do_arrivals(self, request: Message) -> Message:
        """When beacons came, by sender, since `since_ns`."""
        beacons = self._heard_hello()
        beacons.receive()
        return {"arrivals": beacons.arrivals(request["since_ns"])}

    def _heard_hello(self) -> Beacons:
        if self._beacons is None:
            raise RuntimeError("the controller has not said hello")
        return self._beacons

    def do_kill(self, request: Message) -> Message:
        """SIGKILL every database process."""
        return {"killed": self._processes.kill()}

    def do_stop(self, request: Message) -> Message:
        """SIGSTOP every database process for `fault`."""
        return {"stopped": self._processes.stop(request["fault"])}

    def do_resume(self, request: Message) -> None:
        """End `fault`'s stop."""
        self._processes.resume(request["fault"])

    def do_processes(self, request: Message) -> Message:
        """Name and state of every database process."""
        return {"processes": [[p.pid, p.name, p.state] for p in self._processes.each()]}

    def do_sample(self, request: Message) -> Message:
        """CPU time and memory of the database's processes, bytes received by peer."""
        processes = list(self._processes.each())
        return {
            "cpu_s": sum(p.cpu_s for p in processes),
            "mem_bytes": sum(p.resident_bytes for p in processes),
            "rx_bytes": self._firewall.received_bytes() if self._firewall else {},
        }

    def do_heal(self, request: Message) -> None:
        """Undo everything at once."""
        self._heal()


def _reap(*_: object) -> None:
    """Process 1 inherits the orphans of the pod and must bury them."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def main() -> None:
    """Run as process 1 of the pod."""
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Agent().run()


if __name__ == "__main__":
    main()
