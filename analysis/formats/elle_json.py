"""`elle-json`: Jepsen's operations as JSON, one array of them or one a line (elle-cli).

Keys and names are texts: `{"index": 0, "process": 1, "type": "ok", "f": "txn", "value": [["append",
253, 1]]}`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analysis.formats import blockwise
from analysis.formats.base import Format, Imported
from analysis.formats.dialects import JSON
from analysis.formats.sink import attempted

_BEGINS = re.compile(rb"\s*+(?:\[\s*+)?\{\s*+\"")
_TYPE = re.compile(rb'"type"\s*:\s*":?(?:invoke|ok|fail|info)"')
_BETWEEN = re.compile(r"[\s,]*+")


def recognises(path: Path, head: bytes) -> bool:
    """JSON objects whose "type" is one of Jepsen's."""
    return bool(_BEGINS.match(head) and _TYPE.search(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations of the file; HistoryError with the line that is none."""
    return attempted(lambda **how: blockwise.read(path, JSON, **how), initial)


FORMAT = Format(
    name="elle-json",
    about="a Jepsen history in JSON, as elle-cli takes it: an array, or an object a line",
    signs='objects with `"type": "invoke"`, `"ok"`, `"fail"` or `"info"`',
    recognises=recognises,
    read=read,
)
