"""Partitions as written: every form is read, and what does not go together is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.entries.partition import PartitionEntry
from chaos.spec.files import load_experiment

Write = Callable[..., Path]

FORMS = [
    "isolate: zone:b, clients: by-zone",
    "between: [[n1, clients@a], [n2]], one_way: true, ports: [db, 2380]",
    "between: [[clients@a], [n1]]",
    "bridge: n2, clients: by-zone, flap: {up: 1s, down: 500ms}",
    "bridge: one",
    "ring: majorities",
    "halves: random, one_way: true",
]

PORT = "expected a port's name or a number from 1 to 65535"
WRONG = {
    "one_way: true": "6:5: expected one of `isolate:`, `between:`, `bridge:`, `ring:` and "
    "`halves:`, got none",
    "ring: majorities, one_way: true": "6:5: `one_way:` does not go with `ring:`",
    "ring: all": "expected majorities, got `all`",
    "halves: random, direction: in": "`direction:` belongs to `isolate:`",
    "between: [[n1], [n2]], clients: by-zone": "`clients: by-zone` does not go with `between:`",
    "between: [[clients@a], [clients@a]]": "client zones do not talk to each other",
    "between: [[n1], []]": "expected two sides with at least one member each",
    "bridge: majority": "`majority` is 2\n",
    "bridge: n9": "unknown node `n9`",
    "isolate: n1, ports: [bd]": "unknown port of fake `bd`; known: db",
    "isolate: n1, ports: [70000]": f"{PORT}, got `70000`",
    "isolate: n1, ports: [true]": f"{PORT}, got `true`",
    "isolate: n1, flap: {up: 1s}": "expected the key `down`, found none",
    "isolate: n1, flap: {up: 1s, down: 20ms}": "expected at least 500ms, got 20ms",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_back_the_same(experiment: Write, form: str) -> None:
    path = experiment(("fault: kill, target: n1", f"fault: partition, {form}"))
    (entry,) = load_experiment(path).experiment.schedule
    assert isinstance(entry, PartitionEntry)
    assert PartitionEntry.model_validate(entry.resolved()) == entry


@pytest.mark.parametrize("form", WRONG)
def test_what_does_not_go_together(experiment: Write, form: str) -> None:
    path = experiment(("fault: kill, target: n1", f"fault: partition, {form}"))
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    assert WRONG[form] in f"{caught.value}\n"


def test_a_ring_needs_three_nodes(topology: Write, experiment: Write) -> None:
    path = experiment(("fault: kill, target: n1", "fault: partition, ring: majorities"))
    topology(("  n3: {zone: b}\n", ""))
    with pytest.raises(SpecError, match="expected at least 3 nodes in the topology, got 2"):
        load_experiment(path)


def test_there_are_only_so_many_addresses(topology: Write, experiment: Write) -> None:
    path = experiment()
    zones = [f"z{k}" for k in range(90)]
    topology(("zones: [a, b]", f"zones: [a, b, {', '.join(zones)}]"),
             ("clients: {a: 2}", f"clients: {{a: 2, {', '.join(f'{z}: 1' for z in zones)}}}"),
             )  # fmt: skip
    with pytest.raises(SpecError, match=r"at most 245 addresses, got 276: 3 nodes, each with one"):
        load_experiment(path)
