"""Beacons and connects between addresses of the loopback interface, with the agent's own loop."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from chaos.agent.agent import Loop
from chaos.agent.beacons import SILENCES_MAX, Arrivals, Beacon, Beacons
from chaos.agent.connects import Connects

ONE, TWO, SILENT = "127.0.0.11", "127.0.0.12", "127.0.0.13"
MS = 1_000_000


@pytest.fixture
def port() -> int:
    """A free UDP and TCP port."""
    with socket.socket() as probe:
        probe.bind((ONE, 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
def beacons(port: int) -> Beacons:
    """Listening on `port`, with a loop that runs."""
    loop = Loop()
    part = Beacons(loop)
    assert part.do_listen({"ports": [port], "for_ms": 10_000}) == {"taken": []}
    threading.Thread(target=loop.run, daemon=True).start()
    return part


def test_each_way_is_told_by_its_addresses(beacons: Beacons, port: int) -> None:
    began = time.monotonic_ns()
    beacons.do_beacons({"train": "f1", "ways": [(ONE, TWO), (TWO, ONE)], "ports": [port],
                        "every_ms": 2, "for_ms": 1})  # fmt: skip
    time.sleep(0.05)
    arrivals = beacons.do_arrivals({"train": "f1", "since_ns": began})["arrivals"]
    assert set(arrivals) == {f"{ONE} {TWO} {port}", f"{TWO} {ONE} {port}"}
    for ((sent, came),) in arrivals.values():
        assert began <= sent <= came
    later = beacons.do_arrivals({"train": "f1", "since_ns": time.monotonic_ns()})
    assert later == {"arrivals": {}, "sent_ns": 0}


def test_a_beacon_that_lies_about_its_sender_is_not_heard(beacons: Beacons, port: int) -> None:
    lie = Beacon("f1", 1, (TWO, ONE), port, time.monotonic_ns())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((SILENT, 0))
        line.sendto(lie.encode(), (ONE, port))
        line.sendto(b"\xff what is this", (ONE, port))
    time.sleep(0.05)
    assert beacons.do_arrivals({"train": "f1", "since_ns": 0})["arrivals"] == {}


def test_a_port_in_use_is_said(beacons: Beacons) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as owner:
        owner.bind(("0.0.0.0", 0))
        taken = owner.getsockname()[1]
        assert beacons.do_listen({"ports": [taken], "for_ms": 10}) == {"taken": [taken]}


def beacon(number: int, sent_ms: int, train: str = "f1") -> Beacon:
    """Number `number` on one lane."""
    return Beacon(train, number, (ONE, TWO), 9, sent_ms * MS)


def test_beacons_sent_and_lost_are_a_silence() -> None:
    arrived = Arrivals()
    for number in (*range(10), *range(30, 40)):
        arrived.add(beacon(number, 20 * number), 0)
    assert arrived.silences("f1") == {f"{ONE} {TWO} 9": [(180 * MS, 600 * MS)]}
    assert arrived.silences("f2") == {}


def test_beacons_that_were_not_sent_are_no_silence_nor_are_a_few_lost_ones() -> None:
    arrived = Arrivals()
    for number, sent_ms in ((1, 0), (2, 900), (6, 1200), (4, 1000), (7, 1220)):
        arrived.add(beacon(number, sent_ms), 0)
    assert arrived.silences("f1") == {f"{ONE} {TWO} 9": []}


def test_what_is_remembered_has_a_limit() -> None:
    arrived = Arrivals()
    for number in range(SILENCES_MAX + 2):
        arrived.add(beacon(10 * number, 200 * number), 0)
    assert len(arrived.silences("f1")[f"{ONE} {TWO} 9"]) == SILENCES_MAX


def test_connects_tell_open_refused_and_silent(port: int) -> None:
    part = Connects()
    lanes = [f"{source} {ONE} {port}" for source in (ONE, TWO, SILENT, "127.0.0.14")]
    refused = f"{TWO} {SILENT} {port}"
    with socket.socket() as server:
        server.bind((ONE, port))
        server.listen(0)  # room for one: with its queue full it is as silent as one cut off
        part.do_connect({"name": "f1", "lanes": [*lanes, refused]})
        time.sleep(0.05)
        found = part.do_connected({"name": "f1"})["connected"]
    assert found.pop(refused) == "refused"
    assert {found[lane] for lane in lanes} == {"open", "silent"}
    assert part.do_connected({"name": "f1"})["connected"] == {}
