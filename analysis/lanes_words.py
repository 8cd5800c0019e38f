"""What an operation is called in a bar: "write 7", "cas 3→5", "append 8 3 · r 8 [1, 3]"."""

from __future__ import annotations

import json
from typing import Any

from analysis.history import INFO, OK, History

_VALUE_LENGTH = 40  # characters of a value in a bar
_LEARN = ("r", "poll")  # micro-operations whose value is an answer


def words(history: History, row: int) -> str:
    """The operation in a bar: "write 7", "read nothing", "cas 3→5", "enqueue 9"."""
    f = history.f.at(row) or "?"
    unknown = history.type[row] == INFO
    content = carried(history, row)
    if f == "txn" and _is_transaction(content):
        learnt = history.type[row] == OK
        return " · ".join(_micro(item, learnt=learnt) for item in content)
    if f == "cas":
        expected = history.expected.at(row)
        if history.value.at(row) is None and isinstance(content, list) and len(content) == 2:
            expected, content = content
        return f"cas {value_text(expected)}→{value_text(content)}"
    if content is None:
        if f in ("acquire", "release", "generate") or (f == "add" and unknown):
            return f
        return f"{f} ?" if unknown else f"{f} {value_text(None)}"
    told = isinstance(content, list) and len(content) == 2 and isinstance(content[1], bool)
    if told and f in ("add", "remove", "contains"):
        return f"{f} {value_text(content[0])}: {'yes' if content[1] else 'no'}"
    return f"{f} {value_text(content)}"


def carried(history: History, row: int) -> Any:
    """What the row carries; the text itself if it is no JSON."""
    try:
        return history.content(row)
    except (ValueError, RecursionError):
        return history.payload[int(row)].as_py()


def value_text(value: Any) -> str:
    """A value in a few characters; a long list by its first and its length."""
    if value is None:
        return "nothing"
    if isinstance(value, list) and len(value) > 4:
        head = ", ".join(_short(json.dumps(v, ensure_ascii=False), 8) for v in value[:2])
        return f"[{head}, … {len(value):,} in all]"
    return _short(json.dumps(value, ensure_ascii=False), _VALUE_LENGTH)


def _is_transaction(content: Any) -> bool:
    return isinstance(content, list) and all(
        isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) for item in content
    )


def _micro(item: list[Any], *, learnt: bool) -> str:
    """A micro-operation; what a read found is not known without an answer."""
    f, key, value = item
    shown = "?" if f in _LEARN and not learnt else value_text(value)
    name = key if isinstance(key, str) else json.dumps(key, ensure_ascii=False)
    return f"{f} {_short(name, _VALUE_LENGTH)} {shown}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
