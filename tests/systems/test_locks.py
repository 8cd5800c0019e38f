"""Locks, documents and counters: what is certain when a request of an operation fails."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from chaos.record.op import Invocation
from chaos.registry import SYSTEMS
from chaos.systems.base import ClientSpec, classify
from chaos.systems.etcd.client import EtcdError
from chaos.systems.etcd.counter import CounterClient
from chaos.systems.etcd.lock import DIGITS, DocumentClient, LockClient
from chaos.systems.etcd.system import SYSTEM as ETCD
from chaos.systems.postgres.client import TABLES
from chaos.systems.postgres.lock import ACQUIRE, LOAD_UNDER, STORE_UNDER
from chaos.systems.postgres.system import SYSTEM as POSTGRES


class Script:
    """Gives prepared answers, one a request; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((path.removeprefix("/v3/"), body))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    def close(self) -> None:
        pass


def spec(**options: str) -> ClientSpec:
    return ClientSpec(
        zone="z", home="n1", endpoints={}, settings={}, options=options, timeout_s=1.0
    )


def judged(client: Any, script: Script, operation: Invocation) -> tuple[bool, str]:
    client._gateway = script
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.invoke(operation)
    definite, why = classify(raised.value, ETCD.errors)
    return definite, why.split(":")[0]


ACQUIRING = Invocation("acquire", "k0")
TIMEOUT, CHANGED = TimeoutError("timed out"), EtcdError("etcdserver: leader changed", 14)
LEASE: dict[str, Any] = {"ID": "7", "TTL": "2"}
FREE: dict[str, Any] = {}


@pytest.mark.parametrize("error", [TIMEOUT, CHANGED], ids=["timeout", "leader-changed"])
@pytest.mark.parametrize("before", [(), (FREE,)], ids=["look", "lease"])
def test_an_acquire_that_fails_before_it_makes_the_lock_did_not_happen(
    before: Any, error: Exception
) -> None:
    script = Script(*before, error)
    assert judged(LockClient(spec()), script, ACQUIRING) == (True, "not-committed")
    assert len(script.asked) == len(before) + 1


@pytest.mark.parametrize(("error", "code"), [(TIMEOUT, "timeout"), (CHANGED, "leader-changed")])
def test_an_acquire_that_fails_as_it_makes_the_lock_may_have_happened(
    error: Exception, code: str
) -> None:
    assert judged(LockClient(spec()), Script(FREE, LEASE, error), ACQUIRING) == (False, code)


def test_who_is_second_is_told_that_the_lock_is_held() -> None:
    there = {"kvs": [{"key": "bG9jay9rMA=="}]}
    assert judged(LockClient(spec()), Script(there), ACQUIRING) == (True, "held")
    lost = {"header": {"revision": "9"}}  # a transaction that did not succeed
    assert judged(LockClient(spec()), Script(FREE, LEASE, lost), ACQUIRING) == (True, "held")


def test_the_token_is_the_revision_and_release_compares_it() -> None:
    client, script = LockClient(spec(lease="2500ms")), Script(
        FREE, LEASE, {"succeeded": True, "header": {"revision": "41"}}, {"succeeded": True}, {}
    )  # fmt: skip
    client._gateway = script  # type: ignore[assignment]
    assert client.invoke(ACQUIRING).value == 41
    assert script.asked[1] == ("lease/grant", {"TTL": "3"})
    client.invoke(Invocation("release", "k0", 41))
    [mine] = script.asked[3][1]["compare"]
    assert (mine["target"], mine["create_revision"]) == ("CREATE", "41")
    assert judged(client, script, Invocation("release", "k0", 41)) == (True, "not-held")


def test_a_store_of_a_document_is_one_request_and_unanswered_it_may_have_happened() -> None:
    storing = Invocation("store", "k0", 12, payload="[1]")
    script = Script(TIMEOUT)
    assert judged(DocumentClient(spec()), script, storing) == (False, "timeout")
    [(path, body)] = script.asked
    assert path == "kv/txn"
    above = base64.b64decode(body["compare"][0]["value"]).decode()
    assert (int(above), len(above)) == (13, DIGITS)
    refused: dict[str, Any] = {"responses": [{"response_txn": {}}]}
    assert judged(DocumentClient(spec()), Script(refused), storing) == (True, "stale-token")


def test_an_add_that_fails_as_it_reads_did_not_happen_and_as_it_writes_may_have() -> None:
    add = Invocation("add", "k0", 2)
    seen = {"kvs": [{"value": base64.b64encode(b"5").decode(), "mod_revision": "3"}]}
    read = {"responses": [{"response_range": seen}]}
    assert judged(CounterClient(spec()), Script(TIMEOUT), add) == (True, "not-committed")
    script = Script(read, TIMEOUT)
    assert judged(CounterClient(spec()), script, add) == (False, "timeout")
    written = script.asked[1][1]["success"][0]["request_put"]["value"]
    assert json.loads(base64.b64decode(written)) == 7
    assert judged(CounterClient(spec()), Script(read, {}), add) == (True, "conflict")


def test_postgres_decides_by_one_statement_each() -> None:
    """Tokens and times are computed where the row is locked: in SET and WHERE, not in VALUES."""
    for statement in (ACQUIRE, LOAD_UNDER, STORE_UNDER):
        assert statement.count(b"ON CONFLICT (key) DO UPDATE SET") == 1
        assert b";" not in statement
    update = ACQUIRE.split(b"DO UPDATE")[1]
    assert update.count(b"clock_timestamp()") == 2
    assert b"excluded" not in update
    made = {re.findall(r"EXISTS (\w+)", table)[0] for table in TABLES}
    assert {"counters", "locks", "documents"} <= made


@pytest.mark.parametrize("lease", ["soon", "-1s", 3])
def test_a_lease_that_is_no_duration_is_refused(lease: Any) -> None:
    for system in (ETCD, POSTGRES, SYSTEMS.get("fake")):
        [problem] = system.check_options({"lease": lease}, "lock")
        assert problem.startswith("client.lease: "), system.name
        assert not list(system.check_options({"lease": "3s"}, "lock"))


def test_a_lease_means_nothing_to_a_workload_without_locks() -> None:
    [problem] = POSTGRES.check_options({"lease": "3s"}, "set")
    assert "means nothing to the workload set" in problem
