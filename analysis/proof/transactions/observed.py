"""Claims of what single transactions read, and of cycles, each edge of which has a reason."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from analysis.proof.rows import Refused
from analysis.proof.transactions.known import Key, Known, Read
from analysis.proof.transactions.payloads import START


def _thin_air(key: Key, value: int, r: int) -> bool:
    written = key.writers.get(value) or key.failed.get(value) or value == START
    return _shows(key, value, r) and not written


def _future(key: Key, value: int, r: int) -> bool:
    early = any(value in read.shown and value not in read.own for read in key.reads[r])
    return early and key.sole(value) == r


def _doubled(key: Key, _: int, r: int) -> bool:
    return any(len(set(read.shown)) < len(read.shown) for read in key.reads[r])


def _incompatible(key: Key, _: int, r: int, w: int | None = None) -> bool:
    """Two reads, neither a beginning of the other; or a read in which w's are not in w's order."""
    w = r if w is None else w
    shown = [read.shown for read in key.reads[r]]
    others = shown + [read.shown for read in key.reads[w]]
    if any(a[: len(b)] != b[: len(a)] for a in shown for b in others):
        return key.lists
    mine = [value for value in key.wrote[w] if key.sole(value) == w]
    return key.lists and any(
        mine[: mine.index(value)] != [v for v in values[:n] if v in mine]
        for values in shown
        for n, value in enumerate(values)
        if value in mine
    )


def _aborted(key: Key, value: int, r: int, f: int) -> bool:
    alone = f in key.failed.get(value, ()) and not key.writers.get(value) and value != START
    return alone and _shows(key, value, r)


def _intermediate(key: Key, value: int, r: int, w: int) -> bool:
    ends = [(read.outer or [])[-1:] if key.lists else read.shown for read in key.reads[r]]
    return key.sole(value) == w != r and key.wrote[w][-1] != value and [value] in ends


def _internal(key: Key, _: int, r: int) -> bool:
    return any(_contradicts(key, *pair) for pair in pairwise([None, *key.reads[r]]))


def _contradicts(key: Key, before: Read | None, read: Read | None) -> bool:
    """Whether a read is not what the transaction had read and written of the key before."""
    assert read is not None
    new = read.own[len(before.own) :] if before else read.own
    if not key.lists:
        expected = new[-1:] or (before.shown if before else read.shown)
        return read.shown != expected
    ends = read.shown[len(read.shown) - len(read.own) :] if read.own else []
    return ends != read.own or (before is not None and read.shown != before.shown + new)


def _lost_update(key: Key, _: int, a: int, b: int) -> bool:
    same = any(  # what only an aborted one wrote may be shown, too: that rules out more
        x.outer == y.outer and key.source(x.version) not in (a, b)
        for x in key.outer(a)
        for y in key.outer(b)
    )
    return same and bool(key.wrote.get(a) and key.wrote.get(b))


def _shows(key: Key, value: int, r: int) -> bool:
    return any(value in read.shown for read in key.reads[r])


OBSERVED: dict[str, Callable[..., bool]] = {
    "thin-air-read": _thin_air,
    "future-read": _future,
    "duplicate-elements": _doubled,
    "incompatible-order": _incompatible,
    "G1a": _aborted,
    "G1b": _intermediate,
    "internal": _internal,
    "lost-update": _lost_update,
}


def observed(known: Known, claim: Any) -> None:
    """Accept that these transactions read what they should not have."""
    rows = known.t.rows.listed(claim["operations"], "the witness").tolist()
    value = known.t.code(claim["value"]) if "value" in claim else START
    if not OBSERVED[claim["anomaly"]](known.key(claim["key"]), value, *rows):
        raise Refused(f"transactions {rows} do not show it")


CYCLES: dict[str, Callable[[list[str]], bool]] = {  # of the reasons that a name needs
    "G0": lambda why: not {"wr", "rw"} & set(why),
    "G1c": lambda why: "rw" not in why,
    "G-single": lambda why: why.count("rw") == 1,
    "G-nonadjacent": lambda why: ("rw", "rw") not in pairwise([*why, why[0]]) and "rw" in why,
    "G2-item": lambda why: "rw" in why,
    "fractured-read": lambda why: sorted(why) == ["rw", "wr"],
    "long-fork": lambda why: why in (["wr", "rw"] * 2, ["rw", "wr"] * 2),
    "write-skew": lambda why: why == ["rw", "rw"],
}
MORE = {"": set[str](), "-process": {"session"}, "-realtime": {"session", "realtime"}}


def cycle(known: Known, claim: Any, name: str, suffix: str) -> None:
    """Accept edges that lead from a transaction back to it."""
    edges, rows = claim["edges"], known.t.rows.listed(claim["operations"], "the witness").tolist()
    why = [edge[2] for edge in edges]
    if {type(row) for edge in edges for row in edge[:2]} != {int}:
        raise Refused("its edges are not between transactions")
    meets = [edge[1] for edge in edges] == [*rows[1:], rows[0]]
    if [edge[0] for edge in edges] != rows or not meets:
        raise Refused("its edges do not lead round the operations of the witness")
    if not {"ww", "wr", "rw", *MORE[suffix]}.issuperset(why) or not CYCLES[name](why):
        raise Refused(f"{why} is no {name}{suffix}")
    reasons: dict[str, Callable[..., bool]] = {"ww": known.ww, "wr": known.wr_of, "rw": known.rw,
               "session": known.session, "realtime": known.realtime}  # fmt: skip
    for (_, _, reason, *how), a, b in zip(edges, rows, [*rows[1:], rows[0]], strict=True):
        there = known.committed(a) and known.committed(b)
        if not there or not reasons[reason](a, b, *how):
            raise Refused(f"that {a} is before {b} does not follow by {reason} {how}")
