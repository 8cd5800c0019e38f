"""Bytes between nodes, as the nodes counted them while the load ran undisturbed."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from analysis.availability import Window, load_phase
from chaos.record.reader import RunData


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What `receiver` got from `sender` between its first and last count of the steady stretch."""

    sender: str
    receiver: str
    bytes: int
    seconds: float

    def gb(self, seconds: float) -> float:
        """As many GB (10^9 bytes) as would be sent in `seconds` at this rate."""
        return self.bytes / self.seconds * seconds / 1e9


STEADY_S_MIN = 2.0  # a shorter stretch says little of a month


def steady(run: RunData) -> Window:
    """The stretch that a month is made of: the load before the first fault or operator step.

    A rejoin copies a whole database within seconds and a partition sends nothing; neither goes on
    for a month. Where that stretch is too short, the whole load has to do.
    """
    load = load_phase(run)
    begun = [t for t in run.faults["inject_ns"].to_pylist() if t is not None]
    end_ns = min([load.end_ns, *begun])
    if (end_ns - load.start_ns) / 1e9 < STEADY_S_MIN:
        return load
    return Window(name="before the first fault" if begun else "load", start_ns=load.start_ns,
                  end_ns=end_ns)  # fmt: skip


def flows(run: RunData) -> list[Flow]:
    """Every pair of nodes with two counts or more in the steady stretch, from `rx_bytes`.

    Counters are cumulative; one that falls began again (its pod was replaced), and what it shows
    then is new. Peers that are no nodes (clients, the proxy) are left out.
    """
    stretch = steady(run)
    nodes = {node.get("name") for node in run.meta["nodes"]}
    samples = run.samples
    chosen = samples.filter(
        pc.and_(
            pc.and_(
                pc.greater_equal(samples["t_ns"], stretch.start_ns),
                pc.less_equal(samples["t_ns"], stretch.end_ns),
            ),
            pc.is_valid(samples["rx_bytes"]),
        )
    ).sort_by("t_ns")
    counts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    rows = zip(*(chosen[c].to_pylist() for c in ("t_ns", "node", "rx_bytes")), strict=True)
    for t_ns, node, text in rows:
        for peer, received in _counts(text).items():
            if node in nodes and peer in nodes and peer != node:
                counts[peer, node].append((t_ns, received))
    return [
        Flow(
            sender=sender,
            receiver=receiver,
            bytes=_received([received for _, received in series]),
            seconds=(series[-1][0] - series[0][0]) / 1e9,
        )
        for (sender, receiver), series in sorted(counts.items())
        if series[-1][0] > series[0][0]
    ]


def _received(counts: list[int]) -> int:
    return sum(now - was if now >= was else now for was, now in itertools.pairwise(counts))


def _counts(text: str) -> dict[str, int]:
    try:
        data: Any = json.loads(text)
    except ValueError:
        return {}
    items = data.items() if isinstance(data, dict) else ()
    return {peer: n for peer, n in items if isinstance(n, int) and n >= 0}
