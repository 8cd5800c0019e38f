"""What trains of datagrams prove of a link: as asked, not as asked, or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import comb
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.link import Bandwidth, Delay, OnWays
from chaos.faults.link_share import Corrupt, Duplicate, Loss, Reorder, lost_in_a_row
from chaos.faults.trains import Arrival, Seen, Train, binomial_range
from chaos.runtime.ways import Way
from chaos.spec.entries import FAULT_ENTRIES

KINDS: dict[str, type[OnWays]] = {
    "delay": Delay,
    "loss": Loss,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "corrupt": Corrupt,
    "bandwidth": Bandwidth,
}
MS = 1_000_000
WAYS = [Way("n1", "n2", "1", "2", "n2", "n1"), Way("n2", "n1", "2", "1", "n1", "n2")]


def make(kind: str, **asked: Any) -> OnWays:
    """A fault of that kind on two ways, on which a datagram took 0.1 ms before."""
    entry = FAULT_ENTRIES[kind].model_validate(
        {"at": "1s", "for": "1s", "fault": kind, "between": [["n1"], ["n2"]], **asked}
    )
    fault = KINDS[kind]("f1", entry)
    fault.ways = list(WAYS)
    fault.before = dict.fromkeys(WAYS, through(Train(count=40, every_us=2000)))
    return fault


def through(
    train: Train,
    delay_ms: Callable[[int], float] = lambda _: 0.1,
    lost: Callable[[int], bool] = lambda _: False,
    copies: Callable[[int], int] = lambda _: 0,
) -> Seen:
    """What comes of a train on a link that does this to its k-th datagram."""
    arrivals: list[Arrival] = []
    for k in range(train.count):
        sent = k * train.every_us * 1000
        if not lost(k):
            arrivals += [(k, sent, sent + round(delay_ms(k) * MS))] * (1 + copies(k))
    return Seen(sent=train.count, arrivals=sorted(arrivals, key=lambda a: a[2]))


def judged(fault: OnWays, seen: Seen | list[Seen], bad: int = 0) -> tuple[str, str]:
    each = seen if isinstance(seen, list) else [seen] * len(WAYS)
    outcome, _, why = fault.judge(dict(zip(WAYS, each, strict=True)), bad)
    return outcome, why


@pytest.mark.parametrize(
    ("took_ms", "outcome"),
    [(50.1, "confirmed"), (52, "confirmed"), (0.1, "mismatch"), (54, "mismatch")],
)
def test_a_delay_is_what_it_adds(took_ms: float, outcome: str) -> None:
    fault = make("delay", delay="50ms")
    seen = through(fault.train(), lambda _: took_ms)
    assert judged(fault, seen)[0] == outcome
    assert bool(fault.unwell(WAYS[0], seen)) == (took_ms > 2.1)


def test_a_delay_on_one_way_only_is_a_mismatch_that_names_the_other() -> None:
    fault = make("delay", delay="50ms")
    well, slow = (through(fault.train(), lambda _, ms=ms: ms) for ms in (0.1, 50.1))
    assert judged(fault, [slow, well]) == ("mismatch", "n2→n1 takes 0.0 ms longer than before")


def test_pauses_of_a_busy_machine_are_no_delay() -> None:
    fault = make("delay", delay="10ms")
    rng = random.Random(4)
    seen = through(fault.train(), lambda _: 10.1 + rng.choice([0, 0, 0, 5, 30]))
    assert judged(fault, seen)[0] == "confirmed"


@pytest.mark.parametrize("kind", ["uniform", "normal", "pareto"])
def test_jitter_has_to_be_seen(kind: str) -> None:
    fault = make("delay", delay="50ms", jitter="5ms", distribution=kind)
    draws: dict[str, Callable[[random.Random], float]] = {
        "uniform": lambda rng: rng.uniform(-5, 5),
        "normal": lambda rng: rng.gauss(0, 5),
        "pareto": lambda rng: (rng.paretovariate(3) - 1.5) / 0.75**0.5 * 5,
    }
    for seed in range(50):
        rng = random.Random(seed)
        seen = through(fault.train(), lambda _, rng=rng: 50.1 + draws[kind](rng))
        assert judged(fault, seen)[0] == "confirmed"
    still = through(fault.train(), lambda _: 50.1 - (1.4 if kind == "pareto" else 0))
    assert judged(fault, still) == ("mismatch", "delays on n1→n2 hardly vary")


def struck(kind: str, fault: OnWays, share: float, seed: int) -> Seen:
    """A train of which that share is struck by chance."""
    rng = random.Random(seed)
    hits = {k for k in range(fault.train().count) if rng.random() < share}
    return through(
        fault.train(),
        lambda k: 10.1 if kind == "reorder" and k in hits else 0.1,
        lambda k: kind in ("loss", "corrupt") and k in hits,
        lambda k: int(kind == "duplicate" and k in hits),
    )


@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder", "corrupt"])
@pytest.mark.parametrize("share", ["1%", "10%", "30%"])
def test_a_share_is_confirmed_where_chance_puts_it(kind: str, share: str) -> None:
    fault = make(kind, rate=share)
    asked = float(share.rstrip("%")) / 100
    outcomes = []
    for seed in range(30):
        seen = [struck(kind, fault, asked, 100 * seed + k) for k in range(2)]
        outcomes.append(judged(fault, seen, sum(s.lost for s in seen))[0])
    assert outcomes.count("confirmed") >= 29
    for off in (0.0, asked / 3, min(0.6, asked * 3)):
        seen = [struck(kind, fault, off, k) for k in range(2)]
        assert judged(fault, seen, sum(s.lost for s in seen))[0] == "mismatch"
    nothing = struck(kind, fault, 0, 1)
    assert fault.unwell(WAYS[0], nothing) == ""
    assert fault.unwell(WAYS[0], struck(kind, fault, asked, 2)) != ""


def test_lost_packets_are_not_corrupt_ones() -> None:
    fault = make("corrupt", rate="10%")
    seen = [struck("corrupt", fault, 0.1, k) for k in range(2)]
    outcome, why = judged(fault, seen, 0)
    assert outcome == "mismatch"
    assert why.endswith("0 had a wrong checksum")


def test_bursts_have_to_be_bursts() -> None:
    fault = make("loss", rate="20%", burst=5)
    assert "lost in a row" in judged(fault, [struck("loss", fault, 0.2, k) for k in range(2)])[1]
    rng, losing, state = random.Random(1), False, []
    for _ in range(fault.train().count):
        losing = rng.random() > 0.2 if losing else rng.random() < 0.05
        state.append(losing)
    seen = through(fault.train(), lost=lambda k: state[k])
    assert judged(fault, seen) == ("confirmed", "")


@pytest.mark.parametrize("kind", ["delay", "loss", "bandwidth"])
def test_where_nothing_passes_nothing_is_proven(kind: str) -> None:
    asked = {"delay": {"delay": "50ms"}, "loss": {"rate": "10%"}, "bandwidth": {"rate": "1Mbit/s"}}
    fault = make(kind, **asked[kind])
    nothing = Seen(sent=fault.train().count, arrivals=[])
    assert judged(fault, nothing)[0] == "inconclusive"
    assert fault.unwell(WAYS[0], nothing) == "nothing passes"


def test_everything_may_be_lost() -> None:
    fault = make("loss", rate="100%")
    assert judged(fault, Seen(sent=fault.train().count, arrivals=[]))[0] == "confirmed"


@pytest.mark.parametrize(
    ("rate", "passes", "outcome"),
    [
        ("1Mbit/s", 1e6, "confirmed"),
        ("100Mbit/s", 103e6, "confirmed"),
        ("10Mbit/s", 12e6, "mismatch"),
        ("10Mbit/s", 5e6, "mismatch"),
        ("10Mbit/s", 1e9, "mismatch"),
    ],
)
def test_bandwidth_is_how_fast_a_train_comes_out(rate: str, passes: float, outcome: str) -> None:
    fault = make("bandwidth", rate=rate)
    train = fault.train()
    bits = train.size * 8
    arrivals = [
        (k, k * 5_000, round(1e6 + (k + 1) * bits * 1e9 / passes)) for k in range(train.count)
    ]
    seen = Seen(sent=train.count, arrivals=arrivals)
    assert judged(fault, seen)[0] == outcome
    assert bool(fault.unwell(WAYS[0], seen)) == (passes < 20e6 or rate == "100Mbit/s")


def test_a_train_that_could_not_be_sent_faster_proves_no_limit() -> None:
    fault = make("bandwidth", rate="1Gbit/s")
    train = fault.train()
    arrivals = [(k, k * 12_000, k * 12_000 + MS) for k in range(train.count)]
    outcome, why = judged(fault, Seen(sent=train.count, arrivals=arrivals))
    assert (outcome, why) == ("inconclusive", "this host cannot send a train faster than that")


def test_lengths_of_gaps() -> None:
    came = [(k, 0, k) for k in (1, 2, 5, 7)]
    assert lost_in_a_row(Seen(sent=10, arrivals=came)) == [1, 2, 1, 2]


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.sampled_from([0.001, 0.01, 0.1]))
def test_the_binomial_range_leaves_out_no_more_than_it_says(
    count: int, share: float, alpha: float
) -> None:
    low, high = binomial_range(count, share, alpha)
    chance = [comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    assert 0 <= low <= high <= count
    assert sum(chance[:low]) <= alpha / 2 + 1e-9
    assert sum(chance[high + 1 :]) <= alpha / 2 + 1e-9
    assert sum(chance[: low + 1]) > alpha / 2 - 1e-9  # no wider than it must be
    assert sum(chance[high:]) >= alpha / 2 - 1e-9


def test_the_binomial_range_of_certainties() -> None:
    assert binomial_range(10, 0.0, 0.01) == (0, 0)
    assert binomial_range(10, 1.0, 0.01) == (10, 10)
