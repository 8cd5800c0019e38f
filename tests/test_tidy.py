"""The house is tidy: sizes, width, import direction, documentation, nothing of this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("chaos", "analysis", "dashboard")
LINES_PER_FILE_MAX = 400
LINES_PER_FUNCTION_MAX = 60
COLUMNS_MAX = 100

# What each part may import of the others; a part not named here may import nothing of ours.
MAY_IMPORT = {
    "chaos.errors": set(),
    "chaos.units": {"chaos.errors"},
    "chaos.record": {"chaos.errors"},
    "chaos.agent": {"chaos.errors"},
    "analysis": {"chaos.record", "chaos.errors"},
    "dashboard": {"analysis", "chaos.record", "chaos.errors"},
}
NO_ANALYSIS = "chaos"  # only chaos.cli may import analysis and dashboard
# Below the runner, imports go one way only: a part may import those after it.
ORDER = ["chaos.cli", "chaos.runner", "chaos.conformance", "chaos.healing", "chaos.nemesis",
         "chaos.sampler", "chaos.faults", "chaos.load", "chaos.runtime", "chaos.spec",
         "chaos.isolation", "chaos.workloads", "chaos.systems", "chaos.record",
         "chaos.errors"]  # fmt: skip


def tracked() -> list[Path]:
    """Files git knows or would take."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listing.splitlines() if (path := ROOT / name).is_file()]


def sources() -> list[Path]:
    """Our Python files, tests too."""
    return [path for path in tracked() if path.suffix == ".py"]


def ours() -> list[Path]:
    """Python files of the packages."""
    return [path for path in sources() if path.relative_to(ROOT).parts[0] in PACKAGES]


def relative(path: Path) -> str:
    """The path as shown in failures."""
    return str(path.relative_to(ROOT))


def test_files_are_short() -> None:
    long = {
        relative(p): n
        for p in sources()
        if (n := len(p.read_text().splitlines())) >= LINES_PER_FILE_MAX
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines >= LINES_PER_FUNCTION_MAX:
                    long[f"{relative(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_lines_are_narrow() -> None:
    wide = [
        f"{relative(p)}:{n}"
        for p in sources()
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if len(line) > COLUMNS_MAX
    ]
    assert wide == []


def imported(path: Path) -> Iterator[str]:
    """Dotted names of ours that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def module_of(path: Path) -> str:
    """`chaos/spec/load.py` → `chaos.spec.load`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, part: str) -> bool:
    """Whether a dotted name is `part` or below it."""
    return name == part or name.startswith(part + ".")


def test_imports_go_one_way() -> None:
    wrong = []
    for path in ours():
        module = module_of(path)
        for name in imported(path):
            wrong += [
                f"{module} imports {name}"
                for part, allowed in MAY_IMPORT.items()
                if within(module, part)
                and not within(name, part)
                and not any(within(name, a) for a in allowed)
                and name not in PACKAGES
                and not any(within(a, name) for a in allowed)
            ]
            if (
                within(module, NO_ANALYSIS)
                and not within(module, "chaos.cli")
                and name.split(".")[0] in ("analysis", "dashboard")
            ):
                wrong.append(f"{module} imports {name}")
            place = next((k for k, part in enumerate(ORDER) if within(module, part)), None)
            target = next((k for k, part in enumerate(ORDER) if within(name, part)), None)
            if place is not None and target is not None and target < place:
                wrong.append(f"{module} imports {name}, which is above it")
    assert sorted(set(wrong)) == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in ours()
        if not within(module_of(path), "chaos.cli")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    allowed = {"chaos/runtime/engine.py"}  # runs before anything of ours is installed
    assert [w for w in wrong if w.split(":")[0] not in allowed] == []


def public_names(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, name, documented?) of what others may use: modules, classes, functions, methods."""
    tree = ast.parse(path.read_text())
    yield 1, "module", ast.get_docstring(tree) is not None
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        yield node.lineno, node.name, ast.get_docstring(node) is not None
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    name = f"{node.name}.{inner.name}"
                    yield inner.lineno, name, ast.get_docstring(inner) is not None


def test_public_names_are_documented() -> None:
    bare = [
        f"{relative(p)}:{line} {name}"
        for p in ours()
        for line, name, documented in public_names(p)
        if not documented
    ]
    assert bare == []


@pytest.mark.parametrize("pattern", [
    r"deb\.debian\.org", r"pypi\.(org|python\.org)", r"files\.pythonhosted", r"proxy\.golang",
    r"registry\.npmjs", r"repo1?\.maven", r"registry-1\.docker", r"/root/", r"/work/",
    r"(?<![\w.])10\.\d+\.\d+\.\d+", r"192\.168\.\d",
])  # fmt: skip
def test_no_registry_host_or_machine_path(pattern: str) -> None:
    here = Path(__file__)
    found = []
    for path in tracked():
        if path == here or path.suffix in (".parquet", ".png"):
            continue
        text = path.read_text(errors="replace")
        found += [f"{relative(path)}: {m.group(0)}" for m in re.finditer(pattern, text)]
    assert found == []


def test_top_level_is_fixed() -> None:
    allowed = {
        "pyproject.toml",
        "chaos",
        "topologies",
        "analysis",
        "dashboard",
        "experiments",
        "tests",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "schemas",
        "docs",
        ".ci",
        ".gitignore",
    }
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= allowed


@pytest.mark.parametrize(
    "command", [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)]
)
def test_linters_are_content(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
