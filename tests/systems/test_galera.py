"""Galera: its files, which nodes its clients use, what its nodes say, and its errors."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

import pytest
from pymysql.err import MySQLError, raise_mysql_exception

from chaos.registry import SYSTEMS
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec, Node, NotConnected, classify
from chaos.systems.galera.clients import GaleraAccess
from chaos.systems.galera.conf import (
    SETTINGS,
    arbitrator_options,
    container,
    galera_cnf,
    provider_options,
)
from chaos.systems.galera.observer import ArbitratorObserver, Observer, observation
from chaos.systems.galera.system import SYSTEM
from chaos.systems.mariadb.wire import NoAnswer

SAID = {
    "wsrep_cluster_status": "Primary",
    "wsrep_cluster_conf_id": "4",
    "wsrep_cluster_size": "3",
    "wsrep_ready": "ON",
    "wsrep_local_state_comment": "Synced",
    "wsrep_local_recv_queue": "7",
    "wsrep_last_committed": "120",
}


@pytest.fixture
def members(nodes: Sequence[Node]) -> list[Node]:
    return [dataclasses.replace(node, role=None) for node in nodes]


@pytest.fixture
def voting(members: list[Node]) -> list[Node]:
    return [*members[:2], dataclasses.replace(members[2], role="arbitrator")]


def lines(conf: str) -> set[str]:
    return set(conf.splitlines())


def test_every_node_knows_every_address(members: list[Node]) -> None:
    for node in members:
        conf = lines(galera_cnf(node, members, {}))
        every = "gcomm://198.18.7.10,198.18.7.11,198.18.7.12"
        assert f"wsrep_cluster_address = {every}" in conf
        assert f"wsrep_node_address = {node.address}" in conf


def test_settings_reach_the_file(members: list[Node]) -> None:
    given = {"wsrep_sync_wait": 7, "innodb_flush_log_at_trx_commit": 1}
    conf = lines(galera_cnf(members[0], members, given))
    assert {"wsrep_sync_wait = 7", "innodb_flush_log_at_trx_commit = 1"} <= conf
    plain = lines(galera_cnf(members[0], members, {}))
    assert "innodb_flush_log_at_trx_commit = 0" in plain  # as the guide to Galera recommends
    assert "wsrep_retry_autocommit = 0" in plain
    assert not any(line.startswith(("sync_binlog", "wsrep_sync_wait")) for line in plain)


def test_galeras_own_options_are_spelled_its_way() -> None:
    given = {"wsrep_provider_evs_suspect_timeout": "1500ms", "wsrep_provider_pc_recovery": False}
    options = provider_options(given).split(";")
    assert "evs.keepalive_period=PT0.375S" in options  # Galera refuses a third of it, or more
    assert {"evs.suspect_timeout=PT1.5S", "pc.recovery=false", "gcache.size=32M"} <= {*options}


def test_nodes_join_in_the_topologys_order(members: list[Node]) -> None:
    environments = [container(node, members, {}).env for node in members]
    assert [env["PLACE"] for env in environments] == ["1", "2", "3"]
    assert {env["FIRST"] for env in environments} == {"198.18.7.10"}
    assert {env["JOIN"] for env in environments} == {""}
    assert container(members[0], members, {}, join=True).env["JOIN"]


def test_an_arbitrator_has_no_database(voting: list[Node]) -> None:
    spec = container(voting[2], voting, {"wsrep_provider_evs_suspect_timeout": "1s"})
    assert spec.command[-1].endswith("vote.sh")
    assert spec.env["NODES"] == "198.18.7.10,198.18.7.11"
    assert "198.18.7.12" not in galera_cnf(voting[0], voting, {})
    options = arbitrator_options(voting[2], {"wsrep_provider_evs_suspect_timeout": "1s"})
    listens = "gmcast.listen_addr=tcp://198.18.7.12:3306"  # where a knock at `db` comes
    assert options.startswith(f"{listens};evs.suspect_timeout=PT1S;")
    assert "gcache" not in options


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wsrep_sync_wait": 16}, "settings.wsrep_sync_wait: expected"),
        ({"wsrep_provider_evs_suspect_timeout": 5}, "expected a duration"),
        ({"wsrep_provider_evs_suspect_timeout": "300ms"}, "at least 400 ms"),
        ({"wsrep_provider_evs_suspect_timeout": "20s"}, "Galera wants at least"),
        ({"wsrep_provider_evs_inactive_timeout": "2s"}, "Galera wants at least"),
        ({"wsrep_provider_gcache_size": "1M;pc.ignore_sb=yes"}, "gcache_size: expected"),
        ({"max_connections": "300\nskip_grant_tables"}, "settings.max_connections: expected"),
    ],
)
def test_settings_that_cannot_be_meant(
    members: list[Node], settings: dict[str, object], said: str
) -> None:
    assert list(SYSTEM.check(members, {})) == []
    found = list(SYSTEM.check(members, settings))
    assert any(said in problem for problem in found), found


def test_roles(members: list[Node], voting: list[Node]) -> None:
    assert list(SYSTEM.check(voting, {})) == []
    assert any("nodes with data" in p for p in SYSTEM.check(voting[2:], {}))
    led = [dataclasses.replace(members[0], role="primary")]
    assert any("leave the role out" in p for p in SYSTEM.check(led, {}))


@pytest.mark.parametrize("name", [n for n in SYSTEMS.builtin if n not in ("fake", "galera")])
def test_no_other_system_takes_an_arbitrator(name: str, voting: list[Node]) -> None:
    found = list(SYSTEMS.get(name).check(voting, {}))
    assert any(problem.startswith("nodes.n3.role") for problem in found), found


def test_what_a_node_says(members: list[Node]) -> None:
    seen = observation(SAID)
    assert (seen.role, seen.term) == ("member", 4)
    assert "7 to be applied" in (seen.note or "")
    joining = {**SAID, "wsrep_ready": "OFF", "wsrep_local_state_comment": "Joining"}
    assert observation(joining).role == "replica"
    assert observation({**SAID, "wsrep_cluster_status": "non-Primary"}).role == "candidate"


@pytest.mark.parametrize("observer", [Observer, ArbitratorObserver])
@pytest.mark.parametrize(("behaviour", "role"), [("refuses", "down"), ("silent", "unknown")])
def test_nodes_that_say_nothing(observer, behaviour, role, listening):
    address = ("127.0.0.1", listening(behaviour))
    assert observer(address, 0.3).observe().role == role


def spec(**options: str) -> ClientSpec:
    ports = {name: {"db": ("127.0.0.1", 9)} for name in ("n1", "n2", "n3")}
    return ClientSpec(
        zone="z", home="n2", endpoints=ports, settings={}, options=options, timeout_s=0.3
    )


def test_a_client_stays_at_home_unless_told_to_fail_over() -> None:
    assert list(GaleraAccess().nodes(spec())) == ["n2"]
    assert list(GaleraAccess().nodes(spec(failover="true"))) == ["n2", "n1", "n3"]
    with pytest.raises(NotConnected) as raised:
        SYSTEM.client(spec(), "set").open()
    assert str(raised.value).count("refused") == 1


def raised(code: int, text: str = "as the server says it") -> MySQLError:
    """What pymysql makes of the server's error packet."""
    with pytest.raises(MySQLError) as caught:
        raise_mysql_exception(b"\xff" + struct.pack("<H", code) + b"#HY000" + text.encode())
    return caught.value


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (raised(1047, "WSREP has not yet prepared node for application use"), True,
         "no-primary-component"),
        (NotConnected("no primary component: n1 is in no primary component"), True, "no-primary"),
        (raised(1213, "Deadlock found when trying to get lock; try restarting"), True, "deadlock"),
        (raised(1180, 'Got error 6 "No such device or address" during COMMIT'), False,
         "majority-lost"),
        (raised(1026), False, "commit-failed"),
        (raised(1205), True, "lock-wait-timeout"),
        (raised(1020), True, "record-changed"),
        (raised(2013), False, "connection-lost"),
        (NoAnswer("no answer in time"), False, "timeout"),
        (NotCommitted("x"), True, "not-committed"),
        (raised(1105), False, "unknown"),
    ],
)  # fmt: skip
def test_errors(error: Exception, definite: bool, code: str) -> None:
    judged, text = classify(error, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


def test_options(members: list[Node]) -> None:
    assert list(SYSTEM.check_options({"failover": True, "locking-reads": True}, "append")) == []
    assert any("reads" in p for p in SYSTEM.check_options({"reads": "primary"}, "session"))
    assert set(SETTINGS) == set(SYSTEM.settings)
