"""Client links and correlated faults as written: what is taken, and what is refused and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.files import load_experiment

Write = Callable[..., Path]

GOOD = [
    "client-latency, delay: 80ms, jitter: 80ms, direction: both",
    "client-bandwidth, rate: 1Mbit/s, zones: [a]",
    "client-slow-close, delay: 1500ms",
    "client-timeout, after: 1s, direction: answers",
    "client-reset, after: 900ms",
    "client-slicer, size: 64B, variation: 63B, delay: 500us",
    "client-limit-data, bytes: 10kB, nodes: n1",
    "outage, target: zone:a",
    "outage, target: [zone:a, region:east]",
    "lockout, target: region:east",
    "restart-storm, target: all, every: 500ms, how: restart",
]
BAD = {
    "client-latency, delay: 80ms, jitter: 81ms": "expected a jitter of at most the delay, 80ms",
    "client-latency, delay: 1.5ms": "expected whole milliseconds, got 1.5ms",
    "client-bandwidth, rate: 100kbit/s": "expected a multiple of 8kbit/s, got 100kbit/s",
    "client-bandwidth, rate: 1kbit/s": "write 8kbit/s",
    "client-reset, after: 1s": "expected `after:` to be shorter than `for:`",
    "client-reset, direction: both": "expected requests or answers",
    "client-slicer, size: 64B, variation: 64B": "Toxiproxy ends itself over a piece of less than",
    "client-slicer, size: 64B, delay: 0s": "expected 1us to 1s, got 0s",
    "client-limit-data, bytes: 5MB": "4000000",
    "outage, target: n1": "expected zone:NAME, region:NAME or provider:NAME, got `n1`",
    "outage, target: []": "expected at least one place",
    "outage, target: [zone:a, zone:z]": "unknown zone with nodes `z`",
    "lockout, target: provider:z": "unknown provider with nodes `z`",
    "restart-storm, target: all, every: 2s": "expected `every:` of 500ms to `for:`, 1s",
}


@pytest.mark.parametrize("words", GOOD)
def test_read_back_the_same(experiment: Write, words: str) -> None:
    (entry,) = load_experiment(scheduled(experiment, words)).experiment.schedule
    assert type(entry).model_validate(entry.resolved()) == entry
    assert entry.name == words.partition(",")[0]


@pytest.mark.parametrize("words", BAD)
def test_refused(experiment: Write, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(scheduled(experiment, words))
    assert BAD[words] in str(caught.value)


def scheduled(experiment: Write, words: str) -> Path:
    """An experiment with that fault for a second."""
    path: Path = experiment(("for: 2s, fault: kill, target: n1", f"for: 1s, fault: {words}"))
    return path
