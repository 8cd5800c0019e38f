"""Edits, and an admin who revokes and admits members."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from chaos.record.op import Invocation, Result
from chaos.workloads.base import LoadShape
from chaos.workloads.edits import WORKLOAD as EDITS


def played(
    count: int, node: str = "n1", client: int = 0, refuses: Sequence[str] = (), **options: int
) -> list[Invocation]:
    """The first operations of a client of `node`, where n1 to n4 are members; `refuses`: operations
    that fail the first time."""
    refused = set(refuses)
    members = {"n1", "n2", "n3", "n4"}
    shape = LoadShape(options=options)
    generator = EDITS.generator(shape, client, 3, random.Random(1))
    done = []
    for _ in range(count):
        operation = generator.next()
        done.append(operation)
        if operation.f in refused:
            refused.remove(operation.f)
            generator.outcome(operation, None)
            continue
        payload = json.dumps(sorted(members)) if operation.key == "members" else "[]"
        if operation.f == "revoke":
            members.remove(json.loads(operation.payload or ""))
        if operation.f == "admit":
            members.add(json.loads(operation.payload or ""))
        generator.outcome(operation, Result(payload=payload, node=node))
    return done


def standing(operations: Sequence[Invocation]) -> list[tuple[int, str, str]]:
    """(place, f, member) of what is said of members."""
    return [
        (at, operation.f, json.loads(operation.payload or ""))
        for at, operation in enumerate(operations)
        if operation.f in ("revoke", "admit")
    ]


def test_a_member_is_revoked_and_admitted_in_turns() -> None:
    options = {"revoke-after": 10, "admit-after": 5, "member": 2}
    assert standing(played(50, **options)) == [
        (11, "revoke", "n3"),
        (17, "admit", "n3"),
        (29, "revoke", "n3"),
        (35, "admit", "n3"),
        (47, "revoke", "n3"),
    ]


def test_who_is_not_to_be_admitted_again_is_revoked_once() -> None:
    found = standing(played(300, **{"revoke-after": 10, "admit-after": 0, "member": 3}))
    assert found == [(11, "revoke", "n4")]


def test_a_member_that_is_not_there_is_not_revoked() -> None:
    assert standing(played(300, **{"revoke-after": 10, "member": 4})) == []


def test_what_was_not_acknowledged_is_tried_again_until_it_is() -> None:
    options = {"revoke-after": 3, "admit-after": 2, "member": 1}
    found = standing(played(14, refuses=("revoke", "admit"), **options))
    assert [f for _, f, _ in found] == ["revoke", "revoke", "admit", "admit"]
    assert {member for _, _, member in found} == {"n2"}


def test_any_member_may_be_meant_but_never_oneself() -> None:
    found = standing(played(4000, **{"revoke-after": 2, "admit-after": 1}))
    assert set(Counter(member for _, _, member in found)) == {"n2", "n3", "n4"}
    assert found == standing(played(4000, **{"revoke-after": 2, "admit-after": 1}))


def test_other_clients_say_nothing_of_members() -> None:
    done = played(500, node="n2", **{"revoke-after": 1})
    assert standing(done) == []
    assert [operation.key for operation in done].count("members") == 1  # who is the admin?


def test_no_two_clients_add_the_same() -> None:
    added = [op.value for client in range(3) for op in played(200, client=client) if op.f == "add"]
    assert len(set(added)) == len(added) > 300


@pytest.mark.parametrize("client", [0, 2])
def test_in_the_end_all_parts_are_read(client: int) -> None:
    final = list(EDITS.final(LoadShape(), client, 3))
    assert {op.f for op in final} == {"read"}
    assert sorted(str(op.key) for op in final) == ["elements", "members", "rolled-back"]
