"""Claims about what was observed, and what is counted: docs/certificates.md has each in words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from typing import Any

from analysis.proof.rows import NEVER, Op, Refused, plain
from analysis.recount import bank, edits, groups, log, long_fork, probes, queues, sessions

PUTS = ("add", "enqueue", "write", "cas")
LISTS = ("set", "set-full", "total-queue", "at-least-once")  # of which a read shows a list
# Properties of all keys at once.
TOGETHER = ("session-guarantees", "long-fork", "log", *groups.PROPERTIES, "authorised-edits")


class Lists(dict[Any, list[Op]]):
    """Operations by value; none where there are none."""

    def __missing__(self, value: Any) -> list[Op]:
        return []


class Key:
    """The operations of one key; of each value who puts it, and who shows it (once each time)."""

    def __init__(self, ops: list[Op], prop: str, initial: Any, final_ns: int | None,
                 names: Sequence[str] = ()) -> None:  # fmt: skip
        self.ops, self.prop, self.initial, self.final_ns = ops, prop, initial, final_ns
        self.names = names  # of keys, by their codes
        self.puts, self.shown = Lists(), Lists()
        self._lists: dict[int, list[Any]] = {}
        for op in ops if prop not in (*TOGETHER, "bank") else ():  # they count for themselves
            if op.f in PUTS and not op.failed:
                self.puts.setdefault(plain(op.value), []).append(op)
            for value in self.shows(op):
                self.shown.setdefault(value, []).append(op)
        self.first = {v: min(op.start for op in puts) for v, puts in self.puts.items()}
        self._releases: dict[int, list[Op]] = defaultdict(list)
        for op in sorted(ops, key=lambda op: op.start):
            if op.f == "release" and not op.failed:
                self._releases[op.process].append(op)
        self._over = {  # by process: until when a release up to each place may have begun
            process: list(accumulate((max(op.end, op.start + 1) for op in releases), max))
            for process, releases in self._releases.items()
        }
        self.reads = [op for op in ops if op.ok and op.f == "read" and op.value is not None]

    def shows(self, op: Op) -> list[Any]:
        """What the operation saw, as often as it did."""
        if not op.ok or op.f not in ("read", "drain", "dequeue", "cas"):
            return []
        if op.f == "cas":
            return [plain(op.expected)]
        if op.f != "dequeue" and self.prop in LISTS:
            if id(op.value) not in self._lists:
                self._lists[id(op.value)] = [plain(value) for value in op.value or ()]
            return self._lists[id(op.value)]
        return [plain(op.value)] if op.f == "read" or op.value is not None else []

    def tells(self, op: Op, value: Any) -> bool:
        """Whether the value was certainly there at some moment of the operation."""
        put = op.ok and op.f in PUTS and plain(op.value) == value
        return put or value in self.shows(op)

    def unfounded(self, op: Op, value: Any) -> bool:
        """Whether nothing had begun to put the value, which it shows, when it ended."""
        known = self.prop not in LISTS and value == plain(self.initial)
        return not known and self.first.get(value, NEVER) > op.end

    def lacks(self, op: Op, value: Any) -> bool:
        """Whether it is an ok read of a list without the value."""
        read = op.ok and op.f == "read" and op.value is not None
        return read and value not in self.shows(op)

    def released(self, a: Op) -> int:
        """When the process that acquired may have begun to release; NEVER: it did not."""
        place = bisect_right(self._over.get(a.process, []), a.start)
        releases = self._releases[a.process]
        return releases[place].start if place < len(releases) else NEVER

    def known(self) -> Iterable[tuple[Any, int]]:
        """Each value that an ok operation tells of, and the first end of one that does."""
        for value in self.puts.keys() | self.shown.keys():
            ends = [op.end for op in (*self.puts[value], *self.shown[value]) if op.ok]
            if ends:
                yield value, min(ends)


def _unfounded(key: Key, value: Any, r: Op, *, by: Collection[str]) -> bool:
    """r shows what was put by nobody, only by who failed, or only later."""
    failed = (op for op in key.ops if op.failed and op.f in PUTS and plain(op.value) == value)
    who = "later" if key.puts[value] else "failed" if any(failed) else "nobody"
    return who in by and value in key.shows(r) and key.unfounded(r, value)


def _repeated(key: Key, value: Any, r: Op) -> bool:
    return key.shows(r).count(value) > 1


def _lost(key: Key, value: Any, x: Op, r: Op) -> bool:
    again = any(op.start >= r.start for op in key.shown[value])
    return key.tells(x, value) and x.precedes(r) and key.lacks(r, value) and not again


def _absent(key: Key, value: Any, x: Op, r: Op, p: Op | None = None) -> bool:
    seen = value in key.shows(p or x)
    return key.tells(x, value) and x.precedes(r) and key.lacks(r, value) and seen


def _same(key: Key, _: Any, a: Op, b: Op) -> bool:
    both = a.ok and b.ok and a.f == b.f and a.f in ("generate", "acquire")
    return both and a.value is not None and plain(a.value) == plain(b.value)


def _backwards(key: Key, _: Any, a: Op, b: Op, f: str = "acquire") -> bool:
    both = a.ok and b.ok and a.f == b.f == f and a.precedes(b)
    return both and {type(a.value), type(b.value)} == {int} and a.value > b.value


def _stale_token(key: Key, _: Any, a: Op, b: Op) -> bool:
    return _backwards(key, _, a, b, "guarded")


def _both_hold(key: Key, _: Any, a: Op, b: Op) -> bool:
    both = a.ok and b.ok and a.f == b.f == "acquire" and a.process != b.process
    return both and max(a.end, b.end) < min(key.released(a), key.released(b))


def _before(pairs: Iterable[tuple[int, int]]) -> Callable[[int], int]:
    """Of (time, amount): the sum of all amounts before a time."""
    ordered = sorted(pairs)
    times = [time for time, _ in ordered]
    sums = list(accumulate((amount for _, amount in ordered), initial=0))
    return lambda time: sums[bisect_left(times, time)]


def _bounds(key: Key) -> Callable[[Op], tuple[int, int]]:
    """The least and the greatest count that a read may show."""
    adds = [(op, 1 if op.value is None else op.value)
            for op in key.ops if op.f == "add" and not op.failed]  # fmt: skip
    first = key.initial or 0
    up, down = (_before((op.start, side(0, n)) for op, n in adds) for side in (max, min))
    sure_up, sure_down = (_before((op.end, side(0, n)) for op, n in adds) for side in (max, min))
    return lambda r: (first + sure_up(r.start) + down(r.end + 1),
                      first + sure_down(r.start) + up(r.end + 1))  # fmt: skip


def _too_low(key: Key, _: Any, r: Op) -> bool:
    return r.ok and r.f == "read" and type(r.value) is int and r.value < _bounds(key)(r)[0]


def _too_high(key: Key, _: Any, r: Op) -> bool:
    return r.ok and r.f == "read" and type(r.value) is int and r.value > _bounds(key)(r)[1]


def _finals(key: Key) -> dict[str, Op]:
    """Of each node the last of its reads that began when all else was over."""
    over = max((op.over for op in key.ops if op.f != "read" and not op.failed), default=-NEVER)
    reads = [op for op in key.ops if op.f == "read" and op.ok and op.node and op.start > over]
    final = [op for op in reads if key.final_ns is None or op.start >= key.final_ns]
    return {str(op.node): op for op in sorted(final, key=lambda op: (op.start, op.row))}


def _shown(key: Key, op: Op) -> str:
    """What a final read showed, so that equal reads are equal texts."""
    bag = type(op.value) is list and any(other.f == "add" for other in key.ops)
    return str(sorted(map(str, map(plain, op.value)))) if bag else str(plain(op.value))


def _differ(key: Key, _: Any, a: Op, b: Op) -> bool:
    finals = _finals(key).values()
    return a in finals and b in finals and _shown(key, a) != _shown(key, b)


def _replaced(key: Key, _: Any, *ops: Op) -> bool:
    """Of e, u, s, r those that are there: r shows v, though u put w in its place, as s knew."""

    def holds(e: Op | None, u: Op, s: Op, r: Op) -> bool:
        (v,), w, first = key.shows(r), plain(u.value), plain(key.initial)
        over = v == first or (u.f == "cas" and plain(u.expected) == v)
        over = over if e is None else key.tells(e, v) and e.precedes(u)
        sole = len(key.puts[w]) == 1 and w != first and w in key.shows(s)
        told = s.precedes(r) and ((s is u and u.ok) or sole)
        return over and told and u in key.puts[w] and v != w and len(key.puts[v]) <= (v != first)

    roles = product((None, *ops), ops, ops, ops) if len(ops) <= 4 else ()
    rows = [op.row for op in ops]
    return any(list(dict.fromkeys(op.row for op in r if op)) == rows and holds(*r) for r in roles)


def _set_figures(key: Key) -> dict[str, int]:
    starts = sorted(op.start for op in key.reads)
    over = max((op.over for op in key.ops if op.f == "add" and not op.failed), default=-NEVER)
    final = over + 1 if key.final_ns is None else key.final_ns
    confirmed = kept = missed = lost = excess = repeated = 0
    for value, known in key.known():
        times = key.shown[value]
        shown = times if len(times) < 2 else list({op.row: op for op in times}.values())
        after = sum(op.start > known for op in shown)
        last = max((op.start for op in shown), default=known)
        added = min((op.end for op in key.puts[value]), default=NEVER)  # NEVER if not ok, too
        confirmed += added < last >= final
        kept += after > 0
        missed += len(starts) - bisect_right(starts, known) > after
        lost += bool(starts) and starts[-1] > max(known, last)
        excess += sum(key.unfounded(op, value) for op in shown)
        if len(times) > len(shown):
            repeated += sum(n > 1 for n in Counter(op.row for op in times).values())
    first = {"confirmed": confirmed} if key.prop == "set" else {"kept": kept}
    return {**first, "missed": missed, "lost": lost, "excess": excess, "repeated": repeated}


def _id_figures(key: Key) -> dict[str, int]:
    ids = [plain(op.value) for op in key.ops if op.ok and op.f == "generate"]
    ids = [value for value in ids if value is not None]
    return {"ids": len(ids), "distinct": len(set(ids))}


def _counter_figures(key: Key) -> dict[str, int]:
    bounds, reads = _bounds(key), [op for op in key.reads if type(op.value) is int]
    ranges = [(low, r.value, high) for r in reads for low, high in [bounds(r)]]
    adds = sum(op.ok and op.f == "add" for op in key.ops)
    outside = sum(not low <= value <= high for low, value, high in ranges)
    return {"adds": adds, "reads": len(reads), "outside": outside}


def _lock_figures(key: Key) -> dict[str, int]:
    acquired = [op for op in key.ops if op.ok and op.f == "acquire"]
    guarded = [op for op in key.ops if op.ok and op.f == "guarded" and type(op.value) is int]
    holds: dict[Any, Any] = defaultdict(lambda: ([], []))  # of a process, and None: of all
    until = {op.row: key.released(op) for op in acquired}
    for op in acquired:
        for process in (None, op.process) if op.end < until[op.row] else ():
            holds[process][0].append(op.end)
            holds[process][1].append(until[op.row])
    for ends_and_releases in holds.values():
        for times in ends_and_releases:
            times.sort()

    def together(op: Op, process: int | None) -> int:
        """How many holds of a process overlap with that of `op`."""
        ends, releases = holds[process]
        return bisect_left(ends, until[op.row]) - bisect_right(releases, op.end)

    tokens = Counter(plain(op.value) for op in acquired if op.value is not None)
    held = [op for op in acquired if op.end < until[op.row]]
    return {
        "rivals": int(len({op.process for op in acquired}) > 1 or len(guarded) > 1),
        "overlaps": sum(together(op, None) > together(op, op.process) for op in held),
        "tokens": sum(tokens[plain(op.value)] > 1 or back for op, back in _late(acquired)),
        "stale": sum(back for _, back in _late(guarded)),
    }


def _late(ops: list[Op]) -> list[tuple[Op, bool]]:
    """Which of these carry a smaller integer than one of them that precedes them."""
    counted = sorted((op.end, op.value) for op in ops if type(op.value) is int)
    ends = [end for end, _ in counted]
    most = list(accumulate((value for _, value in counted), max))
    before = [(op, bisect_left(ends, op.start)) for op in ops]
    return [(op, type(op.value) is int and n > 0 and most[n - 1] > op.value) for op, n in before]


def _convergence_figures(key: Key) -> dict[str, int]:
    shown = [_shown(key, op) for op in _finals(key).values()]
    compared = len(shown) > 1 and any(op.ok and op.f != "read" for op in key.ops)
    return {"compared": int(compared), "differing": int(len(set(shown)) > 1)}


def _staleness_figures(key: Key) -> dict[str, int]:
    first = plain(key.initial)
    if first in key.puts or any(len(puts) > 1 for puts in key.puts.values()):
        raise Refused("a value is put twice, or is the initial one")
    known = dict(key.known())
    seen = {v: min(op.end for op in shown) for v, shown in key.shown.items() if v != first}
    puts = sorted((u.start, min(u.end, seen.get(w, NEVER)), u, w) for w, (u,) in key.puts.items())
    starts = [start for start, *_ in puts]
    # Of what began from each place on: when two of them were known, of different values.
    least = [[(NEVER, None), (NEVER, None)]]
    for _, told, _, w in reversed(puts):
        least.append(sorted([*least[-1], (told, w)], key=lambda pair: pair[0])[:2])
    swapped: dict[Any, int] = {}  # of what a cas expects: when what it put instead was known
    for _, told, u, w in puts:
        if u.f == "cas" and w != plain(u.expected):
            swapped[plain(u.expected)] = min(told, swapped.get(plain(u.expected), NEVER))
    stale = excess = 0
    for v, shown in key.shown.items():
        place = 0 if v == first else bisect_right(starts, known[v])
        told = min([t for t, w in least[len(puts) - place] if w != v], default=NEVER)
        told = min(told, swapped.get(v, NEVER))
        stale += sum(told < r.start for r in shown)
        excess += sum(key.unfounded(r, v) for r in shown)
    since = min((end for v, end in known.items() if v != first), default=NEVER)
    reads = sum(op.ok and op.f in ("read", "cas") and op.start > since for op in key.ops)
    return {"reads": reads, "stale": stale, "excess": excess}


_phantom = partial(_unfounded, by=("nobody", "later"))
_aborted = partial(_unfounded, by=("failed",))
_nowhere = partial(_unfounded, by=("nobody", "later", "failed"))


def _resurrected(key: Key, value: Any, *ops: Op) -> bool:
    return _aborted(key, value, *ops) if len(ops) == 1 else _absent(key, value, *ops)


def _all(bad: Mapping[str, int]) -> int:
    return sum(bad.values())


Rule = Callable[..., bool]  # of a key, the claim's value, and its operations
OBSERVED: Mapping[str, Mapping[str, Rule]] = {
    "set": {"phantom": _phantom, "duplicate": _repeated, "lost-write": _lost, "vanished": _lost,
            "resurrected": _resurrected, "stale-read": _absent, "diverged": _absent},
    "set-full": {"phantom": _phantom, "duplicate": _repeated, "lost": _lost,
                 "resurrected": _aborted, "stale-read": _absent},
    "total-queue": {"unexpected": queues.too_often, "duplicated": queues.too_often,
                    "lost": queues.lost},
    "at-least-once": {"unexpected": _nowhere, "lost": queues.lost},
    "unique-ids": {"duplicate-id": _same},
    "counter": {"too-low": _too_low, "too-high": _too_high},
    "lock": {"two-holders": _both_hold, "token-reused": _same, "token-backwards": _backwards,
             "stale-token": _stale_token},
    "convergence": {"diverged": _differ},
    "staleness": {"thin-air-read": partial(_unfounded, by=("nobody",)), "aborted-read": _aborted,
                  "future-read": partial(_unfounded, by=("later",)), "stale-read": _replaced},
    "bank": bank.OBSERVED,
    "session-guarantees": sessions.OBSERVED,
    "long-fork": long_fork.OBSERVED,
    "probes": probes.OBSERVED,
    "log": log.OBSERVED,
    **groups.OBSERVED,
    "authorised-edits": edits.OBSERVED,
}  # fmt: skip
FIGURES: Mapping[str, tuple[Callable[[Key], dict[str, int]], Callable[..., bool]]] = {
    "set": (_set_figures, lambda confirmed, **bad: confirmed > 0 == _all(bad)),
    "set-full": (_set_figures, lambda kept, missed, **bad: kept > 0 == _all(bad)),
    "total-queue": (queues.figures, lambda acknowledged, **bad: acknowledged > 0 == _all(bad)),
    "at-least-once": (
        queues.figures,
        lambda acknowledged, again, **bad: acknowledged > 0 == _all(bad),
    ),
    "unique-ids": (_id_figures, lambda ids, distinct: ids == distinct > 0),
    "counter": (_counter_figures, lambda adds, reads, outside: adds > 0 == outside < reads),
    "lock": (_lock_figures, lambda rivals, **bad: rivals > 0 == _all(bad)),
    "convergence": (_convergence_figures, lambda compared, differing: compared > 0 == differing),
    "staleness": (_staleness_figures, lambda reads, **bad: reads > 0 == _all(bad)),
    "bank": (bank.figures, bank.right),
    "session-guarantees": (sessions.figures, sessions.right),
    "long-fork": (long_fork.figures, long_fork.right),
    "probes": (probes.figures, probes.right),
    "log": (log.figures, log.right),
    **groups.FIGURES,
    "authorised-edits": (edits.figures, edits.right),
}
