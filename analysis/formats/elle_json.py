"""`elle-json`: Jepsen's operations as JSON, one array of them or one a line (elle-cli).

Keys and names are texts: `{"index": 0, "process": 1, "type": "ok", "f": "txn", "value": [["append",
253, 1]]}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.formats import edn, jsontext
from analysis.formats.base import Format, Imported
from analysis.formats.events import Vocabulary
from analysis.formats.operations import Operations
from analysis.formats.sink import Sink, attempted
from analysis.formats.source import Pieces, bad
from chaos.errors import HistoryError

_BEGINS = re.compile(rb"\s*+(?:\[\s*+)?\{\s*+\"")
_TYPE = re.compile(rb'"type"\s*:\s*":?(?:invoke|ok|fail|info)"')
_BETWEEN = re.compile(r"[\s,]*+")


def recognises(path: Path, head: bytes) -> bool:
    """JSON objects whose "type" is one of Jepsen's."""
    return bool(_BEGINS.match(head) and _TYPE.search(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations of the file; HistoryError with the line that is none."""
    return attempted(lambda **how: _read(path, **how), initial)


def _read(
    path: Path, *, keyed: bool | None = None, by_index: bool = False
) -> tuple[Sink, Operations]:
    operations = Operations(path, Vocabulary(), keyed=keyed)
    sink = Sink(path, operations.words, by_index=by_index)
    elements, pieces = _Elements(path), Pieces(path)
    for text, line, final in pieces:
        at = 0
        for element, begun in elements.feed(text, line, final=final):
            line += text.count("\n", at, begun)
            at = begun
            operations.add(element, line)
        pieces.used = elements.used
        sink.feed(operations.take())
    return sink, operations


class _Elements:
    """The objects of a text that comes in pieces, in an array or one after the other."""

    def __init__(self, path: Path) -> None:
        self.used = 0  # characters of the last piece that were read
        self._path = path
        self._begun = self._array = self._ended = False

    def feed(self, text: str, line: int, *, final: bool) -> Iterator[tuple[Any, int]]:
        """(object, its position in `text`). HistoryError where there is none."""
        at = 0
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            self.used = at
            if at == len(text):
                break
            if self._ended:
                raise self._bad(text, line, at, "nothing after the end of the array")
            if not self._begun and text[at] == "[":
                self._begun = self._array = True
                at += 1
            elif self._array and text[at] == "]":
                self._ended = True
                at += 1
            elif text[at] == "{":
                self._begun = True
                try:
                    form, end = jsontext.parse(text, at)
                except edn.Incomplete:
                    break
                except edn.Malformed as error:
                    expected, got, where = error.args
                    raise bad(
                        self._path, line + text.count("\n", 0, where), expected, got
                    ) from None
                yield form, at
                at = end
            else:
                raise self._bad(text, line, at, "an operation (a JSON object)")
        if final and (self.used < len(text) or (self._array and not self._ended)):
            what = "a whole operation" if self.used < len(text) else "the ] of the array"
            raise bad(self._path, line + text.count("\n"), what, "the end of the file")

    def _bad(self, text: str, line: int, at: int, expected: str) -> HistoryError:
        line += text.count("\n", 0, at)
        return bad(self._path, line, expected, repr(text[at : at + 40]))


FORMAT = Format(
    name="elle-json",
    about="a Jepsen history in JSON, as elle-cli takes it: an array, or an object a line",
    signs='objects with `"type": "invoke"`, `"ok"`, `"fail"` or `"info"`',
    recognises=recognises,
    read=read,
)
