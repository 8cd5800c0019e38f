"""The sequential objects again: steps that change a state in place, or say that they cannot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import pyarrow as pa

from analysis.proof.rows import Op, plain


class Model(NamedTuple):
    """`step` says whether an operation is possible in a state, and if so changes it."""

    acts: tuple[str, ...]
    tells: tuple[str, ...]  # the operations whose answers tell something
    step: Callable[[Any, Op], bool]
    first: Callable[[Any], Any]  # the state at first, from the initial value
    thaw: Callable[[Any], Any] = list  # a state, from what `freeze` made of another
    freeze: Callable[[Any], Hashable] = tuple


def _register(state: list[Any], op: Op) -> bool:
    if op.f == "read":
        return not op.ok or bool(state[0] == plain(op.value))
    if op.f == "cas-mismatch":
        return bool(state[0] != plain(op.expected))
    if op.f == "cas" and state[0] != plain(op.expected):
        return False
    state[0] = plain(op.value)
    return True


def _kv_append(state: list[str], op: Op) -> bool:
    text = "" if op.value is None else op.value
    if op.f == "read":
        return not op.ok or state[0] == text
    state[0] = text if op.f == "write" else state[0] + text
    return True


def _counter(state: list[int], op: Op) -> bool:
    if op.f == "read":
        return not op.ok or state[0] == (0 if op.value is None else plain(op.value))
    state[0] += 1 if op.value is None else op.value
    return True


def _set(state: set[Any], op: Op) -> bool:
    if op.f == "read":
        shown = [plain(element) for element in op.value or ()]
        return not op.ok or (len(shown) == len(state) and set(shown) == state)
    element, yes = answer(op.value)
    if op.ok and yes != ((element in state) != (op.f == "add")):
        return False
    if op.f == "add":
        state.add(element)
    elif op.f == "remove":
        state.discard(element)
    return True


def answer(value: Any) -> tuple[Any, bool]:
    """(element, answer) of what a set's operation carries; an element alone is the answer yes."""
    if type(value) is list and len(value) == 2 and type(value[1]) is bool:
        return plain(value[0]), value[1]
    return plain(value), True


def _queue(state: deque[Any], op: Op, end: int = 0) -> bool:
    if op.f in ("enqueue", "push"):
        state.append(plain(op.value))
        return True
    if op.ok and (state[end] if state else None) != plain(op.value):
        return False
    if op.f != "peek" and state:
        del state[end]
    return True


def _stack(state: deque[Any], op: Op) -> bool:
    return _queue(state, op, -1)


def _lock(state: list[Any], op: Op) -> bool:
    """Tokens grow from one acquisition to the next; a release with one carries its holder's."""
    holder, token, last = state
    grows = op.value is None or last is None or op.value > last
    newest = last if op.value is None else op.value
    if op.f == "acquire":
        state[:] = op.process, op.value, newest
        return holder is None and grows
    state[:] = None, None, newest if token is None else last
    shown = op.value is None or op.value == token
    return bool(holder == op.process and (shown or (token is None and grows)))


def own_model(own: Any, table: pa.Table) -> Model:
    """A model of the user's own (`initial`, `step`): every operation of the history is its own."""

    def step(state: list[Any], op: Op) -> bool:
        state[0] = own.step(state[0], op)
        return state[0] is not None

    functions = filter(None, table.column("f").unique().to_pylist())
    return Model((), tuple(functions), step, lambda initial: [own.initial])


MODELS = {
    "register": Model(("write",), ("read", "cas"), _register, lambda initial: [plain(initial)]),
    "kv-append": Model(("write", "append"), ("read",), _kv_append, lambda initial: [initial or ""]),
    "counter": Model(("add",), ("read",), _counter, lambda initial: [initial or 0]),
    "set": Model((), ("add", "remove", "contains", "read"), _set,
                 lambda initial: set(map(plain, initial or ())), set, frozenset),
    "queue": Model(("enqueue",), ("dequeue", "peek"), _queue,
                   lambda initial: deque(map(plain, initial or ())), deque),
    "stack": Model(("push",), ("pop", "peek"), _stack,
                   lambda initial: deque(map(plain, initial or ())), deque),
    "lock": Model(("release",), ("acquire",), _lock, lambda initial: [None, None, None]),
}  # fmt: skip
MODELS["cas-register"] = MODELS["register"]
