"""Findings about a register told: who did what, why that cannot be, and the steps that prove it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, Claim
from analysis.checkers.derivation import Deducer, Operation
from analysis.checkers.prose import Teller, span_ms
from analysis.checkers.versions import Columns, Versions
from analysis.checkers.zones import Blocks, Findings
from analysis.history import FAIL, OK, Ints, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """The first instance of an anomaly: the operations that prove it, and the proof."""

    argument: str
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """Operations of some versions, reads and writers alike, initial versions with row -1."""

    row: Ints
    version: Ints
    start: Ints
    end: Ints
    writes: Mask

    def at(self, place: int) -> Operation:
        """One of them."""
        return int(self.row[place]), int(self.version[place])

    def nearest(self, those: Mask, depth: Ints, wanted: int) -> Operation:
        """Of `those` one whose version is the fewest swaps away from `wanted`: its writer, or
        else the first read to end.
        """
        places = np.flatnonzero(those)
        away = np.abs(depth[self.version[places]] - depth[wanted])
        order = np.lexsort((self.end[places], ~self.writes[places], away))
        return self.at(int(places[order[0]]))


class Storyteller:
    """Turns findings about versions into anomalies about operations."""

    def __init__(
        self, columns: Columns, versions: Versions, blocks: Blocks, findings: Findings
    ) -> None:
        self._columns = columns
        self._history = columns.history
        self._versions = versions
        self._blocks = blocks
        self._findings = findings

    def all(self, held: Ints) -> tuple[Anomaly, ...]:
        """Every anomaly, weakest first; `held`: refusals while the expected value was there."""
        versions, found = self._versions, self._findings
        swaps, reads = versions.row, versions.read_row
        groups = [
            ("thin-air-read", versions.unexplained[~versions.aborted], self._thin_air),
            ("aborted-read", versions.unexplained[versions.aborted], self._aborted),
            (
                "future-read",
                np.append(reads[found.future_reads], swaps[found.future_swaps]),
                self._future,
            ),
            ("lost-update", swaps[self._blocks.lost], self._lost_update),
            (
                "stale-read",
                np.append(reads[found.stale_reads], swaps[found.stale_swaps]),
                self._stale,
            ),
            ("refused-swap", versions.refused_row[held], self._refused),
            (
                "non-linearizable",
                np.concatenate(
                    [
                        reads[found.contested_reads],
                        swaps[found.contested_swaps],
                        swaps[self._blocks.circular],
                    ]
                ),
                self._contested,
            ),
        ]
        anomalies = []
        for name, rows, tell in groups:
            if len(rows):
                rows = np.sort(rows)
                first = int(rows[np.argmin(self._history.end_ns[rows])])
                story = tell(first)
                anomalies.append(
                    Anomaly(
                        name=name,
                        count=len(rows),
                        first_ns=int(self._history.end_ns[first]),
                        operations=tuple(story.claim["operations"]),
                        argument=story.argument,
                        instances=rows,
                        claim={"anomaly": name, **story.claim},
                    )
                )
        return tuple(anomalies)

    def _teller(self, *rows: int) -> Teller:
        return Teller(self._history, [row for row in rows if row >= 0])

    def _deducer(self) -> Deducer:
        return Deducer(self._history, self._versions, self._blocks)

    def _thin_air(self, row: int) -> _Story:
        rows = [row, *self._witnesses(row)]
        tell = self._teller(*rows)
        argument = (
            f"{tell.did(row)}, but no client ever tried to write {tell.seen(row)} "
            f"to {tell.key(row)}"
        )
        return _Story(argument=argument, claim=_observed(rows))

    def _aborted(self, row: int) -> _Story:
        columns, history = self._columns, self._history
        wrote = columns.is_writer & (history.type == FAIL) & (columns.key == columns.key[row])
        wrote &= columns.value == columns.saw(np.array([row]))[0]
        writer = int(np.argmax(wrote))
        rows = [writer, row, *self._witnesses(row)]
        tell = self._teller(*rows)
        argument = (
            f"{tell.did(row)}, but {tell.seen(row)} must not be there: its only writer, "
            f"{tell.whose(writer)}, was told that it failed at {tell.at(history.end_ns[writer])}"
        )
        return _Story(argument=argument, claim=_observed(rows))

    def _witnesses(self, row: int) -> list[int]:
        """Who saw that an indeterminate swap had happened, up to one that was acknowledged."""
        versions, found = self._versions, []
        while self._history.type[row] != OK:
            version = self._own(row)
            reads = versions.read_row[versions.read_version == version]
            swaps = versions.swaps[versions.parent[versions.swaps] == version]
            row = int(np.append(reads, versions.row[swaps])[0])
            found.append(row)
        return found

    def _future(self, row: int) -> _Story:
        versions, blocks = self._versions, self._blocks
        version = self._version(row)
        ended = self._times(row)[1]
        chain = (blocks.root == blocks.root[version]) & (blocks.depth <= blocks.depth[version])
        late = np.flatnonzero(chain & versions.live & (versions.start > ended))
        base = int(late[np.argmax(blocks.depth[late])])
        writer = int(versions.row[base])
        proof = self._deducer()
        proof.inside((row, version), (writer, base))
        tell = self._teller(*proof.operations())
        argument = f"{tell.did(row)}, but {tell.began(writer)}, after that had ended"
        if base != version:
            argument += f", and the value {tell.value(row)} rests on it through a chain of swaps"
        return _Story(argument=argument, claim=proof.claim())

    def _lost_update(self, row: int) -> _Story:
        versions, blocks = self._versions, self._blocks
        parent = int(versions.parent[self._own(row)])
        rivals = versions.swaps[blocks.parent[versions.swaps] == parent]
        other = int(versions.row[rivals[0]])
        proof = self._deducer()
        proof.twice_replaced(int(versions.row[parent]), other, row)
        tell = self._teller(*proof.operations())
        argument = (
            f"{tell.did(other)}, and {tell.did(row)}: both replaced the same {tell.seen(row)}, "
            "so the second did not see the first"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _stale(self, row: int) -> _Story:
        """r read A, although B, begun after A was established, had been seen before r began."""
        blocks, found = self._blocks, self._findings
        version, block = self._block(row)
        start, _ = self._times(row)
        if len(found.replaced) and start > found.replaced[version]:
            return self._stale_in_chain(row, version)
        newer = blocks.roots[
            (blocks.first_end[blocks.roots] == found.superseded[block])
            & (self._versions.start[blocks.roots] > blocks.first_end[block])
            & (self._versions.start[blocks.roots] > self._versions.start[block])
        ]
        rival = int(newer[0])
        writer = int(self._versions.row[rival])
        ours, theirs = self._members(block), self._members(rival)
        old = ours.nearest(ours.end < self._versions.start[rival], blocks.depth, version)
        new = theirs.nearest(theirs.end < start, blocks.depth, rival)
        proof = self._deducer()
        proof.between(old, (row, version), new, (writer, rival))
        tell = self._teller(*proof.operations(), old[0], new[0])
        before = self._shown(tell, old, row)
        began = "" if new[0] == writer else f"{tell.began(writer)} and "
        late = int(self._history.start_ns[row] - self._history.end_ns[new[0]])
        argument = (
            f"{tell.did(row)}, although {before}; {began}{tell.done(new[0])}: {tell.seen(row)} was "
            f"overwritten at least {span_ms(late)} before that began"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _stale_in_chain(self, row: int, version: int) -> _Story:
        blocks = self._blocks
        start, _ = self._times(row)
        block = self._members(int(blocks.root[version]))
        later = (blocks.depth[block.version] > blocks.depth[version]) & (block.end < start)
        new, newer = block.nearest(later, blocks.depth, version)
        proof = self._deducer()
        proof.inside((new, newer), (row, version))
        tell = self._teller(*proof.operations(), new)
        swaps = int(blocks.depth[newer] - blocks.depth[version])
        through = "" if swaps == 1 else f", through a chain of {swaps} swaps"
        late = int(self._history.start_ns[row] - self._history.end_ns[new])
        argument = (
            f"{tell.did(row)}, although {tell.whose(int(self._versions.row[newer]))} had replaced "
            f"it{through}: {tell.done(new)}, {span_ms(late)} before that read began"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _contested(self, row: int) -> _Story:
        """A was established, then B, then A was seen again, and B again after A's beginning."""
        blocks, found = self._blocks, self._findings
        version, block = self._block(row)
        if self._own(row) in blocks.circular or version in blocks.circular:
            return self._circle(version)
        rivals = blocks.roots[
            (blocks.first_end[blocks.roots] == found.contested[block])
            & (blocks.last_start[blocks.roots] > blocks.first_end[block])
            & (blocks.roots != block)
        ]
        rival = int(rivals[0])
        start, _ = self._times(row)
        ours, theirs = self._members(block), self._members(rival)
        new, again = _closest(
            theirs, theirs.end < start, theirs.start > blocks.first_end[block], blocks.depth
        )
        begun = theirs.start[theirs.row == again[0]][0]
        old = ours.nearest(ours.end < begun, blocks.depth, version)
        proof = self._deducer()
        proof.between(old, (row, version), new, again)
        tell = self._teller(*proof.operations(), old[0], new[0], again[0])
        before = (
            f"{tell.done(old[0])}" if old[0] >= 0 else f"{tell.seen(row)} was the initial value"
        )
        argument = (
            f"{before}; then {tell.done(new[0])}; then {tell.did(row)}: the register went back to "
            f"an older value, whichever write came first, since {tell.began(again[0])}"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _circle(self, version: int) -> _Story:
        path: list[int] = []
        while version not in path:
            path.append(version)
            version = int(self._blocks.parent[version])
        rows = [int(self._versions.row[v]) for v in path[path.index(version) :]][::-1]
        proof = self._deducer()
        proof.circle(rows)
        tell = self._teller(*rows)
        argument = (
            f"{tell.did(rows[0])}, but that value could only come from a circle of "
            "swaps, each of which needed the one before it to have happened"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _refused(self, row: int) -> _Story:
        """A swap was refused between two operations that show the value it expected."""
        versions = self._versions
        place = int(np.flatnonzero(versions.refused_row == row)[0])
        version = int(versions.refused_version[place])
        shown = self._of(np.array([version]))
        before = shown.nearest(
            shown.end < versions.refused_start[place], self._blocks.depth, version
        )
        swaps = np.flatnonzero(self._blocks.parent == version)
        rows = np.append(shown.row, versions.row[swaps])
        starts = np.append(shown.start, versions.start[swaps])
        late = np.flatnonzero(starts > versions.refused_end[place])
        again = int(rows[late[np.argmin(starts[late])]])
        proof = self._deducer()
        proof.refused(row, before, again)
        tell = self._teller(*proof.operations(), before[0])
        first = (
            tell.done(before[0]) if before[0] >= 0 else f"{tell.seen(row)} was the initial value"
        )
        argument = (
            f"{tell.did(row)}, because another value was there, although {first} and "
            f"{tell.began(again)}: {tell.seen(row)} was there all the while"
        )
        return _Story(argument=argument, claim=proof.claim())

    def _shown(self, tell: Teller, shown: Operation, row: int) -> str:
        """By when the value that `row` is about was there."""
        return tell.done(shown[0]) if shown[0] >= 0 else f"{tell.seen(row)} was the initial value"

    def _own(self, row: int) -> int:
        """The version a cas wrote; -1 for reads."""
        written = np.flatnonzero(self._versions.row == row)
        return int(written[0]) if len(written) else -1

    def _version(self, row: int) -> int:
        """The version an observation belongs to: a read's value, a cas's new value."""
        own = self._own(row)
        if own >= 0:
            return own
        read = int(np.flatnonzero(self._versions.read_row == row)[0])
        return int(self._versions.read_version[read])

    def _block(self, row: int) -> tuple[int, int]:
        version = self._version(row)
        return version, int(self._blocks.root[version])

    def _times(self, row: int) -> tuple[int, int]:
        """Start and end of an observation on the common clock."""
        versions, own = self._versions, self._own(row)
        if own >= 0:
            return int(versions.start[own]), int(versions.end[own])
        read = int(np.flatnonzero(versions.read_row == row)[0])
        return int(versions.read_start[read]), int(versions.read_end[read])

    def _members(self, block: int) -> _Members:
        return self._of(np.flatnonzero((self._blocks.root == block) & self._versions.live))

    def _of(self, chosen: Ints) -> _Members:
        """Every operation of some versions, but for reads of the future."""
        versions = self._versions
        counted = np.isin(versions.read_version, chosen)
        counted[self._findings.future_reads] = False
        reads = np.flatnonzero(counted)
        return _Members(
            row=np.append(versions.row[chosen], versions.read_row[reads]),
            version=np.append(chosen, versions.read_version[reads]),
            start=np.append(versions.start[chosen], versions.read_start[reads]),
            end=np.append(versions.end[chosen], versions.read_end[reads]),
            writes=np.arange(len(chosen) + len(reads)) < len(chosen),
        )


def _observed(rows: list[int]) -> Claim:
    return {"kind": "observed", "operations": list(dict.fromkeys(rows))}


def _closest(
    members: _Members, ended: Mask, begun: Mask, depth: Ints
) -> tuple[Operation, Operation]:
    """One of those that `ended` and one of those that have `begun`, the fewest swaps apart."""
    ones, others = np.flatnonzero(ended), np.flatnonzero(begun)
    ones = ones[
        np.lexsort((members.end[ones], ~members.writes[ones], depth[members.version[ones]]))
    ]
    last = -members.start[others]
    others = others[np.lexsort((last, ~members.writes[others], depth[members.version[others]]))]
    at, to = depth[members.version[ones]], depth[members.version[others]]
    above = np.minimum(np.searchsorted(to, at), len(to) - 1)
    below = np.maximum(above - 1, 0)
    pick = np.where(np.abs(to[below] - at) < np.abs(to[above] - at), below, above)
    best = int(np.argmin(np.abs(to[pick] - at)))
    return members.at(int(ones[best])), members.at(int(others[pick[best]]))
