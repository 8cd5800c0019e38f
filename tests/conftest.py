"""Fixtures for every test: a real engine where one answers, and the simulated runs of pages."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def engine_client():
    """A client of the container engine; skipped where none answers, but never in CI."""
    from chaos.errors import EngineError
    from chaos.runtime import engine

    try:
        client = engine.client(engine.require())
    except EngineError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have an engine: {error}")
        pytest.skip(f"no container engine: {error.what}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def sample_runs() -> ModuleType:
    """tests/dashboard/sample_runs.py: simulated runs, for tests of pages only."""
    spec = importlib.util.spec_from_file_location(
        "sample_runs", Path(__file__).parent / "dashboard" / "sample_runs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def runs(sample_runs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simulated runs, made once a session."""
    root: Path = sample_runs.make_runs(tmp_path_factory.mktemp("runs"))
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a quiet machine comes last, and on one worker where there are several: real
    databases are timed, and a run removes what dead runs left. The others go by file."""
    items.sort(key=lambda item: item.get_closest_marker("real") is not None)
    for item in items:
        real = item.get_closest_marker("real") is not None
        item.add_marker(
            pytest.mark.xdist_group("real" if real else str(item.path.relative_to(ROOT)))
        )
