"""One client's loop, with a database that goes away."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from chaos.load.client import ClientThread
from chaos.load.makers import Maker
from chaos.record.op import Invocation, Result
from chaos.systems._messages import holding
from chaos.systems.base import Definite, ErrorRule
from chaos.workloads.base import LoadShape
from chaos.workloads.set import WORKLOAD


class Server:
    """Answers while `up`; every call while down raises."""

    up = True


class OneClient:
    """A client whose server may refuse connections and break them."""

    node = ""

    def open(self) -> None:
        if not Server.up:
            raise ConnectionRefusedError("nobody there")
        self.node = "n1"

    def invoke(self, operation: Invocation) -> Result:
        if not Server.up:
            raise ConnectionResetError("gone")
        return Result(value=operation.value, node=self.node)

    def close(self) -> None:
        self.node = ""


MAKER = Maker(
    make=OneClient,
    errors=(ErrorRule(code="reset", kind=ConnectionResetError, definite=False, reason="broken"),),
    zone="a",
)
COLUMNS = ("process", "node", "zone", "f", "key", "value", "expected", "payload", "type", "error",
           "start_ns", "end_ns")  # fmt: skip


def played() -> list[Mapping[str, Any]]:
    """Rows of one client over: up 0.1 s, down 0.3 s, up 0.1 s."""
    Server.up = True
    thread = ClientThread(maker=MAKER, process=0, total=4)
    thread.t0_ns = time.monotonic_ns()
    thread.start()
    generator = WORKLOAD.generator(LoadShape(mix={"add": 1}), 0, 1, random.Random(1))
    thread.order("load", (generator, 0.0, 0.002))
    for up in (True, False, True):
        Server.up = up
        time.sleep(0.3 if not up else 0.1)
    thread.stop().done.wait(2)
    thread.order("quit").done.wait(2)
    thread.join(2)
    return [dict(zip(COLUMNS, row, strict=True)) for row in thread.rows]


def test_an_operation_that_could_not_be_sent_failed() -> None:
    rows = played()
    kinds = [row["type"] for row in rows]
    first_info = kinds.index("info")
    assert set(kinds[:first_info]) == {"ok"}
    unsent = [row for row in rows if row["type"] == "fail"]
    assert len(unsent) >= 3
    assert all(row["error"].startswith("not-connected: ConnectionRefusedError") for row in unsent)
    assert all(row["node"] == "" for row in unsent)
    assert kinds[-1] == "ok"  # it came back
    assert kinds.count("info") == 1


def test_a_process_with_an_indefinite_answer_is_not_used_again() -> None:
    rows = played()
    info = next(k for k, row in enumerate(rows) if row["type"] == "info")
    assert {row["process"] for row in rows[: info + 1]} == {0}
    assert {row["process"] for row in rows[info + 1 :]} == {4}


def test_no_value_is_asked_for_twice() -> None:
    values = [row["value"] for row in played()]
    assert len(set(values)) == len(values)


class Consumer(OneClient):
    """Is given 7, and then its connection breaks, or the server says that 7 is still there."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def invoke(self, operation: Invocation) -> Result:
        with holding(7):
            raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "value", "words"),
    [
        (ConnectionResetError("gone"), "info", 7, "reset: broken"),
        (Definite("refused", "it stays"), "fail", None, "refused: it stays"),
        (RuntimeError("what?"), "info", 7, "unknown: RuntimeError: what?"),
    ],
)
def test_what_a_client_had_in_hand_is_recorded(
    error: Exception, kind: str, value: int | None, words: str
) -> None:
    Server.up = True
    thread = ClientThread(maker=replace(MAKER, make=lambda: Consumer(error)), process=0, total=4)
    thread.start()
    thread.order("final", iter([Invocation("dequeue", "k0")]))
    deadline = time.monotonic() + 5
    while not thread.rows and time.monotonic() < deadline:
        time.sleep(0.005)
    thread.order("quit").done.wait(2)
    row = dict(zip(COLUMNS, thread.rows[0], strict=True))
    assert (row["type"], row["value"], row["error"]) == (kind, value, words)
