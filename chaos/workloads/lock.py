"""Locks: clients change a document, each under a lock that another system may keep.

A *section* is four operations of one client: `acquire` the lock, `read` the document's list, `add`
an element to what was read (the whole list is stored), `release` the lock. A store knows nothing of
locks, so all depends on nobody else being in a section meanwhile. No lease can promise that: a
holder that stands still for longer than its lease does not know it, goes on, and writes an old list
over what the next holders added. With `fencing` reads and adds of a section carry the lock's token,
and the store refuses those that come with a lower one than it has met (M. Kleppmann, "How to do
distributed locking", 2016; M. Burrows, "The Chubby lock service", OSDI 2006).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.systems.base import Client
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.micro import option
from chaos.workloads.mix import keys, operations, unique_values

OPTIONS: Mapping[str, Option] = {
    "fencing": Option(
        about="1: the store is told the lock's token, and refuses lower ones than it has met; "
        "0: it is not",
        default=1,
        least=0,
        most=1,
    ),
    "pause-ms": Option(
        about="how long a holder stands still between its read and its add, in milliseconds",
        default=0,
        least=0,
        most=60_000,
    ),
    "pause-every": Option(about="in which of a client's sections: every so many", default=10),
}


class Sections:
    """One client's operations: sections, and reads without the lock.

    A section ends with the first operation that does not succeed. The lock is then not released:
    the client may be another process to the world (after an indefinite answer it is), and no longer
    know whether it holds anything. Its lease runs out.
    """

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._value = unique_values(client, clients)
        self._fenced = option(shape, OPTIONS, "fencing") == 1
        self._pause_s = option(shape, OPTIONS, "pause-ms") / 1000
        self._every = option(shape, OPTIONS, "pause-every")
        self._sections = 0
        self._then: Invocation | None = None  # what the section goes on with
        self._token: int | None = None

    def next(self) -> Invocation:
        """The next of the section; outside, a read, or the acquire that may begin one."""
        if self._then is not None:
            return self._then
        key = self._key()
        return Invocation("read" if self._operation() == "read" else "acquire", key)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Go on with the section after a success."""
        inside, self._then = self._then is not None, None
        if result is None:
            return
        key = operation.key
        if operation.f == "acquire":
            self._token = result.value
            self._then = Invocation("read", key, expected=self._fence)
        elif operation.f == "read" and inside:
            self._then = self._add(key, result)
        elif operation.f == "add":
            self._then = Invocation("release", key, self._token)

    @property
    def _fence(self) -> int | None:
        return self._token if self._fenced else None

    def _add(self, key: str | None, read: Result) -> Invocation:
        """Append an own element to what was read, perhaps after a pause."""
        self._sections += 1
        element = next(self._value)
        changed = json.dumps([*json.loads(read.payload or "[]"), element], separators=(",", ":"))
        pause_s = self._pause_s if self._sections % self._every == 0 else 0.0
        return Invocation("add", key, element, self._fence, changed, pause_s=pause_s)


class Locked:
    """A client of both: the lock service and the store of documents."""

    node = ""  # it is connected to one of each; results say which of them answered

    def __init__(self, lock: Client, store: Client) -> None:
        self._lock, self._store = lock, store

    def open(self) -> None:
        """Connect to both."""
        self._lock.open()
        self._store.open()

    def invoke(self, operation: Invocation) -> Result:
        """Ask the one it is for. A fencing token goes with what is `expected`."""
        key, token = operation.key, operation.expected
        if operation.f == "read":
            return self._store.invoke(Invocation("load", key, token))
        if operation.f == "add":
            return self._store.invoke(Invocation("store", key, token, payload=operation.payload))
        return self._lock.invoke(operation)

    def close(self) -> None:
        """Drop both connections."""
        self._lock.close()
        self._store.close()


class Lock(Plain):
    """See `chaos.workloads.base.Workload`. The history of its reads and adds is one of sets."""

    name = "lock"
    about = "Lists that clients read and add to under a lock, which may be another system's."
    operations: Mapping[str, str] = {
        "add": "acquire the lock, read the list, add an element to it, release the lock",
        "read": "read the list, without the lock",
    }
    default_mix: Mapping[str, float] = {"add": 4, "read": 1}
    properties: Sequence[str] = ("set", "lock")
    options = OPTIONS
    parts: Mapping[str, str] = {"lock": "lock", "store": "document"}

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Sections:
        """The endless operations of client number `client` of `clients`."""
        return Sections(shape, client, clients, rng)

    def joined(self, clients: Mapping[str, Client], shape: LoadShape) -> Locked:
        """A client of the lock service and of the store."""
        return Locked(clients["lock"], clients["store"])

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of each list by each client."""
        return (Invocation("read", f"k{i}") for i in range(shape.keys))


WORKLOAD = Lock()
