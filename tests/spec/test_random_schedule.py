"""Drawn schedules: the same for the same seed, within their bounds, as distributed as asked."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.errors import SpecError
from chaos.spec.drawing import SHORTEST_MS, draw, expanded, most, window_ms
from chaos.spec.experiment import Experiment
from chaos.spec.files import drawn, load_experiment
from chaos.spec.presets import COMPRESSION, MEASURED, mix, rate_per_s
from chaos.spec.random_schedule import Lengths, RandomSchedule

MS = 1_000_000
SECOND = 1_000_000_000
Write = Callable[..., Path]

KILL = {"fault": "kill", "target": "one"}
PAUSE = {"fault": "pause", "target": "random(1)", "weight": 3}
RESTART = {"fault": "restart", "target": "replica"}


def schedule(**keys: Any) -> RandomSchedule:
    return RandomSchedule.model_validate({"mix": [KILL, PAUSE, RESTART], "for": "2s", **keys})


def ms(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda n: f"{n}ms")


LENGTHS = st.one_of(
    ms(1, 20_000),
    st.tuples(ms(1, 3_000), ms(3_000, 20_000)).map(lambda ends: {"uniform": list(ends)}),
    ms(1, 20_000).map(lambda mean: {"exponential": mean}),
    st.tuples(ms(1, 3_000), ms(3_000, 60_000)).map(
        lambda two: {"lognormal": {"median": two[0], "p95": two[1]}}
    ),
)
HOW_MANY = st.one_of(
    st.integers(1, 40).map(lambda n: {"count": n}),
    st.integers(1, 600).map(lambda n: {"rate": f"{n}/m"}),
)


@st.composite
def schedules(choose: st.DrawFn) -> tuple[RandomSchedule, int]:
    """A schedule and the length of a load in which it has time."""
    duration_ns = choose(st.integers(2_000, 120_000)) * MS
    keys: dict[str, Any] = {
        "for": choose(LENGTHS),
        "overlap": choose(st.integers(1, 4)),
        "gap": choose(ms(0, 2_000)),
        **choose(HOW_MANY),
    }
    if choose(st.booleans()):
        keys["longest"] = choose(ms(500, 5_000))
    spec = schedule(**keys)
    begin_ms, end_ms = window_ms(spec, duration_ns)
    if spec.count is not None and spec.count > most(spec, end_ms - begin_ms):
        spec = spec.model_copy(update={"count": max(1, most(spec, end_ms - begin_ms))})
    return spec, duration_ns


@settings(max_examples=150, deadline=None)
@given(schedules(), st.integers(0, 2**63 - 1))
def test_what_is_drawn_keeps_to_what_was_asked(case: tuple[RandomSchedule, int], seed: int) -> None:
    spec, duration_ns = case
    found = draw(spec, seed, duration_ns)
    assert found == draw(spec, seed, duration_ns)
    assert [e.at_ns for e in found] == sorted(e.at_ns for e in found)
    begin_ms, end_ms = window_ms(spec, duration_ns)
    for entry in found:
        assert begin_ms * MS <= entry.at_ns
        assert entry.at_ns + (entry.for_ns or 0) <= end_ms * MS <= duration_ns
        assert entry.for_ns is None or entry.for_ns >= SHORTEST_MS * MS
        if entry.for_ns is not None and spec.longest_ns is not None:
            assert entry.for_ns <= spec.longest_ns
    for entry in found:
        at_once = [e for e in found if e.at_ns <= entry.at_ns < e.at_ns + (e.for_ns or 1)]
        assert len(at_once) <= spec.overlap
    assert len(found) == spec.count if spec.count else len(found) >= 1


@settings(max_examples=50, deadline=None)
@given(schedules())
def test_it_reads_back_as_it_is_written(case: tuple[RandomSchedule, int]) -> None:
    spec, _ = case
    assert RandomSchedule.model_validate(spec.resolved()).resolved() == spec.resolved()


def test_another_seed_gives_another_schedule() -> None:
    found = {tuple(e.at_ns for e in draw(schedule(count=5), s, 60 * SECOND)) for s in range(20)}
    assert len(found) == 20


PINNED = [
    ("restart", 15619, 0),
    ("restart", 32260, 0),
    ("pause", 35455, 3113),
    ("pause", 42263, 8417),
]


def test_a_schedule_is_the_same_on_every_machine() -> None:
    """Pinned: a change here makes every recorded seed mean something else."""
    found = draw(schedule(count=4, **{"for": {"exponential": "3s"}}), 7, 60 * SECOND)
    assert [(e.name, e.at_ns // MS, (e.for_ns or 0) // MS) for e in found] == PINNED


def test_a_seed_of_its_own_wins_over_the_runs() -> None:
    own = schedule(count=5, seed=3)
    assert draw(own, 1, 60 * SECOND) == draw(own, 2, 60 * SECOND)
    assert draw(own, 1, 60 * SECOND) == draw(schedule(count=5), 3, 60 * SECOND)


def test_weights_and_rates_are_kept_in_the_mean() -> None:
    spec = schedule(rate="6/m", gap="0s", **{"for": "500ms"})
    runs = [draw(spec, seed, 100 * SECOND) for seed in range(400)]
    names = [entry.name for run in runs for entry in run]
    assert statistics.fmean(map(len, runs)) == pytest.approx(8, rel=0.06)  # 80 s at 6/m
    assert names.count("pause") / len(names) == pytest.approx(3 / 5, abs=0.03)


@pytest.mark.parametrize(
    ("asked", "quantiles"),
    [
        ({"uniform": ["1s", "5s"]}, {0.0: 1, 0.5: 3, 0.75: 4}),
        ({"exponential": "2s"}, {0.5: 1.386294, 0.95: 5.991465}),
        ({"lognormal": {"median": "2.7s", "p95": "19.9s"}}, {0.5: 2.7, 0.95: 19.9}),
        ({"exactly": "3s"}, {0.1: 3, 0.9: 3}),
    ],
)
def test_lengths_have_the_quantiles_they_are_named_by(
    asked: dict[str, Any], quantiles: dict[float, float]
) -> None:
    lengths = Lengths.model_validate(asked)
    for share, seconds in quantiles.items():
        assert lengths.at(share) / 1e9 == pytest.approx(seconds, rel=1e-6)


def test_the_measured_preset_is_what_was_measured() -> None:
    assert rate_per_s() * 60 == pytest.approx((5.2 + 40.8) / 24, rel=1e-9)  # a minute is an hour
    assert rate_per_s(1) * 86_400 == pytest.approx(46.0)
    lengths = [each.resolved().get("for") for each in mix(1)]
    assert {"lognormal": {"median": "162s", "p95": "1194s"}} in lengths
    assert {"lognormal": {"median": "32m", "p95": "5328m"}} in lengths
    assert sum(each.weight for each in mix()) == pytest.approx(100)
    service = next(e for e in MEASURED if e.source == "chubby").lengths["mean_s"]
    over_30_s = 1 - Lengths.model_validate({"exponential": f"{service:.6f}s"}).at(1 - 9 / 61) / 30e9
    assert over_30_s == pytest.approx(0, abs=1e-6)
    assert COMPRESSION == 60


def test_the_preset_runs_on_a_topology_of_any_system() -> None:
    spec = RandomSchedule.model_validate({"preset": "measured", "count": 12})
    found = draw(spec, 1, 120 * SECOND)
    assert len(found) == 12
    assert max(entry.for_ns or 0 for entry in found) <= 96 * SECOND / 3


RANDOM = "random: {{count: {count}, for: {length}, mix: [{{fault: pause, target: one}}]}}\n"


def test_steps_stand_between_what_is_drawn(experiment: Write) -> None:
    path = experiment(add=RANDOM.format(count=3, length="500ms"))
    loaded = load_experiment(path)
    assert len(loaded.experiment.schedule) == 1
    ready = drawn(loaded, 5)
    assert ready.experiment.random is None
    assert ready.drawn_from == loaded.experiment.random
    names = [entry.name for entry in ready.experiment.schedule]
    assert sorted(names) == ["kill", "pause", "pause", "pause"]
    times = [entry.at_ns for entry in ready.experiment.schedule]
    assert times == sorted(times)
    assert drawn(loaded, 5) == ready
    assert drawn(ready, 6) == ready  # it has been drawn


def test_what_was_drawn_replays_from_its_own_text(experiment: Write) -> None:
    ready = drawn(load_experiment(experiment(add=RANDOM.format(count=3, length="2s"))), 5)
    again = Experiment.model_validate(ready.experiment.resolved())
    assert again.schedule == ready.experiment.schedule
    assert expanded(again, 99) == again


BROKEN = {
    RANDOM.format(count=30, length="2s"): "expected at most 6 faults in 8s, got 30",
    "random: {rate: 6/m, until: 11s, for: 2s, mix: [{fault: pause, target: one}]}": (
        "expected an end within the load's 10s, got 11s"
    ),
    "random: {rate: 6/m, from: 9s, for: 2s, mix: [{fault: pause, target: one}]}": (
        "there is no time for a fault of 500ms"
    ),
    "random: {rate: 6/m, for: 2s, mix: [{fault: pause, target: n7}]}": "unknown node `n7`",
    "random: {rate: 6/m, for: 2s, mix: [{fault: paus, target: n1}]}": "did you mean `pause`?",
    "random: {rate: 6/m, for: 2s, mix: [{fault: pause, targe: n1}]}": "did you mean `target`?",
    "random: {rate: 6/m, for: 2s, mix: [{fault: pause, target: n1, at: 3s}]}": "leave `at:` out",
    "random: {rate: 6/m, for: 2s, mix: [{step: promote, node: n1}]}": "steps are not drawn",
    "random: {rate: 6/m, mix: [{fault: pause, target: n1}]}": "expected how long `pause` lasts",
    "random: {rate: 6/m, mix: [{fault: restart, target: n1, for: 1s}]}": "has no duration",
    "random: {rate: 6/m, for: {uniform: [2s, 1s]}, mix: [{fault: pause, target: n1}]}": (
        "expected the shorter duration first"
    ),
    "random: {rate: 6/m, for: {}, mix: [{fault: pause, target: n1}]}": "got none",
    "random: {rate: 6/m}": "expected either `preset:` or `mix:`, got neither",
    "random: {preset: measured, for: 2s}": "a preset has durations of its own",
    "random: {preset: measured, rate: 6/m, count: 2}": "either `rate:` or `count:`, got both",
    "random: {for: 2s, mix: [{fault: pause, target: n1}]}": "either `rate:` or `count:`, got n",
    "random: {count: 2, compression: 3, for: 2s, mix: [{fault: pause, target: n1}]}": (
        "`compression:` belongs to `preset:`"
    ),
    "abort_when: [{error_rate: 50}]": "write 50%",
    "abort_when: [{error_rate: 50%, no_quorum: 3s}]": "got 2",
    "abort_when: [{no_quorum: 3s, window: 3s}]": "`window:` and `of:` belong to `error_rate:`",
    "when_unavailable: ignore": "expected refuse or skip",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_cannot_be_meant_is_refused(experiment: Write, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(experiment(add=text + "\n"))
    assert BROKEN[text] in str(caught.value)
    assert "try.yaml:7" in str(caught.value)
