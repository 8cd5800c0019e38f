"""What is made of measurements on a client link: as asked, not as asked, or nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe
from chaos.faults.links import OnLinks, Reading, Seen
from chaos.registry import FAULTS
from chaos.runtime.claims import Claims
from chaos.runtime.toxiproxy import Link
from chaos.spec.entries import FAULT_ENTRIES

LINKS = [Link("a", "n1", "db"), Link("a", "n2", "db")]
BEFORE = Reading(end="enough", ms=1.0)


def make(kind: str, **asked: Any) -> OnLinks:
    """A fault of that kind on two links, on which a request took 1 ms before."""
    entry = FAULT_ENTRIES[kind].model_validate({"at": "1s", "for": "5s", "fault": kind, **asked})
    fault: OnLinks = FAULTS.get(kind)("f1", entry)
    fault.links = list(LINKS)
    fault.before = dict.fromkeys(LINKS, BEFORE)
    return fault


def flow(way: str, **figures: Any) -> Reading:
    """A talk in that direction."""
    got = {"end": "enough", "sent_bytes": 10, "received_bytes": 0, "ms": 1.0, **figures}
    return Reading(end=got["end"], ms=got["ms"], more={way: got})


RIGHT = [
    ("client-latency", {"delay": "80ms"}, Reading(end="enough", ms=83.0)),
    ("client-latency", {"delay": "80ms", "direction": "both"}, Reading(end="enough", ms=165.0)),
    ("client-latency", {"delay": "80ms", "jitter": "40ms"}, Reading(end="enough", ms=130.0)),
    ("client-timeout", {}, Reading(end="silent", ms=400.0)),
    ("client-timeout", {"after": "500ms"}, Reading(end="closed", ms=520.0)),
    ("client-timeout", {"after": "9s"}, Reading(end="silent", ms=400.0)),
    ("client-reset", {}, Reading(end="reset", ms=1.0)),
    ("client-reset", {"after": "1s"}, Reading(end="reset", ms=1010.0)),
    ("client-down", {}, Reading(end="refused", ms=0.1)),
    ("client-slow-close", {"delay": "300ms"}, Reading(end="enough", ms=305.0)),
    ("client-slow-close", {"delay": "300ms", "direction": "both"}, Reading(end="enough", ms=602)),
    ("client-bandwidth", {"rate": "800kbit/s", "direction": "answers"},
     flow("answers", bytes_per_s=98_000)),
    ("client-slicer", {"size": "64B", "delay": "5ms", "direction": "answers"},
     flow("answers", reads=40, between_ms=210.0)),
    ("client-slicer", {"size": "64B", "delay": "5ms", "direction": "requests"},
     flow("requests", reads=1, more_ms=200.0)),
    ("client-limit-data", {"bytes": "10kB"},
     flow("answers", end="closed", received_bytes=10_000)),
    ("client-limit-data", {"bytes": "10kB"}, flow("answers", end="reset", received_bytes=9_000)),
    ("client-limit-data", {"bytes": "10kB", "direction": "requests"},
     flow("requests", end="closed")),
]  # fmt: skip
WRONG = [
    ("client-latency", {"delay": "80ms"}, Reading(end="enough", ms=2.0), "1.0 ms later instead"),
    ("client-latency", {"delay": "80ms"}, Reading(end="closed", ms=2.0), "?no answers to time"),
    ("client-timeout", {}, BEFORE, "answered"),
    ("client-timeout", {}, Reading(end="closed", ms=3.0), "the connection was closed"),
    ("client-timeout", {"after": "500ms"}, Reading(end="closed", ms=5.0), "closed after 5 ms"),
    ("client-reset", {}, Reading(end="closed", ms=5.0), "closed instead of reset"),
    ("client-reset", {"after": "4900ms"}, Reading(end="silent", ms=400.0), "?the fault ends"),
    ("client-down", {}, Reading(end="silent", ms=400.0), "silent instead of refused"),
    ("client-slow-close", {"delay": "300ms"}, BEFORE, "0.0 ms later instead of 300"),
    ("client-bandwidth", {"rate": "800kbit/s", "direction": "answers"},
     flow("answers", bytes_per_s=0), "answers: 0 bytes/s instead of 100000"),
    ("client-bandwidth", {"rate": "80Mbit/s", "direction": "answers"},
     flow("answers", bytes_per_s=4_000_000), "?answers: 4000000 bytes/s"),
    ("client-slicer", {"size": "64B", "delay": "5ms", "direction": "answers"},
     flow("answers", reads=1, between_ms=0.0), "answers: 1 reads for 40 pieces"),
    ("client-limit-data", {"bytes": "10kB"},
     flow("answers", end="enough", received_bytes=10_640), "answers: not closed"),
    ("client-limit-data", {"bytes": "10kB"},
     flow("answers", end="closed", received_bytes=9_000), "closed after 9000 bytes"),
    ("client-slicer", {"size": "64B"}, Reading(end="enough", ms=1, more={"unknown": ""}),
     "?this port knows no requests"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "asked", "reading"), RIGHT)
def test_as_asked(kind: str, asked: dict[str, Any], reading: Reading) -> None:
    fault = make(kind, **asked)
    assert fault.wrong(BEFORE, reading) == ""
    assert fault.not_gone(BEFORE, reading) != "", "what is there during the fault is not gone"


@pytest.mark.parametrize(("kind", "asked", "reading", "said"), WRONG)
def test_not_as_asked(kind: str, asked: dict[str, Any], reading: Reading, said: str) -> None:
    assert said in make(kind, **asked).wrong(BEFORE, reading)


def test_a_busy_machine_before_the_fault_is_no_mismatch() -> None:
    fault = make("client-latency", delay="80ms")
    busy = Reading(end="enough", ms=400.0)
    assert fault.wrong(busy, Reading(end="enough", ms=82.0)).startswith("?")
    assert not fault.wrong(busy, Reading(end="enough", ms=2.0)).startswith("?")
    fault = make("client-bandwidth", rate="800kbit/s", direction="requests")
    slow = flow("requests", ms=400.0, small_ms=200.0, bytes_per_s=180_000)
    assert fault.wrong(BEFORE, slow).startswith("?")
    quick = flow("requests", ms=200.0, small_ms=1.0, bytes_per_s=180_000)
    assert fault.wrong(BEFORE, quick) == "requests: 180000 bytes/s instead of 100000"


class Cluster:
    """What judging asks of a cluster: who else holds what."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.links = SimpleNamespace(holders=lambda link: {"f1"})
        self.silent: list[str] = []

    def silenced_by(self, node: str, but: str) -> list[str]:
        return self.silent

    hindered_by = silenced_by


def judged(cluster: Cluster, said: list[str]) -> Probe:
    """The probe over two links of which this was said."""
    seen = {link: Seen(BEFORE, words) for link, words in zip(LINKS, said, strict=True)}
    scene: Any = SimpleNamespace(cluster=cluster)
    return make("client-reset")._judged(scene, seen, 1, {})


def test_one_wrong_link_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnLinks, "_hidden", lambda *_: "")
    probe = judged(Cluster(), ["", "answered"])
    assert (probe.outcome, probe.why) == (MISMATCH, "a--n2--db: answered")
    assert judged(Cluster(), ["answered", "answered"]).why == "a--n1--db and 1 more: answered"


def test_what_cannot_be_told_is_no_mismatch() -> None:
    assert judged(Cluster(), ["", "?why"]).outcome == CONFIRMED
    assert judged(Cluster(), ["?why", "?why"]).outcome == INCONCLUSIVE


@pytest.mark.parametrize("how", ["toxic", "silent", "cut"])
def test_another_fault_on_the_link_is_named(how: str) -> None:
    cluster = Cluster()
    if how == "toxic":
        cluster.links.holders = lambda link: {"f1", "f7"}
    elif how == "silent":
        cluster.silent = ["f7"]
    else:
        cluster.claims.put(("cut", "n2", "clients@a"), "f7")
    probe = judged(cluster, ["", "answered"])
    assert probe.outcome == CONFIRMED
    assert probe.why == "a--n2--db: answered, together with f7"
