"""What operations are called: other tools' names, ours, and which property they speak of.

Ours are in docs/histories.md. A name such as `add` or `put` means different things to a queue, a
set and a register, so it is read together with the others of its history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

PLAIN = {
    "put": "write",
    "set": "write",
    "store": "write",
    "get": "read",
    "load": "read",
    "compare-and-set": "cas",
    "compareandset": "cas",
    "compare-and-swap": "cas",
    "enq": "enqueue",
    "offer": "enqueue",
    "deq": "dequeue",
    "poll": "dequeue",
    "inc": "increment",
    "incr": "increment",
    "dec": "decrement",
    "decr": "decrement",
    "insert": "add",
    "delete": "remove",
    "rem": "remove",
    "member": "contains",
    "lock": "acquire",
    "unlock": "release",
    "top": "peek",
}
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "queue": {
        **dict.fromkeys(("add", "insert", "put", "push", "enq", "offer", "write"), "enqueue"),
        **dict.fromkeys(
            ("remove", "rem", "delete", "take", "get", "pop", "deq", "poll", "read"), "dequeue"
        ),
        **dict.fromkeys(("front", "head", "first", "peek"), "peek"),
    },
    "stack": {
        **dict.fromkeys(("add", "insert", "put", "enqueue"), "push"),
        **dict.fromkeys(("remove", "rem", "delete", "take", "get", "dequeue"), "pop"),
    },
    "log": {"poll": "poll"},
    "set": {},
}
COUNTED = {"increment", "decrement"}  # both are adds, the one of a negative number
_SIGNS = {  # a family, and what only its operations are called
    "queue": {"enqueue", "dequeue", "drain"},
    "stack": {"push", "pop"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the operations of a history showed, besides their names."""

    lists: bool = False  # an ok read of a list
    numbers: bool = False  # an ok read of a number
    counted: bool = False  # an increment or decrement, by its own name
    microops: frozenset[str] = frozenset()  # of transactions: append, r, w


def plain_name(name: str) -> str:
    """Our name for an operation, as far as it alone tells."""
    name = name.strip(":").lower().replace("_", "-")
    return PLAIN.get(name, name)


def renamed(names: Collection[str], family: str | None = None) -> dict[str, str]:
    """Our name for each of a history's; `family` (queue, stack, set) if the history says it."""
    plain = {plain_name(name) for name in names}
    if family is None:
        known = [family for family, signs in _SIGNS.items() if signs & plain]
        family = "log" if "send" in plain else known[0] if len(known) == 1 else None
    own = FAMILIES.get(family or "", {})
    found = {}
    for name in names:
        low = name.strip(":").lower().replace("_", "-")
        ours = own.get(low, own.get(plain_name(name), plain_name(name)))
        found[name] = "add" if ours in COUNTED else ours
    return found


def decided_by(names: Collection[str], shown: Shown) -> tuple[str, ...]:
    """The properties that operations of these (our) names can decide; () where we know none."""
    fs = set(names)
    if fs == {"txn"}:
        append = "append" in shown.microops
        return ("list-append",) if append else ("rw-register",) if "w" in shown.microops else ()
    for needed, possible, property_ in _PROPERTIES:
        if needed & fs and fs <= possible:
            return (property_,)
    if fs == {"add", "read"} or fs == {"add"}:
        counter = shown.counted or (shown.numbers and not shown.lists)
        return ("counter",) if counter else ("set-full",)
    if fs == {"read"}:
        return ("linearizable-register",)
    return ()


_LOG = {  # Jepsen's names of what is done to Kafka; only some of it says anything
    *("send", "poll", "txn", "assign", "subscribe"),
    *("crash", "debug-topic-partitions"),
}
_PROPERTIES = (  # any of these, and no others than those
    ({"drain"}, {"enqueue", "dequeue", "drain"}, "total-queue"),
    ({"enqueue", "dequeue"}, {"enqueue", "dequeue", "peek"}, "linearizable-queue"),
    ({"push", "pop"}, {"push", "pop", "peek"}, "linearizable-stack"),
    ({"guarded"}, {"acquire", "release", "guarded"}, "lock"),
    ({"acquire", "release"}, {"acquire", "release"}, "linearizable-lock"),
    ({"generate"}, {"generate"}, "unique-ids"),
    ({"remove", "contains"}, {"add", "remove", "contains", "read"}, "linearizable-set"),
    ({"append"}, {"write", "append", "read"}, "linearizable-kv-append"),
    ({"cas"}, {"read", "write", "cas"}, "linearizable-cas-register"),
    ({"write"}, {"read", "write"}, "linearizable-register"),
    ({"transfer"}, {"read", "transfer"}, "bank"),
    ({"send"}, _LOG, "log"),
)
