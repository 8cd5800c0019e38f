"""Special forms of anomalies over lists that no edge to the *next* version shows at once.

A *rival* of a read is a committed transaction, not the reader, that appended to the list anything
that stands, or must stand, behind the external part of what was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.checkers.compiled import Bytes
from analysis.history import OK, Codes, Ints, Mask
from analysis.transactions import graph_kernels
from analysis.transactions.columns import READ
from analysis.transactions.list_edges import Edges, Numbers, edges
from analysis.transactions.list_versions import Versions, quick
from analysis.transactions.lists import Analysis
from analysis.transactions.tangle import PROCESS, components


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """Pairs of transactions that read one version of a key and both appended to it: their reads."""

    first: Ints
    second: Ints

    def __len__(self) -> int:
        return len(self.first)


def lost_updates(analysis: Analysis) -> Updates:
    """All of them: of each version its first reader that appended, with each other one."""
    versions = analysis.versions
    told = analysis.transactions
    reads = np.flatnonzero((versions.ext >= 0) & versions.good)
    reads = reads[updating(versions, reads)]
    last = versions.begin[told.key[reads]] + versions.ext[reads] - 1
    reads = reads[(versions.ext[reads] == 0) | (versions.writer[last] >= 0)]
    cell = versions.begin[told.key[reads]] + versions.ext[reads]
    order = np.lexsort((reads, cell))
    reads, cell = reads[order], cell[order]
    owner = versions.owner[reads]
    fresh = np.ones(len(reads), np.bool_)
    fresh[1:] = (np.diff(cell) != 0) | (np.diff(owner) != 0)
    reads, cell, owner = reads[fresh], cell[fresh], owner[fresh]
    start = np.flatnonzero(np.append(True, np.diff(cell) != 0)) if len(cell) else cell
    first = np.repeat(start, np.diff(np.append(start, len(cell))))
    pairs = np.flatnonzero(owner[first] != owner)
    return Updates(first=reads[first[pairs]], second=reads[pairs])


def updating(versions: Versions, reads: Ints) -> Mask:
    """Whether the transactions of these reads appended to the same list."""
    told = versions.transactions
    keys = len(told.keys)
    written = np.flatnonzero(told.kind != READ)
    width = np.int64(max(keys, 1))
    wrote = versions.owner[written] * width + told.key[written]
    wanted = versions.owner[reads] * width + told.key[reads]
    order = np.argsort(wrote, kind="stable")
    at = np.minimum(np.searchsorted(wrote[order], wanted), max(len(wrote) - 1, 0))
    found: Mask = wrote[order][at] == wanted if len(wrote) else np.zeros(len(reads), np.bool_)
    return found


def fractured(
    first: Ints, kind: Bytes, key: Ints, ext: Codes, good: Mask, place: Codes, begin: Ints,
    keys: int, source: Codes, target: Codes, wrote: Codes,
) -> tuple[Codes, Codes, Codes]:  # fmt: skip
    """Kernel: wr edges (by source, target and what the source `wrote`, ordered by target) whose
    source is also a rival of a read of another key: (which edge, the read, the append).
    """
    stamp, least = np.full(keys, -1, np.int32), np.empty(keys, np.int32)
    edge, read = np.empty(len(source), np.int32), np.empty(len(source), np.int32)
    write = np.empty(len(source), np.int32)
    count, stage = 0, -1
    for n in range(len(source)):
        t = target[n]
        if n == 0 or target[n - 1] != t:
            stage += 1
            for j in range(first[t], first[t + 1]):
                if ext[j] >= 0 and good[j]:
                    k = key[j]
                    if stamp[k] != stage or ext[j] < ext[least[k]]:
                        stamp[k], least[k] = stage, j
        for j in range(first[source[n]], first[source[n] + 1]):
            k = key[j]
            if kind[j] != READ and stamp[k] == stage and k != key[wrote[n]]:
                r = least[k]
                if place[j] < 0 or place[j] - begin[k] >= ext[r]:
                    edge[count], read[count], write[count] = n, r, j
                    count += 1
                    break
    return edge[:count], read[:count], write[:count]


def fractured_reads(analysis: Analysis) -> tuple[Ints, Ints, Ints]:
    """(which wr edge, the read of an older version, the append that it lacks)."""
    told, versions, wr = analysis.transactions, analysis.versions, analysis.dependencies.wr
    found = quick(fractured, len(told.kind))(
        told.first, told.kind, told.key, versions.ext, versions.good,
        versions.place, versions.begin, len(told.keys), wr.source, wr.target, wr.one,
    )  # fmt: skip
    edge, read, write = (column.astype(np.int64) for column in found)
    return edge, read, write


def rivals(analysis: Analysis, read: int) -> Iterator[int]:
    """The rivals of one read."""
    told, versions, found = analysis.transactions, analysis.versions, analysis.dependencies
    key, owner = int(told.key[read]), int(versions.owner[read])
    low, high = int(versions.begin[key]) + int(versions.ext[read]), int(versions.begin[key + 1])
    unseen = found.unseen[told.key[found.unseen] == key]
    for writer in (*versions.writer[low : high - 1].tolist(), *versions.owner[unseen].tolist()):
        if writer not in (-1, owner):
            yield writer


def causal_holds(analysis: Analysis) -> bool:
    """Whether no read has a rival from which sessions and reads lead to the reader.

    Each list is a chain of nodes, one for each place, from which one gets to all who wrote there
    or later; and each transaction that wrote has a second node that only leads on from it.
    """
    told, versions, found = analysis.transactions, analysis.versions, analysis.dependencies
    layer = analysis.cycles.layers[PROCESS]
    asked = np.flatnonzero(layer.single)
    reads = np.unique(layer.graph.one[asked]).astype(np.int64)
    if not len(reads):
        return True
    base, places = analysis.nodes, len(versions.write)
    inner = np.flatnonzero(versions.writer >= 0)
    last = np.zeros(places, np.bool_)
    last[versions.begin[1:] - 1] = True
    on = np.flatnonzero(~last)
    unseen = found.unseen
    ends = versions.begin[told.key[unseen] + 1] - 1
    second = base + places
    so, wr = analysis.session.edges, found.wr
    parts: list[Edges] = [
        wr, so, analysis.session.on,
        edges(base + on, base + on + 1),
        edges(base + inner, second + versions.writer[inner]),
        edges(base + ends, second + versions.owner[unseen]),
        _doubled(wr, second), _doubled(so, second),
    ]  # fmt: skip
    source = np.concatenate([part.source for part in parts])
    target = np.concatenate([part.target for part in parts])
    nodes = second + len(told)
    start = base + versions.begin[told.key[reads]] + versions.ext[reads]
    component = components(nodes, source, target)
    begin, goal = component[start], component[versions.owner[reads]]
    order = np.flatnonzero(begin <= goal)
    order = order[np.argsort(begin[order], kind="stable")]
    between = component[source] != component[target]
    work = len(source) + 8 * int((goal[order] - begin[order]).sum())
    first, after, _ = quick(graph_kernels.index, work)(
        int(component.max()) + 1, component[source][between], component[target][between]
    )
    reached = quick(graph_kernels.reach, work)(first, after, begin[order], goal[order])
    return not reached.any()


def _doubled(part: Edges, second: int) -> Edges:
    source: Numbers = part.source.astype(np.int64) + second
    return edges(source, part.target)


def axiom_holds(analysis: Analysis, model: str, *, sessions: bool) -> bool:
    """Whether no read has a rival that the reader sees directly: by another read (in read committed
    one before it), or in its session, where sessions count. One transaction at a time.
    """
    versions, wr = analysis.versions, analysis.dependencies.wr
    sources: dict[int, list[tuple[int, int]]] = {}
    for source, target, read in zip(
        wr.source.tolist(), wr.target.tolist(), wr.other.tolist(), strict=True
    ):
        sources.setdefault(target, []).append((read, source))
    before = _sessions(analysis) if sessions and model == "read-atomic" else {}
    for read in np.flatnonzero((versions.ext >= 0) & versions.good).tolist():
        reader = int(versions.owner[read])
        seen = {
            source
            for at, source in sources.get(reader, ())
            if model != "read-committed" or at < read
        }
        seen.update(before.get(reader, ()))
        if seen and not seen.isdisjoint(rivals(analysis, read)):
            return False
    return True


def _sessions(analysis: Analysis) -> dict[int, list[int]]:
    """Of each committed transaction those before it in its session."""
    told = analysis.transactions
    members: dict[int, list[int]] = {}
    for t in np.flatnonzero(analysis.committed).tolist():
        members.setdefault(int(told.process[t]), []).append(t)
    found: dict[int, list[int]] = {}
    for group in members.values():
        for y in group:
            start, end = int(told.start[y]), int(told.end[y])
            found[y] = [
                x
                for x in group
                if x != y
                and told.outcome[x] == OK
                and told.end[x] <= start
                and (x < y or end > told.start[x])
            ]
    return found
