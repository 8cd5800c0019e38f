"""Linearizability of registers in O(n log n), with compare-and-set: zones over blocks, in numpy.

After Gibbons & Korach, "Testing Shared Memories" (SIAM J. Comput. 1997), extended to cas. With
unique values a successful cas(a → b) reads a and writes b in one moment, so version b follows
version a immediately: versions linked by cas form a *block* that no other write can enter, and its
inner order is fixed (write, its reads, cas, its reads, …). That order and real time (x precedes y
if x.end < y.start) agree unless an operation of a later version ends before one of an earlier
version starts: a union of a ranking and an interval order has a cycle only then.

Blocks are contiguous, so what remains is to order them. Block A must precede block B if some a in A
ends before some b in B starts: if first_end(A) < last_start(B). In a cycle of blocks take the one
with the least first_end: it also must precede its own predecessor, so there is a cycle of two:

    first_end(A) < last_start(B)  and  first_end(B) < last_start(A)

which says of zones [first_end, last_start] that two forward ones overlap or a backward one lies
inside a forward one. Touching is no conflict. `zones_reference.py` says the same in plain Python.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.versions import NOWHERE, Versions
from analysis.history import Ints

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Versions linked by cas. Per version: `root` (the block's name) and `depth` in it, and the
    `parent` that it replaced: of several cas that replaced one version only the first has it.

    `first_end` and `last_start` are per root; entries of other versions mean nothing.
    """

    root: Ints
    depth: Ints
    parent: Ints
    lost: Ints  # cas versions that replaced a version already replaced by another cas
    circular: Ints  # cas versions that replace one another in a circle
    roots: Ints
    first_end: Ints
    last_start: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is wrong, by version and by read (positions in `Versions`); all empty: linearizable.

    `superseded` is, per root, when its value was certainly replaced (NEVER: it was not), and
    `contested` when another value was seen between two sightings of it.
    """

    future_reads: Ints
    future_swaps: Ints
    stale_reads: Ints
    stale_swaps: Ints
    contested_reads: Ints
    contested_swaps: Ints
    superseded: Ints
    contested: Ints
    replaced: Ints  # per version: first end of any later version of its block


def blocks_of(versions: Versions) -> Blocks:
    """Follow every cas back to the write its block begins with."""
    count = len(versions.start)
    parent, lost = _first_swap_wins(versions)
    root, depth = np.arange(count), np.zeros(count, np.int64)
    circular = np.empty(0, np.int64)
    linked = versions.swaps[parent[versions.swaps] >= 0]
    if len(linked):
        hop = np.where(parent >= 0, parent, np.arange(count))
        depth = (parent >= 0).astype(np.int64)
        for _ in range(int(count).bit_length()):
            depth, hop = depth + depth[hop], hop[hop]
        circular = linked[parent[hop[linked]] >= 0]
        hop[circular], depth[circular] = circular, 0
        root = hop
    return Blocks(
        root=root,
        depth=depth,
        parent=parent,
        lost=lost,
        circular=circular,
        roots=np.flatnonzero(versions.live & (root == np.arange(count))),
        first_end=np.empty(0, np.int64),
        last_start=np.empty(0, np.int64),
    )


def _first_swap_wins(versions: Versions) -> tuple[Ints, Ints]:
    """Each version's parent with at most one cas per parent, and the other cas versions."""
    parent = np.full(len(versions.start), NOWHERE, np.int64)
    swaps = versions.swaps[versions.parent[versions.swaps] >= 0]
    order = np.lexsort((versions.row[swaps], versions.end[swaps]))
    swaps = swaps[order]
    kept = np.unique(versions.parent[swaps], return_index=True)[1]
    parent[swaps[kept]] = versions.parent[swaps[kept]]
    lost = np.ones(len(swaps), np.bool_)
    lost[kept] = False
    return parent, swaps[lost]


def analyse(versions: Versions) -> tuple[Blocks, Findings]:
    """Every contradiction among reads, writes and swaps whose values are explained."""
    blocks = blocks_of(versions)
    chained = bool(len(versions.swaps)) and bool(np.any(blocks.depth > 0))
    latest_writer, in_order = versions.start, (blocks.roots, blocks.roots)
    if chained:
        in_order = _in_block_order(versions, blocks)
        latest_writer = _latest_writer(versions, *in_order)
    future = versions.read_end < latest_writer[versions.read_version]
    timely = slice(None) if not future.any() else ~future  # a slice spares copies
    read_version = versions.read_version[timely]
    read_start = versions.read_start[timely]
    first_end, last_start = versions.end.copy(), versions.start.copy()
    np.minimum.at(first_end, read_version, versions.read_end[timely])
    np.maximum.at(last_start, read_version, read_start)
    replaced = _replaced(first_end, *in_order) if chained else np.empty(0, np.int64)
    if chained:
        inner = np.flatnonzero(versions.live & (blocks.depth > 0))
        np.minimum.at(first_end, blocks.root[inner], first_end[inner])
        np.maximum.at(last_start, blocks.root[inner], last_start[inner])
    roots = blocks.roots
    contested = np.full(len(first_end), NEVER)
    contested[roots] = _contested(first_end[roots], last_start[roots])
    blocks = replace(blocks, first_end=first_end, last_start=last_start)
    return blocks, _name(versions, blocks, contested, replaced, latest_writer)


def _name(
    versions: Versions, blocks: Blocks, contested: Ints, replaced: Ints, latest_writer: Ints
) -> Findings:
    """Tell stale observations from merely contested ones.

    A read of a value whose swap was itself too late is not blamed: the swap is.
    """
    reads, swaps, roots = versions.read_version, versions.swaps, blocks.roots
    future = versions.read_end < latest_writer[reads]
    future_swap = versions.end[swaps] < latest_writer[swaps]
    none = np.empty(0, np.int64)
    superseded = np.full(len(contested), NEVER)
    stale_reads = stale_swaps = contested_reads = contested_swaps = none
    conflict = bool((blocks.last_start[roots] > contested[roots]).any())
    if conflict or (len(replaced) and bool((versions.read_start > replaced[reads]).any())):
        first_end = blocks.first_end[roots]
        begun = versions.start[roots]
        superseded[roots] = _superseded(np.maximum(first_end, begun), begun, first_end)
        gone, mixed = superseded[blocks.root], contested[blocks.root]
        begun, start = latest_writer[reads], versions.read_start
        stale = ~future & (start > gone[reads]) & (begun <= gone[reads])
        if len(replaced):
            stale |= ~future & (start > replaced[reads])
        late = ~future & ~stale & (start > mixed[reads]) & (begun <= mixed[reads])
        stale_reads, contested_reads = np.flatnonzero(stale), np.flatnonzero(late)
        inner = swaps[(blocks.depth[swaps] > 0) & ~future_swap]
        begun, start = latest_writer[versions.parent[inner]], versions.start[inner]
        stale = (start > gone[inner]) & (begun <= gone[inner])
        late = ~stale & (start > mixed[inner]) & (begun <= mixed[inner])
        stale_swaps, contested_swaps = inner[stale], inner[late]
    return Findings(
        future_reads=np.flatnonzero(future),
        future_swaps=swaps[future_swap],
        stale_reads=stale_reads,
        stale_swaps=stale_swaps,
        contested_reads=contested_reads,
        contested_swaps=contested_swaps,
        superseded=superseded,
        contested=contested,
        replaced=replaced,
    )


def _contested(first_end: Ints, last_start: Ints) -> Ints:
    """Per block A: the least first_end of another block that must both follow and precede it
    if A is seen later than that (and that is not less than A's own first_end); else NEVER.
    """
    result = np.full(len(first_end), NEVER)
    forward = np.flatnonzero(first_end < last_start)
    if not len(forward):
        return result
    backward = np.flatnonzero(first_end >= last_start)
    ends = first_end[forward]
    if bool((ends[1:] < ends[:-1]).any()):
        order = np.argsort(ends, kind="stable")
        forward, ends = forward[order], ends[order]
    following = np.append(ends[1:], NEVER)
    inside = _superseded(ends, last_start[backward], first_end[backward])
    result[forward] = np.minimum(following, inside)
    return result


def _superseded(established: Ints, begun: Ints, seen: Ints) -> Ints:
    """Per time in `established`: the least `seen` of what has `begun` strictly after it."""
    if not len(begun):
        return np.full(len(established), NEVER)
    order = np.argsort(begun, kind="stable")
    least = np.append(np.minimum.accumulate(seen[order][::-1])[::-1], NEVER)
    return least[np.searchsorted(begun[order], established, side="right")]


def _in_block_order(versions: Versions, blocks: Blocks) -> tuple[Ints, Ints]:
    """Live versions ordered by block and depth, and the number of each one's block."""
    live = np.flatnonzero(versions.live)
    order = live[np.lexsort((blocks.depth[live], blocks.root[live]))]
    root = blocks.root[order]
    return order, np.cumsum(np.append(0, root[1:] != root[:-1]))


def _latest_writer(versions: Versions, order: Ints, number: Ints) -> Ints:
    """Per version: the last start among its own writer and those before it in its block."""
    result = versions.start.copy()
    result[order] = _running_max(versions.start[order], number)
    return result


def _replaced(first_end: Ints, order: Ints, number: Ints) -> Ints:
    """Per version: the first end of any operation of a later version of its block."""
    ends = -first_end[order][::-1]
    least = -_running_max(ends, number[-1] - number[::-1])[::-1]
    result = np.full(len(first_end), NEVER)
    last = np.append(number[1:] != number[:-1], True)
    result[order] = np.where(last, NEVER, np.append(least[1:], NEVER))
    return result


def _running_max(values: Ints, segment: Ints) -> Ints:
    """The running maximum within each segment; `segment` is non-decreasing from 0."""
    order = np.argsort(values, kind="stable")
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values))
    shift = segment * len(values)
    return values[order[np.maximum.accumulate(shift + rank) - shift]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Operations in a linear order, initial versions among them (their row is -1)."""

    row: Ints
    version: Ints  # what the register holds after it
    start: Ints
    end: Ints


def linearize(versions: Versions, blocks: Blocks) -> Line:
    """An order that explains a linearizable history (writes, swaps, reads), key after key.

    Block A before B implies first_end(A) < last_start(B) and last_start(A) <= first_end(B), so the
    middles of the zones order the blocks; within a version the writer comes first, then its reads
    by start.
    """
    middle = blocks.first_end + blocks.last_start
    writers = np.flatnonzero(versions.live)
    root = blocks.root[writers]
    rank = np.empty(len(versions.row), np.int64)
    rank[writers[np.lexsort((blocks.depth[writers], root, middle[root]))]] = np.arange(len(writers))
    version = np.concatenate([writers, versions.read_version])
    start = np.concatenate([versions.start[writers], versions.read_start])
    place = 2 * rank[version]
    place[len(writers) :] += 1
    order = np.lexsort((start, place))
    return Line(
        row=np.concatenate([versions.row[writers], versions.read_row])[order],
        version=version[order],
        start=start[order],
        end=np.concatenate([versions.end[writers], versions.read_end])[order],
    )
