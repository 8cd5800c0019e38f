"""Fixtures for every test: a real engine where one answers, and the simulated runs of pages."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

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


@pytest.fixture(scope="session")
def beside(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine_client: object,
) -> Iterator[Future[Any] | None]:
    """The shipped experiments, if a test of this session wants them, begun when this is first
    asked for: tests that do not mind company ask before those that wait for them."""
    if not any("ran" in fixtures_of(item) for item in request.session.items):
        yield None
        return
    from tests.real.conftest import run_together, shipped_experiments

    with ThreadPoolExecutor(1) as pool:
        out = tmp_path_factory.mktemp("shipped")
        yield pool.submit(run_together, out, shipped_experiments())


def fixtures_of(item: pytest.Item) -> Sequence[str]:
    """Names of the fixtures that it uses."""
    return getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)  # before groups become part of the tests' names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a quiet machine comes last, and on one worker where there are several: real
    databases are timed, and a run removes what dead runs left. The others go by file."""

    def turn(item: pytest.Item) -> int:
        if not item.get_closest_marker("real"):
            return 0
        fixtures = fixtures_of(item)
        return 2 if "ran" in fixtures else 1 if "beside" in fixtures else 3

    items.sort(key=turn)
    for item in items:
        group = "real" if turn(item) else str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(group))
