"""Exhaustion and stolen CPU: what their probes make of what was measured."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.faults import cpu_steal as cpu_steal_module
from chaos.faults import exhaustion as exhaustion_module
from chaos.faults.cpu_steal import CpuSteal
from chaos.faults.exhaustion import SERVED, ConnectionExhaustion, FdExhaustion, newcomer
from chaos.spec.entries import ENTRIES
from chaos.systems.base import Handshake
from tests.faults.pods import cluster, scene

CLASSES = {"cpu-steal": CpuSteal, "connection-exhaustion": ConnectionExhaustion,
           "fd-exhaustion": FdExhaustion}  # fmt: skip


def make(fault: str, **keys: Any) -> Any:
    common = {"at": "0s", "for": "1s", "fault": fault, "target": "n1"}
    return CLASSES[fault]("f1", ENTRIES[fault].model_validate({**common, **keys}))


def agent(made: Any, **answers: Mapping[str, Any]) -> None:
    """Have the agent of n1 answer these commands so."""
    for command, answer in answers.items():
        setattr(made.pods["n1"], f"do_{command}", lambda asked, answer=answer: dict(answer))


GROUP = SimpleNamespace(
    system=SimpleNamespace(ports={"db": 1}),
    ports=lambda node: {"db": 1},
    handshake=lambda node, port: Handshake(say=b"PING", served=b"+"),
)


@pytest.fixture
def server() -> Iterator[Any]:
    """Answers each connection with `says`; None: with nothing, b"": by hanging up."""
    made = SimpleNamespace(says=b"+PONG")
    listening = socket.create_server(("127.0.0.1", 0))
    made.address = listening.getsockname()
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            line, _ = listening.accept()
            kept.append(line)
            if line.recv(16) == b"":  # the test is over
                return
            if made.says is not None:
                line.sendall(made.says)
                line.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield made
    socket.create_connection(made.address).close()
    thread.join(5)
    for line in (listening, *kept):
        line.close()


@pytest.mark.parametrize(
    ("says", "got"),
    [(b"+PONG", SERVED), (b"-ERR max number of clients", "refused"), (b"", "closed"),
     (None, "silent")],
)  # fmt: skip
def test_a_newcomer_knows_service_from_a_refusal(server: Any, says: Any, got: str) -> None:
    server.says = says
    made = cluster()
    made.address = lambda node, port, zone: server.address
    made.group = lambda node: GROUP
    assert newcomer(scene(made), "n1", within_s=0.2) == got


STATE = {"held": 300, "refused": 9, "full": True, "enough": False, "since_ns": 5,
         "said": "too many", "others": []}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "state", "newcomers", "outcome", "why"),
    [
        ({}, {}, "refused", "confirmed", ""),
        ({}, {}, SERVED, "mismatch", "a new client is still served"),
        ({}, {"full": False, "enough": True}, SERVED, "mismatch", "no limit was met"),
        ({}, {"others": ["f9"]}, "refused", "inconclusive", "already full because of f9"),
        ({"count": 50}, {"full": False, "enough": True}, SERVED, "confirmed", ""),
        ({"count": 500}, {}, "refused", "confirmed", "full before that"),
        ({"count": 500}, {"full": False}, SERVED, "mismatch", "fewer are held"),
    ],
)
def test_connections(
    monkeypatch: pytest.MonkeyPatch, keys: Any, state: Any, newcomers: str, outcome: str, why: str
) -> None:
    made = cluster()
    made.group = lambda node: GROUP
    agent(made, crowd={}, crowd_state={**STATE, **state}, disperse={"closed": 1, "still": []})
    monkeypatch.setattr(exhaustion_module, "newcomer", lambda *_: newcomers)
    monkeypatch.setattr(exhaustion_module, "FILL_S", 0.1)
    fault = make("connection-exhaustion", **keys)
    fault.resolve(scene(made))
    fault.prepare(scene(made))
    fault.inject(scene(made))
    probe = fault.probe(scene(made))
    assert (probe.outcome, why in probe.why) == (outcome, True), probe.why
    assert made.hindered_by("n1") == ["f1"]
    fault.heal(scene(made))
    assert made.hindered_by("n1") == []


@pytest.mark.parametrize(
    ("rows", "others", "newcomers", "outcome"),
    [
        ([[9, "redis", 20, 20, 20]], [], "silent", "confirmed"),
        ([[9, "redis", 20, 20, 20]], [], SERVED, "mismatch"),
        ([[9, "redis", 900, 20, 20]], [], "silent", "mismatch"),  # nothing was lowered
        ([[9, "redis", 20, 20, 20]], ["f9"], "silent", "inconclusive"),
        ([], [], "refused", "confirmed"),  # it could not live with that
    ],
)
def test_files(
    monkeypatch: pytest.MonkeyPatch, rows: Any, others: Any, newcomers: str, outcome: str
) -> None:
    made = cluster()
    agent(made, starve={"others": others}, file_limits={"limits": rows}, feed={"still": []})
    monkeypatch.setattr(exhaustion_module, "newcomer", lambda *_: newcomers)
    fault = make("fd-exhaustion")
    fault.resolve(scene(made))
    fault.prepare(scene(made))
    fault.inject(scene(made))
    probe = fault.probe(scene(made))
    assert probe.outcome == outcome
    assert ("has ended: n1" in probe.why) is (not rows)


@pytest.mark.parametrize(
    ("burned", "ran", "idle", "waited", "cores", "outcome", "why"),
    [
        (0.7, 0.3, 0.0, 0.5, [1], "confirmed", ""),
        (0.2, 0.7, 0.1, 0.5, [1], "mismatch", "lost 20%"),
        (0.4, 0.1, 0.0, 0.5, [1], "confirmed", "machine's own load"),
        (0.95, 0.05, 0.0, 0.5, [1], "inconclusive", "another fault takes more"),
        (0.7, 0.3, 0.0, 0.0, [1], "mismatch", "never waited"),
        (0.7, 0.3, 0.0, 0.5, [0, 1], "mismatch", "may use the cores"),
        (0.7, 0.0, 0.0, 0.0, [], "inconclusive", "no database runs"),
    ],
)
def test_stolen_cpu(
    monkeypatch: pytest.MonkeyPatch,
    burned: float, ran: float, idle: float, waited: float, cores: list[int], outcome: str, why: str,
) -> None:  # fmt: skip
    made = cluster()
    answers = iter([0, 1])

    def burning(asked: Any) -> dict[str, Any]:
        after = next(answers)
        return {"t_ns": 1 + after * 10**9, "burned_s": burned * after, "ran_s": ran * after,
                "idle_s": idle * after, "waited_s": waited * after, "cores": cores,
                "all_cores": [0, 1]}  # fmt: skip

    agent(made, burn={"core": 1}, spare={"still": []})
    made.pods["n1"].do_burning = burning
    monkeypatch.setattr(cpu_steal_module, "press", lambda *_: {"n1": 4.0})
    fault = make("cpu-steal", share=0.7)
    fault.resolve(scene(made))
    fault.prepare(scene(made))
    fault.inject(scene(made))
    probe = fault.probe(scene(made))
    assert (probe.outcome, why in probe.why) == (outcome, True), probe.why
    assert probe.measured["n1"]["share"] == burned
