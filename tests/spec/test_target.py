"""Targets: what they say, and which nodes they become."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import FaultError
from chaos.spec.target import Side, Target, TargetError


@dataclass(frozen=True)
class Placed:
    name: str
    zone: str
    group: str = ""
    region: str = ""
    provider: str | None = None


NODES = [Placed("n1", "a"), Placed("n2", "b"), Placed("n3", "b"), Placed("n4", "c")]
GROUPED = [Placed("c1", "a", "dcs"), Placed("c2", "b", "dcs"), Placed("c3", "c", "dcs"),
           Placed("p1", "a", "db"), Placed("p2", "b", "db")]  # fmt: skip
ROLES = {"n1": "primary", "n2": "replica", "n3": "primary", "n4": "down"}


def resolve(text: str, seed: int = 1) -> list[str]:
    return Target.parse(text).resolve(NODES, ROLES, random.Random(seed))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n2", ["n2"]),
        ("zone:b", ["n2", "n3"]),
        ("primary", ["n1", "n3"]),
        ("replica", ["n2"]),
        ("all", ["n1", "n2", "n3", "n4"]),
    ],
)
def test_what_is_named_is_meant(text: str, names: list[str]) -> None:
    assert resolve(text) == names
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "count"), [("one", 1), ("majority", 3), ("minority", 1), ("random(2)", 2)]
)
def test_a_choice_follows_the_seed(text: str, count: int) -> None:
    draws = [tuple(resolve(text, seed)) for seed in range(60)]
    assert {len(set(draw)) for draw in draws} == {count}
    assert draws == [tuple(resolve(text, seed)) for seed in range(60)]
    assert {name for draw in draws for name in draw} == {"n1", "n2", "n3", "n4"}
    assert all(list(draw) == sorted(draw) for draw in draws)
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize("text", ["n9", "zone:z", "random(5)"])
def test_a_target_that_is_nobody_says_so(text: str) -> None:
    with pytest.raises(FaultError, match="no node matches the target"):
        resolve(text)


def test_no_primary_shows_what_each_node_claims() -> None:
    with pytest.raises(FaultError, match="n1: replica, n2: unknown"):
        Target.parse("primary").resolve(NODES, {"n1": "replica"}, random.Random(1))


def test_two_nodes_have_no_minority() -> None:
    with pytest.raises(FaultError):
        Target.parse("minority").resolve(NODES[:2], {}, random.Random(1))


def test_a_side_is_a_target_or_clients() -> None:
    assert Side.parse("clients@us_EAST-a").clients_zone == "us_EAST-a"
    assert Side.parse("random(2)").target == Target.parse("random(2)")
    assert [str(Side.parse(text)) for text in ("clients@a", "n1")] == ["clients@a", "n1"]


@pytest.mark.parametrize(
    ("text", "fix"),
    [("random()", ""), ("Primary", "write primary"), ("random(0)", ""), ("", "")],
)
def test_what_is_no_target(text: str, fix: str) -> None:
    with pytest.raises(
        TargetError, match="expected a node's name, zone:NAME, region:NAME"
    ) as caught:
        Target.parse(text)
    assert caught.value.fix == fix


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_anything_is_a_target_or_refused(value: object) -> None:
    try:
        target = Target.parse(value)
    except TargetError:
        with pytest.raises(TargetError):
            Target.parse(value)
    else:
        assert str(target) == value


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("db/primary", ["p1"]),
        ("db/all", ["p1", "p2"]),
        ("db/zone:b", ["p2"]),
        ("zone:a", ["c1", "p1"]),
        ("group:dcs", ["c1", "c2", "c3"]),
        ("dcs/c2", ["c2"]),
    ],
)
def test_a_group_is_looked_at_alone(text: str, names: list[str]) -> None:
    roles = {"c1": "primary", "c2": "replica", "c3": "replica", "p1": "primary", "p2": "replica"}
    assert Target.parse(text).resolve(GROUPED, roles, random.Random(1)) == names
    assert str(Target.parse(text)) == text
    assert str(Side.parse(text)) == text


@pytest.mark.parametrize(("text", "count"), [("dcs/majority", 2), ("dcs/one", 1), ("db/one", 1)])
def test_a_choice_within_a_group(text: str, count: int) -> None:
    group = text.split("/")[0]
    own = {node.name for node in GROUPED if node.group == group}
    draws = [Target.parse(text).resolve(GROUPED, {}, random.Random(seed)) for seed in range(40)]
    assert {len(draw) for draw in draws} == {count}
    assert {name for draw in draws for name in draw} == own


@pytest.mark.parametrize("text", ["db/", "/primary", "db/dcs/one", "Db/one", "db/zone:", "db/Any"])
def test_what_is_no_target_of_a_group(text: str) -> None:
    with pytest.raises(TargetError, match="GROUP/"):
        Target.parse(text)
