"""Workloads of transactions: what is asked for, against a store that does it one at a time."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from chaos.errors import SpecError
from chaos.record.op import Invocation, Result
from chaos.registry import WORKLOADS
from chaos.systems.base import Definite
from chaos.systems.fake.transactions import Table
from chaos.workloads.append import WORKLOAD as APPEND
from chaos.workloads.bank import WORKLOAD as BANK
from chaos.workloads.base import Generator, LoadShape
from chaos.workloads.long_fork import WORKLOAD as LONG_FORK
from chaos.workloads.write_skew import WORKLOAD as WRITE_SKEW

TXN = ["append", "wr", "long-fork", "write-skew"]
Done = list[tuple[int, list[list[Any]]]]  # client, what it was told


def micros(operation: Invocation | Result) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(operation.payload or "null")
    return found


def played(name: str, shape: LoadShape, count: int, clients: int = 3, seed: int = 1) -> Done:
    """`count` transactions of each client, in an order drawn from the seed, one at a time."""
    workload, table = WORKLOADS.get(name), Table()
    rngs = [random.Random(f"{seed}-{client}") for client in range(clients)]
    generators: list[Generator] = [
        workload.generator(shape, client, clients, rng) for client, rng in enumerate(rngs)
    ]
    order = [client for client in range(clients) for _ in range(count)]
    random.Random(seed).shuffle(order)
    done = []
    for client in order:
        operation = generators[client].next()
        result = table.txn(operation, "n1", "")
        generators[client].outcome(operation, result)
        done.append((client, micros(result)))
    return done


def written(done: Done) -> list[tuple[int, int]]:
    return [(key, value) for _, txn in done for kind, key, value in txn if kind != "r"]


@pytest.mark.parametrize("name", TXN)
def test_values_are_unique_and_the_same_seed_asks_the_same(name: str) -> None:
    shape = LoadShape(keys=4, distribution="zipf")
    done = played(name, shape, 60)
    values = [value for _, value in written(done)]
    assert len(values) > 30
    assert len(set(values)) == len(values)
    assert played(name, shape, 60) == done
    assert played(name, shape, 60, seed=2) != done


@pytest.mark.parametrize("name", TXN)
def test_reads_are_asked_for_as_null(name: str) -> None:
    generator = WORKLOADS.get(name).generator(LoadShape(keys=2), 0, 1, random.Random(1))
    for _ in range(50):
        operation = generator.next()
        assert (operation.f, operation.key, operation.value) == ("txn", None, None)
        assert all((value is None) == (kind == "r") for kind, _, value in micros(operation))


def test_a_full_list_is_left_by_everyone() -> None:
    shape = LoadShape(keys=2, options={"lifetime": 10, "length": 3})
    done = played("append", shape, 200)
    lengths = Counter(key for key, _ in written(done))
    assert {key % 2 for key in lengths} == {0, 1}
    assert len(lengths) > 20
    assert max(lengths.values()) <= 10 + 3 * 3
    together = [len({c for c, txn in done if any(m[1] == key for m in txn)}) for key in lengths]
    assert together.count(3) > 0.9 * len(together), "clients must stay at the same keys"


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
def test_length_and_mix_are_those_asked_for(distribution: str) -> None:
    shape = LoadShape(
        keys=5, distribution=distribution, mix={"append": 3, "r": 1}, options={"length": 6}
    )
    done = played("append", shape, 300)
    sizes = Counter(len(txn) for _, txn in done)
    assert set(sizes) == set(range(1, 7))
    kinds = Counter(m[0] for _, txn in done for m in txn)
    assert kinds["append"] / kinds.total() == pytest.approx(0.75, abs=0.04)


def test_write_skew_reads_its_pair_and_writes_one_of_it() -> None:
    for _, txn in played("write-skew", LoadShape(keys=3), 100):
        keys = [key for kind, key, _ in txn if kind == "r"]
        assert sorted(keys) == [min(keys), min(keys) + 1]
        assert min(keys) % 2 == 0
        assert [key for kind, key, _ in txn if kind == "w"] in ([], keys[:1], keys[1:])


@pytest.mark.parametrize("size", [2, 3])
def test_long_fork_writes_each_key_once_and_clients_stay_together(size: int) -> None:
    done = played("long-fork", LoadShape(options={"size": size}), 200, clients=4)
    keys = [key for key, _ in written(done)]
    assert len(set(keys)) == len(keys) > 40
    ended = {}
    for client, txn in done:
        if txn[0][0] == "r":
            assert sorted(m[1] for m in txn) == list(range(min(m[1] for m in txn), size + min(
                m[1] for m in txn)))  # fmt: skip
        ended[client] = txn[0][1] // size
    assert max(ended.values()) - min(ended.values()) <= 3


def test_long_fork_asks_again_for_what_was_not_written_and_gives_up_in_the_end() -> None:
    generator = LONG_FORK.generator(LoadShape(), 0, 2, random.Random(1))
    seen = []
    for _ in range(200):
        operation = generator.next()
        generator.outcome(operation, None)
        seen.append(micros(operation))
    writes = [txn[0] for txn in seen if txn[0][0] == "w"]
    again = [value for _, key, value in writes if key == 0]
    assert len(again) > 1
    assert len(set(again)) == len(again)
    assert {key for _, key, _ in writes} > {0, 2}, "it must not wait for ever"


def test_final_reads_are_of_the_keys_in_use() -> None:
    shape = LoadShape(keys=3, options={"lifetime": 2, "length": 4})
    generator = APPEND.generator(shape, 1, 2, random.Random(1))
    table = Table()
    for _ in range(40):
        operation = generator.next()
        generator.outcome(operation, table.txn(operation, "n1", ""))
    now = generator.keys  # type: ignore[attr-defined]
    assert min(now) > 3
    reads = [micros(op) for op in APPEND.final(shape, 1, 2, generator)]
    assert reads == [[["r", now[1] - 3, None], ["r", now[1], None]]]
    unused = [micros(op) for client in range(2) for op in APPEND.final(shape, client, 2)]
    assert sorted(unused) == [[["r", key, None]] for key in range(3)]
    pairs = [micros(op) for op in WRITE_SKEW.final(shape, 0, 2)]
    assert pairs == [[["r", 0, None], ["r", 1, None]], [["r", 4, None], ["r", 5, None]]]


def test_a_bank_keeps_its_total() -> None:
    shape = LoadShape(options={"accounts": 3, "total": 100, "most": 40})
    (opening,) = BANK.setup(shape)
    assert json.loads(opening.payload or "") == BANK.initial(shape) == {"0": 34, "1": 33, "2": 33}
    table = Table()
    generator = BANK.generator(shape, 0, 1, random.Random(1))
    refused = 0
    for operation in [opening, opening, *(generator.next() for _ in range(300))]:
        call = {"open": table.open, "transfer": table.transfer, "read": table.balances}
        try:
            result = call[operation.f](operation, "n1", "")
        except Definite as error:
            refused += error.code == "insufficient"
            continue
        if operation.f == "read":
            held: Sequence[int] = list(json.loads(result.payload or "").values())
            assert sum(held) == 100
            assert min(held) >= 0
        elif operation.f == "transfer":
            asked = json.loads(operation.payload or "")
            assert asked["from"] != asked["to"]
            assert 1 <= asked["amount"] <= 40
    assert 0 < refused < 150


@pytest.mark.parametrize(
    ("name", "options"),
    [("append", {"length": 0}), ("append", {"lifetime": 0}), ("bank", {"accounts": 1}),
     ("long-fork", {"size": 1})],
)  # fmt: skip
def test_an_option_out_of_range_is_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=r"expected \w+ from"):
        WORKLOADS.get(name).generator(LoadShape(options=options), 0, 1, random.Random(1))
