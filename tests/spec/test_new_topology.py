"""`aftershock new topology`: right for every system there is, and nothing in it made up."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from chaos.cli.new import topology as command
from chaos.errors import SpecError, UsageError
from chaos.registry import SYSTEMS
from chaos.spec.files import load_topology
from chaos.spec.new_topology import REGIONS, ZONES_MAX, Wish, topology_text
from chaos.spec.validate import validate_files
from chaos.systems.base import HasRules

WRITTEN = [name for name in SYSTEMS.builtin if name != "compose"]
BUILT_IN = [name for name in WRITTEN if name != "fake"]


def written(tmp_path: Path, **asked: Any) -> Path:
    path = tmp_path / "first.yaml"
    path.write_text(topology_text(Wish(name="first", **asked), "x.json"), encoding="utf-8")
    return path


@pytest.mark.parametrize("system", WRITTEN)
def test_it_validates_for_every_system(system: str, tmp_path: Path) -> None:
    sizes = [*itertools.product(range(1, ZONES_MAX + 1), (1, 2)), (1, 3), (3, len(REGIONS))]
    for zones, regions in sizes:
        path = written(tmp_path, system=system, zones=zones, regions=regions)
        assert [f.render() for f in validate_files([path])] == []
        topology = load_topology(path).topology
        assert topology.zones() == list(topology.clients)
        assert {node.zone for node in topology.nodes.values()} == set(topology.zones())
        assert len(topology.links) == regions * (regions - 1) // 2


@pytest.mark.parametrize("system", BUILT_IN)
def test_without_the_marks_it_means_the_same(system: str, tmp_path: Path) -> None:
    path = written(tmp_path, system=system)
    plain = load_topology(path).topology
    lines = path.read_text(encoding="utf-8").splitlines()
    begun = next(k for k, line in enumerate(lines) if line.strip() == "# settings:")
    for k in itertools.takewhile(lambda k: re.match(r" *#  |.*# settings:", lines[k]),
                                 range(begun, len(lines))):  # fmt: skip
        lines[k] = lines[k].replace("# ", "", 1)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [f.render() for f in validate_files([path])] == []
    given, bare = load_topology(path).topology, plain.each_group()
    assert given.nodes == plain.nodes
    found = SYSTEMS.get(system)
    assert isinstance(found, HasRules)
    name, own = next(iter(given.each_group().items()))
    assert {k: g for k, g in given.each_group().items() if k != name} == {
        k: g for k, g in bare.items() if k != name
    }
    assert own.settings
    assert set(own.settings) <= {n for n, r in found.rules.items() if r.default is not None}


@pytest.mark.parametrize("system", BUILT_IN)
def test_every_setting_is_there_with_its_rule(system: str, tmp_path: Path) -> None:
    found = SYSTEMS.get(system)
    assert isinstance(found, HasRules), "write `rules = SETTINGS` in the system"
    assert set(found.rules) == set(found.settings)
    text = written(tmp_path, system=system).read_text(encoding="utf-8")
    for name in found.settings:
        assert len(re.findall(rf"^ *#   (# )?{re.escape(name)}: .", text, re.MULTILINE)) == 1


def test_a_primary_is_declared_where_it_can_be() -> None:
    declares = {
        name: "role: primary" in topology_text(Wish(system=name, name="x"), "x")
        for name in ("postgres", "redis", "etcd")
    }
    assert declares == {"postgres": True, "redis": True, "etcd": False}


def test_a_system_on_top_of_another_gets_groups(tmp_path: Path) -> None:
    topology = load_topology(written(tmp_path, system="patroni", zones=2)).topology
    groups = topology.each_group()
    assert [(g.system, len(g.nodes)) for g in groups.values()] == [("patroni", 2), ("etcd", 2)]
    assert topology.front() == ["db"]


def test_nodes_settings_and_places_as_asked(tmp_path: Path) -> None:
    path = written(
        tmp_path, system="redis", zones=2, nodes=5, settings={"min-replicas-to-write": "2"}
    )
    topology = load_topology(path).topology
    assert [node.zone[-1] for node in topology.nodes.values()] == ["a", "b", "a", "b", "a"]
    assert topology.settings == {"min-replicas-to-write": 2}


def test_as_many_nodes_as_the_system_needs(tmp_path: Path) -> None:
    path = written(tmp_path, system="redis", zones=1, settings={"min-replicas-to-write": "3"})
    assert len(load_topology(path).topology.nodes) == 4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"system": "redis", "zones": 0}, "expected 1 to 5 zones, got 0"),
        ({"system": "redis", "regions": 4}, "expected 1 to 3 regions, got 4"),
        ({"system": "redis", "settings": {"sve": "1"}}, "unknown redis setting `sve`"),
        ({"system": "redis", "nodes": 1, "settings": {"min-replicas-to-write": "1"}}, "1 replicas"),
        ({"system": "postgres", "settings": {"fsync": "maybe"}}, "settings.fsync: expected"),
        ({"system": "etcd", "nodes": 200}, "expected at most 245 addresses"),
    ],
)
def test_what_cannot_be_had_is_said(tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        written(tmp_path, **asked)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected a name of letters"):
        topology_text(Wish(system="redis", name="a: b"), "x")
    with pytest.raises(SpecError, match="unknown system `redi`"):
        topology_text(Wish(system="redi", name="x"), "x")


def test_a_file_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    command(system="etcd", out_=str(path))
    said = capsys.readouterr()
    assert said.out == f"{path}\n"
    assert f"aftershock validate {path}" in said.err
    assert "aftershock up" in said.err
    before = path.read_text(encoding="utf-8")
    assert "\nname: mine\n" in before
    with pytest.raises(UsageError, match="is there already"):
        command(system="redis", out_=str(path))
    assert path.read_text(encoding="utf-8") == before
    with pytest.raises(UsageError, match="cannot be written"):
        command(system="redis", out_=str(tmp_path / "none" / "x.yaml"))
    command(system="etcd", out_="-", name="mine")
    assert capsys.readouterr().out.splitlines()[1:] == before.splitlines()[1:]
