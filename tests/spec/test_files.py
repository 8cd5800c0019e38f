"""Shipped files are right; names, overrides and references resolve."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos import paths, registry
from chaos.errors import SpecError
from chaos.registry import SYSTEMS
from chaos.spec.entries.partition import PartitionEntry
from chaos.spec.entries.step import StepEntry
from chaos.spec.experiment import Experiment
from chaos.spec.files import load_experiment, load_story, load_topology
from chaos.spec.load import Value, parse_document
from chaos.spec.messages import read_as
from chaos.spec.story import Story
from chaos.spec.topology import Topology
from chaos.spec.validate import validate_files

Write = Callable[..., Path]

SHIPPED_EXPERIMENTS = paths.names(paths.experiments())
SHIPPED = sorted(
    [
        *paths.topologies().glob("*.yaml"),
        *paths.experiments().glob("*.yaml"),
        *paths.stories().glob("*.yaml"),
    ]
)


@pytest.mark.parametrize("system", [name for name in SYSTEMS.builtin if name != "fake"])
def test_every_system_ships_with_an_argument(system: str) -> None:
    """A weak setting that an experiment refutes, and a strong one that stands."""
    expected = set()
    for name in SHIPPED_EXPERIMENTS:
        loaded = load_experiment(name)
        if loaded.experiment.expect and system in (
            group.system for group in loaded.topology.each_group().values()
        ):
            expected.add(loaded.experiment.expect.verdict)
    assert expected >= {"valid", "invalid"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_file_is_right_and_has_its_own_name(path: Path) -> None:
    assert validate_files([path]) == []
    assert f"\nname: {path.stem}\n" in path.read_text(encoding="utf-8")


def test_the_guarded_redis_differs_in_its_settings_only() -> None:
    naked = load_topology("redis-sentinel").topology.resolved()
    guarded = load_topology("redis-sentinel-guarded").topology.resolved()
    different = {key for key in naked if naked[key] != guarded[key]}
    assert different == {"name", "about", "settings"}
    assert guarded["settings"] == {"min-replicas-to-write": 1, "min-replicas-max-lag": 1}


@pytest.mark.parametrize("name", SHIPPED_EXPERIMENTS)
def test_what_a_run_stores_reads_back_the_same(name: str) -> None:
    loaded = load_experiment(name)
    stored = json.loads(json.dumps(loaded.experiment.resolved()))
    assert Experiment.model_validate(stored) == loaded.experiment
    assert json.loads(json.dumps(loaded.topology.resolved()))["nodes"].keys() == {
        *loaded.topology.nodes
    }
    again = Topology.model_validate(loaded.topology.resolved())
    assert again.of_project(loaded.topology.project) == loaded.topology


def test_an_entry_has_what_the_nemesis_asks_for() -> None:
    partition, promote, rejoin = load_experiment("postgres-failover-async").experiment.schedule
    assert isinstance(partition, PartitionEntry)
    assert (partition.name, partition.is_step, partition.ways) == (
        "partition",
        False,
        {"forward", "backward"},
    )
    assert partition.asked()["isolate"] == "primary"
    assert isinstance(promote, StepEntry)
    assert (promote.name, promote.is_step, promote.for_ns) == ("promote", True, None)
    assert rejoin.asked() == {"at": "19s", "step": "rejoin", "node": "n1"}


@pytest.mark.parametrize(
    ("added", "ways"),
    [
        ("isolate: n1", {"forward", "backward"}),
        ("isolate: n1, one_way: true", {"forward"}),
        ("isolate: n1, one_way: true, direction: out", {"forward"}),
        ("isolate: n1, one_way: true, direction: in", {"backward"}),
        ("between: [[n1], [n2]], one_way: true", {"forward"}),
    ],
)
def test_a_partition_says_which_packets_are_dropped(
    experiment: Write, added: str, ways: set[str]
) -> None:
    path = experiment(("fault: kill, target: n1", f"fault: partition, {added}"))
    entry = load_experiment(path).experiment.schedule[0]
    assert isinstance(entry, PartitionEntry)
    assert entry.ways == ways


def test_overrides_reach_the_experiment_and_its_topology(experiment: Write) -> None:
    path = experiment(add="set: {settings.store: first, nodes.n3.zone: a}\n")
    loaded = load_experiment(
        path,
        [
            "seed=7",
            "workload.rate=500/s",
            "workload.mix={add: 3, read: 1}",
            "schedule.0.for=4s",
            "topology.settings.store=second",
        ],
    )
    assert loaded.experiment.seed == 7
    assert loaded.experiment.workload.rate == 500.0
    assert loaded.experiment.workload.mix == {"add": 3.0, "read": 1.0}
    assert loaded.experiment.schedule[0].for_ns == 4_000_000_000
    assert loaded.topology.settings == {"store": "second"}
    assert loaded.topology.nodes["n3"].zone == "a"
    assert loaded.experiment.resolved()["set"] == {
        "settings.store": "first",
        "nodes.n3.zone": "a",
    }


BAD_SETS = {
    "sed=7": "--set sed=7: unknown key `sed`; expected one of name, about, topology, set, workload,"
    " client, properties, duration, settle, seed, schedule, random, abort_when,"
    " when_unavailable, expect\n→ did you mean `seed`?",
    "seed=x": "--set seed=x: expected a whole number, got `x`",
    "workload.rate=5": "--set workload.rate=5: expected a rate with its unit, such as 200/s or "
    "30/m, got `5`\n→ write 5/s",
    "seed.x=1": "--set seed.x=1: `seed` is `1`, so nothing can be set inside it",
    "schedule.4.for=1s": "--set schedule.4.for=1s: expected a number below 1 after `schedule`, "
    "got `4`",
    "topology.settings.foo=1": "--set topology.settings.foo=1: unknown fake setting `foo`; known: "
    "store",
    "seed": "expected --set path=value, got `seed`\n→ such as --set workload.rate=100/s",
    "seed=": "--set seed=: expected a whole number, got ``",
}


@pytest.mark.parametrize("text", BAD_SETS)
def test_a_broken_override(experiment: Write, text: str) -> None:
    path = experiment(("duration: 10s", "duration: 10s\nseed: 1"))
    with pytest.raises(SpecError) as caught:
        load_experiment(path, [text])
    assert str(caught.value) == BAD_SETS[text]


def test_an_override_into_a_topology_alone(topology: Write) -> None:
    loaded = load_topology(topology(), ["clients.b=5"])
    assert loaded.topology.clients == {"a": 2, "b": 5}


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment("redis-split-brian")
    assert caught.value.fix == "did you mean `redis-split-brain`?"
    with pytest.raises(SpecError, match=r"no experiment at none/there.yaml"):
        load_experiment("none/there.yaml")


def test_a_story_brings_its_two_experiments() -> None:
    loaded = load_story("redis-split-brain")
    assert loaded.experiment.experiment.name == loaded.story.experiment
    assert loaded.fix.experiment.name == loaded.story.fix
    assert loaded.experiment.experiment.seed == loaded.fix.experiment.seed


def test_validate_tells_the_kinds_apart(topology: Write, experiment: Write, tmp_path: Path) -> None:
    (tmp_path / "what.yaml").write_text("hello: world\n")
    broken = experiment(("duration: 10s", "duration: 10"))
    topology(add="links: [{between: [a, b], delay: 1ms, jitter: 2ms}]\n")
    found = validate_files(["what.yaml", str(broken), "small.yaml", "gone.yaml", "etcd-partition"])
    assert [(f.path, f.line, f.column, f.severity) for f in found] == [
        ("what.yaml", 1, 1, "error"),
        ("try.yaml", 4, 11, "error"),
        ("small.yaml", 10, 47, "note"),
        ("gone.yaml", 0, 0, "error"),
    ]


def test_a_setting_that_a_number_would_spoil_stays_text(topology: Write) -> None:
    path = topology(("system: fake", "system: fake\nsettings: {store: 1.10}"))
    assert load_topology(path).topology.settings == {"store": "1.10"}


def test_an_oddly_named_zone_is_a_zone(topology: Write) -> None:
    path = topology(("[a, b]", "[NO, b]"), ("zone: a", "zone: NO"), ("{a: 2}", "{NO: 2}"))
    assert load_topology(path).topology.clients == {"NO": 2}


def test_a_system_that_cannot_be_loaded_is_said(
    topology: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(SYSTEMS, builtin={"fake": "chaos.systems.gone:SYSTEM"})
    monkeypatch.setattr(registry, "SYSTEMS", gone)
    with pytest.raises(SpecError, match=r"small.yaml:2:9: the system fake cannot be loaded"):
        load_topology(topology())


MODELS = {"topologies": Topology, "experiments": Experiment, "stories": Story}
ANY = st.recursive(
    st.one_of(
        st.sampled_from(
            ["true", "NO", "1.10", "30", "30s", "5/s", "n1", "primary", "~", "all", ""]
        ),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["fault", "step", "at", "kind", "name", "<<"]), inner),
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_file_with_one_part_replaced_is_read_or_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SHIPPED))
    tree = parse_document(path.read_text(encoding="utf-8"), path.name)
    holder = tree.root
    while True:
        steps = list(holder.data) if isinstance(holder.data, dict) else []
        if isinstance(holder.data, list):
            steps = list(range(len(holder.data)))
        if not steps:
            break
        step = data.draw(st.sampled_from(steps))
        child = holder.child(step)
        assert child is not None
        if data.draw(st.booleans()) or not isinstance(child.data, dict | list):
            other = parse_document(json.dumps(data.draw(ANY)), path.name).root
            child.data = copy.copy(other.data)
            break
        holder = child
    with contextlib.suppress(SpecError):
        read_as(MODELS[path.parent.name], tree)
    assert isinstance(tree.root, Value)
