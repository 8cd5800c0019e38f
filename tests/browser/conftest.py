"""The simulated runs, made once a session."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def sample_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "sample_runs", Path(__file__).parents[1] / "dashboard" / "sample_runs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def runs(sample_runs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = sample_runs.make_runs(tmp_path_factory.mktemp("runs"))
    return root
