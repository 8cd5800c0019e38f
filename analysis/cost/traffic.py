"""Bytes between nodes, as the nodes counted them while the load ran."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from analysis.availability import load_phase
from chaos.record.reader import RunData


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What `receiver` got from `sender` between its first and last count of the load phase."""

    sender: str
    receiver: str
    bytes: int
    seconds: float

    def gb(self, seconds: float) -> float:
        """As many GB (10^9 bytes) as would be sent in `seconds` at this rate."""
        return self.bytes / self.seconds * seconds / 1e9


def flows(run: RunData) -> list[Flow]:
    """Every pair of nodes with two counts or more, from `samples.rx_bytes`.

    Counters are cumulative; one that falls began again (its pod was replaced), and what it shows
    then is new. Peers that are no nodes (clients, the proxy) are left out.
    """
    load = load_phase(run)
    nodes = {node.get("name") for node in run.meta["nodes"]}
    samples = run.samples
    chosen = samples.filter(
        pc.and_(
            pc.and_(
                pc.greater_equal(samples["t_ns"], load.start_ns),
                pc.less_equal(samples["t_ns"], load.end_ns),
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
