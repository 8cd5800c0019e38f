"""`linearizable-stack`: every key behaves like one last-in-first-out stack on one machine."""

from __future__ import annotations

from analysis.checkers import lifo
from analysis.checkers.base import CheckResult, Context
from analysis.checkers.elements import NOBODY
from analysis.checkers.kinds import EMMI_ENEA, Kind
from analysis.checkers.sequence_checker import judge, kinds
from analysis.checkers.sequences import Discipline, in_turn, last_come
from analysis.checkers.stack_jokers import as_needed
from analysis.history import History

PROPERTY = "linearizable-stack"
_WORDS = ("push", "pop", "peek")
KINDS = (
    *kinds(PROPERTY, *_WORDS),
    Kind(
        property=PROPERTY,
        name="out-of-order",
        counts="groups of elements, there at overlapping times, none of which can lie below the "
        "others",
        rules_out="last in, first out",
        reference=EMMI_ENEA,
    ),
    Kind(
        property=PROPERTY,
        name="false-empty",
        counts='answers "empty" while there was certainly something on the stack',
        rules_out="linearizability (of what may be missed)",
        reference=EMMI_ENEA,
    ),
    Kind(
        property=PROPERTY,
        name="non-linearizable",
        counts="stacks that have no linear order for any other reason",
        rules_out="linearizability",
        reference=EMMI_ENEA,
    ),
)
DISCIPLINE = Discipline(
    name="stack",
    words=_WORDS,
    arrange=lifo.decide,
    order=lifo.order,
    guesses=(as_needed, last_come, in_turn(lambda elements: elements.shown)),
    hazy=lambda elements: elements.take == NOBODY,
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of stacks (f: push, pop, peek), key by key."""
    return judge(history, context, PROPERTY, DISCIPLINE)
