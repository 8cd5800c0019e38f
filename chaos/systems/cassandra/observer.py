"""What a Cassandra node says of itself and of the others, over one kept session."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cassandra import OperationTimedOut

from chaos.systems._common import silence
from chaos.systems._connections import Kept
from chaos.systems.base import ClockReading, NotConnected, Observation, Reachable, read_clock
from chaos.systems.cassandra.wire import FAILURES, admin_session

HINTS = "SELECT address, files FROM system_views.pending_hints"  # but for those it writes to
GOSSIP = 'SELECT address, generation, heartbeat, "schema" FROM system_views.gossip_info'
# Not now(): a time-uuid never goes back, so that after a clock that was ahead it would stand still.
NOW = "SELECT currentTimestamp() FROM system.local"
ROUNDED_NS = 1_000_000  # it counts milliseconds
SILENT_S = 4.0  # gossip goes round each second, and takes as many rounds as it happens to
EPOCH = datetime(1970, 1, 1)
Row = Sequence[Any]


class Observer:
    """Asks one node. It remembers when it saw each other node's heartbeat move."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        self._kept = Kept(lambda: admin_session(cluster, node, timeout_s))
        self._names = {n.address: n.name for n in cluster.nodes if n.name != node}
        self._moved: dict[str, tuple[Any, float]] = {}  # name → heartbeat, when it was new

    def observe(self) -> Observation:
        """Every node takes writes alike. Never raises: no answer is an answer too."""
        try:
            with self._kept as session:
                gossip, hints = session.ask(GOSSIP), session.ask(HINTS)
        except (*FAILURES, NotConnected) as error:
            return silence(error, OperationTimedOut)
        return self.seen(gossip, hints, time.monotonic())

    def seen(self, gossip: Sequence[Row], hints: Sequence[Row], now_s: float) -> Observation:
        """What two answers say, which came at `now_s` (monotonic)."""
        ages_s = self._ages_s(gossip, now_s)
        said = [f"not heard of {n} for {s:.0f} s" for n, s in ages_s.items() if s > SILENT_S]
        said += [f"has not heard of {n}" for n in self._names.values() if n not in ages_s]
        owed = {self._names.get(str(address), str(address)): files for address, files in hints}
        said += [f"keeps {files} files of hints for {name}" for name, files in sorted(owed.items())]
        schemas = {row[3] for row in gossip if row[3]}
        if len(schemas) > 1:
            said.append(f"{len(schemas)} schemas")
        return Observation(
            role="member",
            lag_ms=round(1000 * max(ages_s.values()), 1) if ages_s else None,
            note="; ".join(said) or None,
        )

    def _ages_s(self, gossip: Sequence[Row], now_s: float) -> Mapping[str, float]:
        """How long ago the heartbeat of each other node was seen to move."""
        for address, generation, heartbeat, _ in gossip:
            name = self._names.get(str(address))
            beat = (generation, heartbeat)
            if name is not None and self._moved.get(name, (None, 0.0))[0] != beat:
                self._moved[name] = (beat, now_s)
        return {name: now_s - since_s for name, (_, since_s) in sorted(self._moved.items())}


class Clock:
    """Asks one node what time it is."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        self._kept = Kept(lambda: admin_session(cluster, node, timeout_s))

    def read(self) -> ClockReading | None:
        """What `currentTimestamp()` says, in milliseconds. Never raises."""
        try:
            with self._kept as session:  # connecting is not in the time that is taken
                return read_clock(lambda: unix_ns(session.ask(NOW)[0][0]), ROUNDED_NS)
        except (*FAILURES, NotConnected):
            return None


def unix_ns(moment: datetime) -> int:
    """The driver's datetime, which has no zone and means UTC, in ns since 1970."""
    return round((moment - EPOCH).total_seconds() * 1000) * 1_000_000
