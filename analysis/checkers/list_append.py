"""`list-append`: transactions of appends and reads; which models of isolation they rule out.

After Elle (Kingsbury & Alvaro 2020): a list shows the order in which it was written. All that is
found, and what it rules out, is defined in docs/transactions.md.
"""

from __future__ import annotations

from analysis.checkers.base import Anomaly, CheckResult, Claim, Context, Verdict, too_little
from analysis.checkers.kinds import Kind
from analysis.checkers.prose import counted, number
from analysis.checkers.stories import Story
from analysis.history import History
from analysis.transactions.columns import Transactions, read_transactions
from analysis.transactions.engine import Refuted
from analysis.transactions.judge import Judge, judged, left_out
from analysis.transactions.kinds import cycle_kinds, flaw_kinds, form_kinds
from analysis.transactions.list_models import MODELS, Models
from analysis.transactions.list_problem import problem_of_lists
from analysis.transactions.list_stories import stories
from analysis.transactions.lists import analyse_lists, nothing_said
from analysis.transactions.register_stories import Stories

PROPERTY = "list-append"
SEARCHED_MAX = 20_000  # transactions of a history in which unseen appends are searched for an order
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
        return _result(history, Verdict.UNKNOWN, f"{nothing}{left_out(analysis.left_out)}")
    models = Models(analysis)
    if analysis.strict is None or analysis.flaws:
        holds, more = _searched(models, context, sessions=context.models == "axiomatic")
        anomalies = tuple(story.anomaly(history) for story in stories(models, more))
        counts = counted(anomalies)
        why = f"{counts}; {judged(holds)}{left_out(analysis.left_out)}"
        return _result(history, Verdict.INVALID, why, anomalies=anomalies)
    if analysis.left_out:
        return _result(history, Verdict.UNKNOWN, f"nothing is wrong{left_out(analysis.left_out)}")
    if small := too_little(history, context):
        return _result(history, Verdict.UNKNOWN, small)
    order = analysis.rows(analysis.strict)
    why = (
        f"{number(len(order), 'transaction')} in an order that explains every read and keeps "
        "sessions and real time; consistent with every model"
    )
    claim = {"kind": "serialization", "order": order}
    return _result(history, Verdict.VALID, why, claim=claim)


def _searched(
    models: Models, context: Context, *, sessions: bool
) -> tuple[dict[str, bool | None], list[Story]]:
    """What each model says; where unseen appends leave it open, after a search, and then the
    contradiction of the weakest model that only the search refutes.
    """
    analysis = models.analysis
    holds = {model: models.decide(model, sessions=sessions) for model in MODELS}
    open_ = [model for model, held in holds.items() if held is None]
    if not open_ or len(analysis.transactions) > SEARCHED_MAX:
        return holds, []
    engine = Judge(
        problem_of_lists(analysis), models.flaws, context.meter, context.models
    )  # fmt: skip
    found: list[Story] = []
    for model in open_:
        holds[model] = engine.holds(model)
        decision = engine.decide(model)
        if isinstance(decision, Refuted) and not found:
            found = [Stories(analysis.transactions, (), engine).contradiction(decision)]
    return holds, found


def _result(
    history: History,
    verdict: Verdict,
    why: str,
    *,
    anomalies: tuple[Anomaly, ...] = (),
    claim: Claim | None = None,
) -> CheckResult:
    return CheckResult(
        property=PROPERTY,
        verdict=verdict,
        why=why,
        operations=len(history),
        anomalies=anomalies,
        claim=claim,
    )
