"""Topologies with several databases: read, checked, and what experiments say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.files import load_experiment, load_topology
from chaos.spec.group_checks import placed
from chaos.spec.parts import parts, served

Write = Callable[..., Path]

GROUPED = """\
name: mixed
groups:
  dcs: {system: etcd}
  db: {system: patroni, uses: {dcs: dcs}}
regions:
  east: {zones: [a, b, c]}
nodes:
  e1: {zone: a, group: dcs}
  e2: {zone: b, group: dcs}
  e3: {zone: c, group: dcs}
  p1: {zone: a, group: db}
  p2: {zone: b, group: db}
  p3: {zone: c, group: db}
clients: {a: 2}
"""
EXPERIMENT = """\
name: try
topology: mixed.yaml
workload: {name: set}
duration: 10s
schedule:
  - {at: 1s, for: 2s, fault: kill, target: db/primary}
"""
CACHED = """\
name: mixed
groups:
  cache: {system: redis, settings: {mode: replication}}
  db: {system: postgres}
regions: {east: {zones: [a, b]}}
nodes:
  c1: {zone: a, group: cache}
  p1: {zone: a, group: db, role: primary}
  p2: {zone: b, group: db}
clients: {a: 2}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a text with each (old, new) replaced; its path. Tests run beside it."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, text: str, *changes: tuple[str, str]) -> Path:
        for old, new in changes:
            assert old in text, f"{old} is not in {name}"
            text = text.replace(old, new)
        path = Path(name)
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_both_forms_are_groups(write: Write) -> None:
    topology = load_topology(write("mixed.yaml", GROUPED)).topology
    groups = topology.each_group()
    assert {name: (g.system, list(g.nodes)) for name, g in groups.items()} == {
        "dcs": ("etcd", ["e1", "e2", "e3"]),
        "db": ("patroni", ["p1", "p2", "p3"]),
    }
    assert groups["db"].uses == {"dcs": "dcs"}
    assert topology.front() == ["db"]
    assert {node.group for node in placed(topology)} == {"dcs", "db"}
    assert groups["db"].image_key("patroni") == "db/patroni"

    whole = load_topology("redis-sentinel").topology
    assert {name: (g.system, list(g.nodes)) for name, g in whole.each_group().items()} == {
        "": ("redis", ["n1", "n2", "n3"])
    }
    assert whole.front() == [""]
    assert whole.each_group()[""].image_key("redis") == "redis"


BROKEN = {
    (("name: mixed\n", "name: mixed\nsystem: redis\n"),): """\
mixed.yaml:2:1: expected either `system:` or `groups:`, got both
  2 | system: redis
    | ^^^^^^
→ write it into the group: `groups: {dcs: {system: …}}`""",
    ((", group: dcs}\n  e2", "}\n  e2"),): """\
mixed.yaml:8:7: expected `group:` for the node `e1`, found none
  8 |   e1: {zone: a}
    |       ^^^^^^^^^
→ write `group: dcs`; the groups are dcs, db""",
    (("e1: {zone: a, group: dcs}", "e1: {zone: a, group: dsc}"),): """\
mixed.yaml:8:24: unknown group `dsc`; known: dcs, db
  8 |   e1: {zone: a, group: dsc}
    |                        ^^^
→ did you mean `dcs`?""",
    ((", uses: {dcs: dcs}", ""),): """\
mixed.yaml:4:16: patroni needs a group of etcd, which it calls `dcs`, found none in `uses:`
  4 |   db: {system: patroni}
    |                ^^^^^^^
→ write `uses: {dcs: dcs}`""",
    (("uses: {dcs: dcs}", "uses: {dcs: db}"),): """\
mixed.yaml: 2 problems
mixed.yaml:4:25: `db` would have to be there before itself
  4 |   db: {system: patroni, uses: {dcs: db}}
    |                         ^^^^
mixed.yaml:4:37: expected a group of etcd, got `db`, which is of patroni
  4 |   db: {system: patroni, uses: {dcs: db}}
    |                                     ^^""",
    (("uses: {dcs: dcs}", "uses: {dcs: dcs, cache: dcs}"),): """\
mixed.yaml:4:42: unknown group that patroni needs `cache`; known: dcs
  4 |   db: {system: patroni, uses: {dcs: dcs, cache: dcs}}
    |                                          ^^^^^""",
    (("uses: {dcs: dcs}", "uses: {dcs: dsc}"),): """\
mixed.yaml:4:37: unknown group `dsc`; known: dcs, db
  4 |   db: {system: patroni, uses: {dcs: dsc}}
    |                                     ^^^
→ did you mean `dcs`?""",
    (("dcs: {system: etcd}", "dcs: {system: etdc}"),): """\
mixed.yaml: 2 problems
mixed.yaml:3:17: unknown system `etdc`; known: SYSTEMS
  3 |   dcs: {system: etdc}
    |                 ^^^^
→ did you mean `etcd`?""",
    (("  dcs: {system: etcd}\n", "  dcs: {system: etcd}\n  spare: {system: redis}\n"),): """\
mixed.yaml:4:3: expected at least one node with `group: spare`, got none
  4 |   spare: {system: redis}
    |   ^^^^^
→ add it under `nodes:`, or write `nodes: 3` here""",
    (("dcs: {system: etcd}", "dcs: {system: etcd, settings: {heartbeat: 1}}"),): """\
mixed.yaml:3:34: unknown etcd setting `heartbeat`; known: KNOWN""",
}  # fmt: skip


@pytest.mark.parametrize("changes", BROKEN)
def test_groups_that_do_not_fit(write: Write, changes: tuple[tuple[str, str], ...]) -> None:
    from chaos.registry import SYSTEMS

    with pytest.raises(SpecError) as caught:
        load_topology(write("mixed.yaml", GROUPED, *changes))
    expected = BROKEN[changes].replace("SYSTEMS", ", ".join(SYSTEMS.names()))
    expected = expected.replace("KNOWN", ", ".join(SYSTEMS.get("etcd").settings))
    assert str(caught.value)[: len(expected)] == expected


def test_a_node_of_a_group_where_there_are_none(topology: Write) -> None:
    path = topology(("n2: {zone: b}", "n2: {zone: b, group: db}"))
    with pytest.raises(SpecError, match=r"small.yaml:7:17: `n2` has a group, and the topology"):
        load_topology(path)


def test_a_topology_of_nothing(topology: Write) -> None:
    with pytest.raises(SpecError, match=r"expected the key `system:`, or `groups:` with several"):
        load_topology(topology(("system: fake\n", "")))


def test_a_system_that_needs_others_alone(topology: Write) -> None:
    with pytest.raises(SpecError, match=r"small.yaml:2:9: patroni needs a group of etcd"):
        load_topology(topology(("system: fake", "system: patroni")))


def test_two_primaries_of_two_groups(write: Write) -> None:
    assert load_topology(
        write("mixed.yaml", CACHED, ("c1: {zone: a,", "c1: {role: primary, zone: a,"))
    )
    twice = ("p2: {zone: b, group: db}", "p2: {zone: b, group: db, role: primary}")
    with pytest.raises(SpecError, match="expected one primary of `db`, got 2: p1, p2"):
        load_topology(write("mixed.yaml", CACHED, twice))


def test_settings_of_a_group_are_set_and_judged(write: Write) -> None:
    path = write("mixed.yaml", CACHED)
    loaded = load_topology(path, ["groups.db.settings.replication=sync"])
    assert loaded.topology.each_group()["db"].settings == {"replication": "sync"}
    with pytest.raises(SpecError, match=r"--set groups.db.settings.replication=no: "):
        load_topology(path, ["groups.db.settings.replication=no"])


def test_nodes_by_number(topology: Write) -> None:
    by_name = "nodes:\n  n1: {zone: a, role: primary}\n  n2: {zone: b}\n  n3: {zone: b}\n"
    path = topology((by_name, "nodes: 5\n"))
    spelled = load_topology(path).topology
    assert {name: node.zone for name, node in spelled.nodes.items()} == {
        "n1": "a", "n2": "b", "n3": "a", "n4": "b", "n5": "a",
    }  # fmt: skip
    assert list(spelled.resolved()["nodes"]) == ["n1", "n2", "n3", "n4", "n5"]
    assert list(load_topology("etcd-three", ["nodes=5"]).topology.nodes) == [
        "n1", "n2", "n3", "n4", "n5",
    ]  # fmt: skip


@pytest.mark.parametrize("count", ["0", "-1", "65", "yes", "1.5"])
def test_a_number_of_nodes_that_cannot_be(topology: Write, count: str) -> None:
    by_name = "nodes:\n  n1: {zone: a, role: primary}\n  n2: {zone: b}\n  n3: {zone: b}\n"
    with pytest.raises(SpecError, match=rf"small.yaml:5:8: expected .*got `?{count}"):
        load_topology(topology((by_name, f"nodes: {count}\n")))


def test_nodes_by_number_in_groups(write: Write) -> None:
    nodes = GROUPED[GROUPED.index("nodes:") : GROUPED.index("clients:")]
    counted = (
        ("{system: etcd}", "{system: etcd, nodes: 3}"),
        ("{dcs: dcs}}", "{dcs: dcs}, nodes: 2}"),
    )
    loaded = load_topology(write("mixed.yaml", GROUPED, (nodes, ""), *counted)).topology
    assert {name: (node.zone, node.group) for name, node in loaded.nodes.items()} == {
        "dcs1": ("a", "dcs"), "dcs2": ("b", "dcs"), "dcs3": ("c", "dcs"),
        "db1": ("a", "db"), "db2": ("b", "db"),
    }  # fmt: skip
    assert all("nodes" not in group for group in loaded.resolved()["groups"].values())
    taken = (nodes, "nodes:\n  db2: {zone: a, group: db}\n")
    with pytest.raises(SpecError, match="makes a node `db2`, which is there already"):
        load_topology(write("mixed.yaml", GROUPED, taken, *counted))


@pytest.mark.parametrize(
    ("target", "said", "fix"),
    [
        ("primary", "try.yaml:6:44: `primary` of which group? Each has its own: dcs, db",
         "write db/primary"),
        ("majority", "`majority` of which group?", "write db/majority"),
        ("dcs/minority", "", ""),
        ("one", "", ""),
        ("zone:a", "", ""),
        ("group:db", "", ""),
        ("p1", "", ""),
        ("dbs/one", "unknown group `dbs`; known: dcs, db", "did you mean `db`?"),
        ("group:dbs", "unknown group with nodes `dbs`; known: dcs, db", ""),
        ("db/e1", "unknown node `e1`; known: p1, p2, p3", ""),
        ("db/random(4)", "`db/random(4)` of 3 nodes is 4", ""),
    ],
)  # fmt: skip
def test_targets(write: Write, target: str, said: str, fix: str) -> None:
    write("mixed.yaml", GROUPED)
    path = write("try.yaml", EXPERIMENT, ("db/primary", target))
    if not said:
        assert load_experiment(path)
        return
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    assert said in str(caught.value)
    assert fix in str(caught.value)


def test_a_random_schedule_asks_for_the_group_too(write: Write) -> None:
    write("mixed.yaml", GROUPED)
    drawn = "random: {count: 1, for: 1s, mix: [{fault: kill, target: primary}]}"
    kept = EXPERIMENT[: EXPERIMENT.index("schedule:")] + drawn
    with pytest.raises(SpecError, match="`primary` of which group"):
        load_experiment(write("try.yaml", kept))
    assert load_experiment(write("try.yaml", kept.replace("primary", "db/primary")))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("step: rejoin, node: dcs/one", ""),
        ("step: reinit, node: group:dcs", "unknown step of etcd `reinit`"),
        ("step: nothing, node: all", "unknown step of etcd `nothing`"),
    ],
)
def test_steps_are_those_of_the_node(write: Write, step: str, said: str) -> None:
    write("mixed.yaml", GROUPED)
    entry = "{at: 1s, for: 2s, fault: kill, target: db/primary}"
    path = write("try.yaml", EXPERIMENT, (entry, f"{{at: 1s, {step}}}"))
    if said:
        with pytest.raises(SpecError, match=said):
            load_experiment(path)
    else:
        assert load_experiment(path)


PLAIN = """\
name: try
topology: mixed.yaml
workload: {name: set}
duration: 10s
"""


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("{name: set}", "which group are clients to use? No other uses cache or db"),
        ("{name: set, on: cach}", "unknown group `cach`; known: cache, db"),
        ("{name: set, groups: {store: db}}", "`set` has no parts"),
        ("{name: cache}", "`cache` needs clients of the kind `register`, which cache and db have"),
        ("{name: cache, groups: {store: dbs}}", "unknown group `dbs`; known: cache, db"),
        ("{name: cache, groups: {stor: db}}", "unknown part of `cache` `stor`; known: cache"),
        ("{name: cache, on: db}", "`cache` has several parts: cache, store"),
        ("{name: cache, groups: {cache: db, store: db}}",
         "the part `cache` of `cache` needs clients of the kind `cache`, which postgres does not"),
    ],
)  # fmt: skip
def test_workloads_that_no_group_serves(write: Write, workload: str, said: str) -> None:
    write("mixed.yaml", CACHED)
    with pytest.raises(SpecError) as caught:
        load_experiment(write("try.yaml", PLAIN, ("{name: set}", workload)))
    assert said in str(caught.value)


def test_who_serves_which_part(write: Write) -> None:
    write("mixed.yaml", CACHED)
    path = write("try.yaml", PLAIN, ("{name: set}", "{name: cache, groups: {store: db}}"))
    loaded = load_experiment(path)
    found = parts(loaded.experiment, loaded.topology)
    assert {name: (part.kind, part.group) for name, part in found.items()} == {
        "cache": ("cache", "cache"),
        "store": ("register", "db"),
    }
    assert served(loaded.experiment, loaded.topology) == ["cache", "db"]
    loaded = load_experiment(write("try.yaml", PLAIN, ("{name: set}", "{name: set, on: db}")))
    assert served(loaded.experiment, loaded.topology) == ["db"]


def test_one_system_may_serve_all_parts(write: Write) -> None:
    text = PLAIN.replace("mixed.yaml", "redis-sentinel").replace("{name: set}", "{name: cache}")
    loaded = load_experiment(write("try.yaml", text))
    assert served(loaded.experiment, loaded.topology) == [""]


def test_options_go_to_the_parts_that_know_them(write: Write) -> None:
    write("mixed.yaml", CACHED)
    text = PLAIN.replace("{name: set}", "{name: cache, groups: {store: db}}")
    assert load_experiment(write("try.yaml", text + "client: {ttl: 500ms, wait: 0}\n"))
    with pytest.raises(SpecError, match="unknown option of the redis or postgres client `tt`"):
        load_experiment(write("try.yaml", text + "client: {tt: 500ms}\n"))
    with pytest.raises(SpecError, match=r"client\.ttl"):
        load_experiment(write("try.yaml", text + "client: {ttl: soon}\n"))
