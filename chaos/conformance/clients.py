"""Each kind of client alone, on a cluster that nothing is wrong with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from chaos.conformance.findings import Nonconformance, done, must, refused, same
from chaos.conformance.kept import DEADLINE_S, elements, polled, until
from chaos.record.op import Invocation, Result
from chaos.systems._messages import HasLogs
from chaos.systems._transactions import REGISTERS
from chaos.systems.base import Client, ClientSpec, System

GROUP_S = 15.0  # for a group to deal out its logs
Check = Callable[[System, ClientSpec], None]
STANDING = ("revoke", "admit")


@contextmanager
def opened(system: System, spec: ClientSpec, kind: str) -> Iterator[Client]:
    """A connected client of this kind."""
    client = system.client(spec, kind)
    client.open()
    try:
        yield client
    finally:
        client.close()


def register(system: System, spec: ClientSpec) -> None:
    """Reads see writes; a cas that cannot be says so definitely, and does nothing."""
    with opened(system, spec, "register") as client:
        same("a register never written", done(client, Invocation("read", "c0")).value, None)
        same("cas of nothing", done(client, Invocation("cas", "c0", 1, None)).value, 1)
        done(client, Invocation("write", "c0", 2))
        done(client, Invocation("cas", "c0", 3, 2))
        for expected in (2, None):
            refused(client, Invocation("cas", "c0", 4, expected), "cas-mismatch")
        same("a read after two refused cas", done(client, Invocation("read", "c0")).value, 3)
        same("another register", done(client, Invocation("read", "c1")).value, None)


def set_(system: System, spec: ClientSpec) -> None:
    """Every element that was added is read, each once."""
    with opened(system, spec, "set") as client:
        same("an empty set", elements(done(client, Invocation("read"))), [])
        for value in (3, 1, 2):
            done(client, Invocation("add", value=value))
        same("the set", sorted(elements(done(client, Invocation("read")))), [1, 2, 3])


def txn(client: Client, *micros: tuple[Any, ...]) -> list[Any]:
    """What the reads of a transaction read, in order; the rest must come back as asked."""
    result = done(client, Invocation("txn", payload=json.dumps(micros)))
    answer = json.loads(result.payload or "null")
    same("a transaction's operations", [m[:2] for m in answer], [list(m[:2]) for m in micros])
    written = [m[2] for m in answer if m[0] != "r"]
    same("what a transaction wrote", written, [m[2] for m in micros if m[0] != "r"])
    return [m[2] for m in answer if m[0] == "r"]


def append(system: System, spec: ClientSpec) -> None:
    """Lists grow at their end; a transaction sees its own appends, and a reader all or nothing."""
    with opened(system, spec, "append") as client, opened(system, spec, "append") as other:
        must(txn(client, ("r", 1, None))[0] in (None, []), "a list never appended to is not empty")
        own = txn(client, ("append", 1, 7), ("r", 1, None), ("append", 2, 8))
        same("a transaction's own append", own, [[7]])
        txn(other, ("append", 1, 9), ("append", 1, 10))
        both = txn(client, ("r", 2, None), ("r", 1, None))
        same("two lists after two transactions", both, [[8], [7, 9, 10]])


def registers(system: System, spec: ClientSpec, workload: str) -> None:
    """Registers of transactions: what is written last stays, own writes are seen at once."""
    base = 1000 * sorted(system.workloads).index(workload)
    one, two = base, base + 1
    with opened(system, spec, workload) as client, opened(system, spec, workload) as other:
        own = txn(client, ("r", one, None), ("w", one, base + 5), ("r", one, None))
        same("before and after an own write", own, [None, base + 5])
        read = txn(other, ("w", two, base + 6), ("w", two, base + 7), ("r", one, None))
        same("another client's write", read, [base + 5])
        both = txn(client, ("r", two, None), ("r", one, None))
        same("two registers", both, [base + 7, base + 5])


def bank(system: System, spec: ClientSpec) -> None:
    """Opening twice is opening once; a transfer moves, or says that there is too little."""
    opening = Invocation("open", payload='{"0":10,"1":20,"2":30}')
    with opened(system, spec, "bank") as client:
        for _ in range(2):
            done(client, opening)
        moved = Invocation("transfer", payload='{"from":2,"to":0,"amount":25}')
        done(client, moved)
        refused(client, moved, "insufficient")
        for _ in range(2):
            done(client, opening)
        found = json.loads(done(client, Invocation("read")).payload or "null")
        same("the balances", found, {"0": 35, "1": 20, "2": 5})


def session(system: System, spec: ClientSpec) -> None:
    """Wherever reads may be told to go, in the end they show the write, and say who answered."""
    for reads in ("primary", "home", "any"):
        if reads in system.client_options.get("reads", ""):
            _reads(system, spec, reads=reads)
    _reads(system, spec)


def _reads(system: System, spec: ClientSpec, **options: str) -> None:
    spec = replace(spec, options={**spec.options, **options})
    nodes = len(spec.endpoints) or 1
    asked = set()
    with opened(system, spec, "session") as client:
        done(client, Invocation("write", "s0", 9))
        for at in range(nodes):
            end = time.monotonic() + DEADLINE_S
            while (result := done(client, Invocation("read", "s0", at=at))).value != 9:
                must(time.monotonic() < end, f"a read at {at} never shows the write: {result}")
            asked.add(result.node)
    stays = "home" in system.client_options.get("reads", "")  # reads go elsewhere only when told
    if stays and options.get("reads") != "any":
        same("nodes that answered reads", len(asked), 1)
        return
    # Of sharded data only some nodes have the key, and of two sites one is read from unless told.
    sharded = spec.settings.get("mode") == "cluster" or "replicate-to" in spec.settings
    must(
        len(asked) > 1 if sharded and nodes > 1 else len(asked) == nodes,
        f"reads at each of {nodes} nodes were answered by {sorted(asked)}",
    )


def counter(system: System, spec: ClientSpec) -> None:
    """A counter that nobody added to is 0; every add counts once."""
    with opened(system, spec, "counter") as client, opened(system, spec, "counter") as other:
        same("a new counter", done(client, Invocation("read", "n0")).value, 0)
        for adder, amount in ((client, 3), (other, 1), (client, 2)):
            done(adder, Invocation("add", "n0", amount))
        same("the sum", done(other, Invocation("read", "n0")).value, 6)
        same("another counter", done(client, Invocation("read", "n1")).value, 0)


def lock(system: System, spec: ClientSpec) -> None:
    """One holder at a time, each with a higher token; a lease runs out, and not before its time."""
    acquire = Invocation("acquire", "l0")

    def release(token: int) -> Invocation:
        return Invocation("release", "l0", token)

    with opened(system, spec, "lock") as client, opened(system, spec, "lock") as other:
        first = _token(done(client, acquire))
        for rival in (client, other):
            refused(rival, acquire, "held")
        done(other, Invocation("acquire", "l1"))
        done(client, release(first))
        refused(client, release(first), "not-held")
        second = _token(done(other, acquire))
        begun = time.monotonic()
        must(second > first, f"tokens must grow: {first}, then {second}")
        refused(client, release(first), "not-held")
        third = _token(until(client, acquire, 10))  # nobody released it: its lease runs out
        lasted = time.monotonic() - begun
        must(1 < lasted < 8, f"a lease of 2 s lasted {lasted:.1f} s")
        must(third > second, f"tokens must grow: {second}, then {third}")
        refused(other, release(second), "not-held")
        done(client, release(third))


def _token(acquired: Result) -> int:
    if acquired.value is None:
        raise Nonconformance(f"acquire: expected a token, got {acquired}")
    return acquired.value


def document(system: System, spec: ClientSpec) -> None:
    """What was stored is loaded; a token that is lower than one the document has met, in a store
    or in a load, is refused, and changes nothing."""

    def asked(f: str, token: int | None = None, payload: str | None = None) -> Invocation:
        return Invocation(f, "d0", token, payload=payload)

    with opened(system, spec, "document") as client:

        def loaded(token: int | None, wanted: list[int]) -> None:
            found = json.loads(done(client, asked("load", token)).payload or "null")
            same(f"load with token {token}", found, wanted)

        loaded(None, [])
        done(client, asked("store", None, "[1]"))
        loaded(7, [1])
        done(client, asked("store", 7, "[1,2]"))
        done(client, asked("store", 10, "[1,2,3]"))
        refused(client, asked("store", 9, "[4]"), "stale-token")
        refused(client, asked("load", 7), "stale-token")
        loaded(11, [1, 2, 3])
        refused(client, asked("store", 10, "[5]"), "stale-token")  # the load has shown it 11
        loaded(None, [1, 2, 3])
        done(client, asked("store", None, "[6]"))
        loaded(11, [6])


def cache(system: System, spec: ClientSpec) -> None:
    """What is cached is there until it is deleted, or its time is over."""
    with opened(system, spec, "cache") as client:
        get = Invocation("get", "a0")
        same("a key never cached", done(client, get).value, None)
        for value in (1, 2):
            done(client, Invocation("set", "a0", value))
            same("what was cached", done(client, get).value, value)
        done(client, Invocation("delete", "a0"))
        same("a deleted key", done(client, get).value, None)
    if "ttl" not in system.client_options:
        return
    brief = replace(spec, options={**spec.options, "ttl": "200ms"})
    with opened(system, brief, "cache") as client:
        done(client, Invocation("set", "a1", 3))
        end = time.monotonic() + DEADLINE_S
        while done(client, Invocation("get", "a1")).value is not None:
            must(
                time.monotonic() < end,
                f"a key with a ttl of 200 ms is there after {DEADLINE_S:g} s",
            )


def queue(system: System, spec: ClientSpec) -> None:
    """What was enqueued is dequeued, each once; then the queue says that it is empty."""
    with opened(system, spec, "queue") as client, opened(system, spec, "queue") as other:
        for _ in range(2):
            done(client, Invocation("create", "q0"))
        dequeue = Invocation("dequeue", "q0")
        same("a new queue", done(client, dequeue).value, None)
        for value in (3, 1, 2):
            done(client, Invocation("enqueue", "q0", value))
        came = [done(consumer, dequeue).value for consumer in (other, client, other)]
        same("what was dequeued", sorted(value or 0 for value in came), [1, 2, 3])
        same("a queue that was emptied", done(client, dequeue).value, None)


def log(system: System, spec: ClientSpec) -> None:
    """What was sent is polled from the beginning, in its order, each at the offset that was told;
    who is assigned the same log again keeps its place, who is assigned none forgets it."""
    some, none = (Invocation("assign", payload=logs) for logs in ('["l0"]', "[]"))
    with opened(system, spec, "log") as client, opened(system, spec, "log") as other:
        for _ in range(2):
            done(client, Invocation("create", "l0"))
        refused(other, Invocation("poll"), "not-assigned")
        told = [done(client, Invocation("send", "l0", value)).payload for value in (3, 1, 2)]
        done(other, some)
        came = polled(other, "l0", {3, 1, 2})
        same("what was polled", [value for _, value in came], [3, 1, 2])
        offsets = [offset for offset, _ in came]
        must(offsets == sorted(set(offsets)), f"offsets must grow: {offsets}")
        for send, message in zip(told, came, strict=True):
            must(
                send is None or json.loads(send) == list(message), f"sent {send}, polled {message}"
            )
        done(other, some)
        same("what was polled where it had stood", polled(other, "l0"), [])
        done(other, none)
        done(other, some)
        same("what was polled from the beginning again", polled(other, "l0", {3, 1, 2}), came)
        if isinstance(system, HasLogs):
            _more_of_logs(system, client, other)


def _more_of_logs(system: HasLogs, client: Client, other: Client) -> None:
    """A transaction of a poll and a send, and a group, on the log of three messages."""
    if "txn" in system.log_operations:
        done(client, Invocation("assign", payload='["l0"]'))
        asked = Invocation("txn", payload='[["poll"],["send","l0",4]]')
        poll, send = json.loads(until(client, asked, GROUP_S).payload or "null")
        must(send[2] == 4 or send[2][1] == 4, f"a transaction's send of 4 came back as {send}")
        inside = poll[1].get("l0", [])
        came = [*inside, *polled(client, "l0", {3, 1, 2, 4} - {value for _, value in inside})]
        same("what was polled in a transaction and after it", [v for _, v in came], [3, 1, 2, 4])
        same("what others polled of it", [v for _, v in polled(other, "l0", {4})], [4])
    if "subscribe" in system.log_operations:
        done(other, Invocation("subscribe", payload='["l0"]'))
        first: list[list[int]] = []
        end = time.monotonic() + GROUP_S
        while not first:
            must(time.monotonic() < end, f"a group of one polled nothing in {GROUP_S:g} s")
            result = until(other, Invocation("poll"), GROUP_S)
            first = json.loads(result.payload or "{}").get("l0", [])
        same("the first that a group polled", first[0][1], 3)


def edits(system: System, spec: ClientSpec) -> None:
    """Everybody adds to one document; who is revoked adds nothing until admitted again."""
    add = [Invocation("add", "elements", value) for value in (9001, 9002, 9003)]
    revoke, admit = (Invocation(f, "members", payload=f'"{spec.home}"') for f in STANDING)

    def part(name: str) -> list[Any]:
        found: list[Any] = json.loads(done(client, Invocation("read", name)).payload or "null")
        return found

    with opened(system, spec, "edits") as client:
        done(client, add[0])
        members = part("members")
        must(spec.home in members, f"{spec.home} is no member of a new document: {members}")
        with opened(system, replace(spec, home=members[0]), "edits") as admin:  # it comes first
            done(admin, revoke)
            end = time.monotonic() + GROUP_S
            while spec.home in part("members"):
                must(time.monotonic() < end, f"{spec.home} has not heard that it is revoked")
            refused(client, add[1], "revoked")
            done(admin, admit)
        until(client, add[2], GROUP_S)
        found = part("elements")
        must({9001, 9003} <= set(found), f"what a member added: expected 9001, 9003 in {found}")
        must(9002 not in found, "an edit that was refused is there")
        same("what was rolled back", part("rolled-back"), [])


CHECKS: Mapping[str, Check] = {
    "register": register,
    "set": set_,
    "append": append,
    "bank": bank,
    "session": session,
    "cache": cache,
    "counter": counter,
    "lock": lock,
    "document": document,
    "queue": queue,
    "log": log,
    "edits": edits,
    **{name: partial(registers, workload=name) for name in REGISTERS},
}
