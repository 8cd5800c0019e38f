"""Faults on processes that overlap in any order: each ends only what is its own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.errors import FaultError
from chaos.faults import nodes as nodes_module
from chaos.faults import restart as restart_module
from chaos.faults.base import Reaction
from chaos.faults.pause import Pause
from chaos.faults.process import CrashLoop, Kill
from chaos.faults.restart import Restart, RollingRestart
from chaos.spec.entries import ENTRIES
from tests.faults.pods import CONTAINERS, cluster, scene

SERVER, SENTINEL = CONTAINERS.values()
CLASSES = {"kill": Kill, "pause": Pause, "crash-loop": CrashLoop, "restart": Restart,
           "rolling-restart": RollingRestart}  # fmt: skip


def make(id: str, fault: str, **keys: Any) -> Any:
    lasting = {} if "restart" in fault else {"for": "1s"}
    entry = ENTRIES[fault].model_validate({"at": "0s", "fault": fault, "target": "n1", **lasting,
                                           **keys})  # fmt: skip
    return CLASSES[fault](id, entry)


def injected(made: Any, *faults: Any) -> None:
    for fault in faults:
        fault.resolve(scene(made))
        fault.prepare(scene(made))
        fault.inject(scene(made))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database answers when its process runs; the cluster to look at is set by the test."""

    class Answers:
        cluster: Any = None

    def react(scene: Any, link: Any, *_: Any) -> Reaction:
        state = Answers.cluster.pods[link.node].state(SERVER)
        return Reaction({"": "refused", "S": "answered"}.get(state, "silent"), 1.0, 2)

    monkeypatch.setattr(nodes_module, "react", react)
    monkeypatch.setattr(nodes_module, "wait_answer", react)
    monkeypatch.setattr(restart_module, "wait_answer", react)
    return Answers


ORDERS = {
    "kill": {"fault": "kill"},
    "kill-server": {"fault": "kill", "process": SERVER},
    "pause": {"fault": "pause"},
    "pause-sentinel": {"fault": "pause", "process": SENTINEL},
    "freeze": {"fault": "pause", "how": "freezer"},
}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(ORDERS)), min_size=1, max_size=5), st.data())
def test_overlapping_faults_leave_a_running_node(chosen: list[str], data: st.DataObject) -> None:
    """Injected in this order, healed in any other: what is held stays held, and all runs after."""
    made = cluster()
    pod = made.pods["n1"]
    active: dict[str, Any] = {}
    for number, name in enumerate(chosen):
        fault = make(f"f{number}", **ORDERS[name])
        try:
            injected(made, fault)
        except FaultError:
            assert "process" in ORDERS[name]  # it was not there, and is not said to be down
            fault.heal(scene(made))
            continue
        active[f"{name}/{number}"] = fault
    while active:
        key = data.draw(st.sampled_from(sorted(active)))
        fault = active.pop(key)
        for _ in range(data.draw(st.integers(1, 2))):
            fault.heal(scene(made))
        kinds = [name.partition("/")[0] for name in active]
        if "kill" in kinds:
            assert pod.running == {}
        elif pod.running:
            assert pod.frozen == ("freeze" in kinds)
        if not pod.frozen and SENTINEL in pod.running:
            stopped = "pause" in kinds or "pause-sentinel" in kinds
            assert pod.state(SENTINEL) == ("T" if stopped else "S")
    assert {name: pod.state(name) for name in (SERVER, SENTINEL)} == {SERVER: "S", SENTINEL: "S"}
    assert made.hindered_by("n1") == []


def test_a_kill_by_name_leaves_the_node_up_and_is_undone(answers: Any) -> None:
    made = answers.cluster = cluster()
    fault = make("f1", "kill", process=SERVER)
    injected(made, fault)
    assert set(made.pods["n1"].running) == {SENTINEL}
    made.start("n1")  # as an operator's step may do: the node is not kept down
    assert set(made.pods["n1"].running) == {SERVER, SENTINEL}
    assert fault.probe(scene(made)).measured == {
        "n1": {"killed": 1, "processes": 2, "request": "answered"}
    }
    made.pods["n1"].running.pop(SERVER)
    fault.heal(scene(made))
    assert fault.probe_heal(scene(made)).outcome == "confirmed"
    assert fault.undo(scene(made)) == [{"do": "start", "node": "n1"}]


def test_a_name_that_is_not_there_says_which_are() -> None:
    fault = make("f1", "kill", process="postgres")
    with pytest.raises(FaultError, match="there are: redis-server, redis-sentinel"):
        injected(cluster(), fault)


def test_what_is_already_down_is_inconclusive_and_says_who_holds_it(answers: Any) -> None:
    made = answers.cluster = cluster()
    first, second, third = make("f1", "kill"), make("f2", "kill"), make("f3", "pause")
    injected(made, first, second, third)
    assert first.probe(scene(made)).outcome == "confirmed"
    for late in (second, third):
        probe = late.probe(scene(made))
        assert (probe.outcome, probe.why) == (
            "inconclusive", f"already down because of another fault: n1 ({late.before['n1'][0]}"
            + (", f2)" if late is third else ")"),
        )  # fmt: skip
    third.heal(scene(made))
    first.heal(scene(made))
    held = first.probe_heal(scene(made))
    assert (held.outcome, held.why) == ("inconclusive", "held by another fault: n1 (f2)")
    second.heal(scene(made))
    assert second.probe_heal(scene(made)).outcome == "confirmed"


def test_a_frozen_node_can_be_killed_and_stays_frozen_when_it_starts(answers: Any) -> None:
    made = answers.cluster = cluster()
    freeze, kill = make("f1", "pause", how="freezer"), make("f2", "kill")
    injected(made, freeze, kill)
    assert kill.probe(scene(made)).outcome == "confirmed"
    assert made.pods["n1"].running == {}
    kill.heal(scene(made))
    assert made.pods["n1"].frozen
    assert kill.probe_heal(scene(made)).why == "held by another fault: n1 (f1)"
    freeze.heal(scene(made))
    assert freeze.probe_heal(scene(made)).outcome == "confirmed"
    assert freeze.undo(scene(made)) == [{"do": "unpause", "node": "n1"}]


def test_a_pause_that_stops_nothing_is_a_mismatch(
    answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = answers.cluster = cluster()
    monkeypatch.setattr(made.pods["n1"], "do_stop", lambda asked: {"stopped": 2})
    fault = make("f1", "pause")
    injected(made, fault)
    probe = fault.probe(scene(made))
    assert (probe.outcome, probe.why) == ("mismatch", "still running: n1")


def test_a_crash_loop_counts_and_ends_running(answers: Any) -> None:
    made = answers.cluster = cluster()
    fault = make("f1", "crash-loop", down="200ms", up="200ms")
    injected(made, fault)
    assert fault.probe(scene(made)).outcome == "confirmed"
    pids = set(made.pods["n1"].running.values())
    time.sleep(0.7)
    fault.heal(scene(made))
    fault.heal(scene(made))
    assert set(made.pods["n1"].running) == {SERVER, SENTINEL}
    assert not pids & set(made.pods["n1"].running.values())
    probe = fault.probe_heal(scene(made))
    assert probe.outcome == "confirmed"
    assert probe.measured["kills"] == probe.measured["starts"] == 2


def test_a_restart_leaves_a_node_alone_that_another_fault_keeps_down(answers: Any) -> None:
    made = answers.cluster = cluster()
    kill, restart = make("f1", "kill"), make("f2", "restart")
    injected(made, kill, restart)
    assert made.pods["n1"].running == {}
    probe = restart.probe(scene(made))
    assert (probe.outcome, probe.why) == ("inconclusive", "not restarted: n1 (kept down by f1)")


def test_a_rolling_restart_ends_at_the_first_node_that_stays_away(
    answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = answers.cluster = cluster("n1 n2 n3")
    monkeypatch.setattr(made.pods["n2"], "restart", made.pods["n2"].running.clear)
    before = dict(made.pods["n3"].running)
    fault = make("f1", "rolling-restart", target="all")
    injected(made, fault)
    assert made.pods["n3"].running == before
    probe = fault.probe(scene(made))
    assert probe.outcome == "inconclusive"
    assert "n3 (n2 had not come back" in probe.why
