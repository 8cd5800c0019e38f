"""The short and long forms in which Compose lets things be written.

https://docs.docker.com/reference/compose-file/services has each of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from chaos.spec.compose.document import Reader, words
from chaos.spec.load import Value
from chaos.systems.compose.project import COMPLETED, HEALTHY, STARTED, Health, Need
from chaos.units import shown

PORTS_MAX = 32  # of one service
_PORT = re.compile(
    r"(?:(?:\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?:[0-9]*(?:-[0-9]+)?:)?"
    r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>[a-z]+))?"
)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|µs|ns)")
_UNITS_NS = {
    "h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmg]?)b?", re.IGNORECASE)
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
CONDITIONS = (STARTED, HEALTHY, COMPLETED)


def pairs(reader: Reader, value: Value | None, what: str) -> dict[str, tuple[Value, str | None]]:
    """`{NAME: value}` or `[NAME=value, NAME]`: each with its place; None where no value is said."""
    found: dict[str, tuple[Value, str | None]] = {}
    if value is not None and isinstance(value.data, list):
        for item in value.data:
            text = reader.text(item, "NAME=value")
            if text is None or not text.partition("=")[0].strip():
                if not isinstance(item.data, dict | list):
                    reader.wrong(item, f"expected NAME=value, got {shown(item.plain())}")
                continue
            name, equals, rest = text.partition("=")
            found[name] = (item, rest if equals else None)
        return found
    for name, item in reader.mapping(
        value, f"{what}: NAME: value, or a list of NAME=value"
    ).items():
        if isinstance(item.data, dict | list):
            reader.wrong(item, f"expected text, got {shown(item.plain())}")
            continue
        found[name] = (item, words(item))
    return found


def arguments(reader: Reader, value: Value | None) -> list[str] | None:
    """A command: a list as it is, a text split as a shell would; None if there is none."""
    if value is None or value.data is None:
        return None
    if isinstance(value.data, list):
        texts = [reader.text(item) for item in value.data]
        return [text for text in texts if text is not None]
    text = reader.text(value, "a command") or ""
    try:
        return shlex.split(text)
    except ValueError as error:
        reader.wrong(value, f"cannot be split into words: {error}", "write a list")
        return None


def ports(reader: Reader, value: Value | None) -> list[int]:
    """Ports inside the container, of `ports:` or `expose:`."""
    found: list[int] = []
    for item in reader.items(value, "a list of ports"):
        if isinstance(item.data, dict):
            protocol = reader.text(item.data.get("protocol")) or "tcp"
            target = item.data.get("target")
            if target is None:
                reader.wrong(item, "expected the key `target`, found none", "add it")
                continue
            first = reader.whole(target, 1, 65535)
            last = first
        else:
            text = reader.text(item, "a port") or ""
            match = _PORT.fullmatch(text)
            if match is None:
                got = shown(item.plain())
                fix = 'write it in quotes, such as "8080:80"'
                reader.wrong(item, f"expected HOST:CONTAINER, got {got}", fix)
                continue
            first, last = int(match["first"]), int(match["last"] or match["first"])
            protocol = match["protocol"] or "tcp"
        if first is None or last is None:
            continue
        if not 0 < first <= last < 65536 or last - first >= PORTS_MAX:
            reader.wrong(item, f"expected ports from 1 to 65535, at most {PORTS_MAX} of them, got "
                         f"{first}-{last}")  # fmt: skip
        elif protocol != "tcp":
            reader.note(item, f"`{protocol}` ports have no client links: Toxiproxy speaks TCP only")
        else:
            found += range(first, last + 1)
    return list(dict.fromkeys(found))


def duration_ns(reader: Reader, value: Value | None, default: str) -> int:
    """A duration as Go writes them: `1m30s`, `500ms`."""
    text = default if value is None or value.data is None else reader.text(value, "a duration")
    if text is None:
        return 0
    if re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        total = sum(float(n) * _UNITS_NS[unit] for n, unit in _DURATION.findall(text))
        if total <= 24 * 3600 * 10**9:
            return int(total)
    if text != "0" and value is not None:
        fix = "write it with a unit, such as 10s or 1m30s"
        reader.wrong(value, f"expected a duration up to 24h, got {shown(value.plain())}", fix)
    return 0


def size_bytes(reader: Reader, value: Value | None) -> int | None:
    """A size as Compose writes them: `64m`, `1gb`, bytes; powers of 1024."""
    if value is None or value.data is None:
        return None
    text = reader.text(value, "a size") or ""
    match = _SIZE.fullmatch(text.strip())
    if match is None or len(match[1]) > 15:
        fix = "write it with a unit, such as 64m or 1g"
        reader.wrong(value, f"expected a size, got {shown(value.plain())}", fix)
        return None
    return int(float(match[1]) * _SIZES[match[2].lower()])


def cpus(reader: Reader, value: Value | None) -> int | None:
    """A number of processors, in billionths of one."""
    if value is None or value.data is None:
        return None
    text = reader.text(value, "a number of processors") or ""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?", text) or not float(text):
        reader.wrong(value, f"expected a number of processors, got {shown(value.plain())}")
        return None
    return int(float(text) * 10**9)


def needs(reader: Reader, value: Value | None) -> Iterator[tuple[Value, Need]]:
    """`depends_on`: names, or each with its condition."""
    if value is not None and isinstance(value.data, list):
        for item in value.data:
            if name := reader.text(item, "a service's name"):
                yield item, Need(service=name, condition=STARTED)
        return
    for name, item in reader.mapping(value, "services").items():
        at = reader.mapping(item, "`condition:`")
        condition = at.get("condition")
        said = STARTED if condition is None else reader.text(condition) or STARTED
        if condition is not None and said not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            reader.wrong(condition, f"expected one of {known}, got {shown(condition.plain())}")
            continue
        required = at.get("required")
        must = True if required is None else reader.flag(required)
        yield item, Need(service=name, condition=said, required=must)


def health(reader: Reader, value: Value | None) -> Health | None:
    """`healthcheck`: what is run to see whether a service is well; None: nothing."""
    at = reader.mapping(value, "a healthcheck")
    if not at or reader.flag(at.get("disable")):
        return None
    interval_ns = duration_ns(reader, at.get("interval"), "30s")
    timeout_ns = duration_ns(reader, at.get("timeout"), "30s")
    start_period_ns = duration_ns(reader, at.get("start_period"), "0s")
    retries = at.get("retries")
    tries = 3 if retries is None else reader.whole(retries, 1, 1000) or 3
    test = at.get("test")
    if test is None or test.data is None:
        if value is not None:
            reader.note(value, "the image's own healthcheck is not seen here: without `test:`"
                        " there is none")  # fmt: skip
        return None
    if isinstance(test.data, list):
        said = [reader.text(item) or "" for item in test.data]
        kind, rest = (said[0], said[1:]) if said else ("", [])
        if kind == "NONE":
            return None
        if kind not in ("CMD", "CMD-SHELL") or not rest:
            fix = "write [CMD, program, argument] or [CMD-SHELL, text]"
            reader.wrong(test, f"expected CMD, CMD-SHELL or NONE first, got {shown(kind)}", fix)
            return None
        command = rest if kind == "CMD" else ["/bin/sh", "-c", " ".join(rest)]
    else:
        command = ["/bin/sh", "-c", reader.text(test) or "true"]
    return Health(
        command=command,
        interval_ns=interval_ns,
        timeout_ns=timeout_ns,
        retries=tries,
        start_period_ns=start_period_ns,
    )
