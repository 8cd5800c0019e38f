"""`dbcop-json`: dbcop's history as JSON, a list of sessions, bare or as `data` of an object.

    [[{"events": [{"Write": {"variable": 0, "version": 1}},
                  {"Read": {"variable": 1, "version": null}}], "committed": true}], …]

A read of null found nothing there. What is not committed was aborted.
(Biswas & Enea: "On the Complexity of Checking Transactional Consistency", OOPSLA 2019)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats import edn, jsontext
from analysis.formats.base import Format, Imported
from analysis.formats.edn import canonical
from analysis.formats.events import FAIL, OK, true
from analysis.formats.microops import cut
from analysis.formats.sessions import Sessions
from analysis.formats.source import Pieces, bad

_BEGINS = re.compile(rb"\s*+(?:\[\s*+(?:\[\s*+\]\s*+,\s*+)*+\[\s*+\{|\{\s*+\")")
_EVENT = re.compile(rb'"(?:Write|Read)"\s*:\s*\{\s*"(?:variable|version)"\s*:')
_BETWEEN = re.compile(r"[\s,]*+")
_AROUND = re.compile(rb"\s*([\[\]{},:])\s*")
_INT = "(?:0|-?[1-9][0-9]{0,17})"
_EACH = rf'(?:\["w",{_INT},{_INT}\]|\["r",{_INT},(?:{_INT}|null)\])'
_LINE = (
    rf'^(?P<payload>\[(?:{_EACH}(?:,{_EACH})*)?\]),"committed":(?P<ended>true|false)\}}'
    r"(?P<between>,|(?:\],\[)+)$"
)
_WAS_READ = rf'(\["r",{_INT}),{_INT}\]'
_FORM = 'a transaction {"events": […], "committed": true}'


def recognises(path: Path, head: bytes) -> bool:
    """A list of lists, or an object, and in it events such as `{"Write": {"variable": 0`."""
    return bool(_BEGINS.match(head) and _EVENT.search(head))


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the file; HistoryError with the line that is none."""
    reader, pieces = _Reader(path), Pieces(path)
    for text, line, final in pieces:
        pieces.used = reader.feed(text, line, final=final)
    return reader.made.finish(path, initial)


class _Reader:
    """Reads a text that comes in pieces. Where it is in the file is `_within`."""

    def __init__(self, path: Path) -> None:
        self.made = Sessions()
        self._path = path
        self._within = "nothing"  # nothing | object | sessions | session | end
        self._wrapped = self._found = False  # in an object; its `data` was there
        self._session = -1
        self._odd = 0  # before this position of the piece transactions are to be read one by one
        self._held: list[tuple[int, int, str]] = []  # session, kind, payload

    def feed(self, text: str, line: int, *, final: bool) -> int:
        """How many characters of this piece were read; the rest is to stand before the next."""
        at = self._odd = 0
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            if at == len(text):
                break
            try:
                at = self._step(text, at)
            except edn.Incomplete:
                break
            except edn.Malformed as error:
                expected, got, where = error.args
                raise bad(self._path, line + text.count("\n", 0, where), expected, got) from None
        self._flush()
        if final and (at < len(text) or self._within != "end"):
            raise bad(self._path, line + text.count("\n"), "the end of the history",
                      "the end of the file")  # fmt: skip
        return at

    def _step(self, text: str, at: int) -> int:
        """Read what stands at `at`; the position after it."""
        mark = text[at]
        if self._within == "session":
            if mark == "{":
                return self._transactions(text, at)
            return self._mark(text, at, {"]": "sessions"}, _FORM)
        if self._within == "sessions":
            self._session += mark == "["
            after = "object" if self._wrapped else "end"
            return self._mark(text, at, {"[": "session", "]": after}, "a session (a list)")
        if self._within == "object":
            return self._member(text, at)
        if self._within == "nothing":
            self._wrapped = mark == "{"
            form = "a list of sessions, or an object with such `data`"
            return self._mark(text, at, {"[": "sessions", "{": "object"}, form)
        raise edn.Malformed("nothing after the end of the history", repr(text[at : at + 20]), at)

    def _mark(self, text: str, at: int, known: dict[str, str], form: str) -> int:
        if text[at] not in known:
            raise edn.Malformed(form, repr(text[at : at + 40]), at)
        self._within = known[text[at]]
        return at + 1

    def _member(self, text: str, at: int) -> int:
        """A name and what it holds: sessions are left to the next steps, all else is passed by."""
        if text[at] == "}":
            if not self._found:
                raise edn.Malformed("an object with `data`, a list of sessions", "none", at)
            return self._mark(text, at, {"}": "end"}, "")
        name, end = jsontext.parse(text, at)
        between = re.compile(r"\s*+(:?)\s*+").match(text, end)
        end = between.end() if between else end
        if end == len(text):
            raise edn.Incomplete
        if not isinstance(name, str) or not (between and between[1]):
            raise edn.Malformed('a name such as "data":', repr(text[at : at + 40]), at)
        if name == "data":
            self._found = True
            return self._mark(text, end, {"[": "sessions"}, "a list of sessions as `data`")
        return jsontext.parse(text, end)[1]

    def _transactions(self, text: str, at: int) -> int:
        """The transaction at `at`, or all from there on that are as dbcop writes them."""
        last = text.rfind('{"events"', at + 1)
        if last > at >= self._odd:
            self._flush()
            session = _vectorised(text[at:last].encode(), self.made, self._session)
            if session is not None:
                self._session = session
                return last
            self._odd = last
        form, end = jsontext.parse(text, at)
        kind, payload = _transaction(form, at)
        self._held.append((self._session, kind, payload))
        return end

    def _flush(self) -> None:
        """Add the transactions that were read one by one."""
        if self._held:
            sessions, kinds, payloads = zip(*self._held, strict=True)
            self._held = []
            texts = pa.array(payloads, pa.string())
            self.made.add_texts(np.array(sessions), np.array(kinds), texts)


def _transaction(form: Any, at: int) -> tuple[int, str]:
    """(OK | FAIL, payload) of what stands at `at`; Malformed where it is no transaction."""

    def wrong(expected: str, got: Any) -> edn.Malformed:
        return edn.Malformed(expected, canonical(got), at)

    if not isinstance(form, dict) or not isinstance(form.get("events"), list):
        raise wrong(_FORM, form)
    committed = form.get("committed")
    if not isinstance(committed, bool):
        raise wrong("`committed` of a transaction, true or false", committed)
    found = []
    for event in form["events"]:
        name, body = next(iter(event.items())) if isinstance(event, dict) and event else ("", None)
        if name not in ("Write", "Read") or len(event) != 1 or not isinstance(body, dict):
            raise wrong("an event `Write` or `Read`", event)
        key, value = body.get("variable"), body.get("version")
        if not _plain(key) or not (_plain(value) or (name == "Read" and value is None)):
            raise wrong(f"the variable and version of a {name}, numbers or texts", event)
        known = value if name == "Write" or committed else None
        found.append(["w" if name == "Write" else "r", key, known])
    return OK if committed else FAIL, canonical(found)


def _plain(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _vectorised(block: bytes, made: Sessions, session: int) -> int | None:
    """Add transactions, each followed by what stands before the next; the session of that.

    None: something in it is not as dbcop writes it.
    """
    if b" " in block:
        block = block.replace(b": ", b":").replace(b", ", b",")
    if b" " in block or b"\n" in block:
        block = _AROUND.sub(rb"\1", block)
    for old, new in _SHORTER:
        block = block.replace(old, new)
    if not block.startswith(b"\n"):
        return None
    found = pc.extract_regex(cut(block[1:] + b"\n"), _LINE)
    if found.null_count:
        return None
    payload, between = found.field("payload"), found.field("between")
    ended = true(pc.equal(found.field("ended"), "true"))
    if not ended.all():
        unknown = pc.replace_substring_regex(payload, _WAS_READ, r"\1,null]")
        payload = pc.if_else(pa.array(ended), payload, unknown)
    further = pc.binary_length(between).to_numpy() // len("],[")
    sessions = session + np.cumsum(further)
    made.add_texts(sessions - further, np.where(ended, OK, FAIL), payload)
    return int(sessions[-1])


_SHORTER = (
    (b'{"Write":{"variable":', b'["w",'),
    (b'{"Read":{"variable":', b'["r",'),
    (b',"version":', b","),
    (b"}}", b"]"),
    (b'{"events":', b"\n"),
)
FORMAT = Format(
    name="dbcop-json",
    about="dbcop's JSON: a list of sessions, lists of transactions",
    signs='list of lists, or object, with events such as `{"Write": {"variable": 0`',
    recognises=recognises,
    read=read,
)
