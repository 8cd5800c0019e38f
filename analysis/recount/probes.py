"""What a broken promise of the property `probes` is, and its figures, once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from analysis.proof.rows import Op

if TYPE_CHECKING:
    from analysis.recount.counted import Key


def _probes(key: Key) -> list[Op]:
    return [op for op in key.ops if op.f == "probe"]


def _short(key: Key) -> bool:
    """Whether fewer of the probes were answered than its objective promises."""
    ops = _probes(key)
    name = str(key.names[ops[0].key]) if ops and ops[0].key >= 0 else ""
    return sum(op.ok for op in ops) < float((key.initial or {}).get(name, 1.0)) * len(ops)


def _last(key: Key) -> list[Op]:
    """The final probes, if none of them was answered."""
    if key.final_ns is None:
        return []
    last = [op for op in _probes(key) if op.start >= key.final_ns]
    return [] if any(op.ok for op in last) else last


def _unserved(key: Key, _: object, op: Op) -> bool:
    return op in _probes(key) and not op.ok and _short(key)


def _not_recovered(key: Key, _: object, op: Op) -> bool:
    return op in _last(key)


def figures(key: Key) -> dict[str, int]:
    """How many there were, how many were answered, and whether that was too few."""
    ops = _probes(key)
    return {
        "probes": len(ops),
        "answered": sum(op.ok for op in ops),
        "short": int(_short(key)),
        "unrecovered": int(bool(_last(key))),
    }


def right(probes: int, answered: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return probes > 0 == sum(bad.values())


OBSERVED: Mapping[str, Callable[..., bool]] = {
    "unserved": _unserved,
    "not-recovered": _not_recovered,
}
