"""Processes and resources on real databases: confirmed, ended, and over with the agent."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.faults.exhaustion import SERVED, newcomer
from chaos.runner import images_for
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.spec.files import load_topology
from tests.faults.pods import scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

REDIS = """\
name: processes
topology: redis-sentinel
workload: {name: register, rate: 50/s, keys: 5}
duration: 12s
settle: 20s
schedule:
  - {at: 500ms, for: 1s, fault: kill, target: n2, process: redis-server}
  - {at: 500ms, for: 1s, fault: pause, target: n1, process: redis-sentinel}
  - {at: 700ms, for: 1s, fault: kill, target: n3, process: postgres}
  - {at: 2500ms, for: 1500ms, fault: pause, target: n3, how: freezer}
  - {at: 3s, for: 2200ms, fault: pause, target: n3}
  - {at: 2500ms, for: 2500ms, fault: crash-loop, target: n2, down: 300ms, up: 900ms}
  - {at: 2500ms, for: 1500ms, fault: slow, target: n1, cpu: 0.3}
  - {at: 2500ms, for: 2s, fault: slow, target: n1, cpu: 0.1}
  - {at: 5800ms, for: 1s, fault: memory-squeeze, target: n3, limit: 32MiB}
  - {at: 5500ms, for: 1s, fault: cpu-steal, target: n2, share: 60%}
  - {at: 7500ms, for: 1s, fault: fd-exhaustion, target: n3}
  - {at: 7500ms, for: 1500ms, fault: connection-exhaustion, target: n2}
  - {at: 9500ms, fault: rolling-restart, target: replica, gap: 100ms}
"""
POSTGRES = """\
name: connections
topology: postgres-async
workload: {name: register, rate: 50/s, keys: 5}
duration: 4s
settle: 20s
schedule:
  - {at: 500ms, for: 2s, fault: connection-exhaustion, target: primary}
  - {at: 500ms, for: 2s, fault: fd-exhaustion, target: replica}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, engine_client: object, command: Any) -> Any:
    """Both runs, side by side, by the topology's system."""
    out = tmp_path_factory.mktemp("processes")
    started = {}
    for name, text in {"redis": REDIS, "postgres": POSTGRES}.items():
        path = out / f"{name}.yaml"
        path.write_text(text)
        started[name] = command.start(out / "runs", str(path))
    try:
        return {name: command.finish(process) for name, process in started.items()}
    finally:
        for process in started.values():
            process.kill()


def rows(ran: Any) -> list[dict[str, Any]]:
    assert "Traceback" not in ran.stderr
    faults = ran.run.faults.to_pylist()
    for fault in faults:
        fault["measured"] = json.loads(fault["measured"] or "{}")
    return list(faults)


def test_processes_and_resources_of_redis(ran: Any, nothing_left: Any) -> None:
    faults = rows(ran["redis"])
    table = [(f["id"], f["fault"], f["outcome"], f["heal_outcome"], f["why"]) for f in faults]
    (killed, paused, misnamed, frozen, stopped, loop, slow, slower, squeezed, stolen, starved,
     crowded, rolled) = faults  # fmt: skip
    alone = (killed, paused, loop, slower, squeezed, stolen, starved, crowded, rolled)
    assert [f["outcome"] for f in alone] == ["confirmed"] * len(alone), table
    assert [f["heal_outcome"] for f in alone] == ["confirmed"] * len(alone), table

    gone = killed["measured"]["n2"]
    assert (gone["killed"], gone["processes"]) == (1, 1)  # Sentinel lives
    assert gone["request"] != "answered"
    assert paused["measured"]["n1"] == {"states": "T", "request": "answered"}
    assert misnamed["outcome"] == "failed"
    assert "there are: redis-sentinel, redis-server" in misnamed["why"]
    assert (frozen["outcome"], frozen["heal_outcome"]) == ("confirmed", "inconclusive"), table
    assert frozen["measured"]["n3"] == {"states": "DD", "request": "silent", "frozen": "ff"}
    assert f"n3 ({stopped['id']})" in frozen["why"]
    assert (stopped["outcome"], stopped["heal_outcome"]) == ("inconclusive", "confirmed"), table
    assert f"({frozen['id']})" in stopped["why"]
    assert slow["outcome"] == "inconclusive", table
    assert f"held lower by another fault: n1 ({slower['id']})" in slow["why"]
    assert slower["measured"]["n1"]["cpu"] == 0.1
    assert slower["measured"]["n1"]["used"] < 0.16
    assert squeezed["measured"]["n3"]["redis"]["limit"] == 32 << 20
    assert stolen["measured"]["n2"]["database_waited"] > 0.1
    assert crowded["measured"]["n2"]["held"] > 9000
    assert starved["measured"]["n3"]["may_open_more"] == 0
    assert ran["redis"].results["verdict"] in ("valid", "invalid")
    nothing_left()


def test_connections_of_postgres(ran: Any) -> None:
    crowded, starved = rows(ran["postgres"])
    assert (crowded["outcome"], crowded["heal_outcome"]) == ("confirmed", "confirmed"), crowded
    assert "too many clients" in crowded["measured"]["n1"]["said"]
    assert 250 < crowded["measured"]["n1"]["held"] <= 300  # the run's own clients have the others
    assert (starved["outcome"], starved["heal_outcome"]) == ("confirmed", "confirmed"), starved
    assert starved["measured"]["n2"]["newcomer"] != SERVED


@pytest.fixture
def redis(engine_client: Any) -> Iterator[RunningCluster]:
    """One Redis with its Sentinel on each of three nodes, without a run around it."""
    topology = load_topology("redis-sentinel").topology
    cluster = RunningCluster(engine_client, Plan(
        run_id=secrets.token_hex(4), topology=topology, owner=owner(),
        images=images_for(topology, engine_client, lambda *_: None),
    ))  # fmt: skip
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def until(done: Callable[[], bool], deadline_s: float = 8.0) -> bool:
    end = time.monotonic() + deadline_s
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return done()


def test_what_the_agent_holds_ends_with_its_controller(redis: RunningCluster) -> None:
    """Nobody heals: the line to the agents is cut, as it is when the controller is killed."""

    def inside(command: str) -> str:
        return redis.execute("n1", ["sh", "-c", command])

    def limit() -> str:
        # -s: a process of a health check may end between the listing and the reading
        return inside("grep -hs 'open files' /proc/[0-9]*/limits | sort -u")

    def cores() -> str:
        return inside("grep -hs Cpus_allowed_list /proc/[0-9]*/status | sort -u")

    def connections() -> int:
        return int(inside("grep -c ' 01 ' /proc/net/tcp"))

    before = limit(), cores()
    agent = redis.agents()["n1"]
    say = redis.group("n1").handshake("n1", "db")
    agent.ask("crowd", fault="f1", address=redis.nodes[0].address, port=redis.ports("db")[0],
              say=say.say.hex(), served=say.served.hex(), count=800)  # fmt: skip
    agent.ask("burn", fault="f2", share=0.3, core=0, for_s=60)
    assert until(lambda: agent.ask("crowd_state", fault="f1")["enough"])
    agent.ask("starve", fault="f3", process="redis-server")
    agent.ask("stop", fault="f4", process="redis-sentinel")
    assert connections() > 1500  # both ends of each
    assert newcomer(scene(redis), "n1") != SERVED
    assert (limit(), cores()) != before
    states = "grep -hs State /proc/[0-9]*/status | sort -u"
    assert "T (stopped)" in inside(states)

    redis.hang_up()
    assert until(lambda: newcomer(scene(redis), "n1") == SERVED)
    assert until(lambda: connections() < 200)
    assert "T (stopped)" not in inside(states)
    assert cores() == before[1]
    assert limit() == before[0]
