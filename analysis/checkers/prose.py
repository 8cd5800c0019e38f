"""Operations in words, with just enough decimals to tell their times apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from analysis.history import FAIL, INFO, MISMATCH, History

if TYPE_CHECKING:
    from analysis.checkers.base import Anomaly

_DECIMALS = (3, 6, 9)
_LONGEST = 60  # characters of a value; of a longer one half as many from each end
_HALF = _LONGEST // 2 - 1
_VERBS = {
    "read": "read",
    "write": "wrote",
    "cas": "swapped",
    "add": "added",
    "append": "appended",
    "enqueue": "enqueued",
    "dequeue": "dequeued",
    "push": "pushed",
    "pop": "popped",
    "peek": "saw",
    "acquire": "acquired",
    "release": "released",
    "revoke": "revoked",
    "admit": "admitted",
}
_WHERE = {
    "read": "from",
    "cas": "in",
    "dequeue": "from",
    "pop": "from",
    "peek": "next in",
    "revoke": "from",
}
_TAKES = frozenset({"dequeue", "pop"})  # what these carry is their answer
_NAMELESS = {  # an object without a key
    "add": "the set",
    "append": "the text",
    "enqueue": "the queue",
    "dequeue": "the queue",
    "drain": "the queue",
    "push": "the stack",
    "pop": "the stack",
    "acquire": "the lock",
    "release": "the lock",
    "guarded": "the lock",
}


def seconds(ns: int, decimals: int = 3) -> str:
    """`1_203_000_000` as "1.203 s"."""
    return f"{ns / 1e9:.{decimals}f} s"


def span_ms(ns: int) -> str:
    """A length of time in words: "0.4 ms", "37 ms", "2.1 s"."""
    if ns >= 1_000_000_000:
        return f"{ns / 1e9:.1f} s"
    return f"{ns / 1e6:.0f} ms" if ns >= 10_000_000 else f"{ns / 1e6:.3g} ms"


def counted(anomalies: Iterable[Anomaly]) -> str:
    """How often each occurs: "2 lost, 1 unexpected"."""
    return ", ".join(f"{anomaly.count:,} {anomaly.name}" for anomaly in anomalies)


def number(count: int, noun: str) -> str:
    """`4021, "add"` as "4,021 adds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(value: Any) -> str:
    """A value as JSON, shortened if it is long; "nothing" for null."""
    if value is None:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_HALF]} … {text[-_HALF:]}"


class Teller:
    """Tells the operations of one witness. `nameless`: what an object without a key is called."""

    def __init__(self, history: History, rows: Iterable[int], nameless: str = "") -> None:
        self._history = history
        self._nameless = nameless
        times = {int(t) for row in rows for t in (history.start_ns[row], history.end_ns[row])}
        self._decimals = next(
            (d for d in _DECIMALS if len({f"{t / 1e9:.{d}f}" for t in times}) == len(times)),
            _DECIMALS[-1],
        )

    def at(self, ns: int) -> str:
        """A time, exact enough for this witness."""
        return seconds(int(ns), self._decimals)

    def who(self, row: int) -> str:
        """ "process 3"."""
        return f"process {int(self._history.process[row])}"

    def value(self, row: int) -> str:
        """The value written or read, shortened if it is long; "nothing" for null."""
        return short(self._carried(row)[1])

    def seen(self, row: int) -> str:
        """The value the operation found: a read's value, a cas's expected one."""
        return short(self._carried(row)[0])

    def _carried(self, row: int) -> tuple[Any, Any]:
        """(value found, value left); of anything but a cas both are what it carries."""
        content = self._history.content(row)
        if self._history.f.at(row) != "cas":
            return content, content
        if isinstance(content, list) and not self._history.value.valid[row]:
            return content[0], content[1]
        return self._history.expected.at(row), content

    def key(self, row: int) -> str:
        """ "k0"; without keys "the set" or "the register"."""
        f = str(self._history.f.at(row))
        if f == "peek":
            f = "push" if "push" in self._history.f.names else "enqueue"
        return self._history.key.at(row) or self._nameless or _NAMELESS.get(f, "the register")

    def deed(self, row: int) -> str:
        """ "write of 17", "read of 17", "swap of 17 for 18"."""
        f = self._history.f.at(row)
        if f == "cas":
            return f"swap of {self.seen(row)} for {self.value(row)}"
        return f"{f} of {self.value(row)}"

    def whose(self, row: int) -> str:
        """ "process 5's write of 23"."""
        return f"{self.who(row)}'s {self.deed(row)}"

    def did(self, row: int) -> str:
        """A whole clause with place and time."""
        history = self._history
        f = str(history.f.at(row))
        what = f"{self.seen(row)} for {self.value(row)}" if f == "cas" else self.value(row)
        where = _WHERE.get(f, "to")
        start, end = int(history.start_ns[row]), int(history.end_ns[row])
        when = f"between {self.at(start)} and {self.at(end)}"
        if history.type[row] == INFO:
            when = f"at {self.at(start)} (and never learned whether it happened)"
            what = "something" if f in _TAKES else what
        if history.type[row] == FAIL and history.errors(MISMATCH)[row]:
            return f"{self.who(row)} was refused its {self.deed(row)} in {self.key(row)} {when}"
        if history.type[row] == FAIL:
            when += " (and was told that it failed)"
        if f not in _VERBS:
            what = "" if what == "nothing" else f" {what}"
            return f"{self.who(row)} did {f}{what} on {self.key(row)} {when}"
        if f in ("acquire", "release"):
            what = "" if what == "nothing" else f" with token {what}"
            return f"{self.who(row)} {_VERBS[f]} {self.key(row)}{what} {when}"
        return f"{self.who(row)} {_VERBS[f]} {what} {where} {self.key(row)} {when}"

    def done(self, row: int) -> str:
        """ "process 5's write of 23 had completed at 1.100 s"."""
        verb = "had returned" if self._history.f.at(row) == "read" else "had completed"
        return f"{self.whose(row)} {verb} at {self.at(int(self._history.end_ns[row]))}"

    def began(self, row: int) -> str:
        """ "process 5's write of 23 began at 1.050 s"."""
        return f"{self.whose(row)} began at {self.at(int(self._history.start_ns[row]))}"
