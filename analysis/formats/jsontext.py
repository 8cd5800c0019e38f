"""JSON values in a text that may end within one, as edn.py reads EDN: exact, of bounded depth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from analysis.formats.edn import Incomplete, Malformed
from analysis.formats.source import DEPTH_MAX, DIGITS_MAX

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_ENDLESS = re.compile(r'"(?:[^"\\]|\\.)*+\\?\Z', re.DOTALL)
_LONG = re.compile(rf"[0-9]{{{DIGITS_MAX + 1}}}")
_BETWEEN = re.compile(r"[\s,]*+")
_SCALAR = re.compile(r"[^\s,\[\]{}:\"]*+")


def _constant(word: str) -> Any:
    raise ValueError(f"JSON, which has no {word}")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError(f"numbers of at most {DIGITS_MAX} digits")
    return int(digits)


_FAST = json.JSONDecoder(parse_constant=_constant)


def parse(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at `at`, and the position after it.

    Raises Malformed (expected, got, position), or Incomplete where the text ends within the value,
    or with a number or word, which may go on.
    """
    try:
        value, end = _FAST.raw_decode(text, at)
    except (ValueError, RecursionError):
        return _carefully(text, at)
    if end == len(text) and text[at] not in '[{"':
        raise Incomplete
    if end - at > DEPTH_MAX and (
        text.count("[", at, end) + text.count("{", at, end) > DEPTH_MAX
        or (end - at > DIGITS_MAX and _LONG.search(text, at, end))
    ):
        return _carefully(text, at)
    return value, end


def one(text: str) -> Any:
    """The only value in a text; Malformed or Incomplete when there is not exactly one."""
    value, end = parse(f"{text} ", 0)
    if text[end:].strip():
        raise Malformed("one value", repr(text[end : end + 20]), end)
    return value


def _carefully(text: str, at: int) -> tuple[Any, int]:
    end = _end(text, at)
    try:
        return json.loads(text[at:end], parse_int=_integer, parse_constant=_constant), end
    except json.JSONDecodeError as error:
        where = at + error.pos
        expected = f"JSON ({error.msg[:1].lower()}{error.msg[1:]})"
        raise _wrong(expected, text, where) from None
    except ValueError as error:
        raise _wrong(str(error), text, at) from None


def _end(text: str, at: int) -> int:
    """Where the value that begins at `at` ends."""
    if text[at] not in "[{":
        if _ENDLESS.match(text, at):
            raise Incomplete
        whole = (_TOKEN if text[at] == '"' else _SCALAR).match(text, at)
        end = whole.end() if whole else at
        if end == len(text) and text[at] != '"':
            raise Incomplete
        return max(end, at + 1)
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if token[0] in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise _wrong(f"at most {DEPTH_MAX} values in each other", text, at)
        elif token[0] in "]}":
            depth -= 1
            if not depth:
                return token.end()
    raise Incomplete


class Forms:
    """The objects of a text that comes in pieces, in an array or one after the other: as edn.Forms.

    `rest` is what the last piece left unread: the beginning of an object that goes on.
    """

    def __init__(self) -> None:
        self.rest = ""
        self.begun = False  # whether an object was there: no array around them begins any more
        self.closed = False  # whether the array has ended
        self._array = False

    def feed(self, text: str, *, final: bool) -> Iterator[tuple[Any, int]]:
        """(object, its position in `text`). Malformed where there is none."""
        at = 0
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            if at == len(text):
                break
            if self.closed:
                raise _wrong("nothing after the end of the array", text, at)
            if not self.begun and text[at] == "[":
                self.begun = self._array = True
                at += 1
            elif self._array and text[at] == "]":
                self.closed = True
                at += 1
            elif text[at] == "{":
                self.begun = True
                try:
                    form, end = parse(text, at)
                except Incomplete:
                    break
                yield form, at
                at = end
            else:
                raise _wrong("an operation (a JSON object)", text, at)
        self.rest = text[at:]
        if final and (self.rest or (self._array and not self.closed)):
            what = "a whole operation" if self.rest else "the ] of the array"
            raise Malformed(what, "the end of the file", len(text))


def _wrong(expected: str, text: str, at: int) -> Malformed:
    """The error at `at`, with what stands there on its line."""
    return Malformed(expected, repr(text[at : at + 40].partition("\n")[0]), at)
