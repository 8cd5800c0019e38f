"""EDN, as Clojure prints it, into values that JSON can say. Nothing in it is executed.

Keywords, symbols, characters and ratios become their text (`:kw`, `sym`, `\\a`, `1/3`), sets become
sorted lists, tags and metadata are dropped and what they tag is kept: `#jepsen.history.Op{…}` is a
map. Map keys are texts. Integers are exact whatever their size, and 1, 1.0 and "1" stay apart.
(https://github.com/edn-format/edn)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from analysis.formats.source import DEPTH_MAX, DIGITS_MAX

_TOKEN = re.compile(
    r"""[\s,]*+(?:
      (?P<comment>;[^\n]*\n?)
    | (?P<string>\#?"[^"\\]*+(?:\\.[^"\\]*+)*+")
    | (?P<discard>\#_|\^)
    | (?P<open>\#\{|[\[({])
    | (?P<close>[\])}])
    | (?P<atom>\#\#\w+|[^\s,"\[\](){};\\\#^@`~][^\s,"\[\](){};]*)
    | (?P<char>\\(?:[^\W_]\w*|.))
    | (?P<object>\#<[^>]*>)
    | (?P<tag>\#[^\s,"\[\](){};\#<_][^\s,"\[\](){};]*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"[\s,]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)N?")
_DECIMAL = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?")
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_WORDS = {"nil": None, "true": True, "false": False}


class Malformed(Exception):
    """(expected, got, position): the text at `position` is no EDN."""


class Incomplete(Exception):
    """The text ends within a form."""


def canonical(value: Any) -> str:
    """A value as JSON: equal values have equal texts, and others do not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def one(text: str) -> Any:
    """The only form in `text`; Malformed or Incomplete when there is not exactly one."""
    value, end = parse(f"{text} ", 0)  # the space ends an atom
    if _SPACE.fullmatch(text, min(end, len(text))) is None:
        raise Malformed("one value", repr(text[end : end + 20]), end)
    return value


class _Frame:
    """A collection that is being read, and the prefixes waiting for its next form."""

    __slots__ = ("at", "items", "opened", "prefixes")

    def __init__(self, opened: str, at: int) -> None:
        self.opened = opened
        self.at = at
        self.items: list[Any] = []
        self.prefixes: list[bool] = []  # True: the next form is dropped

    def add(self, value: Any) -> None:
        while self.prefixes:
            if self.prefixes.pop():
                return
        self.items.append(value)


def parse(text: str, start: int) -> tuple[Any, int]:
    """The form that begins at or after `start`, and the position after it.

    Raises Malformed, or Incomplete when the text ends first (also where it holds no form at all).
    """
    frames = [_Frame("", start)]
    at = start
    while not frames[0].items:
        match = _TOKEN.match(text, at)
        if match is None:
            return _stuck(text, at)
        kind, at, begun = match.lastgroup, match.end(), match.start(match.lastgroup or 0)
        token = text[begun:at]
        frame = frames[-1]
        if kind == "atom":
            if at == len(text) and len(frames) == 1:
                raise Incomplete  # it may go on in what is not read yet
            frame.add(_atom(token, begun))
        elif kind == "open":
            if len(frames) > DEPTH_MAX:
                raise Malformed(f"at most {DEPTH_MAX} collections in each other", "more", begun)
            frames.append(_Frame(token, begun))
        elif kind == "close":
            if _CLOSES.get(frame.opened) != token or frame.prefixes:
                raise Malformed(_wanted(frame), repr(token), begun)
            frames.pop()
            frames[-1].add(_collection(frame))
        elif kind == "string":
            frame.add(_string(token.removeprefix("#"), begun))
        elif kind in ("char", "object"):
            frame.add(token)
        elif kind in ("discard", "tag"):
            frame.prefixes.append(kind == "discard")
        elif not token.endswith("\n"):
            raise Incomplete  # a comment that may go on
    return frames[0].items[0], at


def _wanted(frame: _Frame) -> str:
    if frame.prefixes:
        return "a value after a tag, ^ or #_"
    return repr(_CLOSES[frame.opened]) if frame.opened else "a value"


def _stuck(text: str, at: int) -> tuple[Any, int]:
    """Raises what it means that no token begins at `at`."""
    space = _SPACE.match(text, at)
    at = space.end() if space else at
    rest = text[at : at + 2]
    if rest in ("", "#", "\\") or rest[0] == '"' or rest in ('#"', "#<"):
        raise Incomplete
    raise Malformed("a value", repr(text[at : at + 20]), at)


def _collection(frame: _Frame) -> Any:
    if frame.opened == "{":
        return _map(frame)
    if frame.opened == "#{":
        return sorted(frame.items, key=_rank)
    return frame.items


def _rank(item: Any) -> tuple[bool, int, str]:
    """Integers by size, then everything else by its JSON."""
    whole = isinstance(item, int) and not isinstance(item, bool)
    return not whole, item if whole else 0, "" if whole else canonical(item)


def _map(frame: _Frame) -> dict[str, Any]:
    items = frame.items
    if len(items) % 2:
        raise Malformed("a value for each key of a map", "a key alone", frame.at)
    found: dict[str, Any] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        name = key if isinstance(key, str) else canonical(key)
        if name in found:
            raise Malformed("each key of a map once", f"{name[:40]} twice", frame.at)
        found[name] = value
    return found


def _atom(token: str, at: int) -> Any:
    if token in _WORDS:
        return _WORDS[token]
    if token[0] in "0123456789+-":
        if len(token) > DIGITS_MAX:
            raise Malformed(f"numbers of at most {DIGITS_MAX} digits", f"{len(token)}", at)
        if _INTEGER.fullmatch(token):
            return int(token.removesuffix("N"))
        if _DECIMAL.fullmatch(token):
            return _decimal(token)
    return token


def _decimal(token: str) -> float | str:
    """A float where that is exact, or the text is of a double; else the text of the decimal."""
    digits = token.removesuffix("M")
    value = float(digits)
    if not math.isfinite(value) or (digits != token and Decimal(digits) != Decimal(value)):
        return token
    return value


def _string(token: str, at: int) -> str:
    if "\\" not in token:
        return token[1:-1]

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        if code not in _ESCAPES:
            raise Malformed("an escape such as \\n or \\u0041", repr(match[0]), at)
        return _ESCAPES[code]

    text = _ESCAPE.sub(plain, token[1:-1])
    try:  # two halves of a character beyond 16 bits, as Java writes them
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Malformed("whole characters in a text", "half of a surrogate pair", at) from None


class Forms:
    """The forms of a text that comes in pieces: one after the other, or within one vector or list.

    `rest` is what the last piece left unread: the beginning of a form that goes on, to stand before
    the next piece.
    """

    def __init__(self) -> None:
        self.rest = ""
        self.begun = False  # whether a form was there: no vector around them begins any more
        self.closed = False  # whether the vector around the forms has ended
        self._closes = ""  # what ends it; "": there is none

    def feed(self, text: str, *, final: bool) -> Iterator[tuple[Any, int]]:
        """(form, its position in `text`). Malformed, or Incomplete where the last piece ends."""
        at = 0
        while True:
            at = self._blank(text, at, final)
            if at == len(text) or text[at] == ";":
                break
            if not self.begun:
                self.begun = True
                if text[at] in "[(":
                    self._closes = _CLOSES[text[at]]
                    at += 1
                    continue
            if self.closed:
                raise Malformed("nothing after the end of the history", repr(text[at:][:20]), at)
            if self._closes and text[at] == self._closes:
                self.closed = True
                at += 1
                continue
            dropped = text.startswith("#_", at)
            try:
                form, end = parse(text, at + 2 * dropped)
            except Incomplete:
                if final:
                    raise Malformed("a whole operation", "the end of the file", at) from None
                break
            if not dropped:
                yield form, at
            at = end
        self.rest = text[at:]
        if final and self._closes and not self.closed:
            raise Malformed(repr(self._closes), "the end of the file", len(text))

    @staticmethod
    def _blank(text: str, at: int, final: bool) -> int:
        """After spaces and comments; at the `;` of a comment that may go on."""
        while True:
            space = _SPACE.match(text, at)
            at = space.end() if space else at
            if not text.startswith(";", at):
                return at
            end = text.find("\n", at)
            if end < 0:
                return len(text) if final else at
            at = end + 1
