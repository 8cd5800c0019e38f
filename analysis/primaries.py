"""When two nodes said that they were primary, from the samples.

A node is certainly primary between two successive samples that both say so. Only where such
stretches of two nodes meet are there two at once: a failover between two samples never shows as
two, however the nodes' samples interleave, and the figure is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

GAP_NS = 3_000_000_000  # samples further apart than this say nothing about the time between


def two_at_once(samples: pa.Table) -> dict[str, Any]:
    """`{"two_at_once_s": seconds, "windows": [{"start_ns", "end_ns", "nodes"}]}`.

    `samples` has the columns of `chaos.record.schema.SAMPLES`. Seconds are None where no node was
    ever asked: then nothing is known.
    """
    stretches = _stretches(samples)
    if stretches is None:
        return {"two_at_once_s": None, "windows": []}
    edges = sorted({edge for start, end, _ in stretches for edge in (start, end)})
    windows: list[dict[str, Any]] = []
    for start, end in pairwise(edges):
        nodes = sorted({n for begin, stop, n in stretches if begin <= start and end <= stop})
        if len(nodes) < 2:
            continue
        if windows and windows[-1]["end_ns"] == start and windows[-1]["nodes"] == nodes:
            windows[-1]["end_ns"] = end
        else:
            windows.append({"start_ns": start, "end_ns": end, "nodes": nodes})
    total = sum(window["end_ns"] - window["start_ns"] for window in windows)
    return {"two_at_once_s": round(total / 1e9, 3), "windows": windows}


def _stretches(samples: pa.Table) -> Sequence[tuple[int, int, str]] | None:
    """(start, end, node) of every certain primary; None when no role was ever answered."""
    rows = samples.select(["t_ns", "node", "role"]).sort_by(
        [("node", "ascending"), ("t_ns", "ascending")]
    )
    stretches: list[tuple[int, int, str]] = []
    asked = False
    before: dict[str, Any] | None = None
    for row in rows.to_pylist():
        asked = asked or row["role"] not in (None, "unknown")
        goes_on = (
            before is not None
            and before["node"] == row["node"]
            and before["role"] == row["role"] == "primary"
            and row["t_ns"] - before["t_ns"] <= GAP_NS
        )
        if goes_on and before is not None:
            if stretches and stretches[-1][1:] == (before["t_ns"], row["node"]):
                stretches[-1] = (stretches[-1][0], row["t_ns"], row["node"])
            else:
                stretches.append((before["t_ns"], row["t_ns"], row["node"]))
        before = row
    return stretches if asked else None
