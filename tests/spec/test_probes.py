"""Probes and lent clients: what they are asked with, and what cannot be."""

from __future__ import annotations

import json

import pytest

from chaos.spec.files import load_compose, load_topology
from tests.spec.conftest import Write, said

PROBES = """\
services:
  web: {image: i, expose: [80]}
  db: {image: i, environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: p}}
  dumb: {image: i}
x-chaos:
  probes:
"""


def test_probes_are_resolved_with_what_the_service_says(write: Write) -> None:
    path = write(PROBES + "    a: {service: db, sql: select 1, expect: 1, within: 300ms}\n")
    topology = load_compose(path).topology
    group = topology.each_group()[""].project
    assert group is not None
    assert group.probes["a"] == {
        "kind": "sql", "service": "db", "nodes": ["db"], "port": "db", "ask": "select 1",
        "expect": "1", "within_s": 0.3, "dialect": "postgres", "user": "u", "database": "u",
        "password": "p",
    }  # fmt: skip
    assert group.services["db"].ports == (5432,)
    stored = json.dumps(topology.resolved())
    assert '"a"' in stored
    assert '"p"' not in stored  # no password is ever written down


@pytest.mark.parametrize(("probe", "message"), [
    ("{service: wb, http: /}", "7:18: unknown service `wb`; known: web, db, dumb"),
    ("{service: web}",
     "7:8: expected one of `http:`, `sql:`, `tcp:` or `command:`, got none of them"),
    ("{service: web, http: /, tcp: x}",
     "7:8: expected one of `http:`, `sql:`, `tcp:` or `command:`, got `http:` and `tcp:`"),
    ("{service: web, http: x}", "7:8: expected a path that begins with /, got 'x'"),
    ("{service: web, http: /, expect: 99}",
     "7:8: expected a status such as 200 or 2xx, got '99'"),
    ("{service: web, tcp: x, contains: y}", "7:8: `contains:` belongs to `http:`"),
    ("{service: dumb, http: /}", "7:24: which port of `dumb`? It names none"),
    ("{service: web, sql: select 1}", "7:23: who speaks SQL at port 80 of `web`?"),
    ("{service: db, sql: select 1, password_from: X}",
     "7:52: unknown variable of `db` `X`; known: POSTGRES_USER, POSTGRES_PASSWORD"),
    ("{service: web, http: /, objective: 0%}", "7:43: expected a value above 0.0, got `0%`"),
])  # fmt: skip
def test_probes_that_cannot_be_asked(write: Write, probe: str, message: str) -> None:
    found = said(write(f"{PROBES}    a: {probe}\n"))
    assert [each.replace("above 0,", "above 0.0,") for each in found] == [message]


def test_knocks_change_nothing(write: Write) -> None:
    path = write(
        "services:\n  web: {image: i, expose: [80]}\n  own: {image: i, expose: [7000]}\n"
        "  cache: {image: i, expose: [6379]}\n  said: {image: i, x-chaos: {port: 1, knock: hi}}\n"
        "x-chaos:\n  probes:\n    a: {service: web, http: /counts}\n"
        "    b: {service: own, tcp: ask}\n    c: {service: cache, tcp: 'INCR x'}\n"
    )
    group = load_compose(path).topology.each_group()[""].project
    assert group is not None
    nodes = group.told()["nodes"]
    assert {name: bytes.fromhex(node["knocks"]["db"]) for name, node in nodes.items()} == {
        "web": b"OPTIONS * HTTP/1.0\r\n\r\n", "own": b"ask", "cache": b"PING\r\n", "said": b"hi",
    }  # fmt: skip


LENT = """\
services: {cache: {image: i, expose: [6379]}, deaf: {image: i}}
x-chaos:
  probes: {p: {service: cache, tcp: x}}
  client: {system: redis, service: cache}
"""


def test_an_experiment_changes_what_the_compose_file_says(write: Write) -> None:
    path = write(LENT)
    mine = path.parent / "mine.yaml"
    mine.write_text(f"name: mine\ncompose: {path.name}\n", encoding="utf-8")
    topology = load_topology(mine, ["probes.p.objective=50%", "client.system=etcd"]).topology
    assert (topology.probes["p"].objective, topology.probes["p"].tcp) == (0.5, "x")
    assert topology.client is not None
    assert (topology.client.system, topology.client.service) == ("etcd", "cache")


@pytest.mark.parametrize(("change", "message"), [
    (("redis,", "postgres,"), "unknown client to lend `postgres`; known: redis, valkey, etcd"),
    (("service: cache}\n", "service: cash}\n"), "unknown service `cash`; known: cache, deaf"),
    (("service: cache}\n", "service: cache, settings: {mode: sentinel}}\n"), "would need more"),
    (("service: cache}\n", "service: deaf}\n"), "which port of `deaf`? It names none"),
    (("service: cache}\n", "service: cache, settings: {nod: 1}}\n"), "unknown redis setting `nod`"),
])  # fmt: skip
def test_clients_that_cannot_be_lent(write: Write, change: tuple[str, str], message: str) -> None:
    head, _, tail = LENT.rpartition("  client:")
    (found,) = said(write(head + "  client:" + tail.replace(*change)))
    assert message in found


@pytest.mark.parametrize(("workload", "message"), [
    ("{name: probes}", ""), ("{name: register}", ""),
    ("{name: bank}", ""),
    ("{name: probes, rate: 5/s}", "each probe has a rhythm of its own"),
    ("{name: edits}", "redis does not speak the workload `edits`"),
])  # fmt: skip
def test_workloads(write: Write, workload: str, message: str) -> None:
    path = write(LENT)
    (path.parent / "mine.yaml").write_text(f"name: mine\ncompose: {path.name}\n")
    experiment = path.parent / "try.yaml"
    experiment.write_text(
        f"name: try\ntopology: ./mine.yaml\nworkload: {workload}\nduration: 5s\n"
        "schedule: [{at: 1s, for: 1s, fault: kill, target: cache}]\n"
    )
    assert [message in each for each in said(experiment)] == ([True] if message else [])
