"""Claims about a bank: docs/certificates.md has each in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.proof.rows import Op
    from analysis.recount.counted import Key


class _Told:
    """What the initial value says of a bank."""

    def __init__(self, initial: Any) -> None:
        self.may_be_negative = False
        if type(initial) is dict and type(initial.get("negative")) is bool:
            self.may_be_negative = initial["negative"]
            (initial,) = (initial[name] for name in initial if name != "negative")
        self.accounts, self.total = None, initial
        if type(initial) is dict:
            self.accounts, self.total = initial.keys(), sum(initial.values())
            self.may_be_negative |= min(initial.values(), default=0) < 0


def _shown(op: Op) -> dict[str, int | None]:
    """The balances that an operation shows."""
    shown = op.value if op.ok and op.f == "read" and op.value is not None else {}
    if type(shown) is not dict or set(map(type, shown.values())) - {int, type(None)}:
        raise ValueError(f"operation {op.row} shows no balances")
    return shown


def _reads(op: Op) -> bool:
    return op.ok and op.f == "read" and op.value is not None


def _unexpected(key: Key, _: Any, r: Op) -> bool:
    accounts = _Told(key.initial).accounts
    return _reads(r) and accounts is not None and bool(_shown(r).keys() - accounts)


def _missing(key: Key, _: Any, r: Op) -> bool:
    accounts, shown = _Told(key.initial).accounts, _shown(r)
    lacks = accounts is not None and bool(accounts - shown.keys())
    return _reads(r) and (None in shown.values() or lacks)


def _whole(key: Key, r: Op) -> bool:
    return _reads(r) and not _unexpected(key, None, r) and not _missing(key, None, r)


def _total(r: Op) -> int:
    return sum(balance or 0 for balance in _shown(r).values())


def _wrong(key: Key, _: Any, *reads: Op) -> bool:
    total = _Told(key.initial).total
    *other, r = reads
    if not all(_whole(key, read) for read in reads):
        return False
    if total is not None:
        return not other and _total(r) != total
    return len(other) == 1 and _total(other[0]) != _total(r)


def _negative(key: Key, _: Any, r: Op) -> bool:
    low = any(balance is not None and balance < 0 for balance in _shown(r).values())
    return low and not _Told(key.initial).may_be_negative


def figures(key: Key) -> dict[str, int]:
    """Reads of one bank, and what is wrong with them."""
    known, reads = _Told(key.initial), [op for op in key.ops if _reads(op)]
    whole = [_total(op) for op in reads if _whole(key, op)]
    told = known.total if known.total is not None else whole[0] if whole else 0
    return {
        "transfers": sum(op.ok and op.f == "transfer" for op in key.ops),
        "compared": len(whole) - (known.total is None and len(whole) > 0),
        "wrong": sum(total != told for total in whole),
        "unexpected": sum(_unexpected(key, None, op) for op in reads),
        "missing": sum(_missing(key, None, op) for op in reads),
        "negative": sum(_negative(key, None, op) for op in reads),
    }


def right(transfers: int, compared: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return transfers > 0 < compared and sum(bad.values()) == 0


OBSERVED: Mapping[str, Callable[..., bool]] = {
    "unexpected-key": _unexpected,
    "missing-balance": _missing,
    "wrong-total": _wrong,
    "negative-balance": _negative,
}
