"""The workload lock: sections of four operations, and what a pause does with a token and without.

Played against the system in memory, one operation at a time.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.load.makers import JudgedClient
from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, stale_token
from chaos.systems.base import ClientSpec, Definite, Judged, NotConnected, classify
from chaos.systems.etcd.client import EtcdError
from chaos.systems.etcd.system import SYSTEM as ETCD
from chaos.systems.fake.system import FakeClient
from chaos.systems.postgres.client import NoAnswer, NotReplicated
from chaos.systems.postgres.system import SYSTEM as POSTGRES
from chaos.workloads.base import LoadShape
from chaos.workloads.lock import WORKLOAD, Locked, Sections

SHORT, LONG = "30ms", "60s"


def shape(**options: int) -> LoadShape:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return LoadShape(mix={"add": 1}, options=named)


def sections(of: LoadShape, client: int = 0) -> Sections:
    return WORKLOAD.generator(of, client, 2, random.Random(client))


@pytest.fixture
def make() -> Callable[..., Locked]:
    store = uuid.uuid4().hex

    def client(lease: str = LONG) -> Locked:
        spec = ClientSpec(
            zone="z",
            home="n1",
            endpoints={},
            settings={"store": store},
            options={"lease": lease},
            timeout_s=1.0,
        )
        parts = {part: FakeClient(spec, kind) for part, kind in WORKLOAD.parts.items()}
        return WORKLOAD.joined(parts, LoadShape())

    return client


class Player:
    """One client with its generator: `step` does its next operation."""

    def __init__(self, client: Locked, generator: Sections) -> None:
        self._client, self._generator = client, generator
        self.done: list[tuple[str, str, Any]] = []  # f, outcome, value

    def asked(self) -> Invocation:
        return self._generator.next()

    def step(self) -> tuple[str, str]:
        operation = self.asked()
        result: Result | None = None
        try:
            result = self._client.invoke(operation)
            outcome = "ok"
        except Definite as error:
            outcome = error.code
        self._generator.outcome(operation, result)
        self.done.append((operation.f, outcome, operation.value))
        return operation.f, outcome


def elements(client: Locked) -> list[int]:
    found: list[int] = json.loads(client.invoke(Invocation("read", "k0")).payload or "null")
    return found


def test_a_section_is_acquire_read_add_release(make: Callable[..., Locked]) -> None:
    player = Player(make(), sections(shape()))
    for _ in range(8):
        player.step()
    assert [f for f, _, _ in player.done] == 2 * ["acquire", "read", "add", "release"]
    assert {outcome for _, outcome, _ in player.done} == {"ok"}
    assert elements(make()) == [1, 3]  # client 0 of 2


def test_the_lock_keeps_others_out_of_a_section(make: Callable[..., Locked]) -> None:
    one, other = (Player(make(), sections(shape(), client)) for client in (0, 1))
    one.step()
    assert other.step() == ("acquire", "held")
    assert other.asked().f == "acquire"  # another try, which is a new operation
    for _ in range(3):
        one.step()
    assert [other.step() for _ in range(4)] == [
        (f, "ok") for f in ("acquire", "read", "add", "release")
    ]
    assert elements(make()) == [1, 2]


def overtaken(make: Callable[..., Locked], fencing: int) -> tuple[Player, Player]:
    """A holder stands still after its read until another client had a section of its own."""
    one = Player(make(SHORT), sections(shape(fencing=fencing)))
    other = Player(make(), sections(shape(fencing=fencing), 1))
    one.step()
    one.step()
    while other.step() != ("acquire", "ok"):  # until the lease has run out
        pass
    for _ in range(3):
        other.step()
    return one, other


def test_a_pause_longer_than_the_lease_loses_what_others_added(
    make: Callable[..., Locked],
) -> None:
    one, other = overtaken(make, fencing=0)
    assert other.done[-2:] == [("add", "ok", 2), ("release", "ok", 2)]
    assert one.asked().expected is None
    assert one.step() == ("add", "ok")
    assert elements(make()) == [1]  # 2 was acknowledged
    assert one.step() == ("release", "not-held")


def test_a_store_that_compares_tokens_refuses_the_old_holder(make: Callable[..., Locked]) -> None:
    one, _ = overtaken(make, fencing=1)
    assert one.asked().expected == 1
    assert one.step() == ("add", "stale-token")
    assert elements(make()) == [2]
    assert one.asked().f == "acquire"  # its section is over


def test_a_read_under_a_newer_token_shuts_the_old_holder_out(make: Callable[..., Locked]) -> None:
    """Else the newer holder, which has read already, would write over the older one's add."""
    one, other = Player(make(SHORT), sections(shape())), Player(make(), sections(shape(), 1))
    one.step()
    one.step()
    while other.step() != ("acquire", "ok"):
        pass
    other.step()
    assert one.step() == ("add", "stale-token")
    assert other.step() == ("add", "ok")
    assert elements(make()) == [2]


def paused(generator: Sections, count: int) -> Iterator[float]:
    """The pauses before the adds of so many sections that all succeed."""
    while count:
        operation = generator.next()
        token = 7 if operation.f == "acquire" else None
        generator.outcome(operation, Result(value=token, payload="[]"))
        if operation.f == "add":
            count -= 1
            yield operation.pause_s
        else:
            assert operation.pause_s == 0


def test_every_so_many_sections_the_holder_stands_still() -> None:
    asked = shape(pause_ms=3000, pause_every=4)
    assert list(paused(sections(asked), 8)) == [0, 0, 0, 3.0, 0, 0, 0, 3.0]
    assert set(paused(sections(shape()), 30)) == {0.0}


def test_an_operation_that_does_not_succeed_ends_the_section() -> None:
    for failing in ("acquire", "read", "add", "release"):
        generator = sections(shape())
        while (operation := generator.next()).f != failing:
            generator.outcome(operation, Result(value=1, payload="[]"))
        generator.outcome(operation, None)
        assert generator.next().f == "acquire"


def test_values_are_unique_and_reads_without_the_lock_carry_no_token() -> None:
    mixed = LoadShape(mix={"add": 1, "read": 1})
    found: Counter[str] = Counter()
    values = []
    for client in range(2):
        generator = sections(mixed, client)
        for _ in range(400):
            inside = generator._then is not None
            operation = generator.next()
            generator.outcome(operation, Result(value=9, payload="[]"))
            found[operation.f] += 1
            if operation.f == "add":
                values.append(operation.value)
            if operation.f == "read":
                assert operation.expected == (9 if inside else None)
    assert len(values) == len(set(values))
    assert found["acquire"] - found["release"] in (0, 1, 2)
    assert found["read"] > found["add"]


def test_final_reads_are_of_every_list_by_every_client() -> None:
    reads = [op for client in range(2) for op in WORKLOAD.final(LoadShape(keys=2), client, 2)]
    assert [(op.f, op.key) for op in reads] == [("read", "k0"), ("read", "k1")] * 2


class Fails:
    """A part whose requests all end with one error."""

    node = "n1"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def open(self) -> None:
        pass

    def invoke(self, operation: Invocation) -> Result:
        raise self._error

    def close(self) -> None:
        pass


ADD = Invocation("add", "k0", 1, 7, "[1]")
ACQUIRE = Invocation("acquire", "k0")


@pytest.mark.parametrize(
    ("operation", "error", "definite", "why"),
    [
        (ADD, NoAnswer("no answer within 1 s"), False, "store: timeout: "),
        (ADD, NotReplicated("synchronous replication"), False, "store: not-replicated: "),
        (ADD, NotConnected("connection refused"), True, "store: connection-refused: "),
        (ADD, OSError("what etcd's table knows"), False, "store: unknown: "),
        (ADD, stale_token(), True, "stale-token: "),
        (ACQUIRE, TimeoutError("timed out"), False, "lock: timeout: "),
        (ACQUIRE, EtcdError("etcdserver: no leader", 14), True, "lock: no-leader: "),
        (ACQUIRE, NoAnswer("what PostgreSQL's table knows"), False, "lock: unknown: "),
        (ACQUIRE, held(), True, "held: "),
    ],
)
def test_an_error_is_judged_by_the_table_of_the_part_that_had_it(
    operation: Invocation, error: Exception, definite: bool, why: str
) -> None:
    parts = {
        "lock": JudgedClient("lock", Fails(error), ETCD.errors),
        "store": JudgedClient("store", Fails(error), POSTGRES.errors),
    }
    with pytest.raises((Judged, Definite)) as raised:
        WORKLOAD.joined(parts, LoadShape()).invoke(operation)
    judged, text = classify(raised.value, ())
    assert judged is definite
    assert text.startswith(why)
