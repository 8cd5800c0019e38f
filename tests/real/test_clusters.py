"""Topologies that are left running: up, ps, logs, exec, down; and the road through loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime import docker as engine_api

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
def up(command: Any, engine_client: Any) -> Iterator[Any]:
    """Start topologies; whatever was started is removed in the end."""
    started: list[str] = []

    def start(name: str, **environment: str) -> str:
        done = command.say("up", name, env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr
        run = done.stdout.partition("(run ")[2][:8]
        started.append(run)
        return run

    yield start
    for run in started:
        engine_api.remove_run(engine_client, run)
        assert run not in engine_api.runs(engine_client)


def rows(command: Any, run: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(command.say("ps", "--json").stdout) if row["run"] == run]


def test_up_ps_logs_exec_down(up: Any, command: Any, engine_client: Any) -> None:
    run = up("redis-sentinel")
    nodes = rows(command, run)
    assert [n["node"] for n in nodes] == ["n1", "n2", "n3"]
    assert [n["role"] for n in nodes] == ["primary", "replica", "replica"]
    assert all(n["ready"] and n["state"] == "kept" for n in nodes)
    said = command.say("exec", "n2", "-t", run, "--", "redis-cli", "ping")
    assert (said.returncode, said.stdout.strip()) == (0, "PONG")
    assert command.say("exec", "n2", "-t", run, "--", "false").returncode == 1
    assert "Redis" in command.say("logs", "n1", "-t", run, "--tail", "0").stdout
    missing = command.say("logs", "n9", "-t", run)
    assert missing.returncode == 2
    assert "n1, n2, n3" in missing.stderr
    assert "removed" in command.say("down", "-t", run).stdout
    assert run not in engine_api.runs(engine_client)


def test_a_first_topology_comes_up(up: Any, command: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    asked = ("--system", "redis", "--zones", "2", "--set", "appendonly=yes", "--out", str(path))
    made = command.say("new", "topology", *asked)
    assert (made.returncode, made.stdout.strip()) == (0, str(path)), made.stderr
    run = up(str(path))
    nodes = rows(command, run)
    assert [(n["node"], n["zone"], n["role"]) for n in nodes] == [
        ("n1", "us-east-a", "primary"),
        ("n2", "us-east-b", "replica"),
    ]
    assert all(n["ready"] for n in nodes)
    said = command.say("exec", "n1", "-t", run, "--", "redis-cli", "config", "get", "appendonly")
    assert said.stdout.split() == ["appendonly", "yes"]


def test_published_on_loopback_only(up: Any, command: Any, engine_client: Any) -> None:
    """What Docker Desktop and remote engines need; here it is asked for."""
    run = up("etcd-three", AFTERSHOCK_PUBLISH="1")
    assert sorted(n["role"] for n in rows(command, run)) == ["primary", "replica", "replica"]
    where = {"label": f"{engine_api.LABEL_RUN}={run}"}
    bound = [
        binding["HostIp"]
        for container in engine_client.containers.list(filters=where)
        for bindings in (container.attrs["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    ]
    assert bound
    assert set(bound) == {"127.0.0.1"}


def test_no_more_rights_than_needed(up: Any, engine_client: Any) -> None:
    run = up("redis-sentinel")
    where = {"label": f"{engine_api.LABEL_RUN}={run}"}
    found = engine_client.containers.list(filters=where)
    assert len(found) == 3 * 3 + 2  # an agent and two databases a node; the clients' pod
    for container in found:
        host = container.attrs["HostConfig"]
        assert not host["Privileged"]
        part = container.labels[engine_api.LABEL_PART]
        if part == "agent":
            assert set(host["CapAdd"]) <= {"NET_ADMIN", "SYS_PTRACE", "KILL"}
        else:
            assert not host["CapAdd"]
        for network in container.attrs["NetworkSettings"]["Networks"].values():
            assert network["IPAddress"].startswith(("198.18.", "198.19."))


def test_a_node_that_never_becomes_ready_shows_its_last_lines(
    command: Any, engine_client: Any
) -> None:
    before = set(engine_api.runs(engine_client))
    done = command.say("up", "postgres-async", "--set", "settings.shared_buffers=900GB")
    assert done.returncode == 70, done.stdout
    assert "Cannot allocate memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(engine_api.runs(engine_client)) <= before
