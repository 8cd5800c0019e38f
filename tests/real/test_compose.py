"""Compose files for real: a typical one, one with all that is odd, and images that are absent."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.paths import topologies
from chaos.runtime import docker as engine_api

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
ODDS = Path(__file__).parent / "compose" / "docker-compose.yml"
SCHEDULE = """\
  - {at: 1s, for: 2s, fault: kill, target: worker}
  - {at: 4s, for: 1s, fault: pause, target: worker}
  - {at: 6s, for: 2s, fault: kill, target: pages-2}
  - {at: 9s, for: 2s, fault: partition, between: [[worker], [store]]}
  - {at: 9s, for: 2s, fault: client-latency, nodes: store, delay: 50ms}
"""


@pytest.fixture
def up(command: Any, engine_client: Any) -> Iterator[Callable[[Path], Any]]:
    """`aftershock up --compose FILE`; what was started is removed in the end."""
    started: list[str] = []

    def start(path: Path) -> Any:
        done = command.say("up", "--compose", str(path))
        if done.returncode == 0:
            started.append(done.stdout.partition("(run ")[2][:8])
        return done

    yield start
    for run in started:
        engine_api.remove_run(engine_client, run)
        assert run not in engine_api.runs(engine_client)


def test_up_of_a_typical_file(up: Any, command: Any) -> None:
    done = up(topologies() / "compose" / "visits" / "docker-compose.yml")
    assert done.returncode == 0, done.stderr
    run = done.stdout.partition("(run ")[2][:8]
    rows = [row for row in json.loads(command.say("ps", "--json").stdout) if row["run"] == run]
    assert {row["node"]: (row["zone"], row["role"], row["ready"]) for row in rows} == {
        "web": ("us-east-a", "member", True),
        "cache": ("us-east-b", "member", True),
        "db": ("us-east-c", "member", True),
    }
    web = next(row["address"] for row in rows if row["node"] == "web")
    if engine_api.reaches_directly(f"{web.rpartition('.')[0]}.1"):
        pages = [urllib.request.urlopen(f"http://{web}:8000/", timeout=5).read() for _ in range(2)]
        assert pages == [b"1 visits\n", b"2 visits\n"]
    query = ("psql", "-h", "127.0.0.1", "-U", "visits", "-tAc", "select count(*) < 3 from visit")
    said = command.say("exec", "-t", run, "db", "--", "env", "PGPASSWORD=example", *query)
    assert (said.returncode, said.stdout.strip()) == (0, "t"), said.stderr
    assert command.say("down", "-t", run).returncode == 0


def test_all_that_is_odd(command: Any, tmp_path: Path) -> None:
    """A migration, a worker without a port, replicas, links, secrets, folders, restarts."""
    (tmp_path / "odds.yaml").write_text(f"name: odds\ncompose: {ODDS}\n", encoding="utf-8")
    path = tmp_path / "try.yaml"
    path.write_text(
        "name: try\ntopology: ./odds.yaml\nworkload: {name: probes}\nduration: 13s\nsettle: 1s\n"
        f"schedule:\n{SCHEDULE}",
        encoding="utf-8",
    )
    ran = command.finish(command.start(tmp_path / "runs", str(path)))
    assert list(ran.anomalies) == ["unserved"], ran.results["summary"]  # all were there at the end
    faults = ran.run.faults.to_pylist()
    assert [f["heal_outcome"] for f in faults] == ["confirmed"] * 5
    # Kills, and a pause of what no request can reach; of links a busy machine may not be sure.
    assert [f["outcome"] for f in faults[:3]] == ["confirmed"] * 3
    assert not [f for f in faults if f["outcome"] not in ("confirmed", "inconclusive")]
    rows = [row for row in ran.run.history.to_pylist() if row["f"] == "probe"]
    nodes: dict[str, set[str]] = {row["key"]: set() for row in rows}
    for row in rows:
        if row["type"] == "ok":
            nodes[row["key"]].add(row["node"])
    assert nodes["pages"] == {"pages-1", "pages-2", "pages-3"}
    # The store is slowed down on clients' links only, and never down.
    assert all(row["type"] == "ok" for row in rows if row["key"] == "seeded")
    bad = {row["key"] for row in rows if row["type"] == "fail"}
    assert "turns" in bad  # its node was killed
    assert command.say("verify", str(ran.path)).returncode == 0


def test_images_that_cannot_be_had_are_named_at_once(up: Any, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    lines = [
        "services:",
        "  web: {build: .}",
        *(f"  {n}: {{image: '{n}.invalid/{n}:1'}}" for n in "ab"),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM c.invalid/c:1\nRUN false\n", encoding="utf-8")
    done = up(path)
    assert done.returncode == 70
    wanted = "a.invalid/a:1, b.invalid/b:1, c.invalid/c:1"
    assert f"error: 3 images cannot be had: {wanted}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "building" not in done.stderr
