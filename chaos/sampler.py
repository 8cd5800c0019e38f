"""Asks every node, several times a second, what it believes and what it uses.

Each node has its own thread, so that one that does not answer delays nobody else's samples.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from chaos.errors import AftershockError
from chaos.runtime.cluster import RunningCluster

EVERY_S = 0.25
SILENT = ("down", "unknown")  # roles of a node that does not answer
ROLE_TIMEOUT_S = 0.4  # so that a silent node still has two samples a second


class Sink(Protocol):
    """Where samples go."""

    def add_samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows of chaos.record.schema.SAMPLES."""


class Sampler:
    """Samples a cluster until stopped; `roles()` is what each node claimed last."""

    def __init__(self, cluster: RunningCluster, sink: Sink) -> None:
        self._cluster = cluster
        self._sink = sink
        self._t0_ns = 0
        self._stop = threading.Event()
        self._roles: dict[str, str] = {}
        self._unwritten: AftershockError | None = None
        self._threads: list[threading.Thread] = []

    def start(self, t0_ns: int) -> None:
        """Begin; `t0_ns` is the monotonic time of t = 0 and may lie ahead."""
        self._t0_ns = t0_ns
        for node in self._cluster.nodes:
            thread = threading.Thread(
                target=self._watch, args=(node.name,), name=f"sample-{node.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End, and wait for the last samples."""
        self._stop.set()
        for thread in self._threads:
            thread.join(3.0)

    def check(self) -> None:
        """The error that kept samples from being written, if there was one."""
        if self._unwritten is not None:
            raise self._unwritten

    def roles(self) -> dict[str, str]:
        """{node: the role it claimed last}."""
        return dict(self._roles)

    def _watch(self, node: str) -> None:
        group = self._cluster.group(node)
        observe = group.observer(node, ROLE_TIMEOUT_S)
        clock = group.clock(node, ROLE_TIMEOUT_S)
        link = self._cluster.agents()[node]
        before: tuple[float, int] | None = None
        while not self._stop.is_set():
            began = time.monotonic()
            t_ns = time.monotonic_ns() - self._t0_ns
            seen = observe()
            self._roles[node] = seen.role
            row: dict[str, Any] = {
                "t_ns": t_ns,
                "node": node,
                "role": seen.role,
                "shard": seen.shard,
                "term": seen.term,
                "lag_ms": seen.lag_ms,
                "lag_bytes": seen.lag_bytes,
                "note": seen.note,
            }
            if clock and seen.role not in SILENT and (reading := clock()):
                row["clock_offset_ms"] = round(reading.offset_ns / 1e6, 3)
            try:
                usage = link.ask("sample", 0.4)
            except AftershockError as error:
                row["note"] = "; ".join(filter(None, [seen.note, error.what]))
                before = None
            else:
                row["mem_bytes"] = usage["mem_bytes"]
                row["rx_bytes"] = json.dumps(usage["rx_bytes"])
                row["cpu_pct"] = _cpu_pct(before, usage)
                before = (usage["cpu_s"], usage["t_ns"])
            try:
                self._sink.add_samples([row])
            except AftershockError as error:
                self._unwritten = error
                return
            self._stop.wait(max(0.0, EVERY_S - (time.monotonic() - began)))


def _cpu_pct(before: tuple[float, int] | None, usage: dict[str, Any]) -> float | None:
    """CPU use since the last sample; 100 is one core. None when processes ended in between."""
    if before is None or usage["cpu_s"] < before[0] or usage["t_ns"] <= before[1]:
        return None
    return float(round((usage["cpu_s"] - before[0]) / ((usage["t_ns"] - before[1]) / 1e9) * 100, 2))
