"""Paths of `set:` and `--set`: their steps, and settings that have dots in their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from chaos.errors import SpecError
from chaos.registry import SYSTEMS
from chaos.spec.experiment import Experiment
from chaos.spec.files import load_experiment, load_topology
from chaos.spec.overrides import steps_of
from chaos.spec.topology import Topology

FLUSH = "log.flush.interval.messages"
RUN = """\
name: try
topology: kafka-three
set:
  settings.log.flush.interval.messages: 1
workload: {name: log}
duration: 10s
"""
GROUPED = """\
name: two
groups:
  log: {system: kafka, nodes: 3}
  cache: {system: redis, nodes: 1}
regions: {east: {zones: [a, b, c]}}
clients: {a: 1}
"""


@pytest.mark.parametrize(
    ("model", "path", "steps"),
    [
        (Topology, "name", ["name"]),
        (Topology, "nodes.n3.zone", ["nodes", "n3", "zone"]),
        (Topology, "disk.size", ["disk", "size"]),
        (Topology, "clients.us-east-a", ["clients", "us-east-a"]),
        (Topology, "links.0.between.1", ["links", "0", "between", "1"]),
        (Topology, "settings", ["settings"]),
        (Topology, "settings.fsync", ["settings", "fsync"]),
        (Topology, f"settings.{FLUSH}", ["settings", FLUSH]),
        (Topology, f"groups.log.settings.{FLUSH}", ["groups", "log", "settings", FLUSH]),
        (Topology, "client.settings.a.b", ["client", "settings", "a.b"]),
        (Topology, "probes.page.objective", ["probes", "page", "objective"]),
        (Topology, "nothing.of.the.kind", ["nothing", "of", "the", "kind"]),
        (Experiment, "schedule.0.for", ["schedule", "0", "for"]),
        (Experiment, "workload.options.length", ["workload", "options", "length"]),
        (Experiment, "client.a.b", ["client", "a.b"]),
        (Experiment, f"set.settings.{FLUSH}", ["set", f"settings.{FLUSH}"]),
    ],
)
def test_what_lies_in_a_mapping_of_single_values_is_one_name(
    model: type[BaseModel], path: str, steps: list[str]
) -> None:
    assert steps_of(model, path) == steps


@pytest.mark.parametrize(
    ("system", "name"),
    [(system, name) for system in SYSTEMS.builtin for name in SYSTEMS.get(system).settings],
)
def test_every_setting_of_every_system_has_a_path(system: str, name: str) -> None:
    assert steps_of(Topology, f"settings.{name}") == ["settings", name]


def test_a_setting_with_dots_is_set_in_a_topology() -> None:
    loaded = load_topology("kafka-min-insync", [f"settings.{FLUSH}=1"])
    assert loaded.topology.settings == {"min.insync.replicas": 2, FLUSH: 1}


def test_a_setting_with_dots_is_set_by_an_experiment_and_then_by_the_command(
    tmp_path: Path,
) -> None:
    path = tmp_path / "try.yaml"
    path.write_text(RUN)
    assert load_experiment(path).topology.settings == {FLUSH: 1}
    changed = [f"topology.settings.{FLUSH}=5", "topology.settings.min.insync.replicas=2"]
    loaded = load_experiment(path, changed)
    assert loaded.topology.settings == {FLUSH: 5, "min.insync.replicas": 2}
    loaded = load_experiment(path, [f"set.settings.{FLUSH}=7"])
    assert loaded.topology.settings == {FLUSH: 7}
    assert loaded.experiment.set == {f"settings.{FLUSH}": 7}


def test_a_setting_of_a_group(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(GROUPED)
    loaded = load_topology(path, [f"groups.log.settings.{FLUSH}=1"])
    assert loaded.topology.each_group()["log"].settings == {FLUSH: 1}


def test_a_misspelt_one_is_told_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("try.yaml").write_text(RUN.replace("messages", "mesages"))
    with pytest.raises(SpecError) as caught:
        load_experiment(Path("try.yaml"))
    wrong = "unknown kafka setting `log.flush.interval.mesages`"
    assert caught.value.what.startswith(f"try.yaml:4:3: {wrong}; known: ")
    assert caught.value.fix == f"did you mean `{FLUSH}`?"
    with pytest.raises(SpecError) as caught:
        load_topology("kafka-three", ["settings.log.flush=1"])
    assert str(caught.value).startswith(
        "--set settings.log.flush=1: unknown kafka setting `log.flush`; known: "
    )


def test_a_value_within_a_setting_is_no_setting(topology: Callable[..., Path]) -> None:
    path = topology(("system: fake", "system: fake\nsettings: {store: first}"))
    with pytest.raises(SpecError) as caught:
        load_topology(path, ["settings.store.x=1"])
    assert caught.value.what == (
        "--set settings.store.x=1: unknown fake setting `store.x`; known: store"
    )
    assert caught.value.fix == "did you mean `store`?"
