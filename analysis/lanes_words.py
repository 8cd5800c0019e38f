"""What an operation is called in a bar: "write 7", "cas 3→5", "append 8 3 · r 8 [1, 3]"."""

from __future__ import annotations

import json
from typing import Any

from analysis.history import OK, History

_VALUE_LENGTH = 40  # characters of a value in a bar
_MESSAGES_MOST = 4  # of a log, in a bar
_LOGS = frozenset({"send", "poll", "assign", "subscribe"})  # what is done to logs with offsets


def words(history: History, row: int) -> str:
    """The operation in a bar: "write 7", "read nothing", "cas 3→5", "enqueue 9"."""
    f = history.f.at(row) or "?"
    learnt = history.type[row] == OK
    content = carried(history, row)
    if f == "txn" and _is_transaction(content):
        return " · ".join(_micro(item, learnt=learnt) for item in content)
    if f in _LOGS:
        return _of_logs(f, None, content, learnt=learnt)  # a bar has its key beside it
    if f == "cas":
        expected = history.expected.at(row)
        if history.value.at(row) is None and isinstance(content, list) and len(content) == 2:
            expected, content = content
        return f"cas {value_text(expected)}→{value_text(content)}"
    if content is None:
        if f in ("acquire", "release", "generate") or (f == "add" and not learnt):
            return f
        return f"{f} {value_text(None)}" if learnt else f"{f} ?"
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
        isinstance(item, list)
        and item
        and isinstance(item[0], str)
        and (len(item) == 3 or (len(item) < 3 and item[0].removeprefix(":") == "poll"))
        for item in content
    )


def _micro(item: list[Any], *, learnt: bool) -> str:
    """A micro-operation; what a read found is not known without an answer."""
    f = item[0].removeprefix(":")
    if f in ("send", "poll"):
        return _of_logs(f, *(item[1:] if f == "send" else (None, *item[1:2])), learnt=learnt)
    _, key, value = item
    shown = "?" if f == "r" and not learnt else value_text(value)
    name = key if isinstance(key, str) else json.dumps(key, ensure_ascii=False)
    return f"{f} {_short(name, _VALUE_LENGTH)} {shown}"


def _of_logs(f: str, key: Any, content: Any = None, *, learnt: bool) -> str:
    """What is done to logs: "send k0 17@4", "poll k0 17@4 18@5", "assign k0 k1"; a message is its
    value and where it stands. What Jepsen writes is a list of one micro-operation."""
    nested = isinstance(content, list) and content and isinstance(content[0], list)
    if nested and f in ("send", "poll") and _is_transaction(content):
        return " · ".join(_micro(item, learnt=learnt) for item in content)
    if f == "send":
        pair = isinstance(content, list) and len(content) == 2
        name = "" if key is None else f"{key} "
        return f"send {name}{_message(content) if pair else value_text(content)}"
    if f != "poll":
        logs = content if isinstance(content, list) else []
        return _short(" ".join([f, *(map(str, logs) if logs else ["nothing"])]), _VALUE_LENGTH)
    if not learnt or not isinstance(content, dict):
        return "poll ?"
    shown = [f"{log} {_messages(found)}" for log, found in content.items() if found]
    return f"poll {', '.join(shown) or 'nothing'}"


def _messages(found: list[Any]) -> str:
    """The first and the last of them."""
    if len(found) > _MESSAGES_MOST:
        return f"{_message(found[0])} … {_message(found[-1])} ({len(found):,})"
    return " ".join(map(_message, found))


def _message(told: Any) -> str:
    if not isinstance(told, list) or len(told) != 2:
        return value_text(told)
    return f"{value_text(told[1])}@{value_text(told[0])}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
