"""The clock of faults, with faults that lie, fail or break: each is told for what it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import nemesis as nemesis_module
from chaos.errors import FaultError, RecordError
from chaos.faults.base import CONFIRMED, MISMATCH, Probe
from chaos.nemesis import Nemesis
from chaos.spec.entries.step import StepEntry
from chaos.systems.base import Step

MS = 1_000_000


@dataclass
class Journal:
    """Events in memory; `full_after` events the disk is full."""

    events: list[dict[str, Any]] = field(default_factory=list)
    full_after: int | None = None

    def append(self, event: Mapping[str, Any]) -> None:
        if self.full_after is not None and len(self.events) >= self.full_after:
            raise RecordError("no space left on device")
        self.events.append(dict(event))

    def of(self, id: str) -> list[str]:
        return [e["event"] for e in self.events if e["id"] == id]

    def last(self, id: str, column: str) -> Any:
        return next(e[column] for e in reversed(self.events) if e["id"] == id and column in e)


class World:
    """What a fault changes: `broken` says whether it is in force."""

    broken = False
    injections = 0
    heals = 0


class Honest:
    """A fault that does what it says; the probe looks at the world, not at the fault."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id

    def available(self, scene: Any) -> str:
        return ""

    def resolve(self, scene: Any) -> list[str]:
        return ["n1"]

    def prepare(self, scene: Any) -> None:
        pass

    prepare_heal = prepare

    def inject(self, scene: Any) -> None:
        World.broken = True
        World.injections += 1

    def heal(self, scene: Any) -> None:
        World.broken = False
        World.heals += 1

    def probe(self, scene: Any) -> Probe:
        outcome = CONFIRMED if World.broken else MISMATCH
        return Probe(outcome=outcome, at_ns=time.monotonic_ns(), why="" if World.broken else "no")

    def probe_heal(self, scene: Any) -> Probe:
        return Probe(outcome=MISMATCH if World.broken else CONFIRMED, at_ns=time.monotonic_ns())


class DoesNothing(Honest):
    """The double that injects nothing."""

    def inject(self, scene: Any) -> None:
        World.injections += 1


class BreaksHalfWay(Honest):
    """Takes effect, then raises."""

    def inject(self, scene: Any) -> None:
        super().inject(scene)
        raise FaultError("half-way")


class NeedsTwoHeals(Honest):
    """The first heal is refused silently."""

    def heal(self, scene: Any) -> None:
        World.heals += 1
        World.broken = World.heals < 2


class ProbeBreaks(Honest):
    """Takes effect, but looking at it fails."""

    def probe(self, scene: Any) -> Probe:
        raise OSError("no line")

    def prepare_heal(self, scene: Any) -> None:
        raise OSError("still no line")


class HealBreaks(Honest):
    """Healing raises twice, and then does it."""

    def heal(self, scene: Any) -> None:
        World.heals += 1
        if World.heals < 3:
            raise FaultError("the engine is busy")
        World.broken = False


class NeverHeals(Honest):
    def heal(self, scene: Any) -> None:
        World.heals += 1


class HealHangs(Honest):
    def heal(self, scene: Any) -> None:
        time.sleep(5)


class Undoable(Honest):
    """Another process can undo it."""

    def undo(self, scene: Any) -> list[dict[str, Any]]:
        assert not World.broken
        return [{"do": "start", "node": "n1"}]


class Unavailable(Honest):
    def available(self, scene: Any) -> str:
        return "no kernel for it"


@pytest.fixture(autouse=True)
def world() -> type[World]:
    World.broken, World.injections, World.heals = False, 0, 0
    return World


def entry(at_ms: int, for_ms: int) -> Any:
    """As a schedule entry, but as short as a test likes."""
    return SimpleNamespace(
        name="pause", is_step=False, asked=dict, at_ns=at_ms * MS, for_ns=for_ms * MS
    )


def make(
    monkeypatch: pytest.MonkeyPatch,
    fault: type,
    entries: list[Any],
    journal: Journal,
    steps: Mapping[str, Step] | None = None,
    **more: Any,
) -> Nemesis:
    monkeypatch.setattr(nemesis_module, "FAULTS", SimpleNamespace(get=lambda name: fault))
    nodes = [SimpleNamespace(name="n1", zone="a", group="")]
    group = SimpleNamespace(steps=steps or {})
    return Nemesis(
        entries=entries,
        cluster=SimpleNamespace(nodes=nodes, group=lambda node: group),
        journal=journal,
        seed=1,  # type: ignore[arg-type]
        roles=lambda: {"n1": "primary"},
        client_zones=[],
        **more,
    )


def play(nemesis: Nemesis, seconds: float) -> None:
    nemesis.plan()
    nemesis.start(time.monotonic_ns())
    time.sleep(seconds)
    nemesis.heal()


def test_a_fault_from_plan_to_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, Honest, [entry(200, 300)], journal), 0.9)
    assert journal.of("f1") == ["planned", "inject", "injected", "probed", "heal", "healed"]
    assert journal.last("f1", "outcome") == CONFIRMED
    assert journal.last("f1", "heal_outcome") == CONFIRMED
    assert abs(journal.last("f1", "inject_ns") - 200 * MS) < 100 * MS
    assert abs(journal.last("f1", "heal_ns") - 500 * MS) < 100 * MS
    assert (World.broken, World.injections, World.heals) == (False, 1, 1)


def test_it_is_on_disk_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    journal = Journal()

    class Looks(Honest):
        def inject(self, scene: Any) -> None:
            seen.append(journal.of("f1"))

    play(make(monkeypatch, Looks, [entry(150, 50)], journal), 0.5)
    assert seen == [["planned", "inject"]]


def test_a_fault_that_does_nothing_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, DoesNothing, [entry(150, 50)], journal), 0.5)
    assert World.injections == 1
    assert journal.last("f1", "outcome") == MISMATCH


def test_what_breaks_half_way_is_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, BreaksHalfWay, [entry(150, 5000)], journal), 0.5)
    assert journal.last("f1", "outcome") == "failed"
    assert "half-way" in journal.last("f1", "why")
    assert not World.broken


def test_healing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, NeedsTwoHeals, [entry(150, 50)], journal), 0.5)
    assert World.heals == 2
    assert journal.last("f1", "heal_outcome") == CONFIRMED


def test_what_undoes_it_is_on_disk_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, Undoable, [entry(150, 50)], journal), 0.4)
    assert journal.events[1]["event"] == "inject"
    assert journal.events[1]["undo"] == [{"do": "start", "node": "n1"}]
    plain = Journal()
    play(make(monkeypatch, Honest, [entry(150, 50)], plain), 0.4)
    assert plain.events[1]["undo"] == []


def test_a_probe_that_breaks_is_no_failed_injection(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    play(make(monkeypatch, ProbeBreaks, [entry(150, 300)], journal), 0.8)
    assert journal.of("f1") == ["planned", "inject", "injected", "probed", "heal", "healed"]
    assert journal.last("f1", "outcome") == "inconclusive"
    assert journal.last("f1", "heal_ns") >= 400 * MS, "it lasted as long as it was to"
    why = journal.last("f1", "why")
    assert "the probe broke: OSError: no line; heal: measuring the end could not begin" in why
    assert journal.last("f1", "heal_outcome") == CONFIRMED


def test_healing_that_raises_is_tried_again_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemesis_module, "HEAL_WAITS_S", (0.0, 0.3, 0.1))
    journal = Journal()
    nemesis = make(monkeypatch, HealBreaks, [entry(120, 50)], journal)
    nemesis.plan()
    nemesis.start(time.monotonic_ns())
    time.sleep(0.35)
    shown = nemesis.active()
    nemesis.heal()
    assert shown == ["f1 pause (not healed, try 2)"]
    assert (World.heals, World.broken) == (3, False)
    assert journal.last("f1", "tries") == 3
    assert journal.last("f1", "heal_outcome") == CONFIRMED
    assert nemesis.active() == []


def test_what_never_heals_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemesis_module, "HEAL_WAITS_S", (0.0, 0.0, 0.0))
    journal = Journal()
    play(make(monkeypatch, NeverHeals, [entry(120, 50)], journal), 0.4)
    assert World.heals == 3
    assert journal.last("f1", "heal_outcome") == MISMATCH


def test_healing_all_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    nemesis = make(monkeypatch, HealHangs, [entry(120, 60_000)] * 3, journal)
    nemesis.plan()
    nemesis.start(time.monotonic_ns())
    time.sleep(0.3)
    began = time.monotonic()
    assert nemesis.heal(0.4) == ["f1", "f2", "f3"]
    assert nemesis.heal() == ["f1", "f2", "f3"], "the deadline counts from the first call"
    assert time.monotonic() - began < 1


def test_many_at_once_heal_independently(monkeypatch: pytest.MonkeyPatch) -> None:
    healed_at: list[float] = []

    class One(Honest):
        def heal(self, scene: Any) -> None:
            healed_at.append(time.monotonic())
            if self.id == "f1":
                time.sleep(4.0)

        def probe_heal(self, scene: Any) -> Probe:
            return Probe(outcome=CONFIRMED)

    journal = Journal()
    play(make(monkeypatch, One, [entry(150, 300)] * 40, journal), 2.0)
    assert all(journal.of(f"f{k}")[-1] == "healed" for k in range(1, 41))
    assert len(healed_at) == 40
    assert max(healed_at) - min(healed_at) < 3, "none waits for another"


def test_an_aborted_run_heals_at_once_and_injects_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    nemesis = make(monkeypatch, Honest, [entry(150, 60_000), entry(60_000, 1000)], journal)
    began = time.monotonic()
    play(nemesis, 0.4)
    assert time.monotonic() - began < 5
    assert not World.broken
    assert World.injections == 1
    assert journal.last("f2", "outcome") == "failed"
    assert "ended before its time" in journal.last("f2", "why")


def test_a_full_disk_does_not_keep_a_fault_from_being_healed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Journal(full_after=2)  # planned, inject
    nemesis = make(monkeypatch, Honest, [entry(150, 100)], journal)
    play(nemesis, 0.5)
    assert World.injections == 1
    assert not World.broken
    with pytest.raises(RecordError, match="no space"):
        nemesis.check()


def test_what_cannot_be_written_down_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    play(make(monkeypatch, Honest, [entry(150, 100)], Journal(full_after=1)), 0.5)
    assert World.injections == 0


def test_what_this_host_cannot_do_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    nemesis = make(monkeypatch, Unavailable, [entry(150, 100)], Journal())
    with pytest.raises(FaultError, match="no kernel for it"):
        nemesis.plan()
    assert World.injections == 0


@pytest.mark.parametrize("works", [True, False])
def test_operator_steps_are_told_as_they_went(monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    done: list[str] = []

    def promote(cluster: Any, node: str) -> None:
        if not works:
            raise FaultError("it will not")
        done.append(node)

    step = StepEntry.model_validate({"at": "50ms", "step": "promote", "node": "primary"})
    journal = Journal()
    steps = {"promote": Step(about="", run=promote)}
    play(make(monkeypatch, Honest, [step], journal, steps), 0.3)
    assert done == (["n1"] if works else [])
    assert journal.last("f1", "outcome") == ("confirmed" if works else "failed")


def test_what_this_host_lacks_is_skipped_where_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Journal()
    entries = [entry(120, 50), entry(140, 50)]
    more = {"lacking": {1: "no clocks"}, "when_unavailable": "skip"}
    play(make(monkeypatch, Honest, entries, journal, **more), 0.5)
    assert journal.of("f1") == ["planned", "skipped"]
    assert journal.last("f1", "why") == "no clocks"
    assert journal.of("f2")[-1] == "healed"
    assert World.injections == 1
    late = Journal()
    play(make(monkeypatch, Unavailable, entries[:1], late, when_unavailable="skip"), 0.2)
    assert (late.of("f1"), late.last("f1", "outcome")) == (["planned", "skipped"], "skipped")


def test_an_abort_heals_at_once_and_what_was_to_come_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Journal()
    nemesis = make(monkeypatch, Honest, [entry(120, 9_000), entry(8_000, 500)], journal)
    nemesis.plan()
    nemesis.start(time.monotonic_ns())
    time.sleep(0.3)
    began = time.monotonic()
    nemesis.abort()
    assert nemesis.heal() == []
    assert time.monotonic() - began < 1
    assert journal.last("f1", "heal_outcome") == CONFIRMED
    assert (journal.of("f2"), journal.last("f2", "outcome")) == (["planned", "skipped"], "skipped")
