"""What the clients of transactions share: reading, replaying, choosing a node, judging."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.record.op import Invocation
from chaos.registry import SYSTEMS
from chaos.systems._common import chosen_node
from chaos.systems._transactions import NotCommitted, answered, micros_of, replayed
from chaos.systems.base import ClientSpec, Definite, classify
from chaos.systems.fake.transactions import Table

NAMES = ("postgres", "etcd", "redis", "mariadb")


@pytest.mark.parametrize(
    ("micros", "state", "reads", "written"),
    [
        ([("r", 1, None)], {}, [None], {}),
        ([("append", 1, 5), ("r", 1, None)], {1: [4]}, [[4, 5]], {1: [4, 5]}),
        ([("append", 1, 5), ("append", 1, 6)], {}, [], {1: [5, 6]}),
        ([("r", 1, None), ("w", 1, 5), ("r", 1, None)], {1: 4}, [4, 5], {1: 5}),
        ([("w", 1, 5), ("w", 1, 6), ("w", 2, 7)], {}, [], {1: 6, 2: 7}),
    ],
)
def test_a_replay(micros: Any, state: Any, reads: Any, written: Any) -> None:
    before = json.dumps(state)
    assert replayed(micros, state) == (reads, written)
    assert json.dumps(state) == before


def test_an_answer_has_every_micro_operation_in_order() -> None:
    asked = Invocation("txn", payload='[["r",2,null],["append",1,9],["r",1,null]]')
    result = answered(micros_of(asked), [[3], [9]], "n1")
    assert result.payload == '[["r",2,[3]],["append",1,9],["r",1,[9]]]'
    assert result.node == "n1"


def test_a_node_is_chosen_from_home_on() -> None:
    spec = ClientSpec(
        zone="z", home="n2", endpoints={"n3": {}, "n1": {}, "n2": {}}, settings={}, options={},
        timeout_s=1.0,
    )  # fmt: skip
    assert [chosen_node(spec, at) for at in range(4)] == ["n2", "n1", "n3", "n2"]


@pytest.mark.parametrize("name", ["postgres", "etcd"])
def test_what_ended_before_its_commit_certainly_did_not_happen(name: str) -> None:
    definite, why = classify(NotCommitted("TimeoutError: timed out"), SYSTEMS.get(name).errors)
    assert definite
    assert why.startswith("not-committed: ")


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_has_its_client(name: str) -> None:
    system = SYSTEMS.get(name)
    spec = ClientSpec(
        zone="z", home="n1", endpoints={}, settings={"_addresses": {}}, options={}, timeout_s=1.0
    )
    made = {workload: type(system.client(spec, workload)) for workload in system.workloads}
    assert made["wr"] is made["long-fork"] is made["write-skew"]
    assert len(set(made.values())) == len(made) - 2


def test_first_committer_wins_on_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()

    def meanwhile(seconds: float) -> None:
        monkeypatch.setattr("chaos.systems.fake.transactions.time.sleep", lambda s: None)
        table.txn(Invocation("txn", payload='[["append",1,1]]'), "n1", "")

    monkeypatch.setattr("chaos.systems.fake.transactions.time.sleep", meanwhile)
    with pytest.raises(Definite, match="conflict"):
        table.txn(Invocation("txn", payload='[["append",1,2]]'), "n1", "snapshots")
    read = table.txn(Invocation("txn", payload='[["r",1,null]]'), "n1", "")
    assert read.payload == '[["r",1,[1]]]'
