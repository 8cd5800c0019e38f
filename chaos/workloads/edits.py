"""Edits: clients add to a shared document, of which an admin revokes and admits members.

The document has three parts, which are read as keys: its `elements`, the names of its `members`,
and what a peer has `rolled-back`: elements of edits that it has and does not show. An edit is its
peer's owner's: who added it is the node in the history. Clients at home with the admin, the first
of the members, revoke one of the others, and perhaps admit it again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.micro import option
from chaos.workloads.mix import operations, unique_values

ELEMENTS, MEMBERS, ROLLED_BACK = "elements", "members", "rolled-back"
OPTIONS: Mapping[str, Option] = {
    "revoke-after": Option(
        about="after how many operations of its own a client of the admin revokes a member",
        default=100,
    ),
    "admit-after": Option(
        about="after how many more it admits that member again, to begin anew; 0: never",
        default=100,
        least=0,
    ),
    "member": Option(
        about="which of the other members, in the order of their names, from 1 on; 0: any",
        default=0,
        least=0,
        most=1000,
    ),
}


class Editing:
    """One client's operations: adds of elements, and reads of them; the admin's also, now and then,
    a read of the members and a change of them, which is tried again until it is done."""

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._value = unique_values(client, clients)
        self._after = {f: option(shape, OPTIONS, f"{f}-after") for f in ("revoke", "admit")}
        self._which = option(shape, OPTIONS, "member")
        self._rng = rng
        self._left: int | None = self._after["revoke"]  # operations before the next change
        self._member = ""  # who is revoked, or about to be
        self._revoked = False

    def next(self) -> Invocation:
        """The next operation."""
        if self._left is None or self._left > 0:
            if self._operation() == "read":
                return Invocation("read", ELEMENTS)
            return Invocation("add", ELEMENTS, next(self._value))
        if not self._member:
            return Invocation("read", MEMBERS)
        f = "admit" if self._revoked else "revoke"
        return Invocation(f, MEMBERS, payload=json.dumps(self._member))

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Count, and go on with the change of members."""
        if operation.key == ELEMENTS:
            self._left = None if self._left is None else self._left - 1
        elif result is not None and operation.f == "read":
            self._choose(json.loads(result.payload or "[]"), result.node)
        elif result is not None:
            self._revoked = operation.f == "revoke"
            self._left = self._after["admit" if self._revoked else "revoke"] or None
            self._member = self._member if self._revoked else ""

    def _choose(self, members: Sequence[str], own: str) -> None:
        """Whom to revoke: nobody, if this is no client of the admin, or no such member is left."""
        others = sorted(members[1:])
        if members[0] != own or len(others) < max(1, self._which):
            self._left = None
        elif self._which:
            self._member = others[self._which - 1]
        else:
            self._member = self._rng.choice(others)


class Edits(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "edits"
    about = "Adds to a shared document, of which an admin revokes and admits members."
    operations: Mapping[str, str] = {
        "add": "add an element that nobody else adds",
        "read": "read all elements",
    }
    default_mix: Mapping[str, float] = {"add": 4, "read": 1}
    properties: Sequence[str] = ("convergence", "authorised-edits")
    options = OPTIONS

    def generator(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> Editing:
        """The endless operations of client number `client` of `clients`."""
        return Editing(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """Each part of the document by each client, at its own peer."""
        return (Invocation("read", part) for part in (MEMBERS, ROLLED_BACK, ELEMENTS))


WORKLOAD = Edits()
