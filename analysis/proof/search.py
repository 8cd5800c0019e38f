"""Claims that there is no order: all of them are tried, in vain."""

from __future__ import annotations

from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from analysis.proof.models import MODELS, Model, answer
from analysis.proof.orders import moments, worth
from analysis.proof.rows import NEVER, Op, Refused, Rows, plain

STEPS = 3_000_000
LOOKS = ("read", "contains", "peek", "cas-mismatch")  # operations without effect
NOTHING = Op(-1, -1, "", None, None, False, False, -1, None, NEVER, NEVER, NEVER)
PARTS = ("set", "queue", "stack")  # models of which values may be left out


class Place(NamedTuple):
    """Where the search is. Of each lane: all before `low` are in the order, and which after it."""

    lanes: tuple[tuple[int, int], ...]  # (low, bits)
    spare: int  # which of the spare ones are in it, as bits
    states: tuple[Any, ...]  # of each key

    def beyond(self, n: int, number: int) -> Place:
        """With an operation of a lane in the order too."""
        low, bits = self.lanes[n]
        bits |= 1 << (number - low)
        while bits & 1:
            low, bits = low + 1, bits >> 1
        return self._replace(lanes=(*self.lanes[:n], (low, bits), *self.lanes[n + 1 :]))


class Ahead:
    """What reads of a text are to come. The next one begins with what is there, if no write can
    come before it; and what need not have happened is of no use if no read shows it.
    """

    def __init__(self, lane: list[Op], spare: list[Op]) -> None:
        self._lane, self._read, self._write = lane, [NOTHING], [NEVER]
        self._spare = [(n, op.start) for n, op in enumerate(spare) if op.f == "write"]
        for op in reversed(lane):  # of what starts no sooner: the first read to end, the next write
            first = self._read[-1]
            self._read.append(op if op.f == "read" and op.end < first.end else first)
            self._write.append(op.start if op.f == "write" else self._write[-1])

    def allows(self, op: Op, there: Place) -> bool:
        """Whether the operation may be the last in the order so far."""
        ((low, bits),), ((text,),) = there.lanes, there.states
        far = low + bits.bit_length()
        left = [op for n, op in enumerate(self._lane[low:far]) if not bits >> n & 1]
        reads = [op for op in left if op.f == "read"] + [self._read[len(self._lane) - far]]
        read = min(reads, key=lambda op: op.end)
        writes = [op.start for op in left if op.f == "write"] + [self._write[len(self._lane) - far]]
        writes += [start for n, start in self._spare if not there.spare >> n & 1]
        if op.end < NEVER or min(writes) > read.end:
            return min(writes) <= read.end or (read.value or "").startswith(text)
        later = takewhile(lambda op: op.start <= read.end, self._lane[far:])
        reads += [op for op in later if op.f == "read"]
        return any((op.value or "").startswith(text) for op in reads)


def no_order(rows: Rows, claim: Any, model: Model, initial: Any, *, serial: bool) -> None:
    """Accept that there is no order: of the operations of `key` with `values`, or `until` a row;
    `serial`: of all operations, each process keeping its own.
    """
    name = claim["model"]
    must, may = worth(rows, name, model)
    looks = LOOKS if model in MODELS.values() else ()
    if not serial:
        must, may = (mask & rows.of_key(claim["key"]) for mask in (must, may))
    elif "until" in claim:
        raise Refused("a process may see what only begins later: all operations count")
    if "until" in claim:
        cut = rows.end[rows.listed([claim["until"]], "until")[0]]
        may = (may | (must & (rows.end > cut))) & (rows.start <= cut)
        must &= rows.end <= cut
    ops = rows.ops(np.flatnonzero(must | (may & ~rows.named(looks))))
    if serial:
        start, end = moments(rows, must)
        ops = [op._replace(start=int(start[op.row]), end=int(end[op.row])) for op in ops]
    elif "until" not in claim:
        if name not in PARTS:
            raise Refused(f"of a {name} no values may be left out")
        values = set(map(plain, claim["values"]))
        ops = [part for op in ops if (part := _part(op, values))]
        initial = [value for value in initial or () if plain(value) in values]
    witness = rows.listed(claim["operations"], "the witness")
    if not {op.row for op in ops}.issuperset(witness[~rows.failed[witness] | must[witness]]):
        raise Refused("an operation of the witness is none of those that have no order")
    ops.sort(key=lambda op: op.start)
    if _has_order(ops, set(np.flatnonzero(must).tolist()), model, initial, serial=serial):
        raise Refused("these operations do have an order")


def _part(op: Op, values: set[Any]) -> Op | None:
    """The operation as it is when only these values are looked at; None: it is not there."""
    if op.f == "read":
        return op._replace(value=[v for v in op.value or () if plain(v) in values])
    unknown = op.f in ("dequeue", "pop") and not op.ok
    return op if unknown or answer(op.value)[0] in values else None


def _has_order(ops: list[Op], must: set[int], model: Model, initial: Any, *, serial: bool) -> bool:
    """Whether those that must and some of the others (by start) have an order that keeps time in
    each lane: a process's own if `serial`, else there is one.

    Of operations alike in a lane the one that ends first goes first, and what changes nothing
    goes as soon as it can.
    """
    own = model not in MODELS.values()  # nothing is known of a model of the user's own
    looks = () if own else LOOKS
    who = serial or own or model is MODELS["lock"]  # who asks matters
    like = {op.row: (op.key, op.f, plain(op.value), plain(op.expected), op.ok,
                     op.process * who) for op in ops}  # fmt: skip
    lane = {p: n for n, p in enumerate(dict.fromkeys(op.process * serial for op in ops))}
    lanes = [[op for op in ops if lane[op.process * serial] == n and op.row in must]
             for n in lane.values()]  # fmt: skip
    spare = [op for op in ops if op.row not in must]
    keys = {key: n for n, key in enumerate(dict.fromkeys(op.key for op in ops))}
    first = model.freeze(model.first(initial))
    ahead = Ahead(lanes[0], spare) if model is MODELS["kv-append"] and len(lanes) == 1 else None
    stack = [Place(((0, 0),) * len(lanes), 0, (first,) * len(keys))]
    steps, seen = 0, set(stack)
    while stack:
        here = stack.pop()
        can, limits = _next(lanes, here, like)
        if not can:
            return True
        moves = [(lanes[n][number], here.beyond(n, number)) for _, n, number in can.values()]
        moves.sort(key=lambda move: move[0].f not in looks)
        for number, op in enumerate(spare):
            begun = op.start <= limits[lane[op.process * serial]]
            if begun and not here.spare >> number & 1 and like[op.row] not in can:
                can[like[op.row]] = (NEVER, 0, number)
                moves.append((op, here._replace(spare=here.spare | 1 << number)))
        for op, there in moves:
            n, steps = keys[op.key], steps + 1
            state = model.thaw(here.states[n])
            if model.step(state, op):
                states = (*here.states[:n], model.freeze(state), *here.states[n + 1 :])
                there = there._replace(states=states)
                if there not in seen and (ahead is None or ahead.allows(op, there)):
                    seen.add(there)
                    stack.append(there)
                if op.f in looks:
                    break
        steps += len(spare) // 64  # to look at them all is work, too
        if steps > STEPS:
            raise Refused(f"it could not be re-checked within {STEPS:,} steps")
    return False


def _next(
    lanes: list[list[Op]], here: Place, like: dict[int, Any]
) -> tuple[dict[Any, tuple[int, int, int]], list[int]]:
    """What may come next, of those alike one: (end, lane, number in it); and of each lane until
    when that must begin: no later than anything ends that is not in the order.
    """
    can: dict[Any, tuple[int, int, int]] = {}
    limits = [NEVER] * len(lanes)
    for n, (low, bits) in enumerate(here.lanes):
        for number in range(low, len(lanes[n])):
            op = lanes[n][number]
            if op.start > limits[n]:
                break
            if not bits >> (number - low) & 1:
                limits[n] = min(limits[n], op.end)
                found = (op.end, n, number)
                can[like[op.row]] = min(can.get(like[op.row], found), found)
    return can, limits
