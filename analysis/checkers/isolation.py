"""The nine models of isolation by name, for lists and for registers: whether a history keeps each.

docs/transactions.md defines them; lists are judged by `list_models.py`, registers by `engine.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from analysis.checkers.base import Checker, CheckResult, Claim, Context, Verdict, too_little
from analysis.checkers.kinds import Kind
from analysis.checkers.prose import number
from analysis.checkers.stories import Story
from analysis.history import History
from analysis.transactions.columns import Transactions, read_transactions
from analysis.transactions.engine import MODELS, Accepted, Refuted, Undecided
from analysis.transactions.judge import LEVEL, Judge, left_out
from analysis.transactions.kinds import cycle_kinds, flaw_kinds, form_kinds
from analysis.transactions.list_models import Models
from analysis.transactions.list_problem import problem_of_lists
from analysis.transactions.list_stories import RANK, stories
from analysis.transactions.lists import analyse_lists
from analysis.transactions.lists import nothing_said as nothing_of_lists
from analysis.transactions.register_stories import Stories
from analysis.transactions.registers import analyse_registers
from analysis.transactions.registers import nothing_said as nothing_of_registers

KINDS: tuple[Kind, ...] = tuple(
    kind
    for model in MODELS
    for kinds in (flaw_kinds(model, lists=True), form_kinds(model), cycle_kinds(model))
    for kind in kinds
)
_MANY = "{} in an order of {} that {} allows"
_ORDERS = {
    "serialization": "their own, one after another,",
    "snapshots": "snapshots and commits",
    "commit-order": "commits",
}


def check(model: str, history: History, context: Context) -> CheckResult:
    """One model of one history."""
    return judge(model, read_transactions(history), context)


def judge(model: str, told: Transactions, context: Context) -> CheckResult:
    """The same of transactions that have been read."""
    history = told.history
    found = _of_lists if told.lists else _of_registers
    verdict, why, claim, told_stories = found(model, told, context)
    if verdict is Verdict.VALID and (small := too_little(history, context)):
        verdict, why, claim = Verdict.UNKNOWN, small, None
    return CheckResult(
        property=model,
        verdict=verdict,
        why=why,
        claim=claim,
        anomalies=tuple(story.anomaly(history) for story in told_stories),
        operations=len(history),
    )


Found = tuple[Verdict, str, Claim | None, list[Story]]


def _of_registers(model: str, told: Transactions, context: Context) -> Found:
    if nothing := nothing_of_registers(told):
        return Verdict.UNKNOWN, nothing, None, []
    registers = analyse_registers(told, context.initial)
    more = left_out(registers.left_out)
    names = [flaw.name for flaw in registers.flaws]
    models = Judge(registers.problem, names, context.meter, context.models)
    stories_of = Stories(registers.transactions, registers.flaws, models)
    if models.flawed(model):
        return _ruled_out(model, stories_of.of(model), more)
    decision = models.decide(model)
    if isinstance(decision, Refuted):
        return _ruled_out(model, stories_of.of(model), more)
    return _decided(model, decision, more)


def _decided(model: str, decision: Accepted | Undecided | Refuted, more: str) -> Found:
    """What a decision that is no contradiction says."""
    if isinstance(decision, Undecided):
        return Verdict.UNKNOWN, f"not decided: {decision.why}{more}", None, []
    assert isinstance(decision, Accepted), decision
    return _kept(model, {"kind": decision.kind, "order": decision.order}, more)


def _kept(model: str, claim: Claim, more: str) -> Found:
    if more:
        return Verdict.UNKNOWN, f"nothing is wrong{more}", None, []
    order, kind = claim["order"], str(claim["kind"])
    size = len(order) // 2 if kind == "snapshots" else len(order)
    why = _MANY.format(number(size, "transaction"), _ORDERS[kind], model.replace("-", " "))
    return Verdict.VALID, why, claim, []


def _ruled_out(model: str, found: list[Story], more: str) -> Found:
    counts = ", ".join(f"{story.count:,} {story.name}" for story in found)
    return Verdict.INVALID, f"{counts}; not {model.replace('-', ' ')}{more}", None, found


def _of_lists(model: str, told: Transactions, context: Context) -> Found:
    if nothing := nothing_of_lists(told):
        return Verdict.UNKNOWN, nothing, None, []
    analysis = analyse_lists(told)
    more = left_out(analysis.left_out)
    if nothing := analysis.nothing():
        return Verdict.UNKNOWN, nothing + more, None, []
    context.meter.in_time()
    models = Models(analysis)
    asked = Judge(
        problem_of_lists(analysis), [flaw.name for flaw in analysis.flaws], context.meter,
        context.models,
    )  # fmt: skip
    rules = asked.rules(model)
    counts = {"sessions": rules.sessions, "realtime": rules.realtime}
    holds = models.decide(model, **counts)
    if holds is False:
        told_of = [
            story
            for story in stories(models)
            if _breaks(story.name, model, sessions=rules.sessions, realtime=rules.realtime)
        ]
        if told_of:
            return _ruled_out(model, told_of, more)
    shown = models.shown(model, **counts) if holds else None
    if shown is not None:
        return _kept(model, {"kind": shown.kind, "order": analysis.rows(shown.order)}, more)
    decision = asked.decide(model)  # appends that nobody saw, or what has no name among lists
    if isinstance(decision, Refuted):
        told_of = [Stories(analysis.transactions, (), asked).contradiction(decision)]
        return _ruled_out(model, told_of, more)
    return _decided(model, decision, more)


def _breaks(name: str, model: str, *, sessions: bool, realtime: bool) -> bool:
    """Whether an anomaly of lists rules a model out."""
    if name.endswith("-realtime"):
        name, counts = name.removesuffix("-realtime"), realtime
    elif name.endswith("-process"):
        name, counts = name.removesuffix("-process"), sessions
    else:
        counts = True
    return counts and RANK[name] <= LEVEL[model]


def _checker(model: str) -> Checker:
    found = partial(check, model)
    found.__doc__ = f"Decide whether transactions (f: txn) keep {model.replace('-', ' ')}, or why."
    return found


CHECKERS: Mapping[str, Checker] = {model: _checker(model) for model in MODELS}
