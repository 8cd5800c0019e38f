"""`list-append`: transactions of appends and reads; which models of isolation they rule out.

After Elle (Kingsbury & Alvaro 2020): a list shows the order in which it was written. All that is
found, and what it rules out, is defined in docs/transactions.md.
"""

from __future__ import annotations

from analysis.checkers.base import CheckResult, Context, Verdict, too_little
from analysis.checkers.kinds import Kind
from analysis.checkers.prose import number
from analysis.history import History
from analysis.transactions.columns import Transactions, read_transactions
from analysis.transactions.kinds import cycle_kinds, flaw_kinds, form_kinds
from analysis.transactions.list_models import MODELS, Models
from analysis.transactions.list_stories import stories
from analysis.transactions.lists import Analysis, analyse_lists, nothing_said

PROPERTY = "list-append"
KINDS: tuple[Kind, ...] = (
    *flaw_kinds(PROPERTY, lists=True),
    *form_kinds(PROPERTY),
    *cycle_kinds(PROPERTY),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether transactions of list appends (f: txn) are strict serializable; if not, why."""
    return judge(read_transactions(history), context)


def judge(told: Transactions, context: Context) -> CheckResult:
    """The same of transactions whose payloads have been read."""
    history = told.history
    if nothing := nothing_said(told):
        return _result(history, Verdict.UNKNOWN, nothing)
    analysis = analyse_lists(told)
    context.meter.in_time()
    if nothing := analysis.nothing():
        return _result(history, Verdict.UNKNOWN, f"{nothing}{_left_out(analysis)}")
    models = Models(analysis)
    if analysis.strict is None or analysis.flaws:
        anomalies = tuple(story.anomaly(history) for story in stories(models))
        counts = ", ".join(f"{anomaly.count:,} {anomaly.name}" for anomaly in anomalies)
        why = f"{counts}; {judged(models, context.models)}{_left_out(analysis)}"
        return _result(history, Verdict.INVALID, why, anomalies=anomalies)
    if analysis.left_out:
        return _result(history, Verdict.UNKNOWN, f"nothing is wrong{_left_out(analysis)}")
    if small := too_little(history, context):
        return _result(history, Verdict.UNKNOWN, small)
    order = analysis.rows(analysis.strict)
    why = (
        f"{number(len(order), 'transaction')} in an order that explains every read and keeps "
        "sessions and real time; consistent with every model"
    )
    claim = {"kind": "serialization", "order": order}
    return _result(history, Verdict.VALID, why, claim=claim)


def judged(models: Models, dialect: str) -> str:
    """Which models a history rules out, and which it is consistent with, the weakest first."""
    sessions = dialect == "axiomatic"
    found = {model: models.decide(model, sessions=sessions) for model in MODELS}
    out = [model.replace("-", " ") for model, holds in found.items() if holds is False]
    consistent = [model.replace("-", " ") for model, holds in found.items() if holds]
    open_ = [model.replace("-", " ") for model, holds in found.items() if holds is None]
    parts = [f"rules out {', '.join(out) or 'no model'}"]
    parts.append(f"consistent with {', '.join(consistent) or 'none'}")
    parts += [f"undecided: {', '.join(open_)}"] if open_ else []
    return "; ".join(parts)


def _left_out(analysis: Analysis) -> str:
    """What was not looked at."""
    if not analysis.left_out:
        return ""
    keys = number(analysis.left_out, "key")
    return f"; left out {keys} with a value that was written more than once, and read"


def _result(history: History, verdict: Verdict, why: str, **more: object) -> CheckResult:
    return CheckResult(property=PROPERTY, verdict=verdict, why=why, operations=len(history), **more)  # type: ignore[arg-type]
