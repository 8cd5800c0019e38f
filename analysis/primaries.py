"""When two nodes said that they were primary of the same, from the samples.

A node is certainly primary between two successive samples that both say so. Only where such
stretches of two nodes of one group, and of one shard, meet are there two at once: a failover
between two samples never shows as two, however the nodes' samples interleave, and the figure is a
lower bound. Members, who take writes beside each other, are no primaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

GAP_NS = 3_000_000_000  # samples further apart than this say nothing about the time between

Part = tuple[str, str | None]  # a group ("" where there are none) and a shard of it
Stretch = tuple[int, int, str]  # start, end, node


def two_at_once(samples: pa.Table, groups: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`{"two_at_once_s": seconds, "windows": [{"start_ns", "end_ns", "nodes"}]}`, each window with
    the `group` and the `shard` it is about where there are such.

    `samples` has the columns of `chaos.record.schema.SAMPLES`; `groups`: node → group. Seconds are
    None where no node was ever asked: then nothing is known.
    """
    parts = _stretches(samples, groups or {})
    if parts is None:
        return {"two_at_once_s": None, "windows": []}
    windows = [window for part in parts for window in _windows(part, parts[part])]
    windows.sort(key=lambda window: window["start_ns"])
    return {"two_at_once_s": round(_together_ns(windows) / 1e9, 3), "windows": windows}


def groups_of(meta: Mapping[str, Any]) -> dict[str, str]:
    """Node → group, of a run.json; "" where the topology has none, and in runs before there were
    groups."""
    return {str(node.get("name")): str(node.get("group") or "") for node in meta["nodes"]}


def claimants(primaries: Mapping[str, Any]) -> str:
    """Who claimed it, by part: "n1 and n2", or "p1 and p2 (db)"."""
    found: dict[str, set[str]] = {}
    for window in primaries.get("windows") or []:
        about = " ".join(str(window[key]) for key in ("group", "shard") if window.get(key))
        found.setdefault(about, set()).update(window["nodes"])
    named = [
        " and ".join(sorted(nodes)) + (f" ({about})" if about else "")
        for about, nodes in sorted(found.items())
    ]
    return ", ".join(named)


def _windows(part: Part, stretches: Sequence[Stretch]) -> list[dict[str, Any]]:
    """Where two nodes or more were primary of one part, by who they were."""
    about = {key: of for key, of in zip(("group", "shard"), part, strict=True) if of}
    edges = sorted({edge for start, end, _ in stretches for edge in (start, end)})
    windows: list[dict[str, Any]] = []
    for start, end in pairwise(edges):
        nodes = sorted({n for begin, stop, n in stretches if begin <= start and end <= stop})
        if len(nodes) < 2:
            continue
        if windows and windows[-1]["end_ns"] == start and windows[-1]["nodes"] == nodes:
            windows[-1]["end_ns"] = end
        else:
            windows.append({"start_ns": start, "end_ns": end, "nodes": nodes, **about})
    return windows


def _together_ns(windows: Iterable[Mapping[str, Any]]) -> int:
    """The time within any of them, which are in order of their starts."""
    total, until = 0, None
    for window in windows:
        begin = window["start_ns"] if until is None else max(until, window["start_ns"])
        total += max(0, window["end_ns"] - begin)
        until = max(begin, window["end_ns"])
    return total


def _stretches(samples: pa.Table, groups: Mapping[str, str]) -> dict[Part, list[Stretch]] | None:
    """Every certain primary, by what it was primary of; None when no role was ever answered."""
    rows = samples.select(["t_ns", "node", "role", "shard"]).sort_by(
        [("node", "ascending"), ("t_ns", "ascending")]
    )
    found: dict[Part, list[Stretch]] = {}
    asked = False
    before: dict[str, Any] | None = None
    for row in rows.to_pylist():
        asked = asked or row["role"] not in (None, "unknown")
        for shard in _still_led(before, row):
            since_ns = before["t_ns"] if before else 0
            stretches = found.setdefault((groups.get(row["node"], ""), shard), [])
            if stretches and stretches[-1][1:] == (since_ns, row["node"]):
                stretches[-1] = (stretches[-1][0], row["t_ns"], row["node"])
            else:
                stretches.append((since_ns, row["t_ns"], row["node"]))
        before = row
    return found if asked else None


def _still_led(before: Mapping[str, Any] | None, row: Mapping[str, Any]) -> set[str | None]:
    """The shards of which one node was primary in two successive samples."""
    if before is None or any(before[key] != row[key] for key in ("node", "role")):
        return set()
    if row["role"] != "primary" or row["t_ns"] - before["t_ns"] > GAP_NS:
        return set()
    return _shards(before["shard"]) & _shards(row["shard"])


def _shards(said: str | None) -> set[str | None]:
    """Those that a sample names."""
    return set(said.split(",")) if said else {None}
