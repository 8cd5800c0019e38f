"""What faults need of a host; who is refused, who is skipped, and how a user hears of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.agent.ladder import ladder
from chaos.errors import EXIT_USAGE, UsageError
from chaos.faults.host import FaultFinding, findings
from chaos.faults.needs import by_ability, lacking, may_skip, needs, refuse
from chaos.registry import FAULTS
from chaos.runtime.capabilities import ABILITIES

NOTHING = {
    ability: ladder(("first", "no module"), ("second", "refused")) for ability in ABILITIES
}  # fmt: skip
EVERYTHING = {ability: ladder(("first", "no module"), ("second", "")) for ability in ABILITIES}


def entry(name: str, when_unavailable: str | None = None) -> Any:
    return SimpleNamespace(name=name, is_step=False, when_unavailable=when_unavailable)


STEP = SimpleNamespace(name="promote", is_step=True)


def test_a_ladder_takes_the_first_rung_that_holds() -> None:
    assert ladder(("a", "no"), ("b", ""), ("c", ""))["rung"] == "b"
    assert ladder(("a", "no"))["rung"] is None
    assert ladder(("a", "no"))["tried"] == [{"rung": "a", "why": "no"}]


@pytest.mark.parametrize("fault", FAULTS.names())
def test_what_a_fault_needs_is_something_that_hosts_are_asked_for(fault: str) -> None:
    assert set(needs(fault)) <= set(ABILITIES)


def test_a_partition_needs_cuts_and_a_kill_needs_nothing() -> None:
    assert needs("partition") == ("partition",)
    assert needs("kill") == ()
    assert needs("unheard-of") == ()
    assert "partition" in by_ability()["partition"]


def test_what_is_there_is_neither_refused_nor_skipped() -> None:
    entries = [entry("partition"), STEP, entry("kill")]
    assert lacking(entries, EVERYTHING) == {}
    refuse(entries, EVERYTHING, "refuse")


def test_what_nobody_was_asked_about_is_left_to_the_fault() -> None:
    assert lacking([entry("partition")], {}) == {}


def test_a_refusal_names_the_fault_the_reason_and_the_way_out() -> None:
    entries = [entry("kill"), entry("partition"), STEP]
    with pytest.raises(UsageError) as caught:
        refuse(entries, NOTHING, "refuse")
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.what == (
        "f2 (partition) cannot be injected: this host lacks dropping packets between nodes "
        "(first: no module; second: refused)"
    )
    assert ABILITIES["partition"].fix in caught.value.fix
    assert "when_unavailable: skip" in caught.value.fix


def test_an_entry_may_be_skipped_or_insist() -> None:
    refuse([entry("partition", "skip")], NOTHING, "refuse")
    refuse([entry("partition")], NOTHING, "skip")
    with pytest.raises(UsageError):
        refuse([entry("partition", "refuse")], NOTHING, "skip")
    assert not may_skip(STEP, "refuse")


def test_doctor_says_the_rung_and_why_not_the_better_one() -> None:
    found = {f.what: f for f in findings(EVERYTHING)}
    partition = found["faults, partition"]
    assert isinstance(partition, FaultFinding)
    assert partition.ok
    assert partition.found.startswith("by second; first not: no module (partition")
    assert (partition.rung, partition.fix) == ("second", "")
    anywhere = next(f for f in found.values() if "kill" in f.found)
    assert anywhere.ok


def test_doctor_says_what_is_missing_and_how_to_get_it() -> None:
    found = {f.what: f for f in findings(NOTHING)}
    partition = found["faults, partition"]
    assert isinstance(partition, FaultFinding)
    assert not partition.ok
    assert not partition.needed  # runs without such faults work
    assert partition.found.startswith("not here; first not: no module; second not: refused (part")
    assert partition.fix == ABILITIES["partition"].fix
    assert [each["rung"] for each in partition.tried] == ["first", "second"]
