"""Monthly cost, against worked figures (outages.md, "Money")."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.cost.book import books, read_book
from analysis.cost.model import price
from chaos.errors import RecordError
from chaos.record.reader import RunData, open_run
from chaos.record.writer import write_run

S = 1_000_000_000
Make = Callable[..., RunData]


def node(name: str, zone: str, region: str = "us-east-1", provider: str = "aws") -> dict[str, Any]:
    role = "primary" if name == "n1" else None
    return {"name": name, "zone": zone, "region": region, "provider": provider, "role": role}


THREE_ZONES = [node("n1", "a"), node("n2", "b"), node("n3", "c")]
ONE_ZONE = [node("n1", "a"), node("n2", "a"), node("n3", "a")]
MACHINES = {"instance": "m6i.large", "storage_gb": 100}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        nodes: list[dict[str, Any]],
        cost: dict[str, Any] | None = None,
        samples: list[dict[str, Any]] | None = None,
        faults: list[dict[str, Any]] | None = None,
    ) -> RunData:
        meta = {
            "nodes": nodes,
            "topology": {} if cost is None else {"cost": cost},
            "phases": [{"name": "load", "start_ns": 0, "end_ns": 10 * S}],
        }
        return open_run(write_run(tmp_path / "run", meta, [], faults or [], samples or []))

    return make


def sends(receiver: str, sender: str, per_s: float, seconds: int = 10) -> list[dict[str, Any]]:
    """`receiver` counting bytes from `sender` at a steady rate, twice a second."""
    return [
        {"t_ns": t * S // 2, "node": receiver, "rx_bytes": json.dumps({sender: int(per_s * t / 2)})}
        for t in range(2 * seconds + 1)
    ]


def test_three_machines_and_their_disks(make: Make) -> None:
    monthly = price(make(ONE_ZONE, MACHINES))["monthly"]
    assert monthly["instances"] == 210.24
    assert monthly["storage"] == 24.0
    assert monthly["cross_zone"] == 0.0
    assert monthly["total"] == 234.24


def test_five_megabytes_a_second_to_two_followers_in_other_zones(make: Make) -> None:
    """13,140 GB a month each, billed at both sides: $262.80 a follower, $525.60 in all."""
    samples = sends("n2", "n1", 5e6) + sends("n3", "n1", 5e6)
    found = price(make(THREE_ZONES, MACHINES, samples))
    assert found["monthly"]["cross_zone"] == 525.60
    one = next(line for line in found["lines"] if line["what"].startswith("a ↔ b"))
    assert one["quantity"] == 2 * 13_140
    assert one["monthly"] == 262.80
    assert found["measured"]["cross_zone_bytes"] == 100_000_000
    assert found["measured"]["seconds"] == 10.0
    assert "10.0 s of load" in found["measured"]["statement"]


@pytest.mark.parametrize(
    ("region", "monthly"), [("us-west-2", 525.60), ("us-east-2", 262.80), ("sa-test", 525.60)]
)
def test_two_followers_in_another_region(make: Make, region: str, monthly: float) -> None:
    """To us-east-2 it is cheaper than between zones; elsewhere it is the same."""
    nodes = [node("n1", "a"), node("n2", "b", region), node("n3", "c", region)]
    samples = sends("n2", "n1", 5e6) + sends("n3", "n1", 5e6)
    found = price(make(nodes, MACHINES, samples))["monthly"]
    assert found["cross_region"] == monthly
    assert found["cross_zone"] is None, "n2 and n3 are in two zones and nobody counted there"
    assert found["total"] is None


def test_a_follower_at_another_provider(make: Make) -> None:
    nodes = [node("n1", "a"), node("n2", "x", "europe-west1", "gcp")]
    found = price(make(nodes, MACHINES, sends("n2", "n1", 5e6)))
    assert found["monthly"]["internet"] == 1168.10
    assert found["monthly"]["instances"] is None
    assert "gcp" in found["notes"][0]


def test_internet_volume_goes_through_the_tiers() -> None:
    assert books()[0].internet_cost(157_000) == pytest.approx(11_741.20)


def test_stated_replication_is_billed_instead_of_measured(make: Make) -> None:
    cost = {**MACHINES, "replicated_gb_month": 13_140}
    found = price(make(THREE_ZONES, cost, sends("n2", "n1", 1e3)))
    assert found["monthly"]["cross_zone"] == 525.60
    assert "states" in found["measured"]["statement"]
    assert found["measured"]["cross_zone_bytes"] == 10_000


def test_unmeasured_bytes_are_unknown_not_free(make: Make) -> None:
    found = price(make(THREE_ZONES, MACHINES))
    assert found["monthly"]["cross_zone"] is None
    assert found["monthly"]["total"] is None
    assert found["monthly"]["at_least"] == 234.24
    assert found["measured"]["cross_zone_bytes"] is None
    assert "not measured" in found["notes"][0]


def test_an_unknown_instance_is_unknown_and_names_the_nearest(make: Make) -> None:
    found = price(make(ONE_ZONE, {"instance": "m6i.lrge", "storage_gb": 10}))
    assert found["monthly"]["instances"] is None
    assert found["monthly"]["total"] is None
    assert "did you mean m6i.large?" in found["notes"][0]


def test_no_cost_in_the_topology(make: Make) -> None:
    found = price(make(ONE_ZONE))
    assert found["monthly"]["instances"] is None
    assert found["monthly"]["total"] is None
    assert len(found["notes"]) == 2


def test_a_counter_that_began_again_and_hostile_ones(make: Make) -> None:
    """1000 bytes, then the pod is replaced: 400 more. Strangers and nonsense do not count."""
    texts = ['{"n1": 0, "client": 5}', '{"n1": 1000}', "[1", '{"n1": "x"}', '{"n1": 400}', "7"]
    rows = [{"t_ns": i * S, "node": "n2", "rx_bytes": text} for i, text in enumerate(texts)]
    found = price(make([node("n1", "a"), node("n2", "b")], MACHINES, rows))
    assert found["measured"]["cross_zone_bytes"] == 1400
    assert found["measured"]["seconds"] == 4.0


def test_counts_outside_the_load_do_not_count(make: Make) -> None:
    rows = sends("n2", "n1", 1e6, seconds=20)
    found = price(make([node("n1", "a"), node("n2", "b")], MACHINES, rows))
    assert found["measured"]["cross_zone_bytes"] == 10_000_000


def test_a_rejoin_does_not_go_on_for_a_month(make: Make) -> None:
    """A standby copies 50 MB at 8 s; what counts is the steady 1 kB/s before the fault at 5 s."""
    copied = {"t_ns": 9 * S, "node": "n2", "rx_bytes": json.dumps({"n1": 50_000_000})}
    samples = [*sends("n2", "n1", 1000.0, seconds=8), copied]
    kill = {"id": "f1", "kind": "fault", "fault": "kill", "inject_ns": 5 * S}
    disturbed = price(make(THREE_ZONES[:2], MACHINES, samples, [kill]))
    assert disturbed["measured"]["cross_zone_bytes"] == 5000
    assert "before the first fault" in disturbed["measured"]["statement"]
    early = price(make(THREE_ZONES[:2], MACHINES, samples, [{**kill, "inject_ns": S}]))
    assert early["measured"]["cross_zone_bytes"] == 50_000_000


def test_every_figure_has_a_dated_source() -> None:
    for book in books():
        prices = [*book.instances.values(), *book.storage.values(), *book.internet]
        prices += [book.cross_zone_each_side, book.cross_region, *book.cross_region_pairs.values()]
        assert all(", 20" in figure.source for figure in prices)
        assert book.date in book.title


@pytest.mark.parametrize("text", ["a: [", "7", "name: x", "name: x\nsources: 3"])
def test_a_broken_price_book_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(text)
    with pytest.raises(RecordError, match="price book"):
        read_book(path)


def test_groups_may_state_costs_of_their_own(make: Make, tmp_path: Path) -> None:
    nodes = [{**node, "group": "dcs" if k else "db"} for k, node in enumerate(ONE_ZONE)]
    run = make(nodes, MACHINES)
    plain = price(run)["monthly"]
    run.meta["topology"]["groups"] = {"dcs": {"cost": None}, "db": {}}
    assert price(run)["monthly"] == plain
    own = {"instance": "m6i.xlarge", "storage_gb": 200}
    run.meta["topology"]["groups"] = {"db": {"cost": own}}
    found = price(run)
    assert [line["what"] for line in found["lines"]][:4] == [
        "1 × m6i.xlarge", "1 × 200 GB gp3", "2 × m6i.large", "2 × 100 GB gp3",
    ]  # fmt: skip
    assert found["monthly"]["instances"] == plain["instances"] * 4 / 3  # one is twice as dear
    run.meta["topology"]["groups"] = {"db": {"cost": {"instance": "nonesuch", "storage_gb": 1}}}
    found = price(run)
    assert (found["monthly"]["instances"], found["monthly"]["total"]) == (None, None)
    assert found["monthly"]["at_least"] > plain["instances"] * 2 / 3


def test_what_one_group_states_is_billed_and_the_rest_is_counted(make: Make) -> None:
    nodes = [
        {"name": "p1", "zone": "a", "region": "us-east-1", "provider": "aws", "group": "db"},
        {"name": "p2", "zone": "b", "region": "us-east-1", "provider": "aws", "group": "db"},
        {"name": "e1", "zone": "b", "region": "us-east-1", "provider": "aws", "group": "dcs"},
    ]
    run = make(nodes, MACHINES, [*sends("e1", "p1", 1e6), *sends("p2", "p1", 1e9)])
    run.meta["topology"]["groups"] = {"db": {"cost": {**MACHINES, "replicated_gb_month": 500}}}
    found = price(run)
    volume = next(line for line in found["lines"] if "↔" in line["what"])
    hours = 730 * 3600
    assert volume["quantity"] == pytest.approx(2 * (500 + 1e6 * hours / 1e9), rel=0.01)
    assert "transfer of db as the topology states: 500 GB" in found["measured"]["statement"]
    assert "bytes between nodes counted" in found["measured"]["statement"]
