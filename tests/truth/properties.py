"""Every property: how small histories of it are made, and what is true of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.truth import banks, definitions, edits, forks, groups, logs, oracle, sessions
from tests.truth.counted import Bag, GrowSet, Guarded, Ids, LastRegister, Tally
from tests.truth.objects import (
    Counter,
    Lock,
    PlainRegister,
    Queue,
    Register,
    Set,
    Stack,
    Text,
    Thing,
)
from tests.truth.rows import Row
from tests.truth.simulate import KEYS, simulate, style

ALL_KINDS = ("unique", "unique", "few", "json")
ELEMENTS = ("unique", "unique", "few", "things")  # null stands for an empty queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known besides the rows; the same for all histories of a batch."""

    initial: Any = None
    final_ns: tuple[int, int] | None = None
    kinds: tuple[str, ...] = ALL_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property. `truth` says "valid", "invalid" or "unknown"; `orders`, where there is such a
    thing, whether rows are an order that proves it.
    """

    name: str
    setting: Callable[[Random], Setting]
    make: Callable[[Random, Setting], list[Row]]
    truth: Callable[[Sequence[Row], Setting], str]
    by_key: bool  # whether each key is judged for itself, so that histories can be keys of one
    foreign: bool = True  # whether operations of other properties mean nothing
    names: bool = True  # whether keys may be called otherwise
    ties: bool = True  # whether rows that end at one moment may stand in any order
    orders: Callable[[Sequence[Row], Sequence[int], Setting], bool] | None = None


def linearizable(
    name: str,
    thing: Thing,
    *,
    observing: tuple[str, ...],
    initials: tuple[Any, ...] = (None,),
    kinds: tuple[str, ...] = ALL_KINDS,
    mismatches: bool = False,
    made: tuple[Thing, ...] = (),
    operations: tuple[int, int] = (3, 10),
) -> Property:
    """`observing`: the operations that tell something when they are acknowledged. `made`: what
    is simulated, if it is not `thing`.
    """

    def setting(rng: Random) -> Setting:
        chosen = kinds if rng.random() < 0.5 else (rng.choice(kinds),)
        return Setting(initial=rng.choice(initials), kinds=chosen)

    def make(rng: Random, where: Setting) -> list[Row]:
        how = style(rng, where.kinds, operations=operations)
        return simulate(rng, rng.choice(made or (thing,)), how, where.initial)

    def truth(rows: Sequence[Row], where: Setting) -> str:
        if not oracle.linearizable(rows, thing, where.initial, mismatches):
            return "invalid"
        counted = [r for r in rows if oracle.counts(r, mismatches) and oracle.answered(r)]
        told = any(r.f in observing for r in counted) and any(r.type == "ok" for r in counted)
        return "valid" if told else "unknown"

    def orders(rows: Sequence[Row], listed: Sequence[int], where: Setting) -> bool:
        return oracle.is_linear(rows, listed, thing, where.initial, mismatches)

    return Property(name=name, setting=setting, make=make, truth=truth, by_key=True, orders=orders)


def sequential() -> Property:
    """All keys at once, in the order of each process."""
    thing = Register()
    keys = ((None,), ("x",), ("x", "y"), ("x", "y"), ("x", None), ("x", "y", "z"))

    def make(rng: Random, where: Setting) -> list[Row]:
        how = style(rng, where.kinds, keys=keys)
        how = how._replace(processes=2 + int(rng.random() * 2), same=rng.random() < 0.2)
        return simulate(rng, thing, how, where.initial)

    def truth(rows: Sequence[Row], where: Setting) -> str:
        if not oracle.sequential(rows, thing, where.initial):
            return "invalid"
        told = any(
            row.f in ("read", "cas") and row.type == "ok" and oracle.answered(row) for row in rows
        )
        return "valid" if told else "unknown"

    def setting(rng: Random) -> Setting:
        chosen = ALL_KINDS if rng.random() < 0.5 else (rng.choice(ALL_KINDS),)
        return Setting(initial=rng.choice((None, None, 0, 1)), kinds=chosen)

    def orders(rows: Sequence[Row], listed: Sequence[int], where: Setting) -> bool:
        return oracle.is_serial(rows, listed, thing, where.initial)

    return Property(
        name="sequential",
        setting=setting,
        make=make,
        truth=truth,
        by_key=False,
        ties=False,
        orders=orders,
    )


def counted(
    name: str,
    things: tuple[Thing, ...],
    truth: Callable[[Sequence[Row], Setting], str],
    *,
    kinds: tuple[str, ...] = ("unique", "unique", "few"),
    initials: tuple[Any, ...] = (None,),
    phases: bool = False,
    nodes: tuple[str | None, ...] = ("n1",),
    finals: tuple[int, int] = (0, 3),
    operations: tuple[int, int] = (3, 9),
    processes: int | None = None,
    broken: float = 0.8,
    keys: tuple[tuple[str | None, ...], ...] = KEYS,
) -> Property:
    """`phases`: whether a run's final phase matters; `finals`: how many operations at the end."""

    def setting(rng: Random) -> Setting:
        final = (150, 300) if phases and rng.random() < 0.5 else None
        return Setting(kinds=kinds, final_ns=final, initial=rng.choice(initials))

    def make(rng: Random, where: Setting) -> list[Row]:
        how = style(rng, where.kinds, keys=keys, operations=operations, broken=broken)
        begin = where.final_ns[0] if where.final_ns else None
        last = rng.randint(*finals)
        how = how._replace(
            finals=last,
            final_ns=begin,
            operations=how.operations + last,
            processes=processes or how.processes,
        )
        made = simulate(rng, rng.choice(things), how, where.initial)
        if len(nodes) == 1:
            return made
        return [row._replace(node=nodes[int(rng.random() * len(nodes))]) for row in made]

    one_node = len(nodes) == 1  # else the lower of two reads is the last, after whatever else ends
    return Property(
        name=name,
        setting=setting,
        make=make,
        truth=truth,
        by_key=True,
        foreign=one_node,
        ties=one_node,
    )


def session_guarantees() -> Property:
    """Registers, as clients ask at random, or as it takes to break the rarer guarantees."""
    about = counted(
        "session-guarantees",
        (PlainRegister(), Register()),
        lambda rows, where: sessions.truth(rows, where.initial),
        kinds=("unique", "unique", "unique", "unique", "json"),
        initials=(None, None, 0, "1"),
        finals=(0, 0),
        operations=(5, 12),
        keys=((None,), ("x",), ("x", "y"), ("x", "y"), ("x", "y"), ("x", None)),
    )

    def make(rng: Random, where: Setting) -> list[Row]:
        return sessions.scripted(rng) if rng.random() < 0.3 else about.make(rng, where)

    return replace(about, make=make, ties=False)  # of one moment the upper row comes first


def long_fork() -> Property:
    """Transactions on keys that are written once."""
    return Property(
        name="long-fork",
        setting=lambda rng: Setting(initial=rng.choice((None, None, 0, "a"))),
        make=lambda rng, where: forks.make(rng, where.initial),
        truth=lambda rows, where: forks.truth(rows, where.initial),
        by_key=False,
    )


def log() -> Property:
    """Logs with offsets; operations of one process may overlap, and rows break their ties."""
    return Property(
        name="log",
        setting=lambda rng: Setting(),
        make=lambda rng, where: logs.make(rng),
        truth=lambda rows, where: logs.truth(rows),
        by_key=False,
        ties=False,
    )


def group(name: str, *, once: bool) -> Property:
    """Consumer groups of logs, whose members may be shown everything `once` only."""
    return Property(
        name=name,
        setting=lambda rng: Setting(),
        make=lambda rng, where: groups.make(rng),
        truth=lambda rows, where: groups.truth(rows, once),
        by_key=False,
        names=False,
        ties=False,
    )


def authorised_edits() -> Property:
    """Edits of a document, whose parts are keys."""
    return Property(
        name="authorised-edits",
        setting=lambda rng: Setting(final_ns=(80, 120) if rng.random() < 0.5 else None),
        make=lambda rng, where: edits.make(rng, where.final_ns),
        truth=lambda rows, where: edits.truth(rows, where.final_ns),
        by_key=False,
        names=False,
    )


COUNTED = (
    counted(
        "set",
        (GrowSet(),),
        lambda rows, where: definitions.set_(rows, where.final_ns),
        phases=True,
        finals=(0, 4),
    ),
    counted("set-full", (GrowSet(),), lambda rows, _: definitions.set_full(rows)),
    counted("total-queue", (Bag(),), lambda rows, _: definitions.total_queue(rows)),
    counted("at-least-once", (Bag(),), lambda rows, _: definitions.total_queue(rows, once=False)),
    counted("unique-ids", (Ids(),), lambda rows, _: definitions.unique_ids(rows), finals=(0, 0)),
    counted(
        "counter",
        (Tally(),),
        lambda rows, where: definitions.counter(rows, where.initial),
        kinds=("few",),
        initials=(None, None, 0, 3, -2),
    ),
    counted(
        "lock",
        (Lock(), Guarded(), Guarded(tokens=True), Guarded(tokens=True)),
        lambda rows, _: definitions.lock(rows),
        finals=(0, 0),
        operations=(8, 14),
        processes=2,
        keys=((None,), ("x",)),
    ),
    counted(
        "convergence",
        (GrowSet(), LastRegister()),
        lambda rows, where: definitions.convergence(rows, where.final_ns),
        kinds=("unique", "few"),
        phases=True,
        nodes=(*("n1", "n2") * 5, "n3", "", None),
        finals=(2, 6),
        operations=(2, 5),
        broken=0.95,
        keys=((None,), ("x",)),
    ),
    counted(
        "staleness",
        (PlainRegister(), Register()),
        lambda rows, where: definitions.staleness(rows, where.initial),
        kinds=("unique", "unique", "unique", "json"),
        initials=(None, None, 0, "1"),
        finals=(0, 0),
        operations=(4, 10),
    ),
    counted(
        "bank",
        (banks.Bank(), banks.Bank(), banks.Overdrawn(), banks.Leaking()),
        lambda rows, where: banks.truth(rows, where.initial),
        initials=banks.INITIALS,
    ),
    session_guarantees(),
    long_fork(),
    log(),
    group("group-at-least-once", once=False),
    group("group-exactly-once", once=True),
    authorised_edits(),
)
INITIAL_LISTS = (None, None, None, [1, 2])
INITIAL_VALUES = (None, None, 0, 1, "1", [1], 1.0)

PROPERTIES = {
    each.name: each
    for each in (
        linearizable(
            "linearizable-register", PlainRegister(), observing=("read",), initials=INITIAL_VALUES
        ),
        linearizable(
            "linearizable-cas-register",
            Register(),
            observing=("read", "cas"),
            initials=INITIAL_VALUES,
            mismatches=True,
        ),
        linearizable(
            "linearizable-kv-append", Text(), observing=("read",), kinds=("unique", "few")
        ),
        linearizable("linearizable-set", Set(), observing=Set.asks, initials=INITIAL_LISTS),
        linearizable(
            "linearizable-queue",
            Queue(),
            observing=("dequeue", "peek"),
            initials=INITIAL_LISTS,
            kinds=ELEMENTS,
            operations=(4, 13),
        ),
        linearizable(
            "linearizable-stack",
            Stack(),
            observing=("pop", "peek"),
            initials=INITIAL_LISTS,
            kinds=ELEMENTS,
            operations=(4, 13),
        ),
        linearizable(
            "linearizable-counter",
            Counter(),
            observing=("read",),
            kinds=("few",),
            initials=(None, None, 0, 3, -1),
        ),
        linearizable(
            "linearizable-lock",
            Lock(),
            observing=("acquire",),
            kinds=("few",),
            made=(Lock(), Lock(tokens=True)),
        ),
        sequential(),
        *COUNTED,
    )
}
