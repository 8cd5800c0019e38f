"""What is true of transactions, found in two ways; engines that keep what they promise."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from tests.truth import rows
from tests.truth.rows import Row
from tests.truth.transactions import (
    change,
    claims,
    engines,
    graphs,
    judge,
    medium,
    oracle,
    schedules,
)
from tests.truth.transactions import visibility as seen
from tests.truth.transactions.facts import Facts
from tests.truth.transactions.graphs import Needs
from tests.truth.transactions.simulate import simulate
from tests.truth.transactions.told import LISTS, REGISTERS, earlier, precedes, told

KINDS = (LISTS, REGISTERS)
WEAK = ("parallel-snapshot-isolation", "causal", "read-atomic")


def drawn(kind: str, count: int, most: int, seed: str = "1"):
    """Histories with committed transactions of that kind, of at most so many."""
    rng = Random(f"{seed} {kind}")
    while count:
        history = simulate(rng, kind, None)
        known = told(history, None)
        if known is not None and len(Facts(known).txns) <= most:
            count -= 1
            yield history, known


def by_graph(known, model: str, sessions: bool) -> bool:
    facts = Facts(known)
    flaws = oracle.FLAWS.get(model, oracle.ALWAYS | {"G1a", "G1b", "internal"})
    return not facts.flaws & flaws and oracle.by_graph(facts, model, sessions)


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("model", oracle.SCHEDULED)
@pytest.mark.parametrize("kind", KINDS)
def test_schedules_and_graphs_agree(kind, model, sessions):
    found = set()
    for history, known in drawn(kind, 800, most=7):
        runs, order = schedules.Runs(known), [precedes] * sessions
        if model.endswith("serializable"):
            runs_so = schedules.serial(runs, order + [earlier] * model.startswith("strict"))
        else:
            runs_so = schedules.snapshots(runs, order)
        assert by_graph(known, model, sessions) == runs_so, rows.told(history)
        found.add(runs_so)
    assert found == {True, False}


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("model", WEAK)
@pytest.mark.parametrize("kind", KINDS)
def test_who_sees_whom_and_graphs_agree(kind, model, sessions):
    found = set()
    for history, known in drawn(kind, 400, most=4):
        runs, order = schedules.Runs(known._replace(txns=tuple(Facts(known).txns))), [precedes]
        if model == WEAK[0]:
            sees_so = seen.parallel(runs, order * sessions)
        else:
            counted = order * (sessions or model == "causal")
            sees_so = seen.axiomatic(runs, transitive=model == "causal", precedes=counted)
        assert by_graph(known, model, sessions) == sees_so, rows.told(history)
        found.add(sees_so)
    assert found == {True, False}


KEPT = {
    engines.Serial: oracle.MODELS,
    engines.Engine: ("strong-session-snapshot-isolation",),
    engines.Old: ("snapshot-isolation",),
    engines.OldSession: ("strong-session-snapshot-isolation",),
    engines.Sites: ("parallel-snapshot-isolation",),
    engines.Atomic: ("read-atomic",),
    engines.CommittedPast: ("read-committed",),
    engines.Dirty: ("read-uncommitted",),
}
ANYWAY = {engines.Serial, engines.Engine, engines.Old, engines.OldSession, engines.Sites}


ENGINES = [  # of lists not all: own elements behind a list that is not the newest are another list
    (engine, kind) for kind in KINDS for engine in KEPT if kind != LISTS or engine in ANYWAY
]


@pytest.mark.parametrize(("engine", "kind"), ENGINES)
def test_an_engine_keeps_its_promise(engine, kind):
    rng = Random(engine.__name__)
    for _ in range(400):
        history = simulate(rng, kind, None, engines=(engine,), broken=0.0)
        truths = oracle.truths(history, None, "adya")
        assert "invalid" not in {truths[model] for model in KEPT[engine]}, rows.told(history)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", medium.PROMISES)
def test_an_engine_of_many_clients_keeps_its_promises(engine, kind):
    rng = Random(engine.__name__)
    for _ in range(60):
        history = medium.history(rng, engine, kind, 7)
        truths = oracle.truths(history, None, "adya")
        assert "invalid" not in {truths[model] for model in medium.PROMISES[engine]}


def test_read_committed_and_causal_engines_keep_their_promise_to_sessions(monkeypatch):
    monkeypatch.setattr(engines.Sites, "roaming", 0.0)
    rng = Random(1)
    for engine, model in ((engines.Committed, "read-committed"), (engines.Causal, "causal")):
        for _ in range(400):
            history = simulate(rng, REGISTERS, None, engines=(engine,), broken=0.0)
            truths = oracle.truths(history, None, "axiomatic")
            assert truths[model] != "invalid", rows.told(history)


@pytest.mark.parametrize("dialect", ["adya", "axiomatic"])
@pytest.mark.parametrize("kind", KINDS)
def test_some_order_shows_that_a_model_holds_if_and_only_if_it_does(kind, dialect):
    for history, _ in drawn(kind, 120, most=4):
        if len(history) > 4:
            continue
        truths = oracle.truths(history, None, dialect)
        listed = [at for at, row in enumerate(history) if row.type != "fail"]
        sure = [at for at in listed if history[at].type == "ok"]
        orders = [
            list(order)
            for size in range(len(sure), len(listed) + 1)
            for order in permutations(listed, size)
            if set(sure) <= set(order)
        ]
        for name in oracle.NAMES:
            if truths[name] == "unknown":
                continue
            claim = "commit-order" if name in claims.COMMITS else "serialization"
            if name not in claims.COMMITS and "snapshot" in name:
                continue
            some = any(
                claims.holds(name, history, None, dialect, {"kind": claim, "order": order})
                for order in orders
            )
            assert some == (truths[name] == "valid"), f"{name} {rows.told(history)}"


@pytest.mark.parametrize("initial", [None, 0, 1, [0]])
@pytest.mark.parametrize("kind", KINDS)
def test_harmless_changes_change_no_verdict(kind, initial):
    rng = Random(f"{kind}{initial}")
    for _ in range(500):
        history = simulate(rng, kind, initial)
        other = change.harmless(rng, history, initial)
        for dialect in ("adya", "axiomatic"):
            expected = oracle.truths(history, initial, dialect)
            assert oracle.truths(other, initial, dialect) == expected, rows.told(history)


def test_stronger_models_allow_less():
    rng = Random(3)
    for _ in range(1_000):
        history = simulate(rng, rng.choice(KINDS), None)
        for dialect, chain in (("adya", oracle.MODELS[:3]), ("axiomatic", oracle.MODELS)):
            found = oracle.truths(history, None, dialect)
            holds = [found[model] != "invalid" for model in chain]
            assert holds == sorted(holds, reverse=True), rows.told(history)


def as_rows(text: str, **row) -> list[Row]:
    """`wx1 rx- | ry1` as registers: one transaction after the other, each of a process."""
    made = []
    for at, part in enumerate(text.split("|")):
        steps = [
            [f, key, None if value == "-" else int(value)] for f, key, value in part.split()
        ]  # fmt: skip
        made.append(Row("txn", steps, at, at + 10, process=at, **row))
    return made


def as_lists(text: str) -> list[Row]:
    """The same of lists: `ax1 rx12`."""
    return [
        row._replace(
            value=[
                ["r", step[1], [int(v) for v in step[2:] if v != "-"]]
                if step[0] == "r"
                else ["append", step[1], int(step[2])]
                for step in part.split()
            ]
        )
        for row, part in zip(as_rows("|".join(["r x 1".replace(" ", "")] * len(
            text.split("|")))), text.split("|"), strict=True)
    ]  # fmt: skip


RULED_OUT = {  # by the weakest model that is broken; sessions and time play no part
    "write skew": ("rx- ry- wx1 | rx- ry- wy2", "serializable"),
    "lost update": ("rx- wx1 | rx- wx2", "parallel-snapshot-isolation"),
    "long fork": ("wx1 | wy2 | rx1 ry- | rx- ry2", "snapshot-isolation"),
    "fractured read": ("wx1 wy2 | ry- rx1", "read-atomic"),
    "causality": ("wx1 | rx1 wy2 | ry2 rx-", "causal"),
    "circular information flow": ("wx1 ry2 | wy2 rx1", "read-committed"),
    "intermediate read": ("wx1 wx2 | rx1", "read-committed"),
    "thin air": ("wx1 | rx7", "read-uncommitted"),
    "future read": ("rx1 wx1", "read-uncommitted"),
    "read twice": ("wx1 | rx- rx1", "read-atomic"),
    "three in a circle": ("rx- wy1 | ry- wz2 | rz- wx3", "serializable"),
    "one reader sees it": ("rx- ry- wx1 | ry- wy2 | rx- ry2", "serializable"),
    "one after the other": ("rx- wx1 | rx1 wx2 | rx2", None),
}
OF_LISTS = {
    "write cycle": ("ax1 ay2 | ax3 ay4 | rx13 ry42", "read-uncommitted"),
    "elements between": ("ax1 ax2 | ax3 | rx132", "read-uncommitted"),
    "two beginnings": ("ax1 | ax2 | rx1 | rx2", "read-uncommitted"),
    "twice the same": ("ax1 | rx11", "read-uncommitted"),
    "own elements turned": ("ax1 ax3 | rx31", "read-uncommitted"),
    "write skew": ("rx- ry- ax1 | rx- ry- ay2", "serializable"),
    "unseen appends, one list": (
        "rx- ry- ax1 az3 | rx- ry- ay2 az4",
        "parallel-snapshot-isolation",
    ),
    "one after the other": ("ax1 | rx1 ax2 | rx12", None),
}


@pytest.mark.parametrize("why", RULED_OUT)
def test_what_registers_rule_out(why):
    text, weakest = RULED_OUT[why]
    _ruled_out(as_rows(text), weakest)


@pytest.mark.parametrize("why", OF_LISTS)
def test_what_lists_rule_out(why):
    text, weakest = OF_LISTS[why]
    _ruled_out(as_lists(text), weakest)


def _ruled_out(history, weakest):
    held = list(oracle.MODELS)
    held = held[: held.index(weakest)] if weakest else held
    for dialect in ("adya", "axiomatic"):
        found = oracle.truths(history, None, dialect)
        assert [model for model in oracle.MODELS if found[model] == "valid"] == held


def test_what_aborted_transactions_wrote():
    one, other = as_rows("wx1 | rx1")
    for kind, verdict in (("fail", "invalid"), ("info", "valid"), ("ok", "valid")):
        found = oracle.truths([one._replace(type=kind), other], None, "adya")
        assert found["read-committed"] == found["serializable"] == verdict
        assert found["read-uncommitted"] == "valid"


def test_sessions_and_real_time():
    stale = as_rows("wx1 | rx-")
    later = [stale[0], stale[1]._replace(start=20, end=30)]
    same = [row._replace(process=1) for row in later]
    weakest = {"adya": "strong-session-snapshot-isolation", "axiomatic": "read-atomic"}
    for dialect, model in weakest.items():
        found = oracle.truths(same, None, dialect)
        assert found[model] == found["causal"] == "invalid"
        assert found["snapshot-isolation"] == ("valid" if dialect == "adya" else "invalid")
        other = oracle.truths(later, None, dialect)
        assert [name for name in oracle.MODELS if other[name] == "invalid"] == [
            "strict-serializable"
        ]
        assert "invalid" not in oracle.truths(stale, None, dialect).values()


def test_what_axiomatic_read_committed_adds():
    found = as_rows("wx1 wy2 | wx3 wy4 | rx3 ry2 | rx1 ry4")
    assert oracle.truths(found, None, "adya")["read-committed"] == "valid"
    assert oracle.truths(found, None, "axiomatic")["read-committed"] == "invalid"


@pytest.mark.parametrize(
    "history",
    [
        as_rows("wx1 | wx2"),
        as_rows("rx- | rx-"),
        as_rows("wx1 | wx1 | rx1"),
        as_rows("wx1 | rx1") + as_lists("ax1 | rx1"),
        [*as_lists("ax1"), *as_rows("rx1")],
    ],
)
def test_when_nothing_can_be_said(history):
    assert set(oracle.truths(history, None, "adya").values()) == {"unknown"}


def test_a_key_with_an_ambiguous_value_is_left_out():
    skew = as_rows("rx- ry- wx1 | rx- ry- wy2 | wz5 | wz5 | rz5")
    found = oracle.truths(skew, None, "adya")
    assert (found["serializable"], found["snapshot-isolation"]) == ("invalid", "unknown")


def test_facts_and_needs_have_defaults():
    assert Needs() == (False, False)
    assert graphs.acyclic([2, 4, 0])
    assert not graphs.acyclic([2, 4, 1])
    assert set(judge.NAMES) <= set(oracle.NAMES)
