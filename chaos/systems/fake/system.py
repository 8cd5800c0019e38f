"""A system in memory: what the real ones promise, without a container, and lies on request.

The store lives inside one process and the clients of that process share it, so its load must run
in a single worker process (`single_process`). It is linearizable unless the experiment's `client:`
options ask it to lie, which is how the checkers and the runner are tested end to end.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from chaos.record.op import Invocation, Result
from chaos.systems._common import option_problems
from chaos.systems._locks import LEASE, lease_s
from chaos.systems._transactions import LISTS, TRANSACTIONS
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    Definite,
    ErrorRule,
    Node,
)
from chaos.systems.fake.edits import Edits
from chaos.systems.fake.locks import Counters, Documents, Locks
from chaos.systems.fake.messages import Consumer, Logs, Queues
from chaos.systems.fake.transactions import Table

Lie = Literal[
    "none",
    "lose-acked",
    "stale-reads",
    "timeouts",
    "failed-yet-done",
    "duplicates",
    "interleaved",
    "snapshots",
    "revoked-edits",
]
WORKLOADS = TRANSACTIONS | {
    *("register", "set", "session", "counter", "lock", "document"),
    *("queue", "log", "edits"),
}
Others = Mapping[str, Callable[[Invocation, str, str], Result]]  # f → (…, node, lie)
DONE = Result()


class Store:
    """Registers, one set, counters, locks, queues, logs, edits, and what transactions are about.

    Keeps the value before the current one, to be able to lie.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.registers: dict[str | None, tuple[int | None, int | None]] = {}  # (now, before)
        self.elements: list[int] = []
        self.clients = 0
        self.tables = {name: Table() for name in ("lists", "registers", "accounts")}
        self.counters, self.locks, self.documents = Counters(), Locks(), Documents()
        self.edits = Edits()
        self.queues, self.logs = Queues(), Logs()

    def write(self, key: str | None, value: int | None) -> None:
        """Make `value` the key's current one."""
        self.registers[key] = (value, self.read(key))

    def read(self, key: str | None, *, stale: bool = False) -> int | None:
        """The key's value, or the one before it."""
        return self.registers.get(key, (None, None))[1 if stale else 0]


_stores: dict[str, Store] = {}


class FakeClient:
    """See `chaos.systems.base.Client`."""

    def __init__(self, spec: ClientSpec, workload: str) -> None:
        self.node = spec.home
        self._spec = spec
        self._store = _stores.setdefault(str(spec.settings.get("store", "")), Store())
        self._store.clients += 1
        self._consumer = Consumer(self._store.logs)
        options = spec.options
        self._lie: Lie = options.get("lie", "none")
        self._rate = float(options.get("rate", 0.01))
        self._latency_s = float(options.get("latency_ms", 0)) / 1000
        self._random = random.Random(f"{options.get('seed', 0)}-{self._store.clients}")
        self._operations: dict[str, Callable[[Invocation, bool], Result]] = {
            "read": self._read,
            "write": self._write,
            "cas": self._cas,
            "add": self._add,
        }
        self._others = self._known_others(workload)
        if options.get("noop"):
            self.invoke = self._noop  # type: ignore[method-assign]

    def _known_others(self, workload: str) -> Others:
        """What there is to do besides registers and the set."""
        store = self._store
        if workload == "counter":
            return {"add": store.counters.add, "read": store.counters.read}
        if workload == "lock":
            seconds = lease_s(self._spec.options)
            return {
                "acquire": lambda asked, node, lie: store.locks.acquire(asked, seconds, node),
                "release": lambda asked, node, lie: store.locks.release(asked, node),
            }
        if workload == "document":
            return {"load": store.documents.load, "store": store.documents.store}
        if workload == "edits":
            store.edits.join(self.node)
            return {f: getattr(store.edits, f) for f in ("add", "read", "revoke", "admit")}
        if workload == "queue":
            queues = store.queues
            return {f: getattr(queues, f) for f in ("create", "enqueue", "dequeue")}
        if workload == "log":
            known = ("create", "send", "assign", "subscribe", "poll", "txn")
            return {f: getattr(self._consumer, f) for f in known}
        if workload == "bank":
            table = store.tables["accounts"]
            return {"open": table.open, "transfer": table.transfer, "read": table.balances}
        return {"txn": store.tables["lists" if workload in LISTS else "registers"].txn}

    def open(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Nothing to drop, but a member leaves its group."""
        self._consumer.leave()

    def invoke(self, operation: Invocation) -> Result:
        """Do it, or lie about it with the asked-for probability."""
        if self._latency_s:
            time.sleep(self._latency_s * self._random.uniform(0.5, 1.5))
        lying = self._lie != "none" and self._random.random() < self._rate
        if operation.f in ("open", "create"):
            lying = False
        if lying and self._lie == "timeouts":
            if self._random.random() < 0.5:
                self._do(operation, lying=False)
            raise TimeoutError("no answer in time")
        result = self._do(operation, lying=lying)
        if lying and self._lie == "failed-yet-done" and operation.f != "read":
            raise Definite("refused", "so it claims")
        return result

    def _do(self, operation: Invocation, *, lying: bool) -> Result:
        if other := self._others.get(operation.f):
            return other(operation, self.node, self._lie if lying else "")
        with self._store.lock:
            return self._operations[operation.f](operation, lying)

    def _read(self, operation: Invocation, lying: bool) -> Result:
        stale = lying and self._lie == "stale-reads"
        if operation.key is not None:
            return Result(value=self._store.read(operation.key, stale=stale), node=self.node)
        elements = self._store.elements
        if stale:
            elements = elements[: len(elements) // 2]
        if lying and self._lie == "duplicates":
            elements = elements + elements[-1:]
        return Result(payload=json.dumps(elements, separators=(",", ":")), node=self.node)

    def _write(self, operation: Invocation, lying: bool) -> Result:
        if not (lying and self._lie == "lose-acked"):
            self._store.write(operation.key, operation.value)
        return Result(value=operation.value, node=self.node)

    def _cas(self, operation: Invocation, lying: bool) -> Result:
        found = self._store.read(operation.key)
        if found != operation.expected:
            raise Definite("cas-mismatch", f"found {found}")
        return self._write(operation, lying)

    def _add(self, operation: Invocation, lying: bool) -> Result:
        if not (lying and self._lie == "lose-acked") and operation.value is not None:
            self._store.elements.append(operation.value)
        return Result(value=operation.value, node=self.node)

    def _noop(self, operation: Invocation) -> Result:
        return DONE


class Fake:
    """See `chaos.systems.base.System`."""

    name = "fake"
    about = "An in-memory store without containers, which lies when asked to."
    single_process = True  # its clients only share a store within one process
    ports: Mapping[str, int] = {"db": 1}
    knocks: Mapping[str, bytes] = {"db": b""}
    images: Sequence[str] = ()
    elects = False
    log_operations = frozenset({"subscribe", "txn"})
    workloads = WORKLOADS
    settings: Mapping[str, str] = {"store": "name of the store, if several are wanted"}
    client_options: Mapping[str, str] = {
        "lie": f"one of {', '.join(get_args(Lie))}",
        "rate": "probability of a lie, 0.01 if not said",
        "seed": "seed of the lies and of the latency",
        "latency_ms": "mean time an operation takes",
        "lease": LEASE.about,
        "noop": "answer at once without doing anything, to measure the harness",
    }
    errors: Sequence[ErrorRule] = (
        ErrorRule(
            code="timeout",
            kind=TimeoutError,
            definite=False,
            reason="it may or may not have been done",
        ),
    )

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        if options.get("lie", "none") not in get_args(Lie):
            yield f"client.lie: expected one of {', '.join(get_args(Lie))}, got {options['lie']!r}"
        yield from option_problems(options, {"lease": LEASE}, workload)
        for name in ("rate", "latency_ms"):
            if not isinstance(options.get(name, 0), int | float):
                yield f"client.{name}: expected a number, got {options[name]!r}"

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Every topology will do."""
        return ()

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """None."""
        return ()

    def form(self, cluster: Cluster) -> None:
        """Always formed."""

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of this process's store."""
        return FakeClient(spec, workload)

    def versions(self) -> Mapping[str, str]:
        """No driver."""
        return {}


SYSTEM = Fake()
