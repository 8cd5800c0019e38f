"""Entries of clock faults: what is taken, what is refused, and in which words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaos.errors import SpecError
from chaos.registry import FAULTS
from chaos.spec.entries import FAULT_ENTRIES, clock
from chaos.spec.validate import validate_files
from chaos.units import SIGNED_DURATION_PATTERN, format_duration, parse_signed_duration_ns

DOCS = Path(__file__).parents[2] / "docs/clocks.md"
NAMES = [name for name, model in FAULT_ENTRIES.items() if model in clock.MODELS]


def entry(fault: str, **keys: Any) -> Any:
    return FAULT_ENTRIES[fault].model_validate(
        {"at": "1s", "for": "10s", "fault": fault, "target": "n1", **keys}
    )


@pytest.mark.parametrize(
    ("text", "ns"), [("1h", 3600 * 10**9), ("-5m", -300 * 10**9), ("+1.5s", 1_500_000_000)]
)
def test_a_duration_may_have_a_sign(text: str, ns: int) -> None:
    assert parse_signed_duration_ns(text) == ns
    assert parse_signed_duration_ns(format_duration(ns)) == ns
    assert re.search(SIGNED_DURATION_PATTERN, text)


@pytest.mark.parametrize("text", ["--1s", "-", "5", "- 5", -5, "1 hour", None])
def test_other_text_has_no_sign(text: object) -> None:
    with pytest.raises(SpecError):
        parse_signed_duration_ns(text)


@pytest.mark.parametrize(("fault", "keys"), [
    ("clock-step", {"by": "-5m"}), ("clock-back", {"by": "5m"}),
    ("clock-skew", {"by": "300ms", "over": "5s"}), ("clock-skew", {"by": "-4s", "over": "5s"}),
    ("clock-drift", {"ppm": 200}), ("clock-drift", {"ppm": -0.5}),
    ("clock-strobe", {"by": "-1s", "every": "500ms"}), ("clock-leap", {}),
])  # fmt: skip
def test_entries_read_back_as_they_were_written(fault: str, keys: dict[str, Any]) -> None:
    made = entry(fault, **keys)
    assert type(made).model_validate(made.asked()) == made
    assert FAULTS.get(fault)("f1", made).requested()


@pytest.mark.parametrize(("fault", "keys", "why"), [
    ("clock-step", {"by": "0s"}, "other than zero"),
    ("clock-step", {"by": "-9000h"}, "at most 8760h, got -9000h"),
    ("clock-back", {"by": "-5m"}, "expected a duration"),
    ("clock-skew", {"by": "1s", "over": "11s"}, r"from 100ms to `for:` \(10s\), got 11s"),
    ("clock-skew", {"by": "8000h", "over": "100ms"}, "so fast jumps"),
    ("clock-skew", {"by": "-5s", "over": "5s"}, "loses 5s within 5s runs backwards"),
    ("clock-drift", {"ppm": 0}, "not 0"),
    ("clock-drift", {"ppm": 1e6}, "from -500000 to 500000"),
    ("clock-strobe", {"by": "1s", "every": "6s"}, r"half of `for:` \(5s\), got 6s"),
    ("clock-strobe", {"by": "1s", "every": "1ms"}, "from 10ms"),
    ("clock-leap", {"for": "2s"}, "at least 3s, got 2s"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(fault: str, keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        entry(fault, **keys)


def test_the_page_names_every_clock_fault_and_its_example_is_right(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in text] == []
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    path = tmp_path / "clocks.yaml"
    path.write_text(block[1], encoding="utf-8")
    assert validate_files([path]) == []
