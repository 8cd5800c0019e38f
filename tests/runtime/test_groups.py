"""Groups of a running topology: who sees what, who is formed first, which images are needed."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.errors import ClusterError
from chaos.runtime import groups as groups_module
from chaos.runtime.groups import RunningGroup, form, port_numbers, versions, wanted_images
from chaos.spec.group_checks import placed
from chaos.spec.topology import Topology

MIXED = Topology.model_validate({
    "name": "mixed",
    "groups": {
        "db": {"system": "upper", "uses": {"dcs": "dcs"}, "settings": {"x": 1}},
        "dcs": {"system": "lower", "image": {"lower": "lower:2"}},
        "cache": {"system": "lower"},
    },
    "regions": {"east": {"zones": ["a", "b"]}},
    "nodes": {
        "p1": {"zone": "a", "group": "db"}, "e1": {"zone": "a", "group": "dcs"},
        "p2": {"zone": "b", "group": "db"}, "c1": {"zone": "b", "group": "cache"},
    },
})  # fmt: skip


class Lower:
    """A system that stands alone."""

    name, images, ports = "lower", ("lower",), {"db": 10, "peer": 11}

    def __init__(self) -> None:
        self.formed: list[str] = []
        self.breaks = False
        self.seen: Any = None
        self.started = threading.Event()

    def form(self, cluster: Any) -> None:
        if cluster.name == "dcs":
            self.started.wait(0.2)
            if self.breaks:
                raise ClusterError("no majority")
        self.formed.append(cluster.name)

    def containers(self, node: Any, nodes: Any, settings: Any) -> Any:
        return [(node.name, [n.name for n in nodes], dict(settings))]

    def versions(self) -> dict[str, str]:
        return {f"{self.name}-driver": "1"}


class Upper(Lower):
    """A system that needs the other."""

    name, images, ports = "upper", ("upper",), {"db": 20}
    uses = {"dcs": "lower"}  # noqa: RUF012

    def form(self, cluster: Any) -> None:
        self.seen = list(lower().formed)
        super().form(cluster)

    def containers_beside(self, node: Any, nodes: Any, settings: Any, others: Any) -> Any:
        beside = {name: [n.name for n in its] for name, its in others.items()}
        return [(node.name, [n.name for n in nodes], dict(settings), beside)]


def lower() -> Any:
    return groups_module.SYSTEMS.get("lower")


@pytest.fixture(autouse=True)
def systems(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    known: dict[str, Any] = {"lower": Lower(), "upper": Upper()}
    monkeypatch.setattr(groups_module, "SYSTEMS", SimpleNamespace(get=known.__getitem__))
    return known


@pytest.fixture
def running() -> dict[str, RunningGroup]:
    cluster: Any = SimpleNamespace(nodes=placed(MIXED), groups={}, zones=["a", "b"])
    cluster.groups = {name: RunningGroup(cluster, g) for name, g in MIXED.each_group().items()}
    cluster.address = lambda node, port, zone: (f"{zone}-{node}", 1)
    return cluster.groups  # type: ignore[no-any-return]


def test_a_system_sees_its_own_group(running: dict[str, RunningGroup]) -> None:
    db, dcs = running["db"], running["dcs"]
    assert [node.name for node in db.nodes] == ["p1", "p2"]
    assert db.settings == {"x": 1}
    assert db.containers(db.nodes[1]) == [("p2", ["p1", "p2"], {"x": 1}, {"dcs": ["e1"]})]
    assert dcs.containers(dcs.nodes[0]) == [("e1", ["e1"], {})]
    assert dcs.endpoints("b") == {"e1": {"db": ("b-e1", 1), "peer": ("b-e1", 1)}}
    assert set(db.client_settings()["_addresses"]) == {"p1", "p2"}


def test_what_is_used_is_formed_first(
    running: dict[str, RunningGroup], systems: dict[str, Any]
) -> None:
    form(running)
    assert "dcs" in systems["upper"].seen
    assert systems["upper"].formed == ["db"]
    assert sorted(systems["lower"].formed) == ["cache", "dcs"]


def test_what_cannot_be_formed_fails_those_that_use_it(
    running: dict[str, RunningGroup], systems: dict[str, Any]
) -> None:
    systems["lower"].breaks = True
    with pytest.raises(ClusterError, match="no majority"):
        form(running)
    assert systems["upper"].formed == []
    assert systems["lower"].formed == ["cache"]


def test_images_of_each_group(running: dict[str, RunningGroup]) -> None:
    wanted = wanted_images(MIXED)
    assert wanted == {
        "agent": "agent", "toxiproxy": "toxiproxy", "db/upper": "upper",
        "dcs/lower": "lower:2", "cache/lower": "lower",
    }  # fmt: skip
    ids = {name: f"id of {reference}" for name, reference in wanted.items()}
    assert running["dcs"].images(ids) == {"lower": "id of lower:2"}
    assert running["cache"].images(ids) == {"lower": "id of lower"}


def test_drivers_of_all_groups() -> None:
    assert versions(MIXED) == {"upper-driver": "1", "lower-driver": "1"}


def test_a_port_s_numbers_in_all_groups(running: dict[str, RunningGroup]) -> None:
    assert port_numbers(running.values(), "db") == [20, 10]
    assert port_numbers(running.values(), "peer") == [11]
    assert port_numbers(running.values(), 99) == [99]


class Telling(Lower):
    def zone_port(self, port: str, place: int) -> int:
        return self.ports[port] + 100 + place if port == "db" else self.ports[port]

    def advertise(self, specs: Any, links: Any) -> Any:
        return [(*spec, links) for spec in specs]


def test_a_database_that_tells_addresses_has_a_port_for_each_zone(
    running: dict[str, RunningGroup],
) -> None:
    dcs, cache = running["dcs"], running["cache"]
    dcs.system = Telling()
    linked: list[bool] = []
    links = {zone: (f"{zone}-e1", 1) for zone in ("observer", "a", "b")}
    linked_up = partial(linked.append, True)
    assert dcs.advertised("e1", [("e1",)], linked_up) == [("e1", links)]
    assert linked == [True]
    assert cache.advertised("c1", [("c1",)], linked_up) == [("c1",)]
    assert linked == [True], "nobody else waits for the links"
    assert [dcs.number("db", zone) for zone in ("observer", "a", "b")] == [10, 110, 111]
    assert port_numbers([dcs, cache], "db") == [10, 110, 111]
    assert port_numbers([dcs], "peer") == [11]
