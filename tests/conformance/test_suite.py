"""The suite itself: what lies is found out, and what is lacking is said."""

from __future__ import annotations

import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.conformance.findings import Finding
from chaos.conformance.suite import POWERS, conform
from chaos.record.op import Invocation, Result
from chaos.registry import SYSTEMS
from chaos.systems.base import Client, ClientSpec, Definite, Node

FAKE = SYSTEMS.get("fake")


def spec(**options: Any) -> ClientSpec:
    return ClientSpec(
        zone="z",
        home="n1",
        endpoints={},
        settings={"store": uuid.uuid4().hex},
        options=options,
        timeout_s=1.0,
    )


def findings(system: Any = FAKE, cluster: Any = None, **options: Any) -> dict[str, Finding]:
    given = spec(**options)
    return {f.name: f for f in conform(system, lambda home, timeout_s: given, cluster)}


class Wrapped:
    """The fake, but for what a test changes."""

    def __init__(self, **changes: Any) -> None:
        self.__dict__.update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(FAKE, name)


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        ("stale-reads", "register"),
        ("stale-reads", "set"),
        ("lose-acked", "set"),
        ("lose-acked", "queue"),
        ("failed-yet-done", "register"),
        ("timeouts", "counter"),
        ("duplicates", "set"),
    ],
)
def test_a_lie_is_found_out(lie: str, kind: str) -> None:
    system, name = Wrapped(workloads=frozenset({kind})), f"client {kind}"
    said = findings(system, lie=lie, rate=1.0)[name]
    assert said.outcome == "failed"
    assert said.why
    assert findings(system)[name].outcome == "passed"


class Answering:
    """A client that answers everything alike."""

    node = "n1"

    def __init__(self, answer: Exception | Result) -> None:
        self.answer = answer

    def open(self) -> None: ...

    def close(self) -> None: ...

    def invoke(self, operation: Invocation) -> Result:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Result(), "cas of nothing: expected 1, got None"),
        (Definite("no-thanks"), "read c0: expected success, got Definite: no-thanks"),
        (KeyError("k"), "read c0: expected success, got KeyError: 'k'"),
    ],
)
def test_what_was_expected_and_what_came_is_said(answer: Exception | Result, why: str) -> None:
    def client(spec: ClientSpec, kind: str) -> Client:
        return Answering(answer)

    said = findings(Wrapped(client=client, workloads=frozenset({"register"})))
    assert (said["client register"].outcome, said["client register"].why) == ("failed", why)
    assert said["client set"].outcome == "absent"


def test_a_kind_that_nobody_checks_and_no_version_are_said() -> None:
    said = findings(Wrapped(workloads=frozenset({"teleport"}), versions=lambda: {"driver": ""}))
    assert "teleport, which nothing here checks" in said["kinds"].why
    assert said["versions"].outcome == "failed"


def test_what_is_lacking_is_said() -> None:
    node = Node(name="n1", zone="z", role=None, address="198.18.0.9")
    said = findings(cluster=SimpleNamespace(nodes=[node], settings={}))
    assert said["client register"].outcome == "passed"
    for name in ("handshakes", "roles", "failover", "promote"):
        assert said[name].outcome == "missing"
    assert all(words in said["failover"].why for words in [*POWERS.values()][1:])


def test_a_system_whose_code_breaks_is_a_finding() -> None:
    def client(spec: ClientSpec, kind: str) -> Client:
        raise RuntimeError("half written")

    said = findings(Wrapped(client=client))["client set"]
    assert (said.outcome, said.why) == ("failed", "RuntimeError: half written")


def test_the_home_of_the_client_is_the_last_node() -> None:
    asked = []

    def spec_of(home: str, timeout_s: float) -> ClientSpec:
        asked.append(home)
        return replace(spec(), home=home)

    nodes = [Node(name=n, zone="z", role=None, address="198.18.0.9") for n in ("a", "b")]
    cluster: Any = SimpleNamespace(nodes=nodes, settings={})
    next(conform(FAKE, spec_of, cluster))
    assert asked == ["b"]
