"""What the nodes are configured with, for topologies good and bad."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from chaos.systems._common import Setting, text
from chaos.systems.etcd.system import SYSTEM as ETCD
from chaos.systems.etcd.system import command
from chaos.systems.postgres.conf import container, postgresql_conf, standby_names
from chaos.systems.postgres.system import SYSTEM as POSTGRES
from chaos.systems.redis.conf import SETTINGS, nodes_conf, sentinel_conf, server, server_conf
from chaos.systems.redis.map import myself, nodes_of
from chaos.systems.redis.slots import assigned, key_in_each, ranges, slot_of
from chaos.systems.redis.system import SYSTEM as REDIS
from chaos.systems.redis.valkey import SYSTEM as VALKEY


def lines(conf: str) -> set[str]:
    return set(conf.splitlines())


def test_redis_primary_and_replicas(nodes):
    assert "replicaof 198.18.7.10 6379" not in server_conf("redis", nodes[0], nodes, {})
    assert "replicaof 198.18.7.10 6379" in lines(server_conf("redis", nodes[1], nodes, {}))


def test_redis_settings_reach_the_file(nodes):
    given = {"appendonly": True, "min-replicas-to-write": 1, "save": "", "appendfsync": "always"}
    conf = lines(server_conf("redis", nodes[0], nodes, given))
    assert {"appendonly yes", "min-replicas-to-write 1", 'save ""', "appendfsync always"} <= conf


def test_sentinels_know_everything_from_the_start(nodes):
    conf = sentinel_conf("redis", nodes[1], nodes, {"down-after": "500ms"})
    assert "sentinel monitor aftershock 198.18.7.10 6379 2" in lines(conf)
    assert "sentinel down-after-milliseconds aftershock 500" in lines(conf)
    assert len(re.findall("known-replica", conf)) == 2
    known = re.findall(r"known-sentinel aftershock (\S+) 26379 (\w{40})", conf)
    assert {address for address, _ in known} == {"198.18.7.10", "198.18.7.12"}
    own = re.search(r"myid (\w{40})", sentinel_conf("redis", nodes[0], nodes, {}))
    assert own is not None
    assert own[1] in dict(map(reversed, known))


def six(nodes):
    """Six nodes over three zones, in turn, of which none has a role."""
    return [
        dataclasses.replace(
            node, name=f"n{k + 3 * half}", role=None, address=f"198.18.7.{k + 50 * half}"
        )
        for half in (0, 1)
        for k, node in enumerate(nodes, 1)
    ]


def test_the_replica_of_a_shard_is_in_another_zone(nodes):
    shards = assigned(six(nodes), {})
    assert [shard.label for shard in shards] == ["0-5460", "5461-10922", "10923-16383"]
    assert [[n.name for n in shard.members] for shard in shards] == [
        ["n1", "n6"],
        ["n2", "n4"],
        ["n3", "n5"],
    ]
    assert all(len({n.zone for n in shard.members}) == 2 for shard in shards)


@pytest.mark.parametrize("shards", [3, 4, 5, 16, 100])
def test_every_slot_is_in_one_shard_and_every_shard_has_a_key(shards):
    dealt = ranges(shards)
    assert dealt[0][0] == 0
    assert dealt[-1][1] == 16383
    assert all(first == last + 1 for (_, last), (first, _) in itertools.pairwise(dealt))
    keys = key_in_each("elements", shards)
    assert all(
        first <= slot_of(key) <= last for key, (first, last) in zip(keys, dealt, strict=True)
    )


def test_what_is_in_braces_decides_the_slot():
    assert slot_of("lock/{l0}") == slot_of("token/{l0}") == slot_of("l0")
    assert slot_of("123456789") == 0x31C3  # the check value of CRC16/XMODEM


def test_the_nodes_of_a_cluster_know_it_from_the_start(nodes):
    placed = six(nodes)
    views = [nodes_of(_table(nodes_conf(node, placed, {}))) for node in placed]
    for node, view in zip(placed, views, strict=True):
        assert myself(view).address == node.address
    drawn = [[(n.id, n.address, n.primary, n.slots, n.epoch) for n in view] for view in views]
    assert all(each == drawn[0] for each in drawn)
    leaders = {n.id: n.slots for n in views[0] if "master" in n.flags}
    assert sorted(leaders.values()) == ["0-5460", "10923-16383", "5461-10922"]
    followed = [n.primary for n in views[0] if "slave" in n.flags]
    assert sorted(followed) == sorted(leaders)


def _table(conf):
    return "".join(line for line in conf.splitlines(True) if not line.startswith("vars")).encode()


def test_each_mode_has_its_own_lines_and_processes(nodes):
    clustered = {"mode": "cluster", "cluster-node-timeout": "1500ms"}
    conf = lines(server_conf("redis", nodes[1], nodes, clustered))
    assert {"cluster-enabled yes", "cluster-node-timeout 1500"} <= conf
    assert "cluster-announce-ip 198.18.7.11" in conf
    assert not any(line.startswith("replicaof") for line in conf)
    alone = lines(server_conf("redis", nodes[1], nodes, {"mode": "replication"}))
    assert "replicaof 198.18.7.10 6379" in alone
    assert not any(line.startswith("cluster") for line in alone)
    for settings, names in (
        ({}, ["redis", "sentinel"]),
        ({"mode": "replication"}, ["redis"]),
        (clustered, ["redis"]),
    ):
        assert [c.name for c in REDIS.containers(nodes[0], nodes, settings)] == names
    assert set(server("redis", nodes[0], nodes, clustered).files) == {
        "/etc/aftershock/redis.conf",
        "/etc/aftershock/nodes.conf",
    }


def test_valkey_is_the_same_under_its_own_name(nodes):
    valkey = VALKEY.containers(nodes[0], nodes, {})
    assert VALKEY.images == ("valkey",)
    assert [c.image for c in valkey] == ["valkey", "valkey"]
    assert {c.data_dir for c in valkey} == {"/var/lib/valkey"}
    assert [c.command[-1].rpartition("exec ")[2] for c in valkey] == [
        "valkey-server /var/lib/valkey/valkey.conf",
        "valkey-sentinel /var/lib/valkey/sentinel.conf",
    ]
    assert "dir /var/lib/valkey" in lines(server_conf("valkey", nodes[0], nodes, {}))


def test_what_a_mode_cannot_do_is_refused(nodes):
    def said(workload, options, **settings):
        return list(REDIS.refusals(workload, options, six(nodes), settings))

    for workload in REDIS.workloads:
        assert said(workload, {}) == []
        several = workload in ("append", "wr", "long-fork", "write-skew")
        assert bool(said(workload, {}, mode="cluster")) is several, workload
    assert said("set", {"wait": 1}, mode="cluster") == []
    assert "there are 1" in said("set", {"wait": 2}, mode="cluster")[0]
    assert "there are 5" in said("set", {"wait": 6}, mode="replication")[0]
    assert [REDIS.elects_with({"mode": m}) for m in ("replication", "sentinel", "cluster")] == [
        False,
        True,
        True,
    ]
    assert any("leave the role out" in told for told in REDIS.check(nodes, {"mode": "cluster"}))


@pytest.mark.parametrize("mode", ["replication", "sentinel", "cluster"])
def test_a_setting_of_another_mode_may_stand_as_it_is_anyway(nodes, mode):
    plain = [dataclasses.replace(node, role=None) for node in nodes]
    given = {name: rule.default for name, rule in SETTINGS.items() if rule.default is not None}
    assert list(REDIS.check(plain, {**given, "mode": mode})) == []


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
        (REDIS, {"min-replicas-to-write": "several"}, "settings.min-replicas-to-write: expected"),
        (REDIS, {"mode": "ring"}, "settings.mode: expected a value matching replication|"),
        (REDIS, {"cluster-node-timeout": "6s"}, "means nothing in mode sentinel"),
        (REDIS, {"mode": "replication", "down-after": "5s"}, "it is for mode sentinel"),
        (REDIS, {"mode": "cluster", "down-after": "5s"}, "means nothing in mode cluster"),
        (REDIS, {"mode": "cluster", "shards": 2}, "expected at least 3, got 2"),
        (REDIS, {"mode": "cluster", "shards": 4}, "4 shards need as many nodes, got 3"),
        (REDIS, {"mode": "cluster", "min-replicas-to-write": 1}, "a primary has 0"),
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
