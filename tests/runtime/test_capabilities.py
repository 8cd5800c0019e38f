"""What a host can do is asked once, and again when anything it depends on has changed."""

from __future__ import annotations

import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.agent.ladder import ladder
from chaos.runtime import capabilities
from chaos.runtime.capabilities import missing, probe


class Host:
    """An engine that says what it is, and counts how often an agent was asked."""

    def __init__(self) -> None:
        self.api = SimpleNamespace(base_url="http+docker://localhost")
        self.said: dict[str, Any] = {
            "ID": "A",
            "ServerVersion": "1",
            "KernelVersion": platform.release(),
            "CpuCfsQuota": True,
        }
        self.asked = 0

    def info(self) -> dict[str, Any]:
        return self.said

    def ask(self, *_: Any) -> dict[str, Any]:
        self.asked += 1
        return {"partition": ladder(("nftables", ""))}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    host = Host()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(capabilities, "_ask", host.ask)
    return host


def test_it_is_asked_once(host: Any) -> None:
    first = probe(host, "sha256:1")
    assert first["partition"]["rung"] == "nftables"
    assert first["cpu"]["rung"] == "cfs-quota"
    assert probe(host, "sha256:1") == first
    assert host.asked == 1


@pytest.mark.parametrize(
    "change", [{"ID": "B"}, {"ServerVersion": "2"}, {"KernelVersion": "9.9"}], ids=str
)
def test_another_engine_or_kernel_is_asked_again(host: Any, change: dict[str, str]) -> None:
    probe(host, "sha256:1")
    host.said = {**host.said, **change}
    probe(host, "sha256:1")
    assert host.asked == 2


def test_another_agent_and_another_boot_are_asked_again(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe(host, "sha256:1")
    probe(host, "sha256:2")
    assert host.asked == 2
    monkeypatch.setattr(capabilities, "this_process", lambda: {"boot": "after"})
    probe(host, "sha256:2")
    assert host.asked == 3
    monkeypatch.setattr(capabilities, "agent_files", lambda: {"agent.py": "changed"})
    probe(host, "sha256:2")
    assert host.asked == 4


def test_of_an_engine_elsewhere_it_is_believed_for_an_hour(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.api.base_url = "https://elsewhere:2376"
    probe(host, "sha256:1")
    probe(host, "sha256:1")
    assert host.asked == 1
    later = capabilities.time.time() + capabilities.ELSEWHERE_S + 1
    monkeypatch.setattr(capabilities, "time", SimpleNamespace(time=lambda: later))
    probe(host, "sha256:1")
    assert host.asked == 2


def test_it_can_be_asked_anew(host: Any) -> None:
    probe(host, "sha256:1")
    probe(host, "sha256:1", fresh=True)
    assert host.asked == 2


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"key": 1, "asked_s": "x"}', "\x00"])
def test_a_broken_file_is_as_none(host: Any, tmp_path: Path, text: str) -> None:
    probe(host, "sha256:1")
    (tmp_path / "aftershock/capabilities.json").write_text(text)
    assert probe(host, "sha256:1")["partition"]["rung"] == "nftables"
    assert host.asked == 2


def test_where_nothing_can_be_kept_it_is_asked_each_time(
    host: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    probe(host, "sha256:1")
    probe(host, "sha256:1")
    assert host.asked == 2


def test_the_engine_says_which_limits_it_has(host: Any) -> None:
    host.said["CpuCfsQuota"] = False
    lack = missing(["cpu"], probe(host, "sha256:1"))
    assert lack is not None
    assert lack.why == "cfs-quota: the engine says it cannot"
    assert "CFS" in lack.fix


def test_the_first_unfulfilled_need_is_told() -> None:
    ladders = {"a": ladder(("x", "")), "b": ladder(("y", "no"), ("z", "never"))}
    assert missing(["a"], ladders) is None
    assert missing(["unheard-of"], ladders) is None
    lack = missing(["a", "b"], ladders)
    assert lack is not None
    assert (lack.need, lack.why, lack.fix) == ("b", "y: no; z: never", "")
