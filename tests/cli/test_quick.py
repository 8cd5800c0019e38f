"""Commands import no more than they need."""

from __future__ import annotations

import subprocess
import sys
import textwrap

SCRIPT = """
import sys
from chaos.cli.quick import arrow_without_pandas
arrow_without_pandas()
from pathlib import Path
from analysis.verdict import judge
from chaos.record.reader import open_run
judge(open_run(Path(sys.argv[1])))
assert not {"pandas", "numba", "streamlit", "docker"} & set(sys.modules), "too much was imported"
import pandas
assert pandas.Series([1]).sum() == 1
print("quick")
"""


def test_judging_a_small_run_imports_neither_pandas_nor_a_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), "experiments/recorded/redis-split-brain"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("quick\n", 0), done.stderr
