"""Asking a node's database as much as it can answer for a moment: shows what it can still do.

Limits on CPU are in force all the time and felt only by who wants more, so their probes ask for
more: many knocks at once on a connection that takes them, long answers on new connections else,
through the controller's own link. No data is read or changed.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from chaos.faults.base import Scene, own_link

ASKERS = 3  # connections to each node at a time
ANSWER_BYTES = 1 << 20
BURST_BYTES = 1 << 14
ANSWER_S = 0.5


def press(scene: Scene, nodes: Sequence[str], seconds: float) -> dict[str, float | None]:
    """Ask every node that long; node → median ms of a whole answer, None when there was none."""
    group = scene.cluster.group
    listens = {node: own_link(node).port in group(node).ports(node) for node in nodes}
    with ThreadPoolExecutor(len(nodes) * ASKERS or 1) as pool:
        jobs = {
            node: [pool.submit(_ask, scene, node, seconds) for _ in range(ASKERS * listens[node])]
            for node in nodes
        }
        times = {node: [ms for job in mine for ms in job.result()] for node, mine in jobs.items()}
    return {n: round(statistics.median(ms), 2) if ms else None for n, ms in times.items()}


def _ask(scene: Scene, node: str, seconds: float) -> list[float]:
    link = own_link(node)
    address = scene.cluster.address(link.node, link.port, link.zone)
    knock = scene.cluster.group(link.node).knock(link.node, link.port)
    much = scene.cluster.group(link.node).bulk(link.port, 0, ANSWER_BYTES)
    end = time.monotonic() + seconds
    times: list[float] = []
    pipelines = True
    while time.monotonic() < end:
        try:
            with socket.create_connection(address, timeout=ANSWER_S) as line:
                line.settimeout(ANSWER_S)
                if pipelines:
                    pipelines = _converse(line, knock, end, times)
                else:
                    _exchange(line, *((much, ANSWER_BYTES) if much else (knock, 1)), times)
        except OSError:
            time.sleep(0.005)
    return times


def _converse(line: socket.socket, knock: bytes, end: float, times: list[float]) -> bool:
    """Knock, then many knocks at once, over and over; False if the server does not take these."""
    line.sendall(knock)
    answer = len(line.recv(65536))
    count = BURST_BYTES // max(1, len(knock))
    while answer and time.monotonic() < end:
        if _exchange(line, knock * count, answer * count, times) < answer * count:
            return False
    return answer > 0


def _exchange(line: socket.socket, request: bytes, expected: int, times: list[float]) -> int:
    """Send, and read so many bytes or all that come; how many came."""
    began, got = time.monotonic(), 0
    line.sendall(request)
    while got < expected and (data := line.recv(1 << 18)):
        got += len(data)
    if got >= expected:
        times.append((time.monotonic() - began) * 1000)
    return got
