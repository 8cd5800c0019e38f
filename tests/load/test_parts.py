"""Workloads of several parts: plans cross the pipe whole, and each part's errors are its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.load.makers import JudgedClient, makers
from chaos.load.plan import LoadPlan, PartPlan, from_json, to_json
from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec, Definite, ErrorRule, Judged, NotConnected, classify
from chaos.workloads.base import LoadShape

RULES = (
    ErrorRule(code="late", kind=TimeoutError, definite=False, reason="it may have been done"),
    ErrorRule(code="absent", kind=NotConnected, definite=True, reason="nothing was sent"),
)


def spec(zone: str, port: int) -> ClientSpec:
    return ClientSpec(
        zone=zone, home="n1", endpoints={"n1": {"db": ("127.0.0.1", port)}},
        settings={"store": f"parts-{zone}"}, options={}, timeout_s=1.0,
    )  # fmt: skip


def plan(**more: Any) -> LoadPlan:
    locks = [spec(zone, 1) for zone in "abcde"]
    stores = [spec(zone, 2) for zone in "abcde"]
    parts = {
        "lock": PartPlan(system="fake", kind="lock", clients=locks),
        "store": PartPlan(system="fake", kind="document", clients=stores),
    }
    return LoadPlan(
        **{"system": "fake", "workload": "lock", "shape": LoadShape(), "clients": locks,
           "parts": parts, "segment": "runs", **more}
    )  # fmt: skip


def test_a_plan_crosses_the_pipe_with_its_parts() -> None:
    assert from_json(json.loads(json.dumps(to_json(plan())))) == plan(processes=[])
    bare = LoadPlan(system="fake", workload="set", shape=LoadShape(), clients=[], segment="x")
    assert from_json(json.loads(json.dumps(to_json(bare)))).parts == {}


def test_parts_are_dealt_out_with_their_clients() -> None:
    for each in plan().split(2):
        zones = [client.zone for client in each.clients]
        assert {name: [c.zone for c in part.clients] for name, part in each.parts.items()} == {
            "lock": zones,
            "store": zones,
        }
        assert {c.endpoints["n1"]["db"][1] for c in each.parts["store"].clients} == {2}


def test_a_client_is_joined_of_one_for_each_part() -> None:
    first = makers(plan())[0]
    assert (first.zone, list(first.errors)) == ("a", [])
    client = first.make()
    client.open()
    token = client.invoke(Invocation("acquire", "k0")).value
    assert client.invoke(Invocation("read", "k0", expected=token)).payload == "[]"
    with pytest.raises(Definite, match="held"):
        first.make().invoke(Invocation("acquire", "k0"))
    client.close()


class Part:
    """A client that raises what it is told to."""

    node = "n7"

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def open(self) -> None:
        """Nothing to connect to."""

    def invoke(self, operation: Invocation) -> Result:
        if self.error:
            raise self.error
        return Result(value=operation.value, node=self.node)

    def close(self) -> None:
        """Nothing to drop."""


@pytest.mark.parametrize(
    ("error", "judged"),
    [
        (TimeoutError("1 s"), (False, "store: late: it may have been done")),
        (NotConnected("no way"), (True, "store: absent: nothing was sent")),
        (OSError("odd"), (False, "store: unknown: OSError: odd")),
        (Definite("mismatch", "found 3"), (True, "mismatch: found 3")),
        (Judged(True, "said before"), (True, "said before")),
    ],
)
def test_a_part_s_errors_are_judged_by_its_own_table(
    error: Exception, judged: tuple[bool, str]
) -> None:
    client = JudgedClient("store", Part(error), RULES)
    with pytest.raises((Definite, Judged)) as raised:
        client.invoke(Invocation("read", "k0"))
    other = (ErrorRule(code="all", kind=Exception, definite=True, reason="wrong table"),)
    assert classify(raised.value, other) == judged


def test_a_part_that_answers_is_passed_on() -> None:
    client = JudgedClient("store", Part(None), RULES)
    assert client.node == "n7"
    assert client.invoke(Invocation("write", "k0", 5)) == Result(value=5, node="n7")
