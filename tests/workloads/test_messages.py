"""The workloads queue and log: what clients do, and how they find out in the end what is there.

Scripts are played by hand here; tests/load plays them through client processes.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.record.op import Invocation, Result
from chaos.systems._messages import Places, answered, micros_of, polled, sent
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.fake.system import FakeClient
from chaos.workloads.base import LoadShape, Script
from chaos.workloads.log import END_FAILURES_MAX, ENDS_MAX, Messages, to_the_end
from chaos.workloads.log import WORKLOAD as LOG
from chaos.workloads.queue import DRAIN_FAILURES_MAX, drain
from chaos.workloads.queue import WORKLOAD as QUEUE

Answer = Callable[[Invocation], Result | None]
Make = Callable[..., FakeClient]


@pytest.fixture
def make() -> Make:
    store = uuid.uuid4().hex

    def client(kind: str, **options: Any) -> FakeClient:
        spec = ClientSpec(
            zone="z",
            home="n1",
            endpoints={},
            settings={"store": store},
            options=options,
            timeout_s=1.0,
        )
        return FakeClient(spec, kind)

    return client


def played(script: Script, answer: Answer, most: int = 1000) -> list[tuple[Invocation, Any]]:
    """What the script asks for when `answer` says what becomes of it, with that."""
    done: list[tuple[Invocation, Any]] = []
    operation = next(script, None)
    while operation is not None:
        assert len(done) < most, "the script does not end"
        result = answer(operation)
        done.append((operation, result))
        try:
            operation = script.send(result)
        except StopIteration:
            return done
    return done


def enqueue(client: FakeClient, key: str, *values: int) -> None:
    for value in values:
        client.invoke(Invocation("enqueue", key, value))


def test_a_drain_takes_all_that_is_left_and_looks_again(make: Make) -> None:
    client = make("queue")
    enqueue(client, "k0", 1, 2, 3)
    enqueue(client, "k1", 4)
    done = played(drain(["k0", "k1"], looks=3, pause_s=0.5), client.invoke)
    took = [result.value for _, result in done]
    assert took == [1, 2, 3, None, 4, None, None, None, None, None, None, None]
    assert [operation.key for operation, _ in done[6:]] == ["k0", "k1"] * 3
    assert [operation.pause_s for operation, _ in done[6:]] == [0.0, 0.0, 0.5, 0.0, 0.5, 0.0]


def test_what_comes_back_late_is_still_taken(make: Make) -> None:
    client = make("queue")

    def later(operation: Invocation) -> Result:
        result = client.invoke(operation)
        if operation.pause_s and not came:  # a dead consumer's, put back while it waited
            came.append(9)
            enqueue(client, "k0", 9)
        return result

    came: list[int] = []
    took = [result.value for _, result in played(drain(["k0"], 3, 0.5), later)]
    assert took == [None, None, 9, None, None, None, None]


def test_a_drain_asks_again_after_a_failure_and_gives_up_in_the_end(make: Make) -> None:
    client = make("queue")
    enqueue(client, "k0", 1)
    answers: Iterator[bool] = iter([False, True, True, False])

    def now_and_then(operation: Invocation) -> Result | None:
        return client.invoke(operation) if next(answers, True) else None

    told = [r.value if r else "failed" for _, r in played(drain(["k0"], 2, 0.0), now_and_then)]
    assert told == ["failed", 1, None, "failed", None, None, None]
    assert len(played(drain(["k0"], 2, 0.0), lambda _: None)) == DRAIN_FAILURES_MAX
    assert played(drain([], 2, 0.0), lambda _: None) == []


def test_queues_are_dealt_out_in_the_end() -> None:
    shape = LoadShape(keys=5, options={"looks": 1, "look-every-ms": 0})
    keys = [
        operation.key
        for client in range(3)
        for operation, _ in played(QUEUE.final(shape, client, 3).script, lambda _: Result())
    ]
    assert sorted(map(str, keys)) == ["k0", "k1", "k2", "k3", "k4"]


def first(shape: LoadShape, n: int, answer: Answer, client: int = 0) -> list[Invocation]:
    """The first operations of a client of logs."""
    generator = LOG.generator(shape, client, 2, random.Random(client))
    operations = []
    for _ in range(n):
        operations.append(generator.next())
        generator.outcome(operations[-1], answer(operations[-1]))
    return operations


def test_a_client_is_assigned_all_logs_and_then_sends_and_polls() -> None:
    operations = first(LoadShape(keys=3), 200, lambda _: Result())
    assert (operations[0].f, operations[0].payload) == ("assign", '["k0","k1","k2"]')
    found = Counter(operation.f for operation in operations[1:])
    assert set(found) == {"send", "poll"}
    assert min(found.values()) > 60
    assert {operation.key for operation in operations if operation.f == "send"} == {
        "k0",
        "k1",
        "k2",
    }


def test_logs_are_assigned_again_after_a_poll_that_failed_and_after_nothing_else() -> None:
    """An assignment between a poll and the next would hide from whoever judges the history that
    a client, opened anew after a send, begins at the beginning."""
    rng = random.Random(5)
    outcomes: dict[int, bool] = {}

    def sometimes(operation: Invocation) -> Result | None:
        outcomes[len(outcomes)] = ok = rng.random() < 0.6
        return Result() if ok else None

    shape = LoadShape(keys=2, mix={"send": 2, "poll": 1, "txn": 1}, options={"rebalance-every": 4})
    operations = first(shape, 3000, sometimes)
    polls = [o.f == "poll" or '["poll"]' in (o.payload or "") for o in operations]
    reasons = Counter[str]()
    for at in range(1, len(operations)):
        if operations[at].f != "assign":
            continue
        before = max(n for n in range(-1, at) if n < 0 or polls[n])
        between = [outcomes[n] for n in range(before + 1, at)]
        assert before >= 0
        if outcomes[before]:
            assert all(between), "a failure since the last poll: it may have been opened anew"
            reasons["rebalance"] += 1
        else:
            reasons["failed"] += 1
    assert min(reasons.values()) > 50
    assert len({o.payload for o in operations if o.f == "assign"}) == 3  # k0, k1, both


def test_a_group_subscribes_instead() -> None:
    shape = LoadShape(keys=2, options={"subscribe": 1, "rebalance-every": 10})
    operations = first(shape, 200, lambda _: Result())
    assert {o.payload for o in operations if o.f == "subscribe"} == {'["k0","k1"]'}
    assert sum(o.f == "subscribe" for o in operations) > 10
    assert not any(o.f == "assign" for o in operations)


def test_no_two_messages_are_alike() -> None:
    shape = LoadShape(keys=2, mix={"send": 1, "txn": 1})
    values = []
    for client in range(2):
        for operation in first(shape, 300, lambda _: Result(), client):
            if operation.f == "send":
                values.append(operation.value)
            elif operation.f == "txn":
                micros = micros_of(operation)
                assert 1 <= len(micros) <= 4
                values += [micro[2] for micro in micros if micro[0] == "send"]
    assert len(values) == len(set(values)) > 400


def test_in_the_end_a_log_is_read_from_its_beginning_to_a_new_message(make: Make) -> None:
    client = make("log")
    shape = LoadShape(keys=2)
    for value in range(500, 750):
        client.invoke(Invocation("send", "k0", value))
    client.invoke(Invocation("assign", payload='["k0"]'))
    client.invoke(Invocation("poll"))
    last = LOG.generator(shape, 0, 1, random.Random(1))
    done = played(LOG.final(shape, 0, 1, last).script, client.invoke)
    asked = [operation.f for operation, _ in done]
    assert asked[:4] == ["send", "send", "assign", "assign"]
    assert [operation.payload for operation, _ in done[2:4]] == ["[]", '["k0","k1"]']
    shown = [json.loads(result.payload) for _, result in done[4:]]
    assert [m for each in shown for m in each.get("k0", [])] == [
        *([offset, 500 + offset] for offset in range(250)),
        [250, 1],
    ]
    assert shown[-2:] == [{}, {}]
    assert len(shown) == 5


def test_the_end_of_a_log_is_looked_for_until_the_last_message_came(make: Make) -> None:
    client = make("log", lie="lose-acked", rate=1.0)
    done = played(to_the_end(["k0"], iter(range(1, 9))), client.invoke)
    assert sum(operation.f == "poll" for operation, _ in done) == ENDS_MAX


def test_in_the_end_a_client_that_was_opened_anew_begins_again(make: Make) -> None:
    client = make("log")
    polls = 0

    def breaking(operation: Invocation) -> Result | None:
        nonlocal client, polls
        if operation.f == "poll":
            polls += 1
            if polls == 2:
                client = make("log")  # after an error of the driver's
        try:
            return client.invoke(operation)
        except Definite as answer:
            if answer.code != "not-assigned":
                raise
            return None

    done = played(to_the_end(["k0"], iter(range(1, 9))), breaking)
    asked = [(operation.f, result and result.payload) for operation, result in done]
    assert asked == [
        ("send", "[0,1]"),
        ("assign", None),
        ("assign", None),
        ("poll", '{"k0":[[0,1]]}'),
        ("poll", None),
        ("assign", None),
        ("poll", '{"k0":[[0,1]]}'),
        ("poll", "{}"),
        ("poll", "{}"),
    ]
    assert len(played(to_the_end(["k0"], iter(range(999))), lambda _: None)) == END_FAILURES_MAX
    assert played(to_the_end([], iter(())), lambda _: None) == []


def test_a_place_is_kept_by_what_is_assigned_again_and_forgotten_by_what_is_not() -> None:
    places = Places(first=1)
    with pytest.raises(Definite, match="not-assigned"):
        places.next()
    places.assign(["a", "b"])
    places.passed("a", 6)
    assert places.next() == {"a": 7, "b": 1}
    places.assign(["a"])
    assert places.next() == {"a": 7}
    places.assign([])
    places.assign(["a"])
    assert places.next() == {"a": 1}


def test_results_are_written_as_the_history_has_them() -> None:
    assert sent(4, 17).payload == "[4,17]"
    assert (sent(None, 17).payload, sent(None, 17).value) == (None, 17)
    assert polled({"k0": [(0, 5)], "k1": []}).payload == '{"k0":[[0,5]]}'
    asked = Invocation("txn", payload='[["send","k0",5],["poll"],["send","k1",6]]')
    done = answered(micros_of(asked), [3, {"k0": [(1, 2)]}, None])
    assert done.payload == '[["send","k0",[3,5]],["poll",{"k0":[[1,2]]}],["send","k1",6]]'


def test_a_group_deals_its_logs_out_and_goes_on_where_it_was(make: Make) -> None:
    one, two = make("log"), make("log")

    def shown(client: FakeClient) -> Any:
        return json.loads(client.invoke(Invocation("poll")).payload or "")

    for value in (1, 2):
        for log in ("k0", "k1"):
            one.invoke(Invocation("send", log, value))
    one.invoke(Invocation("subscribe", payload='["k0","k1"]'))
    assert shown(one) == {"k0": [[0, 1], [1, 2]], "k1": [[0, 1], [1, 2]]}
    two.invoke(Invocation("subscribe", payload='["k0","k1"]'))
    for log in ("k0", "k1"):
        one.invoke(Invocation("send", log, 3))
    assert (shown(one), shown(two)) == ({"k0": [[2, 3]]}, {"k1": [[2, 3]]})
    one.close()
    two.invoke(Invocation("send", "k0", 4))
    assert shown(two) == {"k0": [[3, 4]]}


def test_generators_of_logs_hand_their_values_on_to_the_end() -> None:
    generator = LOG.generator(LoadShape(mix={"send": 1}), 1, 3, random.Random(1))
    assert isinstance(generator, Messages)
    used = set()
    for _ in range(5):
        operation = generator.next()
        generator.outcome(operation, Result())
        used.add(operation.value)
    script = LOG.final(LoadShape(keys=2), 1, 3, generator).script
    assert next(script).value not in used
