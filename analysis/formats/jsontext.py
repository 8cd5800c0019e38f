"""JSON values in a text that may end within one, as edn.py reads EDN: exact, of bounded depth."""

from __future__ import annotations

import json
import re
from typing import Any

from analysis.formats.edn import Incomplete, Malformed
from analysis.formats.source import DEPTH_MAX, DIGITS_MAX

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_ENDLESS = re.compile(r'"(?:[^"\\]|\\.)*+\\?\Z', re.DOTALL)
_LONG = re.compile(rf"[0-9]{{{DIGITS_MAX + 1}}}")
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
        raise Malformed(expected, repr(text[where : where + 40]), where) from None
    except ValueError as error:
        raise Malformed(str(error), repr(text[at : at + 40]), at) from None


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
                got = repr(text[at : at + 40])
                raise Malformed(f"at most {DEPTH_MAX} values in each other", got, at)
        elif token[0] in "]}":
            depth -= 1
            if not depth:
                return token.end()
    raise Incomplete
