"""Entries of the link family: sides, shares and bit rates, and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.files import load_experiment
from chaos.units import UnitError, format_bits_per_s, parse_bits_per_s

Write = Callable[..., Path]
KILL = "fault: kill, target: n1"


def load(experiment: Write, text: str) -> object:
    """The one entry of a schedule with this text in it."""
    return load_experiment(experiment((KILL, text))).experiment.schedule[0]


def test_both_ways_and_one_way(experiment: Write) -> None:
    both = load(experiment, "fault: delay, between: [[n1, clients@a], [n2]], delay: 50ms")
    assert [[str(m) for m in side] for side in both.sides] == [["n1", "clients@a"], ["n2"]]
    assert (both.both_ways, both.distribution, both.jitter_ns) == (True, "normal", 0)
    one = load(experiment, "fault: loss, from: [n3], to: [zone:b], rate: 2.5%, burst: 4")
    assert [[str(m) for m in side] for side in one.sides] == [["n3"], ["zone:b"]]
    assert (one.both_ways, one.rate, one.burst) == (False, 0.025, 4)
    held = load(experiment, "fault: reorder, from: [n1], to: [n2], rate: 10%")
    assert held.by_ns == 10_000_000
    assert load(experiment, "fault: bandwidth, from: [n1], to: [n2], rate: 64kbit/s").rate == 64_000
    assert one.asked()["rate"] == "2.5%"
    assert one.asked()["from"] == ["n3"]


WRONG = {
    "fault: delay, delay: 50ms": "expected `between:`, or `from:` and `to:`, got neither",
    "fault: delay, from: [n1], delay: 50ms": "got `from:` alone",
    "fault: delay, to: [n1], delay: 50ms": "got `to:` alone",
    "fault: delay, from: [n1], to: [n2], between: [[n1], [n2]], delay: 1ms": "got both",
    "fault: delay, between: [[clients@a], [clients@a]], delay: 1ms": "do not talk to each other",
    "fault: delay, between: [[n1], [n9]], delay: 1ms": "unknown node `n9`",
    "fault: delay, from: [clients@b], to: [n1], delay: 1ms": "unknown zone with clients `b`",
    "fault: delay, between: [[n1], []], delay: 1ms": "at least 1",
    "fault: delay, between: [[n1], [n2]], delay: 0s": "expected a value above 0",
    "fault: loss, between: [[n1], [n2]], rate: 0.1": "expected a share",
    "fault: loss, between: [[n1], [n2]], rate: 0%": "expected a value above 0",
    "fault: loss, between: [[n1], [n2]], rate: 90%, burst: 2": "write `burst: 10` or more",
    "fault: loss, between: [[n1], [n2]], rate: 10%, burst: 0.5": "expected a value of at least 1",
    "fault: reorder, between: [[n1], [n2]], rate: 60%": "expected at most 50%, got 60%",
    "fault: bandwidth, between: [[n1], [n2]], rate: 1MB/s": "expected a bit rate",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_entry_is_refused(experiment: Write, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(experiment, text)
    message = str(caught.value)
    assert message.startswith("try.yaml:6:")
    assert WRONG[text] in message, message


@pytest.mark.parametrize(
    ("text", "bits"),
    [("1Mbit/s", 10**6), ("64 kbit/s", 64_000), ("2.5Gbit/s", 2_500_000_000), ("9bit/s", 9)],
)
def test_bit_rates(text: str, bits: int) -> None:
    assert parse_bits_per_s(text) == bits
    assert parse_bits_per_s(format_bits_per_s(bits)) == bits


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("1Mbps", "write 1Mbit/s"),
        ("1mbit/s", "write 1Mbit/s"),
        (5, "write 5Mbit/s"),
        ("10MB/s", ""),
        ("0bit/s", ""),
        ("0.5bit/s", ""),
        ("fast", ""),
    ],
)
def test_what_is_no_bit_rate(text: object, fix: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_bits_per_s(text)
    assert caught.value.fix == fix
