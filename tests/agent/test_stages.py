"""Stages of links: faults overlap and end independently; what reaches iptables and tc."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.agent.netem import combined, divert, make
from chaos.agent.nfqueue import CHAIN, command, rules
from chaos.agent.stages import Stage, Stages, stage

WAYS = [("198.18.0.10", "198.18.0.11"), ("198.18.0.12", "198.18.0.11")]
BASE = Stage(name="base", leased=False, delay_us=30_000, jitter_us=2_000, distribution="normal")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["f1", "f2", "f3", "base"]),
            st.sampled_from(WAYS),
            st.sampled_from(["set", "unset"]),
            st.integers(1, 9),
        )
    )
)
def test_each_fault_is_there_from_its_beginning_to_its_end(
    steps: list[tuple[str, tuple[str, str], str, int]],
) -> None:
    stages = Stages()
    there: dict[tuple[str, str], dict[str, int]] = {way: {} for way in WAYS}
    for name, way, what, delay in steps:
        if what == "set":
            stages.set(way, Stage(name=name, leased=name != "base", delay_us=delay))
            there[way][name] = delay
        else:
            assert set(stages.unset(name)) == {way for way in WAYS if name in there[way]}
            for held in there.values():
                held.pop(name, None)
    for way in WAYS:
        on = stages.on(way)
        assert {s.name: s.delay_us for s in on} == there[way]
        assert all(s.name != "base" for s in on[1:])  # the link itself comes first
        assert stages.others([way], "f1") == sorted(set(there[way]) - {"f1", "base"})
    assert set(stages.ways()) == {way for way in WAYS if there[way]}
    stages.unset_leased()
    assert {s.name for way in WAYS for s in stages.on(way)} <= {"base"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"delay": 1}, "expected keys of a stage"),
        ({"loss": 1.5}, "as a probability"),
        ({"delay_us": -1}, "from 0 on"),
        ({"delay_us": "1ms"}, "from 0 on"),
        ({"distribution": "gamma"}, "expected one of uniform, normal, pareto"),
    ],
)
def test_a_wrong_stage_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage("f1", values, WAYS[0])


def test_ways_draw_for_themselves_and_the_same_each_time() -> None:
    seeds = [stage("f1", {"loss": 0.1, "seed": 7}, way).seed for way in WAYS]
    assert seeds[0] != seeds[1]
    assert seeds == [stage("f1", {"loss": 0.1, "seed": 7}, way).seed for way in WAYS]
    assert stage("f1", {"seed": 8}, WAYS[0]).seed != seeds[0]


def test_the_helper_is_told_what_differs_from_nothing() -> None:
    assert command(3, BASE) == ("stage 3 base delay_us=30000 jitter_us=2000 distribution=normal")
    assert command(0, Stage(name="f1", loss=0.1, burst=4.0, seed=9)) == (
        "stage 0 f1 leased=1 loss=0.1 burst=4.0 seed=9"
    )


def test_rules_touch_nothing_but_our_chain_and_its_call() -> None:
    first = rules({WAYS[0]: 0, WAYS[1]: 4}, called=False)
    assert first.splitlines() == [
        "*mangle",
        f":{CHAIN} - [0:0]",
        f"-A INPUT ! -i lo -j {CHAIN}",
        f"-A {CHAIN} -s 198.18.0.10 -d 198.18.0.11 -j NFQUEUE --queue-num 0 --queue-bypass",
        f"-A {CHAIN} -s 198.18.0.12 -d 198.18.0.11 -j NFQUEUE --queue-num 4 --queue-bypass",
        "COMMIT",
    ]
    assert "INPUT" not in rules({WAYS[0]: 0}, called=True)
    assert rules({}, called=True).splitlines() == [
        "*mangle", f":{CHAIN} - [0:0]", f"-D INPUT ! -i lo -j {CHAIN}", f"-X {CHAIN}", "COMMIT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ([Stage(name="f1", delay_us=50_000)], "limit 200000 delay 50000us"),
        (
            [BASE, Stage(name="f1", delay_us=20_000, jitter_us=1_500)],
            "limit 200000 delay 50000us 2500us distribution normal rate 100gbit",
        ),
        (
            [Stage(name="f1", loss=0.1), Stage(name="f2", loss=0.5)],
            "limit 200000 loss random 55%",
        ),
        ([Stage(name="f1", loss=0.2, burst=4)], "limit 200000 loss gemodel 6.25% 25%"),
        (
            [Stage(name="f1", duplicate=0.1), Stage(name="f2", corrupt=0.01)],
            "limit 200000 duplicate 10% corrupt 1%",
        ),
        (
            [
                Stage(name="f1", rate_bps=1e7, backlog_bytes=125_000),
                Stage(name="f2", rate_bps=1e6, backlog_bytes=45_000),
            ],
            "limit 30 rate 1000000bit",
        ),
        (
            [Stage(name="f1", reorder=0.1, late_us=10_000)],
            "limit 200000 delay 10000us reorder 90% gap 1",
        ),
    ],
)
def test_stages_as_one_netem(stages: list[Stage], text: str) -> None:
    assert combined(stages) == text


def test_netem_says_what_it_cannot_do() -> None:
    with pytest.raises(RuntimeError, match="cannot hold back packets"):
        combined([BASE, Stage(name="f1", reorder=0.1, late_us=1000)])


def test_only_the_ways_packets_are_led_to_netem() -> None:
    assert divert(5, WAYS[0]) == (
        "filter add dev eth0 parent ffff: protocol ip pref 5 u32 match ip src 198.18.0.10/32 "
        "match ip dst 198.18.0.11/32 action mirred egress redirect dev aftershock0"
    )
    assert make(17, WAYS[0], "delay 1us") == [
        "class add dev aftershock0 parent 1: classid 1:11 htb rate 100gbit",
        "qdisc add dev aftershock0 parent 1:11 handle 12: netem delay 1us",
        "filter add dev aftershock0 parent 1: protocol ip pref 17 u32 match ip src "
        "198.18.0.10/32 match ip dst 198.18.0.11/32 flowid 1:11",
    ]


def test_how_long_a_way_holds_packets_at_most() -> None:
    limited = Stage(name="f1", delay_us=1_000, rate_bps=8e6, backlog_bytes=100_000)
    assert limited.hold_s == pytest.approx(0.101)
    assert replace(limited, rate_bps=0.0).hold_s == pytest.approx(0.001)
