"""docs/add-a-system.md, followed literally: its files written, its commands run, its output held
against what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
PAGE = "docs/add-a-system.md"
BIN = Path(sys.executable).parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"File `([^`]+)`:\s*\Z")
CODE = re.compile(r"exit code (\d+)")


@dataclass
class Command:
    """One command of the page, and what it is to print."""

    words: list[str]
    lines: list[str] = field(default_factory=list)
    code: int = 0


def steps(page: str) -> Iterator[tuple[str, str] | Command]:
    """A file and its text, or a command, in the page's order."""
    for block in BLOCK.finditer(page):
        if named := FILE.search(page, 0, block.start()):
            yield named[1], block[2]
        else:
            assert block[1] == "console", f"a block that is no file and no command: {block[0]}"
            yield from commands(block[2])


def commands(text: str) -> Iterator[Command]:
    """Those of one block."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:].split()))
        elif code := CODE.fullmatch(line):
            found[-1].code = int(code[1])
        else:
            found[-1].lines.append(line)
    return iter(found)


def run(command: Command, folder: Path) -> None:
    """Run it; the package goes into the folder, not into the environment of the tests."""
    site = folder / "site"
    words = list(command.words)
    if words[0] == "pip":
        words[:2] = [sys.executable, "-m", "pip", "install", "--upgrade", "--target", str(site)]
    else:
        words[0] = str(BIN / words[0])
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = done.stdout + done.stderr
    assert done.returncode == command.code, f"{' '.join(command.words)}\n{said}"
    missing = [line for line in command.lines if line not in said.splitlines()]
    assert not missing, f"{' '.join(command.words)} did not print {missing}, but\n{said}"


@pytest.mark.usefixtures("engine_client")
def test_what_the_page_says_works(root: Path, tmp_path: Path) -> None:
    page = (root / PAGE).read_text(encoding="utf-8")
    done = list(steps(page))
    assert len(done) > 12
    for step in done:
        if isinstance(step, Command):
            run(step, tmp_path)
        else:
            path = tmp_path / step[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step[1], encoding="utf-8")
