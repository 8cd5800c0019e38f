"""Faults that are judged over their whole length: what they are found to be then counts."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe
from tests.test_nemesis import Honest, Journal, World, entry, make, play

EVENTS = ["planned", "inject", "injected", "probed", "heal", "probed", "healed"]


@pytest.fixture(autouse=True)
def world() -> None:
    World.broken, World.injections, World.heals = False, 0, 0


class ComesAndGoes(Honest):
    """Takes effect at first, but not as often as asked."""

    def review(self, scene: Any) -> Probe | None:
        return Probe(outcome=MISMATCH, measured={"times": World.injections}, why="once, not twice")


class CannotBeReviewed(Honest):
    """Nothing can be said of it in the end."""

    def review(self, scene: Any) -> Probe | None:
        raise FaultError("no beacons")


class NeedsNone(Honest):
    """Of this entry the first probe has said all."""

    def review(self, scene: Any) -> Probe | None:
        return None


def test_the_review_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, ComesAndGoes, [entry(150, 50)], journal), 0.5)
    assert journal.of("f1") == EVENTS
    assert journal.last("f1", "outcome") == MISMATCH
    assert journal.last("f1", "measured") == {"times": 1}
    assert (journal.last("f1", "why"), World.broken) == ("once, not twice", False)


def test_a_review_that_breaks_leaves_it_unknown_but_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, CannotBeReviewed, [entry(150, 50)], journal), 0.5)
    assert journal.of("f1") == EVENTS
    assert journal.last("f1", "outcome") == INCONCLUSIVE
    assert journal.last("f1", "heal_outcome") == CONFIRMED
    assert "no beacons" in journal.last("f1", "why")


def test_without_a_review_the_probe_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, NeedsNone, [entry(150, 50)], journal), 0.5)
    assert journal.of("f1") == [e for k, e in enumerate(EVENTS) if k != 5]
    assert journal.last("f1", "outcome") == CONFIRMED
