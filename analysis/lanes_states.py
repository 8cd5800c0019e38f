"""What an object held before and after each operation, as far as its operations have an order.

For properties with a model: the operations of the witness's key, up to the first answer that leaves
no order, have one; it is replayed. That order is one of many, so the states are possible ones.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.calls import hints_of, read_calls
from analysis.checkers.models import MODELS, Literal, Model, Op, literal
from analysis.checkers.search import decide, order_until
from analysis.history import INFO, History, Ints

BUDGET = 1_000_000  # steps of the search for an order
STATE_LENGTH = 60  # characters of a state
STATES_MAX = 6  # of those that open operations could make
_SEVERAL = ("set", "queue", "stack")  # whose initial value is a list
_OPERATIONS = {
    "register": ("read", "write", "cas"),
    "cas-register": ("read", "write", "cas"),
    "kv-append": ("read", "write", "append"),
    "set": ("add", "remove", "contains", "read"),
    "queue": ("enqueue", "dequeue", "peek"),
    "stack": ("push", "pop", "peek"),
    "counter": ("add", "read"),
    "lock": ("acquire", "release"),
}


@dataclass(frozen=True, slots=True)
class States:
    """Of one operation: its place in the order (from 1; 0: it is not in it), and what was there."""

    place: int = 0
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """`states` by row; `first`: the first answer that leaves no order, if it is known."""

    states: Mapping[int, States] = field(default_factory=dict)
    first: int | None = None
    why: str = ""
    about: str = ""


NOTHING_KNOWN = Followed(
    about="No state is shown: this property is not decided by an order of one object's operations."
)


def follow(
    history: History, property_: str, witness: Ints, guess: int | None, initial: Any
) -> Followed:
    """The states of the witness's object; `guess` may be the answer that leaves no order. Never
    raises for what a history holds.
    """
    name = property_.removeprefix("linearizable-")
    keys = {history.key.at(int(row)) for row in witness}
    if name == property_ or name not in MODELS or len(keys) != 1:
        return NOTHING_KNOWN
    rows = _of_key(history, _OPERATIONS[name], keys.pop())
    try:
        plain = [literal(v) for v in initial or ()] if name in _SEVERAL else literal(initial)
        model = MODELS[name](plain)
        search = _Search(history, rows, name, model)
        until = guess if search.is_first(guess) else search.until()
        return search.replayed(until)
    except Exhausted:
        return Followed(about=f"No order was found in {BUDGET:,} steps: no state is shown.")
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        return Followed(about=f"No state is shown: {error}")


class _Search:
    """Looks for orders of one object's operations."""

    def __init__(self, history: History, rows: Ints, name: str, model: Model) -> None:
        self._history, self._rows, self._name, self._model = history, rows, name, model
        self._meter = Meter(BUDGET)

    def is_first(self, row: int | None) -> bool:
        """Whether this is the first answer that leaves no order."""
        if row is None or row not in self._rows:
            return False
        end = int(self._history.end_ns[row])
        return self._order(end) is None and self._order(self._just_before(end)) is not None

    def until(self) -> int | None:
        """The first answer that leaves no order; None: there is an order of all."""
        return decide(self._history, self._rows, self._model, self._meter).until

    def replayed(self, until: int | None) -> Followed:
        """States along an order of what was answered before `until` was."""
        end = int(self._history.end_ns[self._rows].max(initial=0))
        last = end if until is None else self._just_before(int(self._history.end_ns[until]))
        order = self._order(last)
        if order is None:  # answers at the very first moment
            order = np.empty(0, np.int64)
        ops = self._ops(last)
        state, states = self._model.initial, {}
        for place, row in enumerate(order.tolist(), 1):
            after = self._model.step(state, ops[row])
            states[row] = States(place, self._text(state), self._text(after))
            state = after if after is not None else state
        count = f"{len(order):,} operation{'' if len(order) == 1 else 's'}"
        about = f"States are those of one order of the first {count}; there may be others."
        if until is None:
            return Followed(states=states, about=about)
        why = self._why(until, state, set(order.tolist()))
        states[until] = States(0, self._text(state), "")
        return Followed(states=states, first=until, why=why, about=about)

    def _why(self, until: int, state: Hashable, placed: set[int]) -> str:
        """In which states the operation would have to be possible, and is not."""
        ops = self._ops(int(self._history.end_ns[until]))
        still_open = [op for row, op in ops.items() if row not in placed and row != until]
        found, front = [state], [(state, frozenset[int]())]
        while front and len(found) < STATES_MAX:
            here, used = front.pop()
            for number, op in enumerate(still_open):
                after = None if number in used else self._model.step(here, op)
                if after is not None and after not in found:
                    found.append(after)
                    front.append((after, used | {number}))
        others = " or ".join(self._text(other) for other in found[1:STATES_MAX])
        could = f"; operations still open then could make it {others}" if others else ""
        who = f"process {int(self._history.process[until])}'s {self._history.f.at(until)}"
        return (
            f"The first answer that leaves no order is that of {who}, row {until}. In the order "
            f"shown the state is then {self._text(state)}{could}; the answer is possible in none "
            "of these states, nor in those that any other order leads to."
        )

    def _text(self, state: Any) -> str:
        return state_text(self._name, state)

    def _order(self, end_ns: int) -> Ints | None:
        return order_until(self._history, self._rows, self._model, self._meter, end_ns)

    def _just_before(self, end_ns: int) -> int:
        """The last answer before that moment, or a moment before all."""
        ends = self._history.end_ns[self._rows[self._history.type[self._rows] != INFO]]
        return int(ends[ends < end_ns].max(initial=np.iinfo(np.int64).min))

    def _ops(self, end_ns: int) -> dict[int, Op]:
        """What began by then, as the model sees it then."""
        hints = hints_of(self._model)
        calls = read_calls(self._history, self._rows, hints).until(end_ns, hints)
        return dict(zip(calls.rows, calls.ops, strict=True))


def _of_key(history: History, functions: Sequence[str], key: str | None) -> Ints:
    chosen = np.zeros(len(history), np.bool_)
    for f in functions:
        chosen |= history.f.equals(f)
    same = [code for code, name in enumerate(history.key.names) if name == key]
    return np.flatnonzero(chosen & np.isin(history.key.codes, [-1] if key is None else same))


def state_text(name: str, state: Any) -> str:
    """A state of the model of that name, in a few characters."""
    if name in ("register", "cas-register"):
        return _value(state[0])
    if name == "lock":
        holder, token, _ = state
        shown = "" if token is None else f" with token {_value(token)}"
        return "free" if holder is None else f"held by process {holder}{shown}"
    if name in _SEVERAL:
        members = sorted(state, key=str) if name == "set" else list(state)
        texts = [_value(member) for member in members[:8]]
        more = f", … {len(members):,} in all" if len(members) > 8 else ""
        return f"{{{', '.join(texts)}{more}}}" if name == "set" else f"[{', '.join(texts)}{more}]"
    return _value(state)


def _value(value: Any) -> str:
    if isinstance(value, Literal):
        return _short(value.text)
    if isinstance(value, tuple):
        return _short(f"[{', '.join(map(_value, value))}]")
    return "nothing" if value is None else _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= STATE_LENGTH else f"{text[: STATE_LENGTH - 1]}…"
