"""Work that is stopped at its limit, from outside, whatever it is doing."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import NoReturn

import pytest

from chaos.cli.histories import _in_time
from chaos.cli.limited import OutOfTime, within
from chaos.cli.report import last_lines
from chaos.errors import UsageError


def test_what_is_done_in_time_comes_back() -> None:
    pid = os.getpid()
    answer, worker = within(20, lambda: ({"verdict": "valid", "big": "x" * 1_000_000}, os.getpid()))
    assert answer["verdict"] == "valid"
    assert len(answer["big"]) == 1_000_000
    assert worker != pid


def test_an_error_comes_back_as_it_was() -> None:
    def work() -> NoReturn:
        raise UsageError("expected a number, got 'x'", fix="write a number")

    with pytest.raises(UsageError) as caught:
        within(20, work)
    assert caught.value.what == "expected a number, got 'x'"
    assert caught.value.fix == "write a number"


def test_work_that_never_looks_at_a_clock_is_stopped_and_gone(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        ctypes.PyDLL(None).sleep(600)  # a C call that keeps the interpreter's lock

    began = time.monotonic()
    with pytest.raises(OutOfTime):
        within(0.5, work)
    assert 0.5 <= time.monotonic() - began < 60  # the work would have taken ten minutes
    worker = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_worker_that_dies_is_an_error_not_an_answer() -> None:
    with pytest.raises(Exception, match="ended without an answer"):
        within(20, lambda: os._exit(9))


def test_of_a_history_that_was_not_read_in_time_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.edn"
    file.touch()
    results = _in_time(lambda: time.sleep(600), 0.1, ["set"])
    last_lines(file, results)
    told = capsys.readouterr().out
    assert "the time limit of 0.1 s ran out" in told
    assert not any(word in told for word in ("None", "0 ok", "injected"))
