"""An anomaly in the terminal: what is drawn fits, is exact, and says the same without colours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from analysis.lanes import Bar, Picture
from analysis.lanes_states import States
from chaos.cli.lanes import lines

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
INDENT = re.compile(r"(?:^(?:    .*)?\n)+", re.MULTILINE)


def bar(row, lane, words, left, right, *, outcome="ok", impossible=False, key=None, error=""):
    return Bar(
        row=row,
        lane=lane,
        words=words,
        key=key,
        outcome=outcome,
        error=error,
        node="",
        start_ns=left * 1000,
        end_ns=(left if right is None else right) * 1000,
        left=left,
        right=right,
        witness=True,
        impossible=impossible,
        first=False,
        states=States(),
    )


def picture_of(bars, **more):
    ranks = {rank for b in bars for rank in (b.left, b.right) if rank is not None}
    known = {
        "number": 1,
        "property_name": "linearizable-register",
        "name": "stale-read",
        "count": 1,
        "argument": "because",
        "counts": "reads",
        "rules_out": "much",
        "reference": "somebody",
        "faults": (),
        "lanes": tuple(f"process {n}" for n in range(max(b.lane for b in bars) + 1)),
        "bars": tuple(bars),
        "moments": tuple(1000 * rank for rank in range(max(ranks) + 1)),
        "skipped": {},
        "why_impossible": "",
        "about_states": "",
    }
    return Picture(**known | more)


def drawn(found, width=80, *, fancy=True, names=("stale-read",)):
    return [line.plain for line in lines(found, names, "RUN", width, fancy=fancy)]


def test_overlap_and_order_are_columns():
    found = picture_of(
        [
            bar(0, 0, "write 1", 0, 2),
            bar(1, 1, "write 2", 1, 3),
            bar(2, 0, "read 1", 4, 5, impossible=True),
            bar(3, 1, "write 3", 4, None, outcome="info"),
            bar(4, 1, "cas 3→4", 6, 7, outcome="fail"),
        ]
    )
    lanes = drawn(found)[2:6]
    first, second, third, axis = lanes
    ends = [i for i, c in enumerate(axis) if c == "┴"]
    assert len(ends) == 8
    assert (first[ends[0]], first[ends[2]]) == ("├", "┤")
    assert (second[ends[1]], second[ends[3]]) == ("├", "┤")
    assert (first[ends[4]], first[ends[5]]) == ("╞", "╡")
    assert "read 1 ✗" in first
    assert second[ends[4]] == "├"
    assert second.endswith("→")  # open to the right
    assert (third[ends[6]], third[ends[7]]) == ("├", "╳")  # overlaps what is open: a line below
    assert third.startswith(" " * 9)


@pytest.mark.parametrize("width", [80, 93, 120, 200])
@pytest.mark.parametrize("fancy", [True, False])
@pytest.mark.parametrize("count", [1, 3, 9, 30])
def test_it_fits(width, fancy, count):
    bars = [bar(1000 + n, n % 5, f"write {n * 111}", 2 * n, 2 * n + 1) for n in range(count)]
    bars[-1] = bar(
        9, 2, "read 17", 2 * count - 2, None, outcome="info", error="timeout: " + "x" * 99
    )
    for line in drawn(picture_of(bars, argument="word " * 90), width, fancy=fancy):
        assert cell_len(line) <= width
        assert fancy or line.isascii()


def test_letters_stand_for_words_that_have_no_room():
    bars = [bar(n, n % 3, "write 1234567", 2 * n, 2 * n + 1) for n in range(12)]
    text = drawn(picture_of(bars))
    assert "A" in text[2]
    assert "write 1234567" not in text[2]
    assert [line.split()[:2] for line in text if line.startswith("L")] == [["L", "11"]]


def test_an_operation_that_took_no_time():
    text = drawn(picture_of([bar(0, 0, "write 1", 0, 0), bar(1, 0, "read 1", 1, 2)]))
    assert "◆ write 1" in text[2]


def test_keys_are_named_where_there_are_several():
    bars = [bar(0, 0, "write 1", 0, 1, key="x"), bar(1, 0, "write 1", 2, 3, key="y")]
    assert "write 1 (x)" in drawn(picture_of(bars))[2]


def test_nothing_but_text_reaches_the_terminal():
    bad = "\x1b[2J\u202e\x07evil\n"
    bars = [
        bar(0, 0, f"write {bad}", 0, 1, key=bad, error=bad),
        bar(1, 0, "wörter 漢字 e\u0301", 2, 3),
    ]
    found = picture_of(bars, argument=bad, faults=(bad,), name=bad, lanes=(bad,))
    for fancy in (True, False):
        for line in drawn(found, fancy=fancy, names=[bad, bad]):
            assert line.isprintable()
            assert fancy or line.isascii()


def run(folder, *arguments, **environment):
    done = subprocess.run(
        [AFTERSHOCK, "show", *arguments],
        cwd=folder,
        capture_output=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **environment},
    )
    assert b"Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def example(root: Path, tmp_path: Path) -> tuple[Path, str]:
    """The history of docs/pictures.md as a file, and what the page says is drawn of it."""
    text = (root / "docs/pictures.md").read_text()
    blocks = [b for b in INDENT.findall(text) if b.strip()]
    history, shown = ("\n".join(line[4:] for line in b.splitlines()) for b in blocks[:2])
    file = tmp_path / "late.edn"
    file.write_text(history)
    return file, shown.strip()


def test_the_example_in_the_docs(example):
    file, shown = example
    done = run(file.parent, "late.edn", "--anomaly", "1")
    assert done.returncode == 0
    assert done.stdout.decode().strip() == shown
    assert run(file.parent, "late.edn", "--anomaly", "stale-read").stdout == done.stdout


def test_no_colour_and_no_unicode(example):
    file, _ = example
    given = {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "", "LC_ALL": "C"}
    plain = run(file.parent, "late.edn", "--anomaly", "1", **given).stdout.decode()
    assert plain.isascii()
    assert "[ read 1 X ]" in plain
    assert "\x1b" not in plain


def test_a_page_is_written(example):
    file, _ = example
    for arguments, name in (
        (("late.edn", "--html"), "late-stale-read.html"),
        (("--html", "late.edn", "--anomaly", "1"), "late-stale-read.html"),
        (("late.edn", "--html", "mine.html"), "mine.html"),
    ):
        done = run(file.parent, *arguments)
        assert done.stdout.decode().strip() == name
        assert "<svg" in (file.parent / name).read_text(encoding="utf-8")
        (file.parent / name).unlink()


def test_what_there_is_not(example):
    file, _ = example
    done = run(file.parent, "late.edn", "--anomaly", "7")
    assert done.returncode == 2
    assert b"1 stale-read" in done.stderr
    assert run(file.parent, "late.edn", "--anomaly", "1", "--json").returncode == 2
    assert run(file.parent, "late.edn", "--html", "no/such/folder.html").returncode == 2
