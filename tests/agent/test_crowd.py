"""A crowd of connections at a real server that serves a few and turns the others away."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.agent import crowd as crowd_module
from chaos.agent.crowd import REFUSALS_FULL, SILENCE, Crowds


class Server:
    """Serves `places` at a time; says `no` to the others."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.served: list[socket.socket] = []
        self.mute = False
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                threading.Thread(target=self._greet, args=(line,), daemon=True).start()

    def _greet(self, line: socket.socket) -> None:
        line.settimeout(5)
        try:
            if line.recv(5) == b"HELLO" and len(self.served) < self.places:
                self.served.append(line)
                line.sendall(b"+WELCOME")
                return
            if self.mute:
                time.sleep(0.5)
            else:
                line.sendall(b"-FULL: try later")
        except OSError:
            pass  # it hung up first
        line.close()

    def close(self) -> None:
        self._listening.close()
        for line in self.served:
            line.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(5)
    yield made
    made.close()


class Turns:
    """The agent's loop, a turn at a time, so that the test and the crowd are one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        self._timers.append((time.monotonic() + seconds, function))

    def when_readable(self, file: Any, function: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, function)

    def forget(self, file: Any) -> None:
        self._selector.unregister(file)

    def turn(self) -> None:
        for key, _ in self._selector.select(0.005):
            key.data()
        now = time.monotonic()
        due = [function for at, function in self._timers if at <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for function in due:
            function()

    def until(self, done: Callable[[], bool], deadline_s: float = 5.0) -> bool:
        end = time.monotonic() + deadline_s
        while not done() and time.monotonic() < end:
            self.turn()
        return done()

    def close(self) -> None:
        self._selector.close()


@pytest.fixture
def loop() -> Iterator[Turns]:
    made = Turns()
    yield made
    made.close()


@pytest.fixture
def crowds(loop: Turns) -> Iterator[Crowds]:
    made = Crowds(loop)
    yield made
    made.heal()


@pytest.mark.parametrize("told", [True, False])
def test_silence_is_told_only_where_nothing_else_was_said(
    loop: Turns, crowds: Crowds, server: Server, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setattr(crowd_module, "UNANSWERED_S", 0.1)

    def refused() -> int:
        return int(crowds.do_crowd_state({"fault": "f1"})["refused"])

    server.mute = not told
    ask(crowds, server)
    assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["full"]))
    before, server.mute = refused(), True
    server.places = 0
    server.served.pop().close()
    assert loop.until(lambda: refused() > before)
    said = "-FULL: try later" if told else SILENCE
    assert crowds.do_crowd_state({"fault": "f1"})["said"] == said


def ask(crowds: Crowds, server: Server, fault: str = "f1", count: int = 50) -> None:
    crowds.do_crowd({
        "fault": fault, "address": "127.0.0.1", "port": server.port, "count": count,
        "say": b"HELLO".hex(), "served": b"+".hex(),
    })  # fmt: skip


def test_it_fills_what_is_free_and_says_what_the_rest_heard(
    loop: Turns, crowds: Crowds, server: Server
) -> None:
    ask(crowds, server)
    assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["full"]))
    state = crowds.do_crowd_state({"fault": "f1"})
    assert (state["held"], state["enough"]) == (5, False)
    assert state["refused"] >= REFUSALS_FULL
    assert state["said"] == "-FULL: try later"
    assert state["since_ns"] <= time.monotonic_ns()


def test_it_stops_at_the_count_asked_for(loop: Turns, crowds: Crowds, server: Server) -> None:
    ask(crowds, server, count=3)
    assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["enough"]))
    loop.until(lambda: False, 0.3)
    state = crowds.do_crowd_state({"fault": "f1"})
    assert (state["held"], state["refused"], state["full"]) == (3, 0, False)
    assert len(server.served) == 3


def test_a_place_that_becomes_free_is_taken(loop: Turns, crowds: Crowds, server: Server) -> None:
    ask(crowds, server)
    assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["full"]))
    server.places += 1
    assert loop.until(lambda: crowds.do_crowd_state({"fault": "f1"})["held"] == 6)
    server.served.pop(0).close()
    assert loop.until(lambda: len(server.served) == 6)
    assert loop.until(lambda: crowds.do_crowd_state({"fault": "f1"})["held"] == 6)


def test_the_end_closes_every_connection_and_those_of_others_stay(
    loop: Turns, crowds: Crowds, server: Server
) -> None:
    ask(crowds, server, count=3)
    ask(crowds, server, fault="f2", count=2)
    assert loop.until(lambda: len(server.served) == 5)
    assert crowds.do_crowd_state({"fault": "f1"})["others"] == ["f2"]
    assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["enough"]))
    assert crowds.do_disperse({"fault": "f1"}) == {"closed": 3, "still": ["f2"]}
    assert crowds.do_disperse({"fault": "f1"}) == {"closed": 0, "still": ["f2"]}
    assert sum(1 for line in server.served if hung_up(line)) == 3
    crowds.heal()
    assert sum(1 for line in server.served if hung_up(line)) == 5


def hung_up(line: socket.socket) -> bool:
    line.settimeout(0.3)
    try:
        return line.recv(1) == b""
    except ConnectionResetError:  # what it was told was not read
        return True
    except TimeoutError:
        return False


def test_nobody_there_is_full(loop: Turns, crowds: Crowds, server: Server) -> None:
    with socket.socket() as silent:  # has the port, and does not listen
        silent.bind(("127.0.0.1", 0))
        server.port = silent.getsockname()[1]
        ask(crowds, server)
        assert loop.until(lambda: bool(crowds.do_crowd_state({"fault": "f1"})["full"]))
    assert "refused" in crowds.do_crowd_state({"fault": "f1"})["said"].lower()
