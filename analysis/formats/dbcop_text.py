"""`dbcop-text`: dbcop's text (.hist): transactions in brackets, sessions set apart by `---`.

    // two sessions
    [x:=1 y:=2] [y==2 x:=3]
    ---
    [x==? y==1]! [x==3]

`x:=1` wrote 1 to x, `y==2` read 2, `x==?` found nothing there; `!`: this was not committed. A
transaction stands on one line, a session on any number of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.base import Format, Imported
from analysis.formats.edn import canonical
from analysis.formats.events import FAIL, OK, true
from analysis.formats.microops import cut, data_of
from analysis.formats.sessions import MicroOps, Sessions
from analysis.formats.source import bad, blocks

FORM = "transactions such as [x:=1 y==2], or ---"
_NAME = r"(?:0|-?[1-9][0-9]{0,17}|[A-Za-z_][A-Za-z0-9_.-]*)"
_EXACT = rf"^(?P<key>{_NAME})(?P<op>:=|==)(?P<value>0|-?[1-9][0-9]{{0,17}}|\?)$"
_LINE = r"^(?:[ \t]*\[[^\[\]]*\]!?)*[ \t]*$|^[ \t]*-{3,}[ \t]*$"
_TRANSACTION = re.compile(r"\s*(?:\[([^\[\]]*)\](!?)|(\S+))")
_EVENT = re.compile(r"([\w.-]+)(:=|==)([+-]?[0-9]{1,4000}|\?)")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_COMMENT = re.compile(rb"//[^\n]*")
_SIGN = re.compile(rb"\[\s*+[\w.-]+(?::=|==)(?:-?\d+|\?)[^\[\]\n]*\]")
_OPEN, _CLOSE, _ABORT, _RULE = b"[]!-"


def recognises(path: Path, head: bytes) -> bool:
    """A first line, behind comments, such as `[x:=1 y==2]`."""
    return bool(_SIGN.match(re.sub(rb"//[^\n]*|---+", b"", head).strip()))


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the file; HistoryError with the line that is none."""
    made, session = Sessions(), 0
    for number, block in blocks(path):
        if b"//" in block:
            block = _COMMENT.sub(b"", block)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        fast = pc.all(pc.match_substring_regex(cut(block), _LINE)).as_py()
        done = _vectorised(block, made, session) if fast else None
        session = _by_line(path, number, block, made, session) if done is None else done
    return made.finish(path, initial)


def _vectorised(block: bytes, made: Sessions, session: int) -> int | None:
    """Add the block's transactions; the session after it. None: it holds what this cannot read."""
    spaced = block.translate(_SPACES)
    for mark in (b"[", b"]"):
        spaced = spaced.replace(mark, b"\n" + mark + b"\n")
    words = cut(spaced)
    words = words.filter(pc.not_equal(pc.binary_length(words), 0))
    if not len(words):
        return session
    lengths = pc.binary_length(words).to_numpy()
    first = np.frombuffer(data_of(words), np.uint8)[np.cumsum(lengths) - lengths]
    opens, closes, aborts = first == _OPEN, first == _CLOSE, first == _ABORT
    depth = np.cumsum(opens) - np.cumsum(closes)
    rules = (first == _RULE) & (depth == 0)
    event = (depth == 1) & ~opens
    found = pc.extract_regex(words.filter(pa.array(event)), _EXACT)
    if found.null_count:
        return None
    owner = np.cumsum(opens) - 1  # of each word: its transaction
    count = np.bincount(owner[event], minlength=int(opens.sum()))
    kind = np.full(len(count), OK)
    kind[owner[aborts]] = FAIL
    sessions = session + np.cumsum(rules)
    value = found.field("value")
    operations = MicroOps(
        write=true(pc.equal(found.field("op"), ":=")),
        key=_keys(found.field("key")),
        value=value,
        null=true(pc.equal(value, "?")),
    )
    if (operations.write & operations.null).any():
        return None
    made.add(sessions[opens], count, kind, operations)
    return int(sessions[-1])


def _keys(names: pa.Array) -> pa.Array:
    """JSON of variables: numbers as numbers, names as texts."""
    named = pc.match_substring_regex(names, "^[A-Za-z_]")
    return pc.if_else(named, pc.binary_join_element_wise('"', names, '"', ""), names)


def _by_line(path: Path, number: int, block: bytes, made: Sessions, session: int) -> int:
    """The same, a line at a time; HistoryError with the line that is none."""
    sessions, count, kinds = [], [], []
    write, keys, values = [], [], []
    for line, text in enumerate(block.decode().split("\n")[:-1], number):
        if re.fullmatch(r"\s*-{3,}\s*", text):
            session += 1
            continue
        for inside, mark, other in _TRANSACTION.findall(text):
            if other:
                raise bad(path, line, FORM, repr(other))
            sessions.append(session)
            count.append(0)
            kinds.append(FAIL if mark else OK)
            for word in inside.split():
                match = _EVENT.fullmatch(word)
                if match is None or match.group(2, 3) == (":=", "?"):
                    raise bad(path, line, "x:=1 (a write), x==1 or x==? (a read)", repr(word))
                count[-1] += 1
                write.append(match[2] == ":=")
                keys.append(canonical(_plain(match[1])))
                values.append(None if match[3] == "?" else str(int(match[3])))
    text = pa.string()
    null = np.array([value is None for value in values], np.bool_)
    operations = MicroOps(
        write=np.array(write, np.bool_), key=pa.array(keys, text), value=pa.array(values, text),
        null=null,
    )  # fmt: skip
    made.add(np.array(sessions, np.int64), np.array(count, np.int64), np.array(kinds, np.int64),
             operations)  # fmt: skip
    return session


def _plain(word: str) -> Any:
    return int(word) if _INTEGER.fullmatch(word) and len(word) <= 4000 else word


_SPACES = bytes.maketrans(b" \t", b"\n\n")
FORMAT = Format(
    name="dbcop-text",
    about="dbcop's text (.hist): `[x:=1 y==2]`, sessions set apart by ---",
    signs="a first line such as `[x:=1 y==2]`",
    recognises=recognises,
    read=read,
)
