"""Fixtures for every test: a real engine where one answers, and images."""

from __future__ import annotations

import os
from pathlib import Path

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
