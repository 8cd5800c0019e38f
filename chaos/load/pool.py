"""The controller's end of the worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos import registry
from chaos.errors import AftershockError
from chaos.load.flush import quantile_ms
from chaos.load.plan import LoadPlan, to_json

_ROOT = Path(__file__).resolve().parents[2]
STDERR_LINES_MAX = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStats:
    """What all workers together have done: since the start, and in their last tick (0.2 s)."""

    ok: int
    fail: int
    info: int
    ok_per_s: float
    fail_per_s: float
    info_per_s: float
    p50_ms: float | None  # of ok and fail in the last tick, to within 3 %; None: there were none
    p99_ms: float | None
    connected: int  # clients with an open connection
    connect_errors: int  # attempts to connect that failed; they are no operations
    connect_error: str  # the last of them
    skipped: int  # operations of a fixed rate that were left out because a client was late
    process_max: int

    @property
    def per_s(self) -> float:
        """Operations a second, however they ended."""
        return self.ok_per_s + self.fail_per_s + self.info_per_s


class LoadPool:
    """Client processes: started early (imports take a while), told what to do, and watched.

    `workers` is how many processes share the clients; None: one a core, but no more than clients,
    and one only for a system whose store lives in the process. Every wait has a deadline in
    seconds and raises AftershockError when it passes or when a worker is lost; `check` raises the
    latter at any time. Leaving the `with` block ends the workers whatever happened.
    """

    def __init__(self, plan: LoadPlan, workers: int | None = None) -> None:
        if not plan.clients:
            raise AftershockError("expected at least one client, got none")
        if workers is None:
            workers = 1 if _single(plan) else os.cpu_count() or 1
        count = max(1, min(workers, len(plan.clients)))
        self._workers = [_Worker(n, part) for n, part in enumerate(plan.split(count))]
        self.segments = [Path(worker.plan.segment) for worker in self._workers]

    @property
    def pids(self) -> list[int]:
        """The workers' process numbers."""
        return [worker.pid for worker in self._workers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def wait_ready(self, deadline_s: float) -> None:
        """Until every client has connected."""
        self._wait("ready", "every client to connect", deadline_s)

    def start(self, t0_ns: int) -> None:
        """Begin invoking at `t0_ns` of time.monotonic_ns(): the run's t = 0."""
        self._tell("start", t0_ns=t0_ns)

    def stop(self, deadline_s: float) -> None:
        """No new operations; until those in flight have ended."""
        self._tell("stop")
        self._wait("stopped", "operations in flight to end", deadline_s)

    def final(self, deadline_s: float) -> None:
        """Each client's final reads, each repeated until it succeeds."""
        self._tell("final")
        self._wait("final", "the final reads to succeed", deadline_s)

    def quit(self, deadline_s: float = 10.0) -> None:
        """Close clients and segments, end the processes. An operation still in flight stays
        in the history as begun and never answered."""
        self._tell("quit")
        self._wait("quit", "client processes to end", deadline_s)
        self.kill()

    def kill(self) -> None:
        """End the processes now; what they wrote stays readable."""
        for worker in self._workers:
            worker.kill()

    def check(self) -> None:
        """AftershockError when a worker died, or stopped because it could not record."""
        for worker in self._workers:
            worker.check()

    def stats(self) -> LoadStats:
        """The latest ticks of all workers, added up. Never raises."""
        ticks = [worker.tick for worker in self._workers if worker.tick]
        total: Counter[str] = Counter()
        rate: Counter[str] = Counter()
        latency: Counter[int] = Counter()
        for tick in ticks:
            total.update(tick["total"])
            latency.update({int(index): count for index, count in tick["latency"].items()})
            for word, count in tick["now"].items():
                rate[word] += count / max(tick["seconds"], 0.01)
        return LoadStats(
            ok=total["ok"],
            fail=total["fail"],
            info=total["info"],
            ok_per_s=rate["ok"],
            fail_per_s=rate["fail"],
            info_per_s=rate["info"],
            p50_ms=quantile_ms(latency, 0.5),
            p99_ms=quantile_ms(latency, 0.99),
            connected=sum(tick["connected"] for tick in ticks),
            connect_errors=sum(tick["connect_errors"] for tick in ticks),
            connect_error=next((t["connect_error"] for t in ticks if t["connect_error"]), ""),
            skipped=sum(tick["skipped"] for tick in ticks),
            process_max=max((tick["process_max"] for tick in ticks), default=-1),
        )

    def _tell(self, do: str, **what: Any) -> None:
        for worker in self._workers:
            worker.tell({"do": do, **what})

    def _wait(self, event: str, what: str, deadline_s: float) -> None:
        end = time.monotonic() + deadline_s
        for worker in self._workers:
            if worker.wait(event, end - time.monotonic()):
                continue
            worker.check()
            trouble = self.stats().connect_error
            raise AftershockError(
                f"waited {deadline_s:g} s for {what}",
                detail=f"last error while connecting: {trouble}" if trouble else "",
            )


def _single(plan: LoadPlan) -> bool:
    """Whether all its clients have to share one process."""
    names = {plan.system, *(part.system for part in plan.parts.values())}
    return any(getattr(registry.SYSTEMS.get(name), "single_process", False) for name in names)


class _Worker:
    """One process and the thread that listens to it."""

    def __init__(self, number: int, plan: LoadPlan) -> None:
        self.plan = plan
        self.tick: dict[str, Any] = {}
        self._number = number
        self._error: AftershockError | None = None
        self._seen: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter({"ready": 1})
        self._news = threading.Condition()
        self._ended = False
        self._words = ""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in kill)
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chaos.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the controller
        )
        self.pid = self._process.pid
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.tell(to_json(plan))

    def tell(self, message: dict[str, Any]) -> None:
        """Send one object. A dead worker is noticed by `check`."""
        answers = {"stop": "stopped", "final": "final", "quit": "quit"}
        if answer := answers.get(message.get("do", "")):
            self._wanted[answer] += 1
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass

    def wait(self, event: str, seconds: float) -> bool:
        """Whether it has said `event` as often as it was asked to; AftershockError if it died."""

        def told() -> bool:
            return self._seen[event] >= self._wanted[event]

        with self._news:
            self._news.wait_for(lambda: told() or self._ended or self._error, max(0.0, seconds))
            if told():
                return True
        self.check()
        return False

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._error is not None:
            raise self._error
        if self._ended and not self._seen["quit"]:
            status = self._process.wait()
            raise AftershockError(
                f"client process {self._number} ended by itself ({_said(status)})",
                fix="what its clients did until then is kept",
                detail=self._last_words(),
            )

    def kill(self) -> None:
        """End the process and forget about it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join()
        self._words = self._last_words()
        self._stderr.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was still unsent has no reader

    def _listen(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._hear(json.loads(line))
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _hear(self, event: dict[str, Any]) -> None:
        with self._news:
            if event["event"] == "tick":
                self.tick = event
            elif event["event"] == "error":
                self._error = AftershockError(event["what"], fix=event["fix"])
            else:
                self._seen[event["event"]] += 1
            self._news.notify_all()

    def _last_words(self) -> str:
        if self._stderr.closed:
            return self._words
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-STDERR_LINES_MAX:])


def _said(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
