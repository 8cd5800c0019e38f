"""What is true of a history of transactions: a verdict of each property."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.truth.rows import Row
from tests.truth.transactions import graphs, schedules
from tests.truth.transactions.facts import Facts
from tests.truth.transactions.graphs import Needs
from tests.truth.transactions.told import LISTS, REGISTERS, Told, earlier, precedes, told

MODELS = (
    "read-uncommitted",
    "read-committed",
    "read-atomic",
    "causal",
    "parallel-snapshot-isolation",
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "serializable",
    "strict-serializable",
)
KINDS = {"list-append": LISTS, "rw-register": REGISTERS}
NAMES = (*KINDS, *MODELS)
ALWAYS = {"thin-air-read", "future-read", "duplicate-elements", "incompatible-order"}
FLAWS = {
    "read-uncommitted": ALWAYS,
    "read-committed": ALWAYS | {"G1a", "G1b"},
}  # what one transaction alone breaks; of the others also `internal`
RULED_OUT = {
    **dict.fromkeys(("G0", *ALWAYS), "read-uncommitted"),
    **dict.fromkeys(("G1a", "G1b", "G1c"), "read-committed"),
    **dict.fromkeys(("internal", "fractured-read"), "read-atomic"),
    **dict.fromkeys(("lost-update", "G-single"), "parallel-snapshot-isolation"),
    **dict.fromkeys(("G-nonadjacent", "long-fork"), "snapshot-isolation"),
    **dict.fromkeys(("G2-item", "write-skew"), "serializable"),
}  # the weakest model that each anomaly breaks
SUFFIXES = ("-process", "-realtime")  # where sessions count, and where time does
CHAIN = tuple(model for model in MODELS if model != "causal" and not model.startswith("str"))
WEAKER = {
    "read-committed": ("read-uncommitted",),
    "read-atomic": ("read-committed",),
    "causal": ("read-atomic",),
    "parallel-snapshot-isolation": ("read-atomic",),
    "snapshot-isolation": ("parallel-snapshot-isolation",),
    "strong-session-snapshot-isolation": ("snapshot-isolation", "causal"),
    "serializable": ("snapshot-isolation",),
    "strict-serializable": ("serializable", "strong-session-snapshot-isolation"),
    **dict.fromkeys(KINDS, ("serializable", "strong-session-snapshot-isolation")),
}  # the models next to each, which allow more
STRONG = ("strong-session-snapshot-isolation", "strict-serializable", "causal")


def truths(rows: Sequence[Row], initial: Any, dialect: str) -> dict[str, str]:
    """valid, invalid or unknown, by property."""
    history = told(rows, initial)
    if history is None:
        return dict.fromkeys(NAMES, "unknown")
    holds = which(history, dialect)
    good = "unknown" if history.left_out else "valid"
    found = {name: good if holds[name] else "invalid" for name in MODELS}
    for name, kind in KINDS.items():
        found[name] = found["strict-serializable"] if kind == history.kind else "unknown"
    return found


def which(history: Told, dialect: str) -> dict[str, bool]:
    """Whether each model holds: the strong ones by running transactions, the others by graphs."""
    facts, runs = Facts(history), schedules.Runs(history)
    counted = dialect == "axiomatic"
    found = {}
    for model in reversed(MODELS):
        if facts.flaws & FLAWS.get(model, ALWAYS | {"G1a", "G1b", "internal"}):
            found[model] = False
            continue
        sessions = counted or model in STRONG
        found[model] = _scheduled(runs, model, sessions) if model in SCHEDULED else by_graph(
            facts, model, sessions
        )  # fmt: skip
    return found


SCHEDULED = MODELS[5:]


def _scheduled(runs: schedules.Runs, model: str, sessions: bool) -> bool:
    order = [precedes] if sessions else []
    if model.endswith("serializable"):
        return schedules.serial(runs, order + [earlier] * model.startswith("strict"))
    return schedules.snapshots(runs, order)


def by_graph(facts: Facts, model: str, sessions: bool) -> bool:
    """Whether a model holds as docs/transactions.md words it, if no transaction breaks it alone."""
    needs = Needs(sessions=sessions)
    if model == "read-uncommitted":
        return graphs.uncommitted_read(facts, needs)
    if model == "read-committed" and not sessions:
        return graphs.committed_read(facts)
    if model in ("read-committed", "read-atomic", "causal"):
        return graphs.axiom(facts, model, needs)
    if model == "parallel-snapshot-isolation":
        return graphs.orders(facts, graphs.parallel, needs)
    if model.endswith("snapshot-isolation"):
        return graphs.orders(facts, graphs.snapshot, needs)
    needs = needs._replace(realtime=model.startswith("strict"))
    return graphs.orders(facts, graphs.serializable, needs)


def ruled_out(anomaly: str, dialect: str) -> tuple[str | None, str]:
    """The weakest model that an anomaly breaks, and where (an axiomatic model has sessions)."""
    if anomaly.endswith("-realtime"):
        return "strict-serializable", dialect
    base = anomaly.removesuffix("-process")
    return RULED_OUT.get(base), dialect if base == anomaly else "axiomatic"


def misnamed(names: Sequence[str], rows: Sequence[Row], initial: Any) -> str:
    """What is wrong about the anomalies found in an invalid history: one that breaks a model
    which holds, or a model that is broken with no anomaly that says so. Of Adya's models.
    """
    truth = {dialect: truths(rows, initial, dialect) for dialect in ("adya", "axiomatic")}
    for name in names:
        model, dialect = ruled_out(name, "adya")
        if truth[dialect].get(str(model)) != "invalid":
            return f"{name}, but {model} holds"
    broken = next((model for model in CHAIN if truth["adya"][model] == "invalid"), None)
    told_so = [model for name in names if (model := RULED_OUT.get(name)) in CHAIN]
    if broken and not any(CHAIN.index(str(model)) <= CHAIN.index(broken) for model in told_so):
        return f"no anomaly that breaks {broken}"
    return ""
