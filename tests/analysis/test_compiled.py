"""Compiled kernels: the same results, and no trouble where there is no cache or no numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.checkers import compiled as module
from analysis.checkers.compiled import COLD_FROM, LOADED_FROM, Bytes, Scratch, compiled
from analysis.history import Codes, Ints, Mask


def weigh(values: Ints, keys: Codes, kinds: Bytes, chosen: Mask, sums: Scratch, unit: int) -> int:
    total = 0
    for place in range(len(values)):
        if chosen[place] and kinds[place] > 0:
            sums[keys[place]] += values[place] * unit
            total += 1
    return total


PROGRAM = """
import sys
import numpy as np
from tests.analysis.test_compiled import COLD_FROM, compiled, weigh
assert compiled(weigh, 100) is None
known = compiled(weigh, COLD_FROM - 1) is not None
assert known or "numba" not in sys.modules
fast = compiled(weigh, COLD_FROM)
sums = np.zeros(1, np.int64)
cell = [np.ones(3, t) for t in (np.int64, np.int32, np.int8, np.bool_)]
cell[1][:] = 0
assert fast(*cell, sums, 5) == 3 and sums.tolist() == [15]
print("known" if known else "new")
"""


def run(**environment):
    root = Path(module.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """No kernel is loaded, and the cache is empty."""
    monkeypatch.setattr(module, "_loaded", {})
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    module._folder.cache_clear()
    yield tmp_path
    module._folder.cache_clear()


def test_a_kernel_gives_the_same_compiled(fresh):
    fast = compiled(weigh, COLD_FROM)
    assert fast is not None
    rng = np.random.default_rng(3)
    values, keys = rng.integers(0, 99, 50), rng.integers(0, 4, 50).astype(np.int32)
    kinds, chosen = rng.integers(-1, 2, 50).astype(np.int8), rng.random(50) < 0.5
    values.flags.writeable = False
    plain, machine = np.zeros(4, np.int64), np.zeros(4, np.int64)
    assert weigh(values, keys, kinds, chosen, plain, 7) == fast(
        values, keys, kinds, chosen, machine, 7
    )
    assert plain.tolist() == machine.tolist()
    assert compiled(weigh, LOADED_FROM) is fast
    assert compiled(weigh, LOADED_FROM - 1) is None


def test_the_second_process_finds_the_code_of_the_first(tmp_path):
    assert run(NUMBA_CACHE_DIR=str(tmp_path)) == "new"
    assert run(NUMBA_CACHE_DIR=str(tmp_path)) == "known"
    for path in tmp_path.rglob("*.nb?"):
        path.write_bytes(b"damaged")
    assert run(NUMBA_CACHE_DIR=str(tmp_path)) in ("new", "known")


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null", ""])
def test_where_nothing_can_be_written_there_is_no_cache(home):
    assert run(HOME=home, XDG_CACHE_HOME=home or "/proc/none") == "new"


def test_without_numba_there_is_no_machine_code(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert compiled(weigh, COLD_FROM) is None
    assert compiled(weigh, COLD_FROM) is None


def test_a_cache_that_is_full_is_done_without(fresh, monkeypatch):
    numba = pytest.importorskip("numba")
    plain = numba.njit

    def full(signature, cache):
        if cache:
            raise OSError(28, "No space left on device")
        return plain(signature, cache=cache)

    monkeypatch.setattr(numba, "njit", full)
    assert compiled(weigh, COLD_FROM) is not None
