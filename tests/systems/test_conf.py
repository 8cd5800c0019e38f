"""What the nodes are configured with, for topologies good and bad."""

from __future__ import annotations

import dataclasses
import re

import pytest

from chaos.systems._common import Setting, text
from chaos.systems._postgres_conf import container, postgresql_conf, standby_names
from chaos.systems._redis_conf import redis_conf, sentinel_conf
from chaos.systems.etcd import SYSTEM as ETCD
from chaos.systems.etcd import command
from chaos.systems.postgres import SYSTEM as POSTGRES
from chaos.systems.redis import SYSTEM as REDIS


def lines(conf: str) -> set[str]:
    return set(conf.splitlines())


def test_redis_primary_and_replicas(nodes):
    assert "replicaof 198.18.7.10 6379" not in redis_conf(nodes[0], nodes, {})
    assert "replicaof 198.18.7.10 6379" in lines(redis_conf(nodes[1], nodes, {}))


def test_redis_settings_reach_the_file(nodes):
    given = {"appendonly": True, "min-replicas-to-write": 1, "save": "", "appendfsync": "always"}
    conf = lines(redis_conf(nodes[0], nodes, given))
    assert {"appendonly yes", "min-replicas-to-write 1", 'save ""', "appendfsync always"} <= conf


def test_sentinels_know_everything_from_the_start(nodes):
    conf = sentinel_conf(nodes[1], nodes, {"down-after": "500ms"})
    assert "sentinel monitor aftershock 198.18.7.10 6379 2" in lines(conf)
    assert "sentinel down-after-milliseconds aftershock 500" in lines(conf)
    assert len(re.findall("known-replica", conf)) == 2
    known = re.findall(r"known-sentinel aftershock (\S+) 26379 (\w{40})", conf)
    assert {address for address, _ in known} == {"198.18.7.10", "198.18.7.12"}
    own = re.search(r"myid (\w{40})", sentinel_conf(nodes[0], nodes, {}))
    assert own is not None
    assert own[1] in dict(map(reversed, known))


@pytest.mark.parametrize(
    ("count", "replication", "names"),
    [
        (3, "async", ""),
        (1, "sync", ""),
        (3, "sync", 'FIRST 1 ("n1", "n2", "n3")'),
        (3, "quorum", 'ANY 1 ("n1", "n2", "n3")'),
    ],
)
def test_postgres_waits_for(nodes, count, replication, names):
    assert standby_names(nodes[:count], replication) == names


def test_postgres_settings_reach_the_file(nodes):
    conf = lines(postgresql_conf(nodes[0], nodes, {"fsync": False, "replication": "sync"}))
    assert {"fsync = 'off'", "synchronous_commit = 'remote_apply'"} <= conf
    assert not any(line.startswith("replication") for line in conf)
    chosen = {"replication": "sync", "synchronous_commit": "on"}
    assert "synchronous_commit = 'on'" in lines(postgresql_conf(nodes[0], nodes, chosen))


def test_etcd_flags(nodes):
    flags = set(command(nodes[1], nodes, {"election-timeout": "2s", "pre-vote": False}))
    assert {"--name=n2", "--election-timeout=2000", "--heartbeat-interval=100"} <= flags
    assert "--pre-vote=false" in flags
    every = "n1=http://198.18.7.10:2380,n2=http://198.18.7.11:2380,n3=http://198.18.7.12:2380"
    assert f"--initial-cluster={every}" in flags


@pytest.mark.parametrize(
    ("system", "settings", "said"),
    [
        (REDIS, {"appendfsync": "sometimes"}, "settings.appendfsync: expected"),
        (REDIS, {"down-after": 2}, "settings.down-after: expected a duration"),
        (REDIS, {"min-replicas-to-write": 3}, "no write would ever be taken"),
        (REDIS, {"save": "60 100\nslaveof 1.2.3.4 1"}, "settings.save: expected"),
        (POSTGRES, {"replication": "eventual"}, "settings.replication: expected"),
        (POSTGRES, {"fsync": "maybe"}, "settings.fsync: expected"),
        (POSTGRES, {"max_connections": "300'\nfsync=off"}, "settings.max_connections"),
        (ETCD, {"election-timeout": "200ms"}, "at least 5"),
        (ETCD, {"snapshot-count": "many"}, "settings.snapshot-count: expected"),
    ],
)
def test_settings_that_cannot_be_meant(nodes, system, settings, said):
    plain = [dataclasses.replace(node, role=None) for node in nodes]
    assert list(system.check(plain, {})) == []
    found = list(system.check(plain, settings))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize("system", [REDIS, POSTGRES], ids=lambda s: s.name)
def test_roles_that_cannot_be_meant(nodes, system):
    two = [dataclasses.replace(node, role="primary") for node in nodes]
    assert any("expected one at most" in problem for problem in system.check(two, {}))
    assert any("at least one" in problem for problem in system.check([], {}))
    odd = [dataclasses.replace(nodes[0], role="boss")]
    assert any("expected primary or replica" in problem for problem in system.check(odd, {}))


def test_etcd_takes_no_roles(nodes):
    assert any("leave the role out" in problem for problem in ETCD.check(nodes, {}))


@pytest.mark.parametrize(
    ("values", "word"), [("yes|no", "yes"), ("on|off", "on"), ("true|false", "true")]
)
def test_a_yaml_truth_value_becomes_the_databases_word(values, word):
    assert text(True, values) == word
    assert Setting(about="", values=values).problem("x", True) is None


def test_an_empty_postgres_follows_whom_it_is_told_to(nodes):
    first = [container(node, nodes, {}).env["FOLLOW"] for node in nodes]
    assert first == ["", nodes[0].address, nodes[0].address]
    assert container(nodes[0], nodes, {}, nodes[2].address).env["FOLLOW"] == nodes[2].address


def test_an_empty_etcd_joins_what_exists(nodes):
    assert "--initial-cluster-state=new" in command(nodes[0], nodes, {})
    assert "--initial-cluster-state=existing" in command(nodes[0], nodes, {}, "existing")
