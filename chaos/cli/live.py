"""The live block while a run goes on: phase, elapsed, rate, outcomes, active faults.

On a terminal one block that redraws itself; otherwise a line when something changes and every five
seconds, so that a log stays readable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.markup import escape
from rich.text import Text

from chaos.cli.console import err
from chaos.load.pool import LoadStats

LINE_EVERY_S = 5.0
REDRAW_EVERY_S = 0.25


class LiveWatch:
    """Fulfils `chaos.runner.Watch`; use as a context manager."""

    def __init__(self, name: str, seed: int, *, quiet: bool) -> None:
        self._title = f"{name}  seed {seed}"
        self._quiet = quiet
        self._phase, self._phase_start, self._phase_s = "starting", time.monotonic(), None
        self._stats: Callable[[], LoadStats] | None = None
        self._faults: Callable[[], Sequence[str]] = list
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Self:
        if not self._quiet:
            err.print(f"[bold]{escape(self._title)}[/]")
            if err.is_terminal:
                self._live = Live(console=err, auto_refresh=False, transient=True)
                self._live.start()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        if self._live:
            self._live.stop()

    def phase(self, name: str, seconds: float | None) -> None:
        """A phase begins."""
        took = time.monotonic() - self._phase_start
        if not self._quiet and self._phase != "starting":
            err.print(f"  {self._phase:<7} {took:6.1f} s", style="dim")
        self._phase, self._phase_start = name, time.monotonic()
        self._phase_s = seconds  # type: ignore[assignment]

    def say(self, text: str) -> None:
        """A line above the block."""
        if not self._quiet:
            err.print(f"  {escape(text)}", style="dim")

    def attach(self, stats: Callable[[], LoadStats], faults: Callable[[], Sequence[str]]) -> None:
        """Where the live figures come from."""
        self._stats, self._faults = stats, faults

    def _loop(self) -> None:
        last_line, shown = 0.0, ""
        while not self._stop.wait(REDRAW_EVERY_S):
            line = self._line()
            if self._live:
                self._live.update(Text(line), refresh=True)
                continue
            now, key = time.monotonic(), f"{self._phase} {list(self._faults())}"
            if self._phase in ("load", "settle") and (
                now - last_line > LINE_EVERY_S or key != shown
            ):
                err.print(line, markup=False)
                last_line, shown = now, key

    def _line(self) -> str:
        elapsed = time.monotonic() - self._phase_start
        of = f" of {self._phase_s:g}" if self._phase_s else ""
        parts = [f"  {self._phase:<7} {elapsed:5.1f}{of} s"]
        if self._stats:
            stats = self._stats()
            p99 = "–" if stats.p99_ms is None else f"{stats.p99_ms:.1f} ms"
            parts.append(
                f"{stats.per_s:7,.0f} ops/s  ok {stats.ok:,}  fail {stats.fail:,}  "
                f"info {stats.info:,}  p99 {p99}"
            )
        faults = ", ".join(self._faults())
        parts.append(f"faults: {faults}" if faults else "no fault active")
        return "   ".join(parts)
