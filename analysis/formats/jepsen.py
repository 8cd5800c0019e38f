"""`jepsen-edn`: a Jepsen history, one operation a line or all in one vector or list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analysis.formats import blockwise
from analysis.formats.base import Format, Imported
from analysis.formats.dialects import EDN
from analysis.formats.sink import attempted
from analysis.formats.table import Object

NEWLINE = 10
LONG_LINE_BYTES = 4096  # lines longer than this on average are no lines
_BETWEEN = re.compile(rb"\}[\s,]*+(?=[{#])")
_BEGINS = re.compile(rb"(?:[\s,]|;[^\n]*\n)*+[\[(]?(?:[\s,]|;[^\n]*\n)*+(?:#[\w.]+)?\{")
_TYPE = re.compile(rb":type[\s,]+:(?:invoke|ok|fail|info)\b")
_KV = re.compile(rb"\{:process \d+, :type :\w+, :f :(?:put|append|get), :key ")


def recognises(path: Path, head: bytes) -> bool:
    """Maps of EDN whose :type is one of Jepsen's."""
    return bool(_BEGINS.match(head) and _TYPE.search(head)) and not recognises_kv(path, head)


def recognises_kv(path: Path, head: bytes) -> bool:
    """The maps of Porcupine's key-value logs, in the order of their keys."""
    return bool(_KV.match(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations of a Jepsen history; HistoryError with the line that is none."""
    return attempted(lambda **how: blockwise.read(path, EDN, **how), initial)


def read_kv(path: Path, initial: Any) -> Imported:
    """The operations of a key-value log, whose values are texts."""
    about = Object(properties=("linearizable-kv-append",))
    return attempted(lambda **how: blockwise.read(path, EDN, **how), initial, about)


JEPSEN = Format(
    name="jepsen-edn",
    about="a Jepsen history in EDN: one operation a line, or one vector of them",
    signs="maps with `:type :invoke`, `:ok`, `:fail` or `:info`",
    recognises=recognises,
    read=read,
)
PORCUPINE_KV = Format(
    name="porcupine-kv",
    about="Porcupine's key-value logs: EDN maps of put, append and get with a :key",
    signs="first line that begins `{:process 0, :type :invoke, :f :get, :key`",
    recognises=recognises_kv,
    read=read_kv,
)
