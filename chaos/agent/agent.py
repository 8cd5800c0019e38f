"""The agent: process 1 of a pod, holding its network and PID namespaces. Standard library only.

It is copied into the agent container with the modules it imports, and with nothing else of `chaos`
(see agent_files in chaos/runtime/pod.py).

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
from typing import Any, Protocol

from chaos.agent.addresses import Addresses
from chaos.agent.beacons import Beacons
from chaos.agent.cgroups import Cgroups
from chaos.agent.clocks import Clocks
from chaos.agent.cold import Damage
from chaos.agent.connects import Connects
from chaos.agent.crowd import Crowds
from chaos.agent.cuts import LEASE_S
from chaos.agent.disks import Disks
from chaos.agent.files import Files
from chaos.agent.firewall import Firewall
from chaos.agent.hogs import Hogs
from chaos.agent.line import Line
from chaos.agent.processes import Processes
from chaos.agent.trains import Trains

RENEW_S = 1.0

Message = dict[str, Any]


class Part(Protocol):
    """One kind of thing the agent does. Every method `do_NAME` answers the command NAME.

    A part starts to work with its first command; making it costs nothing and cannot fail.
    """

    def tick(self) -> None:
        """Once a second while the controller is heard: renew leases, look after what was done."""

    def heal(self) -> None:
        """Undo everything at once; safe at any time, any number of times."""

    def able(self) -> Message:
        """What it can do in this pod, merged into the answer to `hello`.

        Under "ladders" (chaos/agent/ladder.py), by family: the ways it tried, and what it takes.
        """


class Loop:
    """What parts may ask of the agent: timers, and readiness of their own files."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # A heap of (due, number, function); the number breaks ties.
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_number = 0

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` once, that much later."""
        self._timer_number += 1
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, self._timer_number, function))

    def when_readable(self, file: Any, function: Callable[[], None]) -> None:
        """Call `function` whenever `file` can be read."""
        self._selector.register(file, selectors.EVENT_READ, function)

    def forget(self, file: Any) -> None:
        """End `when_readable`."""
        self._selector.unregister(file)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(wait):
                _call(key.data)
            while self._timers and self._timers[0][0] <= time.monotonic():
                _call(heapq.heappop(self._timers)[2])


class Agent:
    """Commands in, answers out; leases renewed while the controller is heard, else all healed."""

    def __init__(self) -> None:
        self._loop = Loop()
        self._heard = time.monotonic()
        self._partial = b""
        disks = Disks()
        self._parts: list[Part] = [
            Processes(self._loop),
            Firewall(self._loop),
            Line(self._loop),
            Trains(self._loop),
            Beacons(self._loop),
            Addresses(),
            Cgroups(),
            Hogs(),
            Crowds(self._loop),
            disks,
            Damage(disks),
            Files(),
            Connects(),
            Clocks(self._loop),
        ]

    def run(self) -> None:
        """Serve until SIGTERM."""
        os.set_blocking(0, False)
        self._loop.when_readable(0, self._read)
        self._loop.after(RENEW_S, self._tick)
        self._loop.run()

    def _tick(self) -> None:
        if time.monotonic() - self._heard < LEASE_S:
            self._each(lambda part: part.tick())
        else:
            self._each(lambda part: part.heal())
        self._loop.after(RENEW_S, self._tick)

    def _each(self, call: Callable[[Part], None]) -> list[str]:
        """Call every part, whatever the ones before it raise; what they said."""
        errors = []
        for part in self._parts:
            try:
                call(part)
            except Exception as error:
                errors.append(f"{type(part).__name__}: {type(error).__name__}: {error}")
        for error_text in errors:
            sys.stderr.write(error_text + "\n")
            sys.stderr.flush()
        return errors

    def _read(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.forget(0)
            self._heard = float("-inf")
            self._each(lambda part: part.heal())
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
            answer = self._command(request["do"])(request) or {}
            answer.update(id=number, ok=True, t_ns=time.monotonic_ns())
        except Exception as error:
            answer = {"id": number, "ok": False, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def _command(self, name: str) -> Callable[[Message], Message | None]:
        for place in (self, *self._parts):
            if command := getattr(place, "do_" + name, None):
                found: Callable[[Message], Message | None] = command
                return found
        raise ValueError(f"unknown command {name!r}")

    def do_hello(self, request: Message) -> Message:
        """Learn one's name and peers ({name: address}); say what this pod can do."""
        answer: Message = {"lease_s": LEASE_S}
        ladders: Message = {}
        for part in self._parts:
            if greet := getattr(part, "greet", None):
                greet(request["name"], request["peers"])
            able = part.able()
            ladders.update(able.pop("ladders", {}))
            answer.update(able)
        return {**answer, "ladders": ladders}

    def do_beat(self, request: Message) -> None:
        """Nothing: hearing it is the point."""

    def do_sample(self, request: Message) -> Message:
        """What every part has to say for a sample: CPU time, memory, bytes by peer."""
        answer: Message = {}
        for part in self._parts:
            if sample := getattr(part, "sample", None):
                answer.update(sample())
        return answer

    def do_heal(self, request: Message) -> None:
        """Undo everything at once; an error names every part that could not."""
        if errors := self._each(lambda part: part.heal()):
            raise RuntimeError("; ".join(errors))


def _call(function: Callable[[], None]) -> None:
    """A part that breaks must not end the agent, which holds the namespaces."""
    try:
        function()
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()


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
