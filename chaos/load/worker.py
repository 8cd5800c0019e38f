"""`python -m chaos.load.worker`: one client process, many clients, one thread each.

It speaks JSON, one object a line. In: first the plan (chaos.load.plan), then
{"do": "start", "t0_ns"} · "stop" · "final" · "quit"; end-of-file means that the controller is gone:
stop, keep what there is, leave. Out: {"event": "tick"} about five times a second (chaos.load.flush)
· "ready" (every client has connected) · "stopped" · "final" (done: how many clients) · "quit"
· "error" (what, fix), after which nothing more is invoked.

Ctrl-C in the terminal does not reach it: the controller decides when clients stop.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from chaos import registry
from chaos.errors import AftershockError
from chaos.load.client import ClientThread, Order, rate_plan
from chaos.load.flush import Recorder
from chaos.load.makers import makers
from chaos.load.plan import LoadPlan, from_json
from chaos.record.schema import HISTORY
from chaos.record.segment import SegmentWriter
from chaos.record.tables import plain
from chaos.workloads.base import Generator

FLUSH_S = 0.2
LEAVE_S_MAX = 2.0  # how long operations in flight may still take when the controller is gone


class Worker:
    """The clients of one plan. Every method runs in the main thread."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self._workload = registry.WORKLOADS.get(plan.workload)
        self._clients = [
            ClientThread(
                maker=maker,
                process=process,
                total=plan.total,
                setup=self._workload.setup(plan.shape) if process == 0 else (),
            )
            for process, maker in zip(plan.processes, makers(plan), strict=True)
        ]
        self._segment = SegmentWriter(Path(plan.segment), plain(HISTORY))
        self._generators: dict[int, Generator] = {}
        self._recorder = Recorder(self._clients, self._segment)
        self._t0_ns = 0  # 0: not started
        self._ready = False
        self._broken = False
        self._waiting: tuple[str, list[Order]] | None = None

    def open(self) -> None:
        """Begin to connect every client."""
        for client in self._clients:
            client.start()

    def obey(self, command: dict[str, Any]) -> bool:
        """Carry out one command; False after quit."""
        do = command.get("do")
        if do == "start":
            self._start(int(command["t0_ns"]))
        elif do == "stop":
            self._waiting = ("stopped", [client.stop() for client in self._clients])
        elif do == "final":
            self._final()
        elif do == "quit":
            self._quit()
            return False
        return True

    def pulse(self) -> None:
        """Write down and report what has happened since the last pulse."""
        if not self._ready and all(client.ready for client in self._clients):
            self._ready = True
            _say({"event": "ready"})
        waiting = self._waiting
        if waiting and all(order.done.is_set() for order in waiting[1]):
            self._waiting = None
            self._flush()
            _say({"event": waiting[0]})
        else:
            self._flush()

    def leave(self) -> None:
        """The controller is gone: let what is in flight end, keep everything."""
        for client in self._clients:
            client.stop()
        self._quit()

    def _start(self, t0_ns: int) -> None:
        self._t0_ns = t0_ns
        for client, number in zip(self._clients, self.plan.processes, strict=True):
            client.t0_ns = t0_ns
            rng = random.Random(f"{self.plan.seed}-{number}")
            first_s, period_s = rate_plan(self.plan.rate, self.plan.total, rng)
            generator = self._workload.generator(self.plan.shape, number, self.plan.total, rng)
            self._generators[number] = generator
            client.order("load", (generator, first_s, period_s))

    def _final(self) -> None:
        orders = []
        for client, number in zip(self._clients, self.plan.processes, strict=True):
            last = self._generators.get(number)
            reads = self._workload.final(self.plan.shape, number, self.plan.total, last)
            orders.append(client.order("final", reads))
        self._waiting = ("final", orders)

    def _quit(self) -> None:
        orders = [client.order("quit") for client in self._clients]
        end = time.monotonic() + LEAVE_S_MAX
        for order in orders:
            order.done.wait(max(0.0, end - time.monotonic()))
        self._flush(closed=True)
        self._segment.close()
        _say({"event": "quit"})

    def _flush(self, *, closed: bool = False) -> None:
        if self._broken:
            return
        try:
            _say(self._recorder.flush(self._t0_ns, closed=closed))
        except AftershockError as error:
            self._broken = True
            for client in self._clients:
                client.stop()
            _complain(error)


def _complain(error: AftershockError) -> None:
    _say({"event": "error", "what": error.what, "fix": error.fix})


def _say(event: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except OSError:
        pass  # nobody listens any more; what counts is in the segment


def _listen(commands: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put(None)


def _work(worker: Worker) -> None:
    commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[commands], daemon=True).start()
    worker.open()
    due_s = time.monotonic()
    while True:
        due_s = max(due_s + FLUSH_S, time.monotonic())
        while (left_s := due_s - time.monotonic()) > 0:
            try:
                command = commands.get(timeout=left_s)
            except queue.Empty:
                break
            if command is None:
                worker.leave()
                return
            if not worker.obey(command):
                return
        worker.pulse()


def main() -> int:
    """Run the plan on standard input; 0 after "quit" or end-of-file, 1 if it could not begin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = Worker(from_json(json.loads(sys.stdin.readline())))
    except AftershockError as error:
        _complain(error)
        return 1
    sys.setswitchinterval(0.001)  # the flush must get its turn among clients that never wait
    gc.freeze()  # modules and plans are here to stay
    _work(worker)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a client stuck in its driver must not keep the process
