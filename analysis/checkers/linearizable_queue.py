"""`linearizable-queue`: every key behaves like one first-in-first-out queue on one machine."""

from __future__ import annotations

import numpy as np

from analysis.checkers import fifo
from analysis.checkers.base import CheckResult, Context
from analysis.checkers.elements import NOBODY, Elements
from analysis.checkers.kinds import HENZINGER, Kind
from analysis.checkers.sequence_checker import judge, kinds
from analysis.checkers.sequences import Discipline, in_turn
from analysis.history import History, Mask

PROPERTY = "linearizable-queue"
_WORDS = ("enqueue", "dequeue", "peek")
KINDS = (
    *kinds(PROPERTY, *_WORDS),
    Kind(
        property=PROPERTY,
        name="lost-element",
        counts="elements never dequeued, though one enqueued after them was",
        rules_out="that what was acknowledged comes out again",
        reference=HENZINGER,
        acknowledged=True,
    ),
    Kind(
        property=PROPERTY,
        name="out-of-order",
        counts="dequeues of an element before one that was enqueued before it",
        rules_out="first in, first out",
        reference=HENZINGER,
    ),
    Kind(
        property=PROPERTY,
        name="false-empty",
        counts='answers "empty" while there was certainly something in the queue',
        rules_out="linearizability (of what may be missed)",
        reference=HENZINGER,
    ),
    Kind(
        property=PROPERTY,
        name="non-linearizable",
        counts="queues that have no linear order for any other reason",
        rules_out="linearizability",
        reference=HENZINGER,
    ),
)


def _hazy(elements: Elements) -> Mask:
    """Seen at the head, and perhaps taken by a joker: the order in which jokers took is open."""
    looked = np.zeros(len(elements), np.bool_)
    looked[elements.looks.element] = True
    hazy: Mask = looked & (elements.take == NOBODY)
    return hazy


DISCIPLINE = Discipline(
    name="queue",
    words=_WORDS,
    arrange=fifo.decide,
    order=fifo.order,
    guesses=(in_turn(lambda elements: elements.put_end),),
    hazy=_hazy,
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of queues (f: enqueue, dequeue, peek), key by key."""
    return judge(history, context, PROPERTY, DISCIPLINE)
