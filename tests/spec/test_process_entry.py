"""Entries of the process and resource families: every form is read, nonsense is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.entries import ENTRIES
from chaos.spec.files import load_experiment

Write = Callable[..., Path]

FORMS = [
    "for: 1s, fault: kill, target: n1, process: redis-server",
    "for: 5s, fault: crash-loop, target: n1, process: redis-server, down: 200ms, up: 1s",
    "for: 1s, fault: pause, target: n1, process: 2024",
    "for: 1s, fault: pause, target: n1, how: freezer",
    "for: 1s, fault: slow, target: n1, cpu: 0.2",
    "for: 1s, fault: slow, target: all, cpu: 2",
    "fault: rolling-restart",
    "fault: rolling-restart, target: one, gap: 1s",
    "fault: restart-all",
    "for: 1s, fault: memory-squeeze, target: n1, limit: 64MB",
    "for: 1s, fault: memory-squeeze, target: n1, share: 50%",
    "for: 1s, fault: cpu-steal, target: n1, share: 0.7",
    "for: 1s, fault: connection-exhaustion, target: n1",
    "for: 1s, fault: connection-exhaustion, target: n1, count: 100",
    "for: 1s, fault: fd-exhaustion, target: n1, process: redis-server",
]
WRONG = {
    "for: 5s, fault: crash-loop, target: n1, down: 10ms": "`down:` and `up:` of at least 200ms",
    "for: 1s, fault: pause, target: n1, how: freezer, process: a": "not a process",
    "for: 1s, fault: pause, target: n1, how: ice": "ice",
    "for: 1s, fault: slow, target: n1": "cpu",
    "for: 1s, fault: slow, target: n1, cpu: 0": "0",
    "for: 1s, fault: memory-squeeze, target: n1": "`limit:` or `share:`, got neither",
    "for: 1s, fault: memory-squeeze, target: n1, limit: 64MB, share: 50%": "got both",
    "for: 1s, fault: memory-squeeze, target: n1, limit: 1MB": "at least 6MiB",
    "for: 1s, fault: memory-squeeze, target: n1, limit: 64": "64",
    "for: 1s, fault: cpu-steal, target: n1, share: 1.5": "expected a share between 0 and 1",
    "for: 1s, fault: cpu-steal, target: n1, share: 100%": "expected a share between 0 and 1",
    "for: 1s, fault: cpu-steal, target: n1, share: much": "much",
    "for: 1s, fault: connection-exhaustion, target: n1, count: 0": "0",
    "for: 1s, fault: kill, target: n1, process: ''": "process",
}  # fmt: skip


OLD = "for: 2s, fault: kill, target: n1"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_back_the_same(experiment: Write, form: str) -> None:
    (entry,) = load_experiment(experiment((OLD, form))).experiment.schedule
    assert ENTRIES[entry.name].model_validate(entry.resolved()) == entry


@pytest.mark.parametrize("form", WRONG)
def test_what_does_not_go_together(experiment: Write, form: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(experiment((OLD, form)))
    assert WRONG[form] in str(caught.value)


def test_a_share_is_a_number_or_a_percentage(experiment: Write) -> None:
    for text in ("0.7", "70%", "70 %"):
        form = f"for: 1s, fault: cpu-steal, target: n1, share: {text}"
        (entry,) = load_experiment(experiment((OLD, form))).experiment.schedule
        assert entry.share == pytest.approx(0.7)
        assert entry.asked()["share"] == "70%"
