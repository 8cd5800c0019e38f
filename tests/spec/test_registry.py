"""Names lead to implementations, and to nothing heavy before they are asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from chaos import registry
from chaos.errors import SpecError
from chaos.registry import FAULTS, SYSTEMS, WORKLOADS, Registry


@pytest.mark.parametrize(
    ("one", "name"),
    [(each, name) for each in (SYSTEMS, WORKLOADS, FAULTS) for name in each.builtin],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_built_in_can_be_loaded(one: Registry[Any], name: str) -> None:
    implementation = one.get(name)
    if one is not FAULTS:
        assert implementation.name == name
    assert name in one.names()


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(SpecError) as caught:
        SYSTEMS.get("Postgress")
    listed = ", ".join(SYSTEMS.names())
    assert caught.value.what == f"unknown system `Postgress`; known: {listed}"
    assert caught.value.fix == "did you mean `postgres`?"


def _install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [p for p in points if p.group == group]
    )


def test_other_packages_add_theirs_but_take_no_built_in_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = SYSTEMS.group
    _install(
        monkeypatch,
        EntryPoint("mine", "fractions:Fraction", group),
        EntryPoint("redis", "fractions:Fraction", group),
        EntryPoint("else", "fractions:Fraction", "some.other.group"),
    )
    assert SYSTEMS.names() == [*SYSTEMS.builtin, "mine"]
    assert SYSTEMS.get("mine").__name__ == "Fraction"  # type: ignore[attr-defined]
    assert SYSTEMS.get("redis").name == "redis"


def test_a_package_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, EntryPoint("mine", "no_such_module:SYSTEM", SYSTEMS.group))
    with pytest.raises(SpecError, match="the system mine cannot be loaded: ModuleNotFoundError"):
        SYSTEMS.get("mine")


def test_listing_names_imports_nothing_heavy() -> None:
    script = (
        "import sys, chaos.registry as r\n"
        "r.SYSTEMS.names(); r.FAULTS.names(); r.WORKLOADS.names()\n"
        "heavy = {'pydantic', 'yaml', 'docker', 'pyarrow', 'redis', 'psycopg', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
