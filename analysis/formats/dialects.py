"""How operations are spelt in EDN and in JSON: what shapes.py and blockwise.py know of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from analysis.formats import edn, jsontext, microops
from analysis.history import Mask

NUMBER = r"-?(?:0|[1-9][0-9]{0,17})"
MANY = object()
_STRING = r'"[^"\\\x00-\x1f]*"'


class Forms(Protocol):
    """The forms of a text that comes in pieces (edn.Forms, jsontext.Forms)."""

    rest: str  # what the last piece left unread
    begun: bool  # whether a form was there
    closed: bool  # whether what is around the forms has ended

    def feed(self, text: str, *, final: bool) -> Iterator[tuple[Any, int]]:
        """(form, its position); edn.Malformed where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to spell operations. Patterns are RE2; a value has one group, or none."""

    forms: Callable[[], Forms]
    one: Callable[[str], Any]  # the only value in a text
    transactions: Callable[[pa.Array], tuple[pa.Array, Mask]]  # of microops.py
    null: str
    strict: bool  # `listed` matches more than may be in a list
    opens: str  # before the first key
    key: str  # with a place for its name
    assigns: str  # between key and value
    separates: str  # between entries
    simple: str  # a value that is no collection and no text
    listed: str  # vectors within vectors, three deep
    taken: dict[str, str]  # what is captured of a key's value
    begins_text: str  # what a text or a list begins with
    name: str  # a key of jepsen.independent's pairs

    def only(self, text: str) -> Any:
        """The only value in a text, `MANY` when there are several or none."""
        try:
            return self.one(text)
        except (edn.Malformed, edn.Incomplete):
            return MANY

    @property
    def text(self) -> str:
        """A text without escapes: the same in JSON."""
        return _STRING

    @property
    def entry(self) -> re.Pattern[str]:
        """A key and its value, and what comes before the next."""
        name = self.key.format(r"([\w.-]+)")
        value = f"({self.simple}|{_STRING}|{self.listed})"
        return re.compile(rf"{name}{self.assigns}{value}(?:{self.separates}|(?=[\s,]*\}}))")

    @property
    def swap(self) -> str:
        """The value of a cas."""
        part = f"{self.null}|{NUMBER}"
        return rf"^\[(?P<old>{part}){self.separates}(?P<new>{part})\]$"

    @property
    def pair(self) -> str:
        """A key and its value in one list."""
        return rf"^\[(?P<key>{self.name}){self.separates}(?P<value>.*)\]$"


def _nested(inside: str) -> str:
    """A list of what is `inside`, and of such lists, three deep."""
    found = rf"\[(?:{inside})*\]"
    for _ in range(2):
        found = rf"\[(?:{inside}|{found})*\]"
    return found


def _taken(kind: str, f: str, simple: str, listed: str) -> dict[str, str]:
    return {
        "type": kind,
        "process": f"({NUMBER})",
        "time": f"({NUMBER})",
        "index": f"({NUMBER})",
        "f": f,
        "value": f"({simple}|{_STRING}|{listed})",
        "key": f"({simple}|{_STRING})",
        "error": f"({simple}|{_STRING}|{listed})",
    }


_ATOM = r'[^\s,{}\[\]()";#\\^@`~][^\s,{}\[\]()";#\\]*'
_VECTOR = _nested(r'[^\[\]{}()";#\\^@`~]|' + _STRING)
EDN = Dialect(
    forms=edn.Forms,
    one=edn.one,
    transactions=microops.of_edn,
    null="nil",
    strict=False,
    opens=r"[\s,]*(?:#[A-Za-z][\w.]*)?\{[\s,]*",  # the parser drops tags, too
    key=":{}",
    assigns=r"[\s,]+",
    separates=r"[\s,]+",
    simple=_ATOM,
    listed=_VECTOR,
    taken=_taken(r":(invoke|ok|fail|info)", r":([^\s,{}\[\]()\";#\\:]+)", _ATOM, _VECTOR),
    begins_text='"[',
    name=rf"{NUMBER}|:?[A-Za-z][\w.-]*|{_STRING}",
)
_SCALAR = r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"
_ARRAY = _nested(r'[^\[\]{}"\\]|' + _STRING)
JSON = Dialect(
    forms=jsontext.Forms,
    one=jsontext.one,
    transactions=microops.of_json,
    null="null",
    strict=True,
    opens=r"[\s,]*\{\s*",
    key='"{}"',
    assigns=r"\s*:\s*",
    separates=r"\s*,\s*",
    simple=_SCALAR,
    listed=_ARRAY,
    taken=_taken(r'"(invoke|ok|fail|info)"', r'"([^"\\:\x00-\x1f]+)"', _SCALAR, _ARRAY),
    begins_text='"[',
    name=f"{NUMBER}|{_STRING}",
)
