"""Limits by the engine that overlap: the smallest is in force, and each ends by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.faults import slow as slow_module
from chaos.faults.memory import UNLIMITED_BYTES, UNLIMITED_SWAP_BYTES, MemorySqueeze
from chaos.faults.slow import Slow
from chaos.spec.entries import ENTRIES
from tests.faults.pods import CONTAINERS, cluster, scene

MIB = 1 << 20


def make(id: str, fault: str, **keys: Any) -> Any:
    common = {"at": "0s", "for": "1s", "fault": fault, "target": "n1"}
    entry = ENTRIES[fault].model_validate({**common, **keys})
    return {"slow": Slow, "memory-squeeze": MemorySqueeze}[fault](id, entry)


def injected(made: Any, *faults: Any) -> None:
    for fault in faults:
        fault.resolve(scene(made))
        fault.prepare(scene(made))
        fault.inject(scene(made))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.5]), min_size=1, max_size=5), st.data())
def test_of_several_slows_the_smallest_quota_holds(asked: list[float], data: st.DataObject) -> None:
    made = cluster()
    faults = {number: make(f"f{number}", "slow", cpu=cpu) for number, cpu in enumerate(asked)}
    waiting, active = list(faults), dict[int, float]()
    while waiting or active:
        if waiting and (not active or data.draw(st.booleans())):
            number = waiting.pop(0)
            injected(made, faults[number])
            active[number] = asked[number]
            assert faults[number].undo(scene(made)) == [
                {"do": "update", "node": "n1", "cpu_period": 100_000, "cpu_quota": -1}
            ]
        else:
            number = data.draw(st.sampled_from(sorted(active)))
            active.pop(number)
            for _ in range(data.draw(st.integers(1, 2))):
                faults[number].heal(scene(made))
        quota = min(active.values()) * 100_000 if active else -1
        found = {config["CpuQuota"] for config in made.pods["n1"].host_config.values()}
        assert found == {quota}


def test_limits_of_the_users_own_come_back() -> None:
    made = cluster()
    made.pods["n1"].host_config["redis"] |= {"CpuQuota": 150_000, "CpuPeriod": 50_000}
    fault = make("f1", "slow", cpu=0.2)
    injected(made, fault)
    assert made.pods["n1"].host_config["redis"]["CpuQuota"] == 20_000
    fault.heal(scene(made))
    assert made.pods["n1"].host_config["redis"]["CpuQuota"] == 150_000
    assert made.pods["n1"].host_config["redis"]["CpuPeriod"] == 50_000


def probed(made: Any, monkeypatch: pytest.MonkeyPatch, used: float, held_s: float) -> Any:
    """Probe a slow of 0.2 cores while the database is asked for more: it uses this much a second,
    and is held back that long."""
    pod = made.pods["n1"]
    fault = make("f1", "slow", cpu=0.2)
    injected(made, fault)
    began, counters = slow_module.time.monotonic(), pod.do_counters
    pressed: list[bool] = []

    def press(*_: Any) -> dict[str, float]:
        pressed.append(True)
        slow_module.time.sleep(0.2)
        return {"n1": 5.0}

    def counted(asked: Any) -> Any:
        answer = counters(asked)
        if pressed:
            answer["groups"][0] |= {
                "cpu_s": used * (slow_module.time.monotonic() - began), "throttled_s": held_s,
            }  # fmt: skip
        return answer

    monkeypatch.setattr(slow_module, "press", press)
    monkeypatch.setattr(pod, "do_counters", counted)
    return fault.probe(scene(made))


def test_a_quota_that_is_felt_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(cluster(), monkeypatch, used=0.2, held_s=0.1)
    assert probe.outcome == "confirmed"
    assert probe.requested == {"cpu": 0.2}
    assert probe.measured["n1"]["cpu"] == 0.2
    assert 0.15 < probe.measured["n1"]["used"] < 0.25
    assert probe.measured["n1"]["held_back_ms"] == 100.0


def test_a_quota_that_nobody_reaches_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(cluster(), monkeypatch, used=0.05, held_s=0.0)
    assert (probe.outcome, "more was not wanted" in probe.why) == ("inconclusive", True)


def test_a_quota_that_does_not_hold_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(cluster(), monkeypatch, used=0.9, held_s=0.1)
    assert (probe.outcome, "redis used" in probe.why) == ("mismatch", True)


def test_a_counter_that_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all that was ever used would seem to be used now."""
    made = cluster()
    fault, pod = make("f1", "slow", cpu=0.2), made.pods["n1"]
    injected(made, fault)
    answers, counters = (
        iter([(None, None), (50.0, 9.0), (50.0, 9.0), (50.02, 9.1)]),
        pod.do_counters,
    )

    def counted(asked: Any) -> Any:
        answer = counters(asked)
        answer["groups"][0] |= dict(zip(("cpu_s", "throttled_s"), next(answers), strict=True))
        return answer

    def press(*_: Any) -> dict[str, float]:
        slow_module.time.sleep(0.1)
        return {"n1": 5.0}

    monkeypatch.setattr(slow_module, "press", press)
    monkeypatch.setattr(pod, "do_counters", counted)
    probe = fault.probe(scene(made))
    assert (probe.outcome, probe.measured["n1"]["held_back_ms"]) == ("confirmed", 100.0)


def test_a_quota_that_the_kernel_does_not_have_is_a_mismatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = cluster()
    monkeypatch.setattr(made.pods["n1"], "limit", lambda container, **limits: None)
    probe = probed(made, monkeypatch, used=0.2, held_s=0.1)
    assert (probe.outcome, "no quota" in probe.why) == ("mismatch", True)


@pytest.mark.parametrize(
    ("keys", "limit"), [({"limit": "64MiB"}, 64 * MIB), ({"share": "50%"}, 25 * MIB)]
)
def test_memory_is_limited_and_given_back(keys: dict[str, str], limit: int) -> None:
    made = cluster()
    fault = make("f1", "memory-squeeze", **keys)
    injected(made, fault)
    for config in made.pods["n1"].host_config.values():
        assert (config["Memory"], config["MemorySwap"]) == (limit, limit)
    probe = fault.probe(scene(made))
    assert probe.outcome == "confirmed"
    assert probe.measured["n1"]["redis"] == {"limit": limit, "used": 60 * MIB, "refused": 0}
    undo = {"mem_limit": UNLIMITED_BYTES, "memswap_limit": UNLIMITED_SWAP_BYTES}
    assert fault.undo(scene(made))[0] == {"do": "update", "node": "n1", **undo}
    fault.heal(scene(made))
    assert {c["Memory"] for c in made.pods["n1"].host_config.values()} == {UNLIMITED_BYTES}


def test_a_kernel_that_takes_no_less_gets_what_it_takes_and_that_is_said() -> None:
    made = cluster(least_bytes=52 * MIB)
    fault = make("f1", "memory-squeeze", limit="16MiB")
    injected(made, fault)
    limits = {config["Memory"] for config in made.pods["n1"].host_config.values()}
    assert all(52 * MIB <= limit < 60 * MIB for limit in limits)
    probe = fault.probe(scene(made))
    assert probe.outcome == "mismatch"
    assert "takes no less than what cannot be given back" in probe.why
    assert set(probe.requested["n1"]) == set(CONTAINERS)


def test_of_two_squeezes_the_tighter_holds_and_the_other_says_so() -> None:
    made = cluster()
    tight, loose = (make("f1", "memory-squeeze", limit="16MiB"),
                    make("f2", "memory-squeeze", limit="32MiB"))  # fmt: skip
    injected(made, loose, tight)
    assert tight.probe(scene(made)).outcome == "confirmed"
    assert "held lower by another fault: n1 (redis) f1" in loose.probe(scene(made)).why
    tight.heal(scene(made))
    assert loose.probe(scene(made)).outcome == "confirmed"


def test_a_database_that_was_killed_for_want_of_memory_is_started_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = cluster()
    pod = made.pods["n1"]
    fault = make("f1", "memory-squeeze", limit="16MiB")
    injected(made, fault)
    pod.running.pop("redis-server")
    monkeypatch.setattr(pod, "oom_kills", lambda since_s: 1)
    probe = fault.probe(scene(made))
    assert (probe.outcome, probe.measured["n1"]["oom_kills"]) == ("confirmed", 1)
    fault.heal(scene(made))
    assert set(pod.running) == set(CONTAINERS.values())
