"""Connections that nobody uses: opened to the database until it takes no more, and held.

They come from inside the pod, so that no client link and no cut is in the way. Each says as much as
the database needs to count it; it is held when the answer begins as a served one does. What is held
closes with the agent. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

AT_ONCE = 32  # connections being opened at a time: fewer than any server's backlog
REFUSALS_FULL = 8  # refused in a row: it takes no more
UNANSWERED_S = 1.0  # an answer that takes longer is none
SILENCE = "no answer"
REFILL_S = 0.1  # how often a place that became free is taken
REFILL_AT_ONCE = 2  # few: each one that is refused is a line in the database's log
SPARE_FILES = 64

Message = dict[str, Any]


class Loop(Protocol):
    """What this part needs of the agent's loop."""

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` once, that much later."""

    def when_readable(self, file: Any, function: Callable[[], None]) -> None:
        """Call `function` whenever `file` can be read."""

    def forget(self, file: Any) -> None:
        """End `when_readable`."""


class Crowds:
    """One crowd of connections for each fault."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._crowds: dict[str, Crowd] = {}

    def do_crowd(self, request: Message) -> None:
        """Open connections to `address`:`port` for `fault` until `count` are held or it is full.

        `say` and `served` are hexadecimal: what each sends, and how a served one's answer begins
        (after `after` bytes; 0 if unsaid).
        Returns at once; `crowd_state` tells how far it is.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.disperse(request["fault"])
        open_now = len(os.listdir("/proc/self/fd"))
        crowd = Crowd(
            address=(request["address"], int(request["port"])),
            say=bytes.fromhex(request["say"]),
            served=(bytes.fromhex(request["served"]), int(request.get("after", 0))),
            count=min(int(request["count"]), hard - open_now - SPARE_FILES),
        )
        self._crowds[request["fault"]] = crowd
        self._loop.when_readable(crowd.events, crowd.pump)
        crowd.open()
        self._loop.after(REFILL_S, lambda: self._refill(crowd))

    def do_crowd_state(self, request: Message) -> Message:
        """Of `fault`: `held` connections, `refused` so far, whether `full` or `enough` are held.

        `since_ns`: when it first was one of these; `others`: faults with a crowd of their own.
        """
        crowd = self._crowds[request["fault"]]
        return {
            "held": len(crowd.held),
            "refused": crowd.refused,
            "full": crowd.is_full(),
            "enough": len(crowd.held) >= crowd.count,
            "since_ns": crowd.since_ns,
            "said": crowd.said,
            "others": sorted(set(self._crowds) - {request["fault"]}),
        }

    def do_disperse(self, request: Message) -> Message:
        """Close `fault`'s connections; `closed`: how many, `still`: faults that hold others."""
        return {"closed": self.disperse(request["fault"]), "still": sorted(self._crowds)}

    def disperse(self, fault: str) -> int:
        """Close one crowd; how many connections were held."""
        crowd = self._crowds.pop(fault, None)
        if crowd is None:
            return 0
        self._loop.forget(crowd.events)
        return crowd.close()

    def _refill(self, crowd: Crowd) -> None:
        if crowd in self._crowds.values():
            crowd.give_up_on_the_silent()
            crowd.open()
            self._loop.after(REFILL_S, lambda: self._refill(crowd))

    def tick(self) -> None:
        """Nothing to renew: a closed agent closes its connections."""

    def heal(self) -> None:
        """Close them all."""
        for fault in list(self._crowds):
            self.disperse(fault)

    def able(self) -> Message:
        """How many connections it can hold."""
        return {"connections_max": resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES}


class Crowd:
    """The connections of one fault."""

    def __init__(
        self, *, address: tuple[str, int], say: bytes, served: tuple[bytes, int], count: int
    ) -> None:
        self.events = selectors.DefaultSelector()
        self.held: set[socket.socket] = set()
        self.count = count
        self.refused = 0
        self.since_ns: int | None = None
        self.said = ""  # the last answer that was no; silence says less than any
        self._address = address
        self._say = say
        self._served = served
        self._opening: dict[socket.socket, float] = {}  # → when begun
        self._in_a_row = 0
        self._closed = False

    def is_full(self) -> bool:
        """Whether the last ones were all refused."""
        return self._in_a_row >= REFUSALS_FULL

    def open(self) -> None:
        """Begin as many connections as may be under way."""
        most = REFILL_AT_ONCE if self.is_full() else AT_ONCE
        while len(self._opening) < most and len(self.held) + len(self._opening) < self.count:
            line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            line.setblocking(False)
            self._opening[line] = time.monotonic()
            error = line.connect_ex(self._address)
            if error not in (0, errno.EINPROGRESS):
                self._turn_away(line, os.strerror(error))
                return  # nobody listens: the next round tries again
            self.events.register(line, selectors.EVENT_WRITE, self._greet)

    def pump(self) -> None:
        """Go on with what is ready now."""
        if self._closed:
            return  # it was ready in the same round in which it was closed
        for key, _ in self.events.select(0):
            key.data(key.fileobj)
        if not self.is_full():
            self.open()

    def _greet(self, line: socket.socket) -> None:
        try:
            line.send(self._say)
        except OSError as error:
            self._turn_away(line, str(error))
            return
        self.events.modify(line, selectors.EVENT_READ, self._hear)

    def _hear(self, line: socket.socket) -> None:
        try:
            answer = line.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._turn_away(line, str(error))
            return
        if not answer:
            self._turn_away(line, "closed")
        elif answer.startswith(*self._served):
            del self._opening[line]
            self.held.add(line)
            self._in_a_row = 0
            self.events.modify(line, selectors.EVENT_READ, self._ignore)
            if len(self.held) >= self.count:
                self._settled()
        else:
            printable = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in answer)
            self._turn_away(line, " ".join(printable.split())[:120])

    def _ignore(self, line: socket.socket) -> None:
        """What the database has to say to a held connection; its end makes room for another."""
        try:
            if line.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.held.discard(line)
        self._drop(line)

    def _turn_away(self, line: socket.socket, said: str) -> None:
        self.refused += 1
        self._in_a_row += 1
        if said != SILENCE or not self.said:
            self.said = said
        self._opening.pop(line, None)
        self._drop(line)
        if self.is_full():
            self._settled()

    def _settled(self) -> None:
        if self.since_ns is None:
            self.since_ns = time.monotonic_ns()

    def give_up_on_the_silent(self) -> None:
        """Those that got no answer are not served."""
        now = time.monotonic()
        for line in [x for x, began in self._opening.items() if now - began > UNANSWERED_S]:
            self._turn_away(line, SILENCE)

    def _drop(self, line: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):  # never registered
            self.events.unregister(line)
        line.close()

    def close(self) -> int:
        """Close all; how many were held."""
        count = len(self.held)
        self._closed = True
        for line in (*self.held, *self._opening):
            line.close()
        self.held.clear()
        self._opening.clear()
        self.events.close()
        return count
