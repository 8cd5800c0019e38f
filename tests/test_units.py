"""Durations, sizes and rates: text with a unit to a number, and back."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos import units
from chaos.units import UnitError

GOOD = [
    (units.parse_duration_ns, "30ms", 30_000_000),
    (units.parse_duration_ns, "1.5s", 1_500_000_000),
    (units.parse_duration_ns, "2m", 120_000_000_000),
    (units.parse_duration_ns, "1h", 3_600_000_000_000),
    (units.parse_duration_ns, "0s", 0),
    (units.parse_duration_ns, "250 us", 250_000),
    (units.parse_duration_ns, "7µs", 7_000),
    (units.parse_size_bytes, "64MiB", 64 * 2**20),
    (units.parse_size_bytes, "1GB", 10**9),
    (units.parse_size_bytes, "1.5kB", 1500),
    (units.parse_bytes_per_s, "1MB/s", 10**6),
    (units.parse_bytes_per_s, "1.5 KiB/s", 1536),
    (units.parse_rate_per_s, "200/s", 200.0),
    (units.parse_rate_per_s, "30/m", 0.5),
    (units.parse_percent, "50%", 0.5),
    (units.parse_percent, "0.1 %", 0.001),
]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_text_becomes_a_number(parse: Callable[[object], float], text: str, value: float) -> None:
    assert parse(text) == value


BAD = [
    (
        units.parse_duration_ns,
        "30",
        "expected a duration with its unit, such as 30s, 1.5s, 2m or 30ms, got `30`\n→ write 30s",
    ),
    (
        units.parse_duration_ns,
        30,
        "expected a duration with its unit, such as 30s, 1.5s, 2m or 30ms, got `30`\n→ write 30s",
    ),
    (
        units.parse_duration_ns,
        "5 sec",
        "expected a duration with one of the units ns, us, ms, s, m, h, got `5 sec`\n→ write 5s",
    ),
    (
        units.parse_duration_ns,
        "-3s",
        "expected a duration such as 30s, 1.5s, 2m or 30ms, got `-3s`\n→ drop the minus",
    ),
    (
        units.parse_duration_ns,
        "12:30:00",
        "expected a duration with one of the units ns, us, ms, s, m, h, got `12:30:00`",
    ),
    (
        units.parse_duration_ns,
        "0.5ns",
        "expected a duration of whole nanoseconds, got `0.5ns`\n→ drop some digits",
    ),
    (units.parse_duration_ns, "999999999999h", "`999999999999h` is too large"),
    (
        units.parse_duration_ns,
        None,
        "expected a duration such as 30s, 1.5s, 2m or 30ms, got nothing",
    ),
    (
        units.parse_size_bytes,
        "1gb",
        "expected a size with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, got `1gb`\n"
        "→ write 1GB",
    ),
    (
        units.parse_rate_per_s,
        "5",
        "expected a rate with its unit, such as 200/s or 30/m, got `5`\n→ write 5/s",
    ),
    (units.parse_rate_per_s, "0/s", "expected a rate above zero, got `0/s`"),
    (
        units.parse_percent,
        50,
        "expected a share with its unit, such as 50% or 0.5%, got `50`\n→ write 50%",
    ),
    (units.parse_percent, "101%", "expected at most 100%, got `101%`"),
]


@pytest.mark.parametrize(("parse", "text", "message"), BAD)
def test_what_is_no_number_with_a_unit_is_refused(
    parse: Callable[[object], float], text: object, message: str
) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.integers(min_value=0, max_value=2**62))
def test_a_duration_survives_being_written(ns: int) -> None:
    text = units.format_duration(ns)
    assert units.parse_duration_ns(text) == ns
    assert re.match(units.DURATION_PATTERN, text)


@given(st.integers(min_value=0, max_value=2**49))
def test_a_size_survives_being_written(size_bytes: int) -> None:
    text = units.format_size(size_bytes)
    assert units.parse_size_bytes(text) == size_bytes
    assert re.match(units.SIZE_PATTERN, text)


@given(st.floats(min_value=0.001, max_value=1e9))
def test_a_rate_survives_being_written(per_s: float) -> None:
    text = units.format_rate(per_s)
    assert units.parse_rate_per_s(text) == pytest.approx(per_s, rel=1e-8)
    assert re.match(units.RATE_PATTERN, text)


@given(st.integers(min_value=0, max_value=10_000))
def test_a_share_survives_being_written(basis_points: int) -> None:
    text = units.format_percent(basis_points / 10_000)
    assert units.parse_percent(text) == pytest.approx(basis_points / 10_000)
    assert re.match(units.PERCENT_PATTERN, text)


@given(st.one_of(st.text(), st.from_regex(r"[0-9.]{1,20}[a-zA-Z/]{0,3}"), st.integers(), st.none()))
def test_anything_else_is_a_unit_error(text: object) -> None:
    for parse in (
        units.parse_duration_ns, units.parse_size_bytes, units.parse_rate_per_s,
        units.parse_percent,
    ):  # fmt: skip
        with contextlib.suppress(UnitError):
            assert parse(text) >= 0


def test_a_value_is_shown_short_and_without_control_characters() -> None:
    assert units.shown("a\x1b[31mb\n") == "`a\\x1b[31mb\\n`"
    assert len(units.shown("x" * 1000)) < 70
