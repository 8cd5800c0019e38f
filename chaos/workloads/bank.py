"""Bank: transfers between accounts, whose sum never changes, and reads of all of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.micro import option
from chaos.workloads.mix import operations

OPTIONS: Mapping[str, Option] = {
    "accounts": Option(about="how many accounts there are", default=8, least=2, most=1000),
    "total": Option(about="what they hold together, evenly at first", default=800, least=2),
    "most": Option(about="the most that one transfer moves; it moves 1 or more", default=10),
}


def opening(accounts: int, total: int) -> dict[str, int]:
    """What each account holds at first: total // accounts, the first ones one more if need be."""
    share, over = divmod(total, accounts)
    return {str(k): share + (k < over) for k in range(accounts)}


class Transfers:
    """One client's operations."""

    def __init__(self, shape: LoadShape, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._accounts = range(option(shape, OPTIONS, "accounts"))
        self._most = option(shape, OPTIONS, "most")
        self._rng = rng

    def next(self) -> Invocation:
        """A read of all accounts, or a transfer between two of them."""
        if self._operation() == "read":
            return Invocation("read")
        giver, taker = self._rng.sample(self._accounts, 2)
        moved = {"from": giver, "to": taker, "amount": self._rng.randint(1, self._most)}
        return Invocation("transfer", payload=json.dumps(moved, separators=(",", ":")))

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn."""


class Bank(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "bank"
    about = "Transfers between accounts, and reads of all accounts, whose sum never changes."
    operations: Mapping[str, str] = {
        "transfer": "move an amount from one account to another; refused if there is too little",
        "read": "read all accounts",
    }
    default_mix: Mapping[str, float] = {"transfer": 1, "read": 1}
    properties: Sequence[str] = ("bank",)
    options = OPTIONS

    def setup(self, shape: LoadShape) -> Sequence[Invocation]:
        """Open the accounts, those that are not there yet."""
        held = self.initial(shape)
        return [Invocation("open", payload=json.dumps(held, separators=(",", ":")))]

    def initial(self, shape: LoadShape) -> dict[str, int]:
        """Every account, with what it holds."""
        return opening(option(shape, OPTIONS, "accounts"), option(shape, OPTIONS, "total"))

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Transfers:
        """The endless operations of a client."""
        return Transfers(shape, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read by each client."""
        return iter([Invocation("read")])


WORKLOAD = Bank()
