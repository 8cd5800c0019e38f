"""Workloads: unique values, honest mixes, the same operations from the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import SpecError
from chaos.record.op import Invocation, Result
from chaos.workloads.base import LoadShape, Workload
from chaos.workloads.convergence import WORKLOAD as CONVERGENCE
from chaos.workloads.counter import WORKLOAD as COUNTER
from chaos.workloads.register import WORKLOAD as REGISTER
from chaos.workloads.session import WORKLOAD as SESSION
from chaos.workloads.set import WORKLOAD as SET

BOTH = pytest.mark.parametrize(
    "workload",
    [REGISTER, SET, SESSION, CONVERGENCE],
    ids=["register", "set", "session", "convergence"],
)


def take(workload: Workload, n: int, client: int = 0, clients: int = 1, seed: int = 1,
         shape: LoadShape | None = None) -> list[Invocation]:  # fmt: skip
    generator = workload.generator(shape or LoadShape(), client, clients, random.Random(seed))
    operations = []
    for _ in range(n):
        operation = generator.next()
        generator.outcome(operation, Result(value=operation.value))
        operations.append(operation)
    return operations


@BOTH
@given(clients=st.integers(1, 9), seed=st.integers(0, 99))
def test_no_two_clients_write_the_same_value(workload: Workload, clients: int, seed: int) -> None:
    values = [
        operation.value
        for client in range(clients)
        for operation in take(workload, 40, client, clients, seed)
        if operation.f != "read"
    ]
    assert len(values) == len(set(values))
    assert all(value is not None and value > 0 for value in values)


@BOTH
def test_the_same_seed_gives_the_same_operations(workload: Workload) -> None:
    shape = LoadShape(keys=20, distribution="zipf")
    assert take(workload, 100, shape=shape) == take(workload, 100, shape=shape)


def test_a_session_goes_through_every_node_alike() -> None:
    found = Counter(operation.at % 3 for operation in take(SESSION, 3000))
    assert set(found) == {0, 1, 2}
    assert max(found.values()) < 1.15 * min(found.values())
    reads = [op for client in range(2) for op in SESSION.final(LoadShape(keys=3), client, 2)]
    assert [op.key for op in reads] == 2 * ["k0", "k1", "k2"]
    assert {op.at for op in reads} == {0}


def test_the_mix_is_the_one_asked_for() -> None:
    found = Counter(operation.f for operation in take(REGISTER, 10_000))
    assert found["read"] / 10_000 == pytest.approx(0.5, abs=0.03)
    assert found["cas"] / 10_000 == pytest.approx(0.1, abs=0.03)
    only = take(SET, 100, shape=LoadShape(mix={"add": 1, "read": 0}))
    assert {operation.f for operation in only} == {"add"}


def test_zipf_prefers_the_first_keys_and_uniform_none() -> None:
    for distribution, share in (("uniform", 0.05), ("zipf", 0.27)):
        shape = LoadShape(keys=20, distribution=distribution)
        found = Counter(operation.key for operation in take(REGISTER, 10_000, shape=shape))
        assert set(found) == {f"k{i}" for i in range(20)}
        assert found["k0"] / 10_000 == pytest.approx(share, abs=0.03)


def test_cas_expects_what_this_client_last_saw() -> None:
    generator = REGISTER.generator(LoadShape(mix={"cas": 1}), 0, 1, random.Random(1))
    first = generator.next()
    assert first.f == "write"  # it has seen nothing yet
    generator.outcome(first, None)
    assert generator.next().f == "write"
    generator.outcome(Invocation("read", "k0"), Result(value=77))
    cas = generator.next()
    assert (cas.f, cas.expected) == ("cas", 77)
    generator.outcome(cas, Result())
    assert generator.next().expected == cas.value


def test_final_reads_cover_every_key_once_and_the_set_once_a_client() -> None:
    shape = LoadShape(keys=7)
    keys = [op.key for client in range(3) for op in REGISTER.final(shape, client, 3)]
    assert sorted(map(str, keys)) == [f"k{i}" for i in range(7)]
    assert [op.f for op in SET.final(shape, 0, 3)] == ["read"]


def test_a_counter_is_added_to_by_amounts_up_to_the_most() -> None:
    shape = LoadShape(keys=2, options={"most": 3})
    found = take(COUNTER, 2000, shape=shape)
    assert {op.value for op in found if op.f == "add"} == {1, 2, 3}
    assert {op.value for op in found if op.f == "read"} == {None}
    assert {op.key for op in found} == {"k0", "k1"}
    assert {op.value for op in take(COUNTER, 200) if op.f == "add"} == {1}
    assert take(COUNTER, 100, shape=shape) == take(COUNTER, 100, shape=shape)
    keys = [op.key for client in range(3) for op in COUNTER.final(LoadShape(keys=4), client, 3)]
    assert sorted(map(str, keys)) == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (LoadShape(mix={"delete": 1}), "no operation 'delete'"),
        (LoadShape(mix={"read": -1}), "0 or more"),
        (LoadShape(mix={"read": 0}), "above 0"),
        (LoadShape(keys=0), "1 or more"),
        (LoadShape(distribution="normal"), "uniform or zipf"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape: LoadShape, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        REGISTER.generator(shape, 0, 1, random.Random(1))


def test_in_the_end_every_key_is_read_at_every_node() -> None:
    shape = LoadShape(keys=5)
    reads = [r for client in range(3) for r in CONVERGENCE.final(shape, client, 3)]
    assert {(r.key, r.at % 7) for r in reads} == {(f"k{k}", n) for k in range(5) for n in range(7)}
