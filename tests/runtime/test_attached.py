"""Clusters seen from another process: each node asked by its own group's system, if it is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.cli import clusters as commands
from chaos.cli import main
from chaos.errors import ClusterError, SpecError
from chaos.runtime import attached as attached_module
from chaos.runtime.attached import AttachedCluster
from chaos.runtime.docker import (
    KEEP,
    LABEL_NODE,
    LABEL_OWNER,
    LABEL_PART,
    LABEL_RUN,
    LABEL_SPEC,
    LABEL_TOPOLOGY,
)
from chaos.systems.base import Observation

NODES = [("e1", "dcs"), ("p1", "db"), ("p2", "db")]


class Talkative:
    """Says that every node is what its settings tell."""

    def __init__(self, name: str) -> None:
        self.name = name

    def observer(self, cluster: Any, node: str, timeout_s: float) -> Any:
        assert node in [each.name for each in cluster.nodes]
        assert cluster.address(node, "db") == ("127.0.0.1", 1)
        return lambda: Observation(role=cluster.settings["role"])


class Silent:
    """Has no roles."""


def known(name: str) -> Any:
    """Of the systems below, what this installation has of them."""
    if name == "tinykv":
        raise SpecError("unknown system `tinykv`; known: etcd, patroni, broken, silent")
    if name == "broken":
        raise SpecError("the system broken cannot be loaded: ImportError: no module tiny")
    return Silent() if name == "silent" else Talkative(name)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Labels of a cluster whose database, beside etcd, is the given system."""
    names = ["etcd", "patroni", "broken", "silent"]
    monkeypatch.setattr(attached_module, "SYSTEMS", SimpleNamespace(get=known, names=lambda: names))
    monkeypatch.setattr(
        attached_module, "link_addresses", lambda _, links: dict.fromkeys(links, ("127.0.0.1", 1))
    )

    def labels(system: str = "patroni") -> dict[str, str]:
        spec = {
            "groups": {
                "dcs": {"system": "etcd", "settings": {"role": "primary"}},
                "db": {"system": system, "settings": {"role": "member"}},
            },
            "nodes": [
                {"name": name, "zone": "a", "region": "r", "provider": None, "role": None,
                 "address": "198.18.0.10", "group": group}
                for name, group in NODES
            ],
            "links": [["observer", name, "db"] for name, _ in NODES],
        }  # fmt: skip
        return {LABEL_SPEC: json.dumps(spec), LABEL_TOPOLOGY: "mixed", LABEL_OWNER: KEEP}

    return labels


def attached(labels: dict[str, str]) -> AttachedCluster:
    up = [SimpleNamespace(status="running")]
    databases = {"e1": up, "p1": up, "p2": [SimpleNamespace(status="exited")]}
    return AttachedCluster("r1", SimpleNamespace(labels=labels), databases)


def test_every_node_is_asked_by_its_own_system(made: Callable[..., Any]) -> None:
    cluster = attached(made())
    assert [(row.node, row.group, row.role, row.ready) for row in cluster.states()] == [
        ("e1", "dcs", "primary", True),
        ("p1", "db", "member", True),
        ("p2", "db", "down", False),
    ]
    assert cluster.group("p2").system.name == "patroni"
    assert [node.name for node in cluster.group("p1").nodes] == ["p1", "p2"]
    assert cluster.strange() == {}


@pytest.mark.parametrize(
    ("system", "why"),
    [
        ("tinykv", "the system tinykv is not known here"),
        ("broken", "the system broken cannot be loaded: ImportError: no module tiny"),
        ("silent", ""),
    ],
)
def test_nodes_that_nobody_here_can_ask_are_shown_with_what_is_known(
    made: Callable[..., Any], system: str, why: str
) -> None:
    cluster = attached(made(system))
    assert [(row.node, row.system, row.role, row.ready) for row in cluster.states()] == [
        ("e1", "etcd", "primary", True),
        ("p1", system, "unknown", None),
        ("p2", system, "down", False),
    ]
    assert cluster.strange() == ({system: why} if why else {})
    assert cluster.containers("p1")[0].status == "running"


@pytest.mark.parametrize(
    "spec", ["what?", '{"nodes": []}', '{"nodes": [{"name": "n1"}], "groups": {}, "links": []}']
)
def test_what_another_version_started_is_said(made: Callable[..., Any], spec: str) -> None:
    with pytest.raises(ClusterError, match="run r1 was started by another version") as error:
        attached({**made(), LABEL_SPEC: spec})
    assert "aftershock down --topology r1" in error.value.fix


def test_a_node_whose_containers_are_gone_is_down(made: Callable[..., Any]) -> None:
    cluster = AttachedCluster("r1", SimpleNamespace(labels=made("tinykv")), {"e1": []})
    assert {row.role for row in cluster.states()} == {"down"}


class Container:
    """One that runs, as the engine's driver shows it."""

    status = "running"

    def __init__(self, labels: dict[str, str], created: str) -> None:
        self.labels = {LABEL_RUN: "r1", **labels}
        self.attrs = {"Created": created}

    def exec_run(self, command: list[str]) -> tuple[int, bytes]:
        return 3, f"{self.labels[LABEL_NODE]}: {' '.join(command)}\n".encode()


@pytest.fixture
def aftershock(
    made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line beside an engine that runs a system which is not known here."""
    nodes = [
        Container({LABEL_NODE: name, LABEL_PART: "database"}, str(k))
        for k, (name, _) in enumerate(NODES)
    ]
    there = [Container(made("tinykv"), "0"), *nodes]
    listed = SimpleNamespace(list=lambda **_: there)
    monkeypatch.setattr(commands, "connect", lambda: SimpleNamespace(containers=listed))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["aftershock", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


STRANGE = "mixed (r1): the system tinykv is not known here, so its nodes are not asked for their"


def test_ps_shows_a_system_that_is_not_known_here(
    aftershock: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = aftershock("ps")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert rows[1] == ["mixed", "dcs", "e1", "a", "primary", "198.18.0.10", "yes", "kept", "r1"]
    assert rows[2] == ["mixed", "db", "p1", "a", "unknown", "198.18.0.10", "unknown", "kept", "r1"]
    assert err.startswith(STRANGE)
    code, out, err = aftershock("ps", "--json")
    assert [(row["system"], row["ready"]) for row in json.loads(out)] == [
        ("etcd", True),
        ("tinykv", None),
        ("tinykv", None),
    ]
    assert err.startswith(STRANGE)


def test_exec_serves_a_system_that_is_not_known_here(
    aftershock: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = aftershock("exec", "p1", "--", "echo", "hello")
    assert (code, out) == (3, "p1: echo hello\n")
    assert err.startswith(STRANGE)
