"""Text with a unit to a number, and back: `30ms`, `64MiB`, `200/s`.

A unit is never optional: `timeout: 30` has meant seconds, milliseconds and minutes to three people.
Numbers are exact: `1.5s` is 1,500,000,000 ns, and a value finer than a nanosecond is refused.
"""

from __future__ import annotations

import re
from fractions import Fraction

from chaos.errors import SpecError

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
}
_SIZE_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_BITS = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_RATE_SECONDS = {"s": 1, "m": 60, "h": 3600}

_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(.{0,20})", re.ASCII | re.DOTALL)
_LIMIT = 2**62  # fits a signed 64-bit column with room to add two of them

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(ns|us|µs|μs|ms|s|m|h)$"
SIGNED_DURATION_PATTERN = DURATION_PATTERN.replace("^", "^[+-]?")
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
BYTES_PER_S_PATTERN = SIZE_PATTERN.replace(")$", ")/s$")
BITS_PER_S_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(bit|kbit|Mbit|Gbit)/s$"
RATE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?/(s|m|h)$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)? ?%$"


class UnitError(SpecError, ValueError):
    """A duration, size or rate is not one; `fix` holds the nearest right spelling."""


def parse_duration_ns(text: object) -> int:
    """`"30ms"` → 30_000_000 (nanoseconds). UnitError for anything but a number and its unit."""
    number, unit = _split(text, "a duration", ("30s", "1.5s", "2m", "30ms"), "s")
    factor = _DURATION_NS.get(unit)
    if factor is None:
        raise _wrong_unit(text, number, unit, "a duration", tuple(_DURATION_NS))
    exact = number * factor
    if exact.denominator != 1:
        raise UnitError(
            f"expected a duration of whole nanoseconds, got {shown(text)}", fix="drop some digits"
        )
    return _bounded(int(exact), text)


def parse_signed_duration_ns(text: object) -> int:
    """`"-5m"` → -300_000_000_000; a sign may stand before a duration. UnitError for the rest."""
    if isinstance(text, str) and text[:1] in ("-", "+"):
        sign = -1 if text[0] == "-" else 1
        return sign * parse_duration_ns(text[1:])
    return parse_duration_ns(text)


def format_duration(ns: int) -> str:
    """1_500_000_000 → `"1.5s"`: the largest unit below which at most three decimals are needed."""
    if ns < 0:
        return "-" + format_duration(-ns)
    for unit in ("h", "m"):
        if ns and ns % _DURATION_NS[unit] == 0:
            return f"{ns // _DURATION_NS[unit]}{unit}"
    for unit in ("s", "ms", "us"):
        factor = _DURATION_NS[unit]
        if ns >= factor and ns * 1000 % factor == 0:
            return _decimal(Fraction(ns, factor)) + unit
    return f"{ns}ns" if ns else "0s"


def parse_size_bytes(text: object) -> int:
    """`"64MiB"` → 67_108_864 (bytes). UnitError for anything but a number and its unit."""
    number, unit = _split(text, "a size", ("64MiB", "1GB", "512kB"), "MiB")
    factor = _SIZE_BYTES.get(unit)
    if factor is None:
        raise _wrong_unit(text, number, unit, "a size", tuple(_SIZE_BYTES))
    exact = number * factor
    if exact.denominator != 1:
        raise UnitError(
            f"expected a size of whole bytes, got {shown(text)}", fix="drop some digits"
        )
    return _bounded(int(exact), text)


def format_size(size_bytes: int) -> str:
    """67_108_864 → `"64MiB"`: the largest unit that divides it, binary before decimal."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size_bytes and size_bytes % _SIZE_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def parse_rate_per_s(text: object) -> float:
    """`"200/s"`, `"30/m"` → events per second. UnitError for anything else, and for zero."""
    number, unit = _split(text, "a rate", ("200/s", "30/m"), "/s")
    seconds = _RATE_SECONDS.get(unit.removeprefix("/")) if unit.startswith("/") else None
    if seconds is None:
        known = tuple(f"/{name}" for name in _RATE_SECONDS)
        raise _wrong_unit(text, number, unit, "a rate", known)
    if number == 0:
        raise UnitError(f"expected a rate above zero, got {shown(text)}")
    return float(number / seconds)


def format_rate(per_s: float) -> str:
    """200.0 → `"200/s"`; a rate below one per second is given per minute or per hour."""
    for unit, seconds in _RATE_SECONDS.items():
        value = per_s * seconds
        if value >= 1 or unit == "h":
            return f"{value:.9f}".rstrip("0").rstrip(".") + f"/{unit}"
    raise AssertionError("the loop returns for the last unit")


def parse_percent(text: object) -> float:
    """`"50%"` → 0.5, a share of 0–1. UnitError for anything else."""
    number, unit = _split(text, "a share", ("50%", "0.5%"), "%")
    if unit != "%":
        raise _wrong_unit(text, number, unit, "a share", ("%",))
    if number > 100:
        raise UnitError(f"expected at most 100%, got {shown(text)}")
    return float(number / 100)


def format_percent(share: float) -> str:
    """0.5 → `"50%"`."""
    return f"{share * 100:.9f}".rstrip("0").rstrip(".") + "%"


def parse_bytes_per_s(text: object) -> int:
    """`"1MB/s"` → 1_000_000 (bytes per second). UnitError for anything else, and for zero."""
    size = text.removesuffix("/s") if isinstance(text, str) else text
    if size == text or not (found := parse_size_bytes(size)):
        raise UnitError(
            f"expected bytes per second, such as 1MB/s or 512KiB/s, got {shown(text)}",
            fix="end it with /s" if isinstance(text, str) and size == text else "",
        )
    return found


def format_bytes_per_s(per_s: int) -> str:
    """1_000_000 → `"1MB/s"`."""
    return f"{format_size(per_s)}/s"


def parse_bits_per_s(text: object) -> int:
    """`"1Mbit/s"` → 1_000_000 (bits per second). UnitError for anything else, and for zero."""
    number, unit = _split(text, "a bit rate", ("1Mbit/s", "64kbit/s"), "Mbit/s")
    factor = _BITS.get(unit.removesuffix("/s")) if unit.endswith("/s") else None
    if factor is None:
        raise _wrong_unit(text, number, unit, "a bit rate", tuple(f"{name}/s" for name in _BITS))
    bits = number * factor
    if bits < 1 or bits.denominator != 1:
        raise UnitError(f"expected a bit rate of whole bits, above zero, got {shown(text)}")
    return _bounded(int(bits), text)


def format_bits_per_s(per_s: int) -> str:
    """1_000_000 → `"1Mbit/s"`: the largest unit that divides it."""
    unit = max((u for u in _BITS if per_s % _BITS[u] == 0), key=_BITS.__getitem__)
    return f"{per_s // _BITS[unit]}{unit}/s"


def shown(value: object) -> str:
    """A value as an error message shows it: short, on one line, with no control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(getattr(value, "text", value))
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:61])
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"


def _split(text: object, what: str, examples: tuple[str, ...], unit: str) -> tuple[Fraction, str]:
    """The number and the unit in `text`; `unit` is what a bare number most likely meant."""
    such = " or ".join((", ".join(examples[:-1]), examples[-1]))
    bare = text if isinstance(text, int | float) and not isinstance(text, bool) else None
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if bare is not None or (match and not match[2]):
        number = str(getattr(text, "text", text))
        raise UnitError(
            f"expected {what} with its unit, such as {such}, got {shown(text)}",
            fix=f"write {number}{unit}" if not number.startswith("-") else "drop the minus",
        )
    if match is None:
        fix = "drop the minus" if isinstance(text, str) and text.startswith("-") else ""
        raise UnitError(f"expected {what} such as {such}, got {shown(text)}", fix=fix)
    return Fraction(match[1]), match[2]


_ALIASES = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "msec": "ms",
    "millis": "ms",
    "milliseconds": "ms",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hr": "h",
    "hour": "h",
    "hours": "h",
    "usec": "us",
    "k": "kB",
    "kb": "kB",
    "m": "MB",
    "mb": "MB",
    "g": "GB",
    "gb": "GB",
    "t": "TB",
    "tb": "TB",
    "kib": "KiB",
    "mib": "MiB",
    "gib": "GiB",
    "tib": "TiB",
    "b": "B",
    "bps": "bit/s",
    "kbps": "kbit/s",
    "mbps": "Mbit/s",
    "gbps": "Gbit/s",
    "/sec": "/s",
    "ps": "/s",
    "/min": "/m",
    "rps": "/s",
    "ops": "/s",
    "hz": "/s",
    "percent": "%",
    "pct": "%",
}


def _wrong_unit(
    text: object, number: Fraction, unit: str, what: str, known: tuple[str, ...]
) -> UnitError:
    units = [name for name in known if name.isascii()]
    by_fold = {name.casefold(): name for name in units}
    meant = by_fold.get(unit.casefold()) or _ALIASES.get(unit.casefold())
    return UnitError(
        f"expected {what} with one of the units {', '.join(units)}, got {shown(text)}",
        fix=f"write {_decimal(number)}{meant}" if meant in known else "",
    )


def _bounded(value: int, text: object) -> int:
    if value > _LIMIT:
        raise UnitError(f"{shown(text)} is too large")
    return value


def _decimal(number: Fraction) -> str:
    """A number of at most nine decimals as text, without trailing zeros."""
    whole, rest = divmod(number * 10**9, 10**9)
    return f"{whole}.{int(rest):09d}".rstrip("0").rstrip(".")
