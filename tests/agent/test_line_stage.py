"""The compiled half of links: what one stage does to packets, without a kernel.

topologies/images/agent/line/stage.c, compiled here as a library; skipped without a compiler (the
image's build compiles it, and tests/real/test_links.py runs it).
"""

from __future__ import annotations

import ctypes
import itertools
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest

from chaos.faults.trains import binomial_range

SOURCE = Path(__file__).parents[2] / "topologies" / "images" / "agent" / "line" / "stage.c"
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
MS = 1_000_000


class Passage(ctypes.Structure):
    """`struct passage` of stage.h."""

    _fields_ = [
        ("at_ns", ctypes.c_int64),
        ("bytes", ctypes.c_uint32),
        ("lost", ctypes.c_bool),
        ("late", ctypes.c_bool),
        ("corrupt", ctypes.c_bool),
        ("copies", ctypes.c_int),
    ]


class Line:
    """One stage of the compiled line."""

    def __init__(self, library: ctypes.CDLL, **values: object) -> None:
        self._library = library
        self._stage = ctypes.create_string_buffer(1024)  # larger than the struct, and zero
        for key, value in values.items():
            wrong = library.stage_set(self._stage, f"{key}={value}".encode())
            assert wrong is None, wrong

    def take(self, at_ns: int, size: int = 100) -> Passage:
        """One packet."""
        packet = Passage(at_ns=at_ns, bytes=size)
        self._library.stage_pass(self._stage, ctypes.byref(packet))
        return packet


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("line") / "stage.so"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(path),
         str(SOURCE), "-lm"],
        check=True,
    )  # fmt: skip
    library = ctypes.CDLL(str(path))
    library.stage_set.restype = ctypes.c_char_p
    return library


def test_a_delay_is_exact(library: ctypes.CDLL) -> None:
    line = Line(library, delay_us=12_500)
    assert [line.take(k * MS).at_ns for k in range(3)] == [12_500_000, 13_500_000, 14_500_000]


@pytest.mark.parametrize(
    ("distribution", "sigma", "median"),
    [("uniform", 0.577, 0.0), ("normal", 1.0, 0.0), ("pareto", 1.0, -0.277)],
)
def test_jitter_has_the_mean_and_the_width_asked(
    library: ctypes.CDLL, distribution: str, sigma: float, median: float
) -> None:
    line = Line(library, delay_us=50_000, jitter_us=2_000, distribution=distribution, seed=3)
    apart = 20 * MS  # each packet in a slot of its own
    delays = [(line.take(k * apart).at_ns - k * apart) / 1e6 for k in range(1, 20_001)]
    assert statistics.mean(delays) == pytest.approx(50.0, abs=0.1)
    assert statistics.median(delays) == pytest.approx(50.0 + 2 * median, abs=0.1)
    assert statistics.pstdev(delays) == pytest.approx(2 * sigma, rel=0.15)
    assert min(delays) >= 0


def test_jitter_hardly_reorders_by_itself(library: ctypes.CDLL) -> None:
    line = Line(library, delay_us=50_000, jitter_us=2_000, distribution="normal", seed=3)
    due = [line.take(k * MS // 10).at_ns for k in range(1, 100_001)]
    assert sum(1 for a, b in itertools.pairwise(due) if b < a) < 1_000


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("kind", ["loss", "duplicate", "corrupt", "reorder"])
def test_a_share_is_what_chance_makes_of_it(library: ctypes.CDLL, kind: str, share: float) -> None:
    line = Line(library, **{kind: share, "late_us": 5_000, "seed": 11})
    packets = [line.take(k * MS) for k in range(1, 10_001)]
    struck = {
        "loss": sum(p.lost for p in packets),
        "duplicate": sum(p.copies for p in packets),
        "corrupt": sum(p.corrupt for p in packets),
        "reorder": sum(p.late for p in packets),
    }
    low, high = binomial_range(10_000, share, 0.01)
    assert low <= struck.pop(kind) <= high
    assert set(struck.values()) == {0}


def test_bursts_have_the_share_and_the_length_asked(library: ctypes.CDLL) -> None:
    line = Line(library, loss=0.2, burst=8, seed=5)
    lost = [line.take(k * MS).lost for k in range(1, 100_001)]
    assert sum(lost) / len(lost) == pytest.approx(0.2, abs=0.01)
    runs = [len(list(run)) for key, run in itertools.groupby(lost) if key]
    assert statistics.mean(runs) == pytest.approx(8, rel=0.1)


def test_everything_is_lost_at_one(library: ctypes.CDLL) -> None:
    for burst in (0, 3):
        line = Line(library, loss=1, burst=burst)
        assert all(line.take(k * MS).lost for k in range(1, 100))


def test_a_rate_spaces_packets_and_drops_what_its_backlog_cannot_hold(
    library: ctypes.CDLL,
) -> None:
    line = Line(library, rate_bps=8_000_000, backlog_bytes=10_000)  # a byte each microsecond
    packets = [line.take(MS, 1_000) for _ in range(20)]
    passed = [p.at_ns for p in packets if not p.lost]
    assert passed == [MS + (k + 1) * MS for k in range(10)]
    assert [p.lost for p in packets] == [False] * 10 + [True] * 10
    assert line.take(20 * MS, 1_000).at_ns == 21 * MS  # idle again


def test_the_same_seed_does_the_same(library: ctypes.CDLL) -> None:
    def run(seed: int) -> list[tuple[bool, int]]:
        line = Line(library, delay_us=9_000, jitter_us=500, loss=0.3, seed=seed)
        return [(p.lost, p.at_ns) for p in (line.take(k * MS) for k in range(1, 200))]

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("pair", ["delay_us", "delay_us=x", "loss=-1", "nonsense=1", "seed"])
def test_what_is_not_understood_is_refused(library: ctypes.CDLL, pair: str) -> None:
    stage = ctypes.create_string_buffer(1024)
    assert library.stage_set(stage, pair.encode()) is not None
