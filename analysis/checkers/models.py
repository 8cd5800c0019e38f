"""Sequential objects: what a state is, and which operations may happen in it.

A model is all that the general search needs. A user may write one in a few lines and check a
history against it (docs/checkers.md has an example that a test executes).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from analysis.history import MISMATCH
from analysis.values import canonical


@dataclass(frozen=True, slots=True)
class Op:
    """One operation as a model sees it.

    `ok`: it was acknowledged, and `value` holds its result (reads) or argument (writes).
    Otherwise it may have happened, and its result is unknown: `value` is the argument or None.
    A failed cas that found another value is an ok operation `cas-mismatch` with `expected`.
    """

    f: str
    value: Any = None  # int, None, or any JSON value
    expected: Any = None  # cas only
    ok: bool = True
    process: int = 0


class Model(Protocol):
    """A sequential object. States are hashable values, never changed in place.

    Only these two are needed. The methods of `Hints` are used where a model has them.
    """

    initial: Hashable

    def step(self, state: Hashable, op: Op) -> Hashable | None:
        """The state after `op`, None when it is impossible in `state` (no state is ever None)."""


ANY = object()  # what an operation takes that depends on the state in a way of its own


class Hints:
    """What a model may say besides, to be searched faster. The answers here are always sound."""

    wants_mismatch = False  # is a failed cas that found another value an observation?
    literal = False  # are values to be hashable, and equal only if they are as JSON?

    def observes(self, op: Op) -> bool:
        """Whether `op` leaves every state as it is."""
        return False

    def likeness(self, op: Op) -> Hashable:
        """Operations with equal likeness do the same in every state."""
        return (op.f, repr(op.value), repr(op.expected), op.ok, op.process)

    def unanswered(self, op: Op) -> Op:
        """An acknowledged `op` as it was before its answer came: `ok` is False, no result."""
        return op

    def overwrites(self, op: Op) -> bool:
        """Whether `op` is always possible, and what it leaves does not depend on what was there."""
        return False

    def provides(self, op: Op) -> Hashable | None:
        """A token for what `op` leaves; None: it cannot be said what that is good for.

        Right after an operation that gives a token, one that does not take it is impossible, or
        leaves what it would have left before.
        """
        return None

    def requires(self, op: Op) -> Hashable | None:
        """The token that `op` needs, ANY if it may need any, None if it is always the same."""
        return ANY


class _Builtin(Hints):
    """Models whose operations do not depend on who asks; reads among them change nothing."""

    literal = True
    initial: Hashable
    looks: frozenset[str] = frozenset({"read"})  # operations that change nothing

    def observes(self, op: Op) -> bool:
        return op.f in self.looks

    def likeness(self, op: Op) -> Hashable:
        return (op.f, op.value, op.expected)

    def unanswered(self, op: Op) -> Op:
        return replace(op, value=None if op.f in self.looks else op.value, ok=False)


class Register(_Builtin):
    """`write`, `read`, `cas`. The state is a tuple of the one value, for that may be None."""

    looks = frozenset({"read", MISMATCH})

    def __init__(self, initial: Any = None) -> None:
        self.initial = (initial,)

    def overwrites(self, op: Op) -> bool:
        """A write does."""
        return op.f == "write"

    def provides(self, op: Op) -> Hashable | None:
        """The value that is there then."""
        return (op.value,)

    def requires(self, op: Op) -> Hashable | None:
        """The value that must be there."""
        if op.f == MISMATCH:
            return ANY
        return None if op.f == "write" else (op.value if op.f == "read" else op.expected,)

    def step(self, state: Any, op: Op) -> Any:
        """Reads and cas need the value that is there."""
        if op.f == "write":
            return (op.value,)
        if op.f == "read":
            return state if not op.ok or state[0] == op.value else None
        if op.f == "cas":
            return (op.value,) if state[0] == op.expected else None
        if op.f == MISMATCH:
            return state if state[0] != op.expected else None
        return None


class CasRegister(Register):
    """A register whose failed cas has seen that another value was there."""

    wants_mismatch = True


class KvAppend(_Builtin):
    """`write` (or `put`) and `append` of texts, and `read` of the whole. Null reads as ""."""

    def __init__(self, initial: Any = None) -> None:
        self.initial = "" if initial is None else initial

    def overwrites(self, op: Op) -> bool:
        """A write does."""
        return op.f == "write"

    def step(self, state: Any, op: Op) -> Any:
        """Reads need exactly the text that is there."""
        text = "" if op.value is None else op.value
        if op.f == "append":
            return state + text
        if op.f == "write":
            return text
        if op.f == "read":
            return state if not op.ok or text == state else None
        return None


class Counter(_Builtin):
    """`add` of any integer (null: 1) and `read` of the count (null: 0)."""

    def __init__(self, initial: Any = None) -> None:
        self.initial = initial or 0

    def observes(self, op: Op) -> bool:
        """To add nothing changes nothing."""
        return op.f in self.looks or (op.f == "add" and op.value == 0)

    def step(self, state: Any, op: Op) -> Any:
        """Reads need exactly the sum."""
        if op.f == "add":
            return state + (1 if op.value is None else op.value)
        if op.f == "read":
            return state if not op.ok or (0 if op.value is None else op.value) == state else None
        return None


class Set(_Builtin):
    """`add`, `remove`, `contains` of an element, with an answer; `read` of all (a list)."""

    looks = frozenset({"read", "contains"})

    def __init__(self, initial: Any = None) -> None:
        self.initial = frozenset(initial or ())

    def observes(self, op: Op) -> bool:
        """An answer no changes nothing either."""
        return op.f in self.looks or (op.ok and not answer(op.value)[1])

    def likeness(self, op: Op) -> Hashable:
        """Without an answer it matters that there is none."""
        return (op.f, op.value, op.ok)

    def unanswered(self, op: Op) -> Op:
        """The element without the answer."""
        return Op(op.f, None if op.f == "read" else answer(op.value)[0], ok=False)

    def step(self, state: Any, op: Op) -> Any:
        """An acknowledged operation needs its answer to be true of `state`."""
        if op.f == "read":
            shown = op.value or ()
            same = not op.ok or (len(shown) == len(state) and set(shown) == state)
            return state if same else None
        element, yes = answer(op.value)
        if op.f not in ("add", "remove", "contains"):
            return None
        there = element in state
        if op.ok and yes != (there is not (op.f == "add")):
            return None
        if op.f == "contains" or (op.ok and not yes):
            return state
        return state | {element} if op.f == "add" else state - {element}


class _Sequence(_Builtin):
    """A queue or a stack: a tuple of elements, one end of which is next. Null: it was empty."""

    puts: str
    takes: str
    looks = frozenset({"peek"})
    end: int  # where the next element is: 0 or -1

    def __init__(self, initial: Any = None) -> None:
        self.initial = tuple(initial or ())

    def observes(self, op: Op) -> bool:
        """To be told that there is nothing changes nothing."""
        return op.f in self.looks or (op.f == self.takes and op.ok and op.value is None)

    def likeness(self, op: Op) -> Hashable:
        """Without an answer it matters that there is none."""
        return (op.f, op.value, op.ok or op.f == self.puts)

    def unanswered(self, op: Op) -> Op:
        """What was taken is not known."""
        return Op(op.f, op.value if op.f == self.puts else None, ok=False)

    def step(self, state: Any, op: Op) -> Any:
        """An indeterminate take removes whatever is next."""
        if op.f == self.puts:
            return (*state, op.value)
        if op.f not in (self.takes, *self.looks):
            return None
        following = state[self.end] if state else None
        if op.ok and (following != op.value):
            return None
        if op.f in self.looks or not state:
            return state
        return state[1:] if self.end == 0 else state[:-1]


class Queue(_Sequence):
    """`enqueue`, `dequeue`, `peek`: first in, first out."""

    puts, takes, end = "enqueue", "dequeue", 0


class Stack(_Sequence):
    """`push`, `pop`, `peek`: last in, first out."""

    puts, takes, end = "push", "pop", -1


class Lock(_Builtin):
    """`acquire` and `release` by processes. The state: (holder or None, its token, last token).

    Tokens that are carried must grow from one acquisition to the next, and a release that carries
    one must carry its holder's. Whoever has shown no token is not held to one.
    """

    looks = frozenset()

    def __init__(self, initial: Any = None) -> None:
        self.initial = (None, None, None)

    def likeness(self, op: Op) -> Hashable:
        """It matters who asks, and whether a token was shown."""
        return (op.f, _token(op), op.process)

    def unanswered(self, op: Op) -> Op:
        """An acquisition's token is its answer; a release's was known before."""
        return replace(op, value=op.value if op.f == "release" else None, ok=False)

    def step(self, state: Any, op: Op) -> Any:
        """Acquire what is free, release what one holds."""
        holder, token, last = state
        shown = _token(op)
        grows = shown is not None and (last is None or shown > last)
        if op.f == "acquire" and holder is None:
            if shown is None:
                return (op.process, None, last)
            return (op.process, shown, shown) if grows else None
        if op.f == "release" and holder == op.process:
            if shown is None or shown == token:
                return (None, None, last)
            return (None, None, shown) if token is None and grows else None
        return None


def _token(op: Op) -> Any:
    """The token that is known: an acquisition that was not answered showed none."""
    return op.value if op.ok or op.f == "release" else None


def answer(value: Any) -> tuple[Any, bool]:
    """(element, answer) of what a set's operation carries; an element alone is the answer yes."""
    if isinstance(value, tuple) and len(value) == 2 and value[1] in (YES, NO):
        return value[0], bool(value[1] == YES)
    return value, True


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON value that Python would take for another (true for 1, 1.0 for 1), or cannot hash."""

    text: str


def literal(value: Any) -> Any:
    """The value so that two are equal, and hash alike, exactly if they are equal as JSON.

    Integers, texts and null are themselves, a list is a tuple, anything else a Literal.
    """
    if value is None or type(value) in (int, str):
        return value
    if isinstance(value, list):
        return tuple(literal(element) for element in value)
    return Literal(canonical(value))


YES, NO = Literal("true"), Literal("false")
MODELS: Mapping[str, Callable[[Any], Model]] = {  # by the name in claims; of the initial value
    "register": Register,
    "cas-register": CasRegister,
    "kv-append": KvAppend,
    "set": Set,
    "queue": Queue,
    "stack": Stack,
    "counter": Counter,
    "lock": Lock,
}
