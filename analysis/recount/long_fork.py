"""Claims about long forks: docs/certificates.md has each in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.proof.rows import plain

if TYPE_CHECKING:
    from analysis.proof.rows import Op
    from analysis.recount.counted import Key


class _Writes:
    """What is written to each key by transactions that did not fail."""

    def __init__(self, key: Key) -> None:
        self.initial = plain(key.initial)
        self.ok = [op for op in key.ops if op.f == "txn" and op.ok]
        self.values: dict[Any, list[Any]] = defaultdict(list)
        for op in key.ops:
            for f, k, value in _micro(op) if not op.failed else ():
                if f not in ("r", "w"):
                    raise ValueError(f"operation {op.row} does {f}")
                if f == "w":
                    self.values[k].append(value)

    def repeated(self) -> int:
        """Keys that are written more than once, or with the initial value."""
        return sum(len(v) > 1 or self.initial in v for v in self.values.values())

    def saw(self, op: Op) -> dict[Any, bool | None]:
        """Of each key read before it was written: whether its write was there; None: strange."""
        found: dict[Any, bool | None] = {}
        mentioned = set()
        for f, k, value in _micro(op):
            if f == "r" and k not in mentioned:
                values = self.values.get(k, [])
                if len(values) > 1 or self.initial in values:
                    pass
                elif value == self.initial:
                    if values:
                        found[k] = False
                else:
                    found[k] = True if [value] == values else None
            mentioned.add(k)
        return found


def _micro(op: Op) -> list[tuple[str, Any, Any]]:
    if op.f != "txn" or op.value is None:
        return []
    return [(f, plain(k), plain(value)) for f, k, value in op.value]


def _fork(key: Key, _: Any, a: Op, b: Op) -> bool:
    writes = _Writes(key)
    if a not in writes.ok or b not in writes.ok:
        return False
    one, two = writes.saw(a), writes.saw(b)
    orders = {(one[k], two[k]) for k in one.keys() & two.keys()}
    return {(True, False), (False, True)} <= orders


def figures(key: Key) -> dict[str, int]:
    """Transactions that saw an order of writes, and those of them that do not agree."""
    writes = _Writes(key)
    saw = [writes.saw(op) for op in writes.ok]
    pairs = [
        [(x, y) for x in shown if shown[x] for y in shown if shown[y] is False] for shown in saw
    ]  # fmt: skip
    seen = {pair for part in pairs for pair in part}
    return {
        "partial": sum(part != [] for part in pairs),
        "forked": sum(any((y, x) in seen for x, y in part) for part in pairs),
        "repeated": writes.repeated(),
        "strange": sum(there is None for shown in saw for there in shown.values()),
    }


def right(partial: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return partial > 0 == sum(bad.values())


OBSERVED: Mapping[str, Callable[..., bool]] = {"long-fork": _fork}
