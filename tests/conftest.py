"""Fixtures for every test: a real engine where one answers, and the simulated runs of pages."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent
REAL = ("tests/real/", "tests/conformance/")
# These need processors only, many minutes of them, and whether they are quick means nothing.
IN_IDLE_TIME = ("tests/analysis/", "tests/spec/", "tests/truth/", "tests/test_tidy.py")
LAST = ("test_truth.py", "test_transactions_truth.py")
IDLE_S = 1800  # of what others leave
hypothesis.settings.register_profile(
    "idle",
    parent=hypothesis.settings.default,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    deadline=None,
)
hypothesis.settings.load_profile("idle")


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
) -> Iterator[Any]:
    """The shipped experiments, if a test of this session wants them, begun when this is first
    asked for: tests that do not mind company ask before those that wait for them."""
    if not any("ran" in fixtures_of(item) for item in request.session.items):
        yield None
        return
    from tests.real.conftest import Together, shipped_experiments

    together = Together(tmp_path_factory.mktemp("shipped"), shipped_experiments())
    yield together
    together.stop()


def fixtures_of(item: pytest.Item) -> Sequence[str]:
    """Names of the fixtures that it uses."""
    return getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a quiet machine comes late; of that, first what does not mind company. Last is
    what gives way to everything else: another worker is at it while one has the databases."""

    def turn(item: pytest.Item) -> int:
        if gives_way(item):
            return 5 if item.path.name in LAST else 4
        if not is_real(item):
            return 0
        fixtures = fixtures_of(item)
        return 2 if "ran" in fixtures else 1 if "beside" in fixtures else 3

    items.sort(key=turn)
    for item in items:
        if gives_way(item):
            item.add_marker(pytest.mark.timeout(IDLE_S))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What gives way does so where another worker may have the databases; for good, because a
    thread that is not root's cannot go back."""
    if gives_way(item) and "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def is_real(item: pytest.Item) -> bool:
    """Whether it is of those that one worker has."""
    return str(item.path.relative_to(ROOT)).startswith(REAL)


def gives_way(item: pytest.Item) -> bool:
    """Whether it can wait for everything else, in the same run or beside it."""
    return str(item.path.relative_to(ROOT)).startswith(IN_IDLE_TIME)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several workers one has all real databases, which are timed and look at what others left;
    the other tests are dealt out by file, so that what a file makes is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "real" if file.startswith(REAL) else file

    return ByFile(config, log)
