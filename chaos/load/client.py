"""One client: a thread that invokes operations one after the other and records each of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from chaos.load.makers import Maker
from chaos.record.op import Invocation, Result
from chaos.systems.base import Client, Definite, InHand, classify
from chaos.workloads.base import Dialogue, repeated

if TYPE_CHECKING:
    from chaos.workloads.base import Generator

# The columns of chaos.record.schema.HISTORY, in its order.
Row = tuple[
    int, str, str, str, str | None, int | None, int | None, str | None, str, str | None, int, int
]
InFlight = tuple[Invocation, int, int, str]  # operation, its start, process, node

ARMING: InFlight = (Invocation(""), 0, -1, "")  # about to take the start time
ROWS_MAX = 5_000  # unwritten operations of one client; with more it waits for the flush
BACKOFF_S_MIN = 0.005
BACKOFF_S_MAX = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What a client is to do next, and how far it is."""

    kind: str  # open | load | final | quit
    what: Any = None
    stopping: threading.Event = field(default_factory=threading.Event)  # set: come to an end
    done: threading.Event = field(default_factory=threading.Event)  # set: carried out or stopped


class ClientThread(threading.Thread):
    """Runs one client, one `order` after the other, until "quit".

    An operation ends ok, fail (certainly not done) or info (perhaps done). After an info the client
    is closed and opened again, and goes on under a new process number: the old process may still
    be at it. After a driver's definite error it is opened again too, because the connection may be
    gone, under the same number. A `Definite` answer is an answer: the connection stays.

    `current` and `rows` are all the flushing thread sees; their order of assignment matters and is
    explained in `chaos.load.flush`.
    """

    def __init__(
        self,
        *,
        maker: Maker,
        process: int,
        total: int,
        setup: Sequence[Invocation] = (),
    ) -> None:
        super().__init__(name=f"client-{process}", daemon=True)
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._last = Order("open")
        self._stopping = self._last.stopping
        self.current: InFlight | None = None
        self.rows: list[Row] = []
        self.t0_ns = 0
        self.connect_errors = 0
        self.connect_error = ""
        self.skipped = 0
        self.process = process
        self._total = total
        self.zone = maker.zone
        self._errors = maker.errors
        self._make = maker.make
        self._client: Client | None = None
        self._backoff_s = BACKOFF_S_MIN
        self._setup = setup
        self._prepared = not setup

    @property
    def connected(self) -> bool:
        """Whether there is an open connection just now."""
        return self._client is not None

    @property
    def ready(self) -> bool:
        """Whether it has connected, and done what comes before everything."""
        return self._prepared and self._client is not None

    def order(self, kind: str, what: Any = None) -> Order:
        """End the order before this one and carry out this one: "load" (the arguments of `_load`),
        "final" (operations, or a dialogue) or "quit"."""
        self._last.stopping.set()
        self._last = Order(kind, what)
        self._orders.put(self._last)
        return self._last

    def stop(self) -> Order:
        """End the order that is being carried out, after the operation in flight."""
        self._last.stopping.set()
        return self._last

    def run(self) -> None:
        """Open, do what comes before everything, then follow orders."""
        self._open()
        self._set_up()
        while True:
            order = self._orders.get()
            self._stopping = order.stopping
            if order.kind == "load":
                self._load(*order.what)
            elif order.kind == "final":
                self._final(order.what)
            else:
                self._close()
            order.done.set()
            if order.kind == "quit":
                return

    def _load(self, generator: Generator, first_s: float, period_s: float | None) -> None:
        """Invoke until stopped: one after the other, or every `period_s` from `first_s` on.

        A client that is late by more than one period leaves out the operations it missed (counted
        in `skipped`) and never makes up for them in a burst.
        """
        self._sleep_until(self.t0_ns + int(first_s * 1e9))
        due_ns = time.monotonic_ns()
        period_ns = int(period_s * 1e9) if period_s else 0
        invoke, stopped = self._invoke, self._stopping.is_set
        while not stopped():
            operation = generator.next()
            if operation.pause_s:
                due_ns += int(operation.pause_s * 1e9)  # it owes nothing for that time
                if self._stopping.wait(operation.pause_s):
                    break
            generator.outcome(operation, invoke(operation))
            while len(self.rows) >= ROWS_MAX and not stopped():
                time.sleep(0.001)
            if period_ns:
                due_ns += period_ns
                missed = (time.monotonic_ns() - due_ns) // period_ns
                if missed > 0:
                    self.skipped += missed
                    due_ns += missed * period_ns
                self._sleep_until(due_ns)

    def _final(self, asked: Iterator[Invocation] | Dialogue) -> None:
        """Invoke what the script asks for, telling it each answer, until it ends or we are stopped;
        plain operations again and again until they succeed."""
        script = asked.script if isinstance(asked, Dialogue) else repeated(asked)
        operation = next(script, None)
        while operation is not None and not self._stopping.wait(operation.pause_s):
            result = self._invoke(operation)
            if result is None:
                self._pause()
            try:
                operation = script.send(result)
            except StopIteration:
                return

    def _invoke(self, operation: Invocation) -> Result | None:
        client = self._client or self._reopen(operation)
        if client is None:
            return None
        node = client.node
        self.current = ARMING
        start = time.monotonic_ns()
        self.current = (operation, start, self.process, node)
        try:
            result = client.invoke(operation)
            end = time.monotonic_ns()
        except Exception as error:
            self._failed(operation, node, start, time.monotonic_ns(), error)
            return None
        t0 = self.t0_ns
        value = result.value if operation.value is None else operation.value
        self.rows.append(
            (
                self.process, result.node or node, self.zone, operation.f, operation.key, value,
                operation.expected, result.payload or operation.payload, "ok", None, start - t0,
                end - t0,
            )
        )  # fmt: skip
        self.current = None
        self._backoff_s = BACKOFF_S_MIN
        return result

    def _failed(
        self, operation: Invocation, node: str, start: int, end: int, error: Exception
    ) -> None:
        definite, why = classify(error, self._errors)
        value = operation.value
        if isinstance(error, InHand) and not definite:
            value = error.value
        self.rows.append(
            (
                self.process, node, self.zone, operation.f, operation.key, value,
                operation.expected, operation.payload, "fail" if definite else "info", why,
                start - self.t0_ns, end - self.t0_ns,
            )
        )  # fmt: skip
        self.current = None
        if not definite:
            self.process += self._total
        if not isinstance(error, Definite):
            self._close()
            self._pause()

    def _open(self) -> None:
        """Connect; try until it works or we are stopped."""
        while not self._stopping.is_set() and not self._connect():
            self._pause()

    def _set_up(self) -> None:
        """Invoke `setup`, each until it succeeds; of this nothing is recorded."""
        for operation in self._setup:
            while not self._stopping.is_set():
                self._open()
                try:
                    if self._client is not None:
                        self._client.invoke(operation)
                        break
                except Exception as error:
                    self.connect_error = f"{type(error).__name__}: {str(error)[:300]}"
                    self._close()
                    self._pause()
        self._prepared = True

    def _reopen(self, operation: Invocation) -> Client | None:
        """Connect for `operation`, or record that it failed: it was asked for and never sent.

        Without that row a client that reaches nobody would leave no trace of its outage.
        """
        start = time.monotonic_ns()
        if self._connect():
            return self._client
        self.rows.append(
            (
                self.process, "", self.zone, operation.f, operation.key, operation.value,
                operation.expected, operation.payload, "fail",
                f"not-connected: {self.connect_error}",
                start - self.t0_ns, time.monotonic_ns() - self.t0_ns,
            )
        )  # fmt: skip
        self._pause()
        return None

    def _connect(self) -> bool:
        client = self._make()
        try:
            client.open()
        except Exception as error:
            self.connect_errors += 1
            self.connect_error = f"{type(error).__name__}: {str(error)[:300]}"
            client.close()
            return False
        self._client = client
        return True

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _pause(self) -> None:
        """Wait a little, longer after each failure in a row, so that a refusal is no busy loop."""
        self._stopping.wait(self._backoff_s)
        self._backoff_s = min(2 * self._backoff_s, BACKOFF_S_MAX)

    def _sleep_until(self, t_ns: int) -> None:
        delay_s = (t_ns - time.monotonic_ns()) / 1e9
        if delay_s > 0:
            self._stopping.wait(delay_s)


def rate_plan(rate: float | None, clients: int, rng: random.Random) -> tuple[float, float | None]:
    """(first_s, period_s) of one of `clients` sharing `rate` operations a second: each has its own
    place in the period, from its seed, so that they do not all come at once."""
    if not rate:
        return 0.0, None
    period_s = clients / rate
    return rng.random() * period_s, period_s
