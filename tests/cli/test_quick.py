"""Commands import no more than they need."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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


COMMAND = """
import sys
sys.argv = ["aftershock", *sys.argv[1:]]
from chaos.cli import main
try:
    main()
except SystemExit as left:
    print(left.code, *sorted({"pandas", "numba", "pyarrow", "numpy", "yaml"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [(("--help",), []), (("check", "{file}", "--proof", "{folder}"), ["numpy", "pyarrow"])],
)
def test_a_whole_command_imports_no_more_than_that(
    tmp_path: Path, arguments: tuple[str, ...], imported: list[str]
) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        "{:type :invoke, :f :write, :value 1, :time 0, :process 0, :index 0}\n"
        "{:type :ok, :f :write, :value 1, :time 9, :process 0, :index 1}\n"
        "{:type :invoke, :f :read, :value nil, :time 10, :process 0, :index 2}\n"
        "{:type :ok, :f :read, :value 1, :time 11, :process 0, :index 3}\n"
    )
    told = [each.format(file=file, folder=tmp_path) for each in arguments]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *told], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1].split() == ["0", *imported], done.stderr
