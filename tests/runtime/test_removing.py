"""Removing what a run left, where the engine does not let it go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from chaos.runtime import docker as engine_api


class Network:
    """One that the engine takes for in use; `containers`: those that it can name."""

    def __init__(self, status: int, containers: dict[str, Any]) -> None:
        self.attrs = {"Containers": containers}
        self._status = status
        self.asked = 0

    def remove(self) -> None:
        self.asked += 1
        answer: Any = SimpleNamespace(status_code=self._status, reason="", url="")
        raise (NotFound if self._status == 404 else APIError)("no", response=answer)

    def reload(self) -> None: ...


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_api, "NETWORK_S", 0.15)


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 2)])
def test_a_network_that_is_gone_or_that_nobody_holds_is_let_be(status: int, tries: int) -> None:
    network = Network(status, {})
    assert engine_api._remove_network(network) is False
    assert network.asked >= tries


@pytest.mark.parametrize(("status", "containers"), [(403, {"c1": {"Name": "n1"}}), (500, {})])
def test_one_that_is_held_or_refused_is_said(status: int, containers: dict[str, Any]) -> None:
    with pytest.raises(APIError):
        engine_api._remove_network(Network(status, containers))
