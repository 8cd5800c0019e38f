"""`rw-register`: transactions of writes and reads; which models of isolation they rule out.

The order of versions is not known: what every order would have to keep is saturated, an order that
explains everything is replayed, and what is left open is searched. docs/transactions.md defines the
names, docs/checkers.md says how.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis.checkers.base import CheckResult, Context, Verdict, too_little
from analysis.checkers.kinds import Kind
from analysis.checkers.prose import counted, number
from analysis.history import History
from analysis.transactions.columns import Transactions, read_transactions
from analysis.transactions.engine import MODELS, STRICT, Accepted, Undecided
from analysis.transactions.judge import Judge, judged, left_out
from analysis.transactions.kinds import cycle_kinds, flaw_kinds, form_kinds
from analysis.transactions.register_stories import Stories
from analysis.transactions.registers import analyse_registers, nothing_said

PROPERTY = "rw-register"
KINDS: tuple[Kind, ...] = (
    *flaw_kinds(PROPERTY, lists=False),
    *form_kinds(PROPERTY),
    *cycle_kinds(PROPERTY),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether transactions of writes and reads (f: txn) are strict serializable, or why."""
    return judge(read_transactions(history), context)


def judge(told: Transactions, context: Context) -> CheckResult:
    """The same of transactions that have been read."""
    history = told.history
    if nothing := nothing_said(told):
        return _result(history, Verdict.UNKNOWN, nothing)
    registers = analyse_registers(told, context.initial)
    more = left_out(registers.left_out)
    names = [flaw.name for flaw in registers.flaws]
    models = Judge(registers.problem, names, context.meter, context.models)
    found = None if names else models.decide(STRICT)
    if isinstance(found, Accepted):
        if registers.left_out:
            return _result(history, Verdict.UNKNOWN, f"nothing is wrong{more}")
        if small := too_little(history, context):
            return _result(history, Verdict.UNKNOWN, small)
        why = (
            f"{number(len(found.order), 'transaction')} in an order that explains every read and "
            "keeps sessions and real time; consistent with every model"
        )
        claim = {"kind": found.kind, "order": found.order}
        return _result(history, Verdict.VALID, why, claim=claim)
    anomalies = tuple(
        story.anomaly(history)
        for story in Stories(registers.transactions, registers.flaws, models).all()
    )
    holds = {model: models.holds(model) for model in MODELS}
    if anomalies:
        counts = counted(anomalies)
        why = f"{counts}; {judged(holds)}{more}"
        return _result(history, Verdict.INVALID, why, anomalies=anomalies)
    assert isinstance(found, Undecided)
    why = f"not decided: {found.why}; {judged(holds)}{more}"
    return _result(history, Verdict.UNKNOWN, why)


def _result(history: History, verdict: Verdict, why: str, **more: Any) -> CheckResult:
    result = CheckResult(property=PROPERTY, verdict=verdict, why=why, operations=len(history))
    return replace(result, **more)
