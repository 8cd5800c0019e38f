"""What is printed for topologies and experiments that cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos import paths
from chaos.errors import EXIT_USAGE, SpecError
from chaos.registry import SYSTEMS, WORKLOADS
from chaos.spec.entries import FAULT_ENTRIES
from chaos.spec.files import load_experiment, load_topology
from chaos.spec.validate import validate_files

Write = Callable[..., Path]

TOPOLOGIES = {
    (("system: fake", "system: faek"),): """\
small.yaml:2:9: unknown system `faek`; known: SYSTEMS
  2 | system: faek
    |         ^^^^
→ did you mean `fake`?""",
    (("system: fake", "system: fake\nsettings: {stor: x}"),): """\
small.yaml:3:12: unknown fake setting `stor`; known: store
  3 | settings: {stor: x}
    |            ^^^^
→ did you mean `store`?""",
    (("n3: {zone: b}", "n3: {zone: bb}"),): """\
small.yaml:8:14: unknown zone `bb`; known: a, b
  8 |   n3: {zone: bb}
    |              ^^
→ did you mean `b`?""",
    (("n2: {zone: b}", "n2: {zone: b, role: primary}"),): """\
small.yaml:7:23: expected one primary, got 2: n1, n2
  7 |   n2: {zone: b, role: primary}
    |                       ^^^^^^^
→ leave the role of the others out""",
    (("n2:", "majority:"),): """\
small.yaml:7:3: a node cannot be called `majority`: targets use this word
  7 |   majority: {zone: b}
    |   ^^^^^^^^
→ write n1""",
    (("n2:", "Node_2:"),): """\
small.yaml:7:3: expected a node name of small letters, digits and `-`, got `Node_2`
  7 |   Node_2: {zone: b}
    |   ^^^^^^
→ write node-2""",
    (("zones: [a, b]}", "zones: [a, b]}\n  west: {zones: [b]}"),): """\
small.yaml:5:18: the zone `b` is already in region `east`
  5 |   west: {zones: [b]}
    |                  ^""",
    (("clients: {a: 2}", "clients: {a: 010, c: yes}"),): """\
small.yaml: 2 problems
small.yaml:9:14: expected a whole number, got `010`
  9 | clients: {a: 010, c: yes}
    |              ^^^
→ write 10
small.yaml:9:22: expected a whole number, got `yes`
  9 | clients: {a: 010, c: yes}
    |                      ^^^""",
    (("clients: {a: 2}", "clents: {a: 2}"),): """\
small.yaml:9:1: unknown key `clents`; expected one of name, about, system, compose, variables, \
probes, client, settings, groups, regions, links, nodes, clients, disk, cost, image
  9 | clents: {a: 2}
    | ^^^^^^
→ did you mean `clients`?""",
    (
        ("name: small\n", ""),
        ("system: fake\n", "nodes: {}\n"),
        ("nodes:\n  n1: {zone: a, role: primary}\n  n2: {zone: b}\n  n3: {zone: b}\n", ""),
    ): """\
small.yaml:1:1: expected the key `name`, found none
  1 | nodes: {}
    | ^^^^^^^^^
→ add it""",
}


@pytest.mark.parametrize("changes", TOPOLOGIES)
def test_a_broken_topology(topology: Write, changes: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(SpecError) as caught:
        load_topology(topology(*changes))
    known = ", ".join(SYSTEMS.names())
    assert str(caught.value) == TOPOLOGIES[changes].replace("SYSTEMS", known)
    assert caught.value.exit_code == EXIT_USAGE


NODES = "nodes:\n  n1: {zone: a, role: primary}\n  n2: {zone: b}\n  n3: {zone: b}\n"


def test_a_topology_without_nodes(topology: Write) -> None:
    with pytest.raises(SpecError) as caught:
        load_topology(topology((NODES, "nodes: {}\n")))
    assert (
        str(caught.value)
        == """\
small.yaml:5:8: expected at least one node, got none
  5 | nodes: {}
    |        ^^
→ add one, such as `n1: {zone: us-east-a}`"""
    )


LINKS = {
    "[a, a], delay: 1ms": "11:15: a link from `a` to itself",
    "[east, a], delay: 1ms": "11:15: a link between a region and its own zone leads back",
    "[a, c], delay: 1ms": "11:19: unknown zone or region `c`; known: east, a, b",
    "[a, b], from: c, delay: 1ms": "11:29: unknown end of this link `c`; known: a, b",
    "[a, b], delay: 5": "11:30: expected a duration with its unit, such as 30s",
    "[a], delay: 1ms": "11:15: expected 2 items, got 1",
    "[a, b, b], delay: 1ms": "11:15: expected at most 2, got 3",
    "[a, b], delay: 1ms}\n  - {between: [b, a], delay: 1ms": "12:15: the link between `b` and `a` "
    "is given twice",
}


@pytest.mark.parametrize("link", LINKS)
def test_a_broken_link(topology: Write, link: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_topology(topology(add=f"links:\n  - {{between: {link}}}\n"))
    assert str(caught.value).startswith(f"small.yaml:{LINKS[link]}")


def test_a_link_each_way_is_right_and_a_jitter_above_the_delay_is_noted(topology: Write) -> None:
    link = "  - {{between: [a, b], from: {0}, delay: {1}ms, jitter: 1ms}}\n"
    loaded = load_topology(topology(add="links:\n" + link.format("a", 1) + link.format("b", 0.1)))
    assert [link.from_ for link in loaded.topology.links] == ["a", "b"]
    assert [(note.message, note.line, note.severity) for note in loaded.notes] == [
        (
            "the jitter is more than the delay: as no packet comes before it was sent, the mean"
            " will be above `delay`",
            12,
            "note",
        )
    ]


FAULT = "fault: kill, target: n1"
EXPERIMENTS = {
    ("target: n1", "target: n4"): """\
try.yaml:6:44: unknown node `n4`; known: n1, n2, n3, primary, replica, one, all, majority, minority
  6 |   - {at: 1s, for: 2s, fault: kill, target: n4}
    |                                            ^^""",
    ("for: 2s", "for: 20s"): """\
try.yaml:6:19: `kill` ends at 21s, after the load's 10s
  6 |   - {at: 1s, for: 20s, fault: kill, target: n1}
    |                   ^^^
→ write `duration: 21s` or more, or end it earlier""",
    ("at: 1s", "at: -1s"): """\
try.yaml:6:10: expected a duration such as 30s, 1.5s, 2m or 30ms, got `-1s`
  6 |   - {at: -1s, for: 2s, fault: kill, target: n1}
    |          ^^^
→ drop the minus""",
    ("fault: kill", "fault: kil"): f"""\
try.yaml:6:30: expected {", ".join([*FAULT_ENTRIES][:-1])} or {[*FAULT_ENTRIES][-1]}, got `kil`
  6 |   - {{at: 1s, for: 2s, fault: kil, target: n1}}
    |                              ^^^
→ did you mean `kill`?""",
    ("fault: kill, ", ""): """\
try.yaml:6:5: expected the key `fault:` or `step:`, found neither
  6 |   - {at: 1s, for: 2s, target: n1}
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
→ add it""",
    ("for: 2s, ", ""): """\
try.yaml:6:5: expected the key `for`, found none
  6 |   - {at: 1s, fault: kill, target: n1}
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
→ add it""",
    (FAULT, "fault: partition, isolate: n1, between: [[n1], [n2]]"): """\
try.yaml:6:5: expected one of `isolate:`, `between:`, `bridge:`, `ring:` and `halves:`, got \
`isolate:` and `between:`
  6 |   - {at: 1s, for: 2s, fault: partition, isolate: n1, between: [[n1], [n2]]}
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
→ keep one""",
    (FAULT, "fault: partition, between: [[n1, clients@b], [n2, clients@a]]"): """\
try.yaml:6:56: unknown zone with clients `b`; known: a
  6 |   - {at: 1s, for: 2s, fault: partition, between: [[n1, clients@b], [n2, clients@a]]}
    |                                                        ^^^^^^^^^""",
    (FAULT, "fault: client-down, zones: [b]"): """\
try.yaml:6:51: unknown zone with clients `b`; known: a
  6 |   - {at: 1s, for: 2s, fault: client-down, zones: [b]}
    |                                                   ^""",
    (FAULT, "fault: client-latency, zones: a, delay: 5"): """\
try.yaml: 2 problems
try.yaml:6:53: expected a list of zones, or all, got `a`
  6 |   - {at: 1s, for: 2s, fault: client-latency, zones: a, delay: 5}
    |                                                     ^
→ write [a]
try.yaml:6:63: expected a duration with its unit, such as 30s, 1.5s, 2m or 30ms, got `5`
  6 |   - {at: 1s, for: 2s, fault: client-latency, zones: a, delay: 5}
    |                                                               ^
→ write 5s""",
    ("target: n1", "target: zone:c"): """\
try.yaml:6:44: unknown zone with nodes `c`; known: a, b
  6 |   - {at: 1s, for: 2s, fault: kill, target: zone:c}
    |                                            ^^^^^^""",
    ("target: n1", "target: random(9)"): """\
try.yaml:6:44: `random(9)` of 3 nodes is 9
  6 |   - {at: 1s, for: 2s, fault: kill, target: random(9)}
    |                                            ^^^^^^^^^
→ name the nodes""",
    ("name: set", "name: sets"): """\
try.yaml:3:18: unknown workload `sets`; known: WORKLOADS
  3 | workload: {name: sets}
    |                  ^^^^
→ did you mean `set`?""",
    ("{name: set}", "{name: set, rate: 300, mix: {ad: 1}}"): """\
try.yaml:3:29: expected a rate with its unit, such as 200/s or 30/m, got `300`
  3 | workload: {name: set, rate: 300, mix: {ad: 1}}
    |                             ^^^
→ write 300/s""",
    ("{name: set}", "{name: set, mix: {ad: 1}}"): """\
try.yaml:3:29: unknown operation of `set` `ad`; known: add, read
  3 | workload: {name: set, mix: {ad: 1}}
    |                             ^^
→ did you mean `add`?""",
    ("topology: small.yaml", "topology: smal.yaml"): """\
try.yaml:2:11: no topology at smal.yaml
  2 | topology: smal.yaml
    |           ^^^^^^^^^
→ paths are relative to the file they are in""",
    ("duration: 10s", "duration: 10s\nclient: {notthere: 1}\nexpect: {verdict: ok}"): """\
try.yaml:6:19: expected valid, invalid or unknown, got `ok`
  6 | expect: {verdict: ok}
    |                   ^^""",
    ("duration: 10s", "duration: 10s\nset: {nodes.n1.zone: c}"): """\
try.yaml:5:22: unknown zone `c`; known: a, b
  5 | set: {nodes.n1.zone: c}
    |                      ^""",
}


@pytest.mark.parametrize("change", EXPERIMENTS)
def test_a_broken_experiment(experiment: Write, change: tuple[str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(experiment(change))
    known = ", ".join(WORKLOADS.names())
    assert str(caught.value) == EXPERIMENTS[change].replace("WORKLOADS", known)


STEPS = {
    "step: promot, node: n2": "unknown step of redis `promot`; known: ",
    "step: promote, node: n9": "unknown node `n9`; known: n1, n2, n3",
    "step: promote, node: n2, for: 3s": "unknown key `for`; expected one of at, step, node",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_broken_step(experiment: Write, step: str) -> None:
    path = experiment(("small.yaml", "redis-sentinel"), (f"for: 2s, {FAULT}", step))
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    assert STEPS[step] in str(caught.value)


def test_an_option_of_the_client_is_known(experiment: Write) -> None:
    with pytest.raises(SpecError, match="unknown option of the fake client `lei`"):
        load_experiment(experiment(add="client: {lei: 1}\n"))


def test_an_option_of_the_client_that_cannot_be_meant(tmp_path: Path) -> None:
    shipped = paths.experiments() / "etcd-serializable-reads.yaml"
    broken = tmp_path / "broken.yaml"
    broken.write_text(shipped.read_text().replace("reads: serializable", "reads: serialisable"))
    (found,) = [f for f in validate_files([broken]) if f.severity == "error"]
    assert "client.reads: expected a value matching linearizable|serializable" in found.message
    assert found.line > 0
