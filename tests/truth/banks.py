"""Banks: accounts that transfers move money between, honest and not, and what is true of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from tests.truth.objects import Request, Values
from tests.truth.rows import Row

ACCOUNTS = ("a", "b", "c")
INITIALS = (None, None, 30, {"a": 10, "b": 10, "c": 10}, {"total": 30, "negative": True},
            {"accounts": {"a": 10, "b": 10, "c": 10}, "negative": True}, {"a": 10, "b": 20},
            {"total": 30, "negative": False}, {"a": -1, "b": 21, "c": 10})  # fmt: skip
State = tuple[tuple[str, int | None], ...]


class Bank:
    """A transfer that would overdraw is refused; a read shows all accounts."""

    refuses: Mapping[str, str] = {"transfer": "insufficient"}
    overdraws = False

    def initial(self, value: Any) -> State:
        if isinstance(value, dict) and "negative" in value:
            value = value.get("total", value.get("accounts"))
        if isinstance(value, dict):
            return tuple(value.items())
        total = 30 if value is None else value
        return (("a", total - 10), ("b", 10), ("c", 0))

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        if rng.random() < 0.5:
            return Request("read")
        one, two = (ACCOUNTS[int(rng.random() * len(ACCOUNTS))] for _ in range(2))
        return Request("transfer", {"from": one, "to": two, "amount": 1 + int(rng.random() * 9)})

    def last(self, process: int) -> Request:
        return Request("read")

    def run(self, state: State, request: Request) -> tuple[State, Any]:
        if request.f == "read":
            return state, state
        balances = dict(state)
        one, two, amount = (request.value[name] for name in ("from", "to", "amount"))
        if not {one, two} <= balances.keys():
            return state, False
        if balances[one] < amount and not self.overdraws:
            return state, False
        balances[one] -= amount
        balances[two] += self.arrives(amount)
        return tuple(balances.items()), None

    def arrives(self, amount: int) -> int:
        """What comes of a transfer."""
        return amount

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f == "read":
            return (None if answer is None else dict(answer)), None
        return request.value, None

    def meant(self, row: Row) -> tuple[Request, Any]:
        raise NotImplementedError  # these are not ordered

    def wild(self, values: Values, request: Request) -> Any:
        if request.f == "transfer":
            return None
        draw = values._random
        shown: dict[str, int | None] = {"a": 10, "b": int(draw() * 20), "c": 10}
        if draw() < 0.3:
            shown["c"] = None
        if draw() < 0.3:
            del shown["b"]
        if draw() < 0.3:
            shown["z"] = int(draw() * 2**64) if draw() < 0.2 else 0
        return tuple(shown.items())


class Overdrawn(Bank):
    """It lends."""

    overdraws = True


class Leaking(Bank):
    """Of large amounts something is lost on the way."""

    def arrives(self, amount: int) -> int:
        return amount - (amount > 7)


def truth(rows: Sequence[Row], initial: Any) -> str:
    """Each read shows every account, none below zero, and all together the same."""
    negative = False
    if isinstance(initial, dict) and "negative" in initial:
        negative = initial["negative"]
        initial = initial["total"] if "total" in initial else initial["accounts"]
    accounts = set(initial) if isinstance(initial, dict) else None
    if isinstance(initial, dict):
        negative = negative or any(balance < 0 for balance in initial.values())
        initial = sum(initial.values())
    done = [row for row in rows if row.type == "ok" and not (row.error or "").startswith("unread")]
    shown: dict[str | None, list[dict[str, int | None]]] = {}
    for row in done:
        if row.f == "read" and row.value is not None:
            shown.setdefault(row.key, []).append(row.value)
    wrong = False
    compared = 0
    for reads in shown.values():
        totals = [] if initial is None else [initial]
        for read in reads:
            balances = list(read.values())
            strange = accounts is not None and set(read) != accounts
            if strange or None in balances:
                wrong = True
            else:
                totals.append(sum(balances))
            wrong |= not negative and any(b is not None and b < 0 for b in balances)
        wrong |= len(set(totals)) > 1
        compared += max(0, len(totals) - 1)
    moved = any(row.f == "transfer" for row in done)
    return "invalid" if wrong else "valid" if moved and compared else "unknown"
