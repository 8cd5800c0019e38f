"""The journal survives a crash, and folds into the table of faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.errors import RecordError
from chaos.record.journal import Journal, faults_from_journal, open_faults, read_journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.jsonl")
    yield journal
    journal.close()


def write_one_fault(journal: Journal, fault: str = "f1") -> None:
    journal.append({"id": fault, "event": "planned", "fault": "partition", "scheduled_ns": 5})
    journal.append({"id": fault, "event": "inject", "t_ns": 6, "targets": ["n1", "n2"]})
    journal.append({"id": fault, "event": "injected", "t_ns": 7})
    journal.append(
        {"id": fault, "event": "probed", "effect_ns": 8, "outcome": "confirmed", "t_ns": 9}
    )


def test_events_fold_into_one_row(journal: Journal) -> None:
    write_one_fault(journal)
    row = faults_from_journal(journal.path).to_pylist()[0]
    assert (row["inject_ns"], row["effect_ns"], row["outcome"]) == (6, 8, "confirmed")
    assert json.loads(row["targets"]) == ["n1", "n2"]
    assert row["heal_outcome"] == "pending"
    journal.append({"id": "f1", "event": "heal", "t_ns": 20})
    journal.append({"id": "f1", "event": "healed", "t_ns": 21})
    journal.append(
        {"id": "f1", "event": "heal-probed", "healed_ns": 22, "heal_outcome": "confirmed"}
    )
    row = faults_from_journal(journal.path).to_pylist()[0]
    assert (row["heal_ns"], row["healed_ns"], row["heal_outcome"]) == (20, 22, "confirmed")


def test_a_step_is_a_row_of_kind_step(journal: Journal) -> None:
    journal.append({"id": "f1", "event": "step", "fault": "promote", "t_ns": 3})
    journal.append({"id": "f1", "event": "step-done", "t_ns": 4, "outcome": "confirmed"})
    row = faults_from_journal(journal.path).to_pylist()[0]
    assert (row["kind"], row["fault"], row["inject_ns"]) == ("step", "promote", 3)


def test_a_fault_is_open_from_inject_to_healed(journal: Journal) -> None:
    journal.append({"id": "f1", "event": "planned", "fault": "kill"})
    assert open_faults(journal.path) == []
    journal.append({"id": "f1", "event": "inject", "fault": "kill", "targets": ["n1"], "t_ns": 1})
    assert [fault["targets"] for fault in open_faults(journal.path)] == [["n1"]]
    journal.append({"id": "f1", "event": "heal", "t_ns": 2})
    assert len(open_faults(journal.path)) == 1
    journal.append({"id": "f1", "event": "healed", "t_ns": 3})
    assert open_faults(journal.path) == []


def test_any_cut_keeps_the_whole_lines_and_can_go_on(tmp_path: Path, journal: Journal) -> None:
    write_one_fault(journal)
    whole = journal.path.read_bytes()
    for length in range(len(whole) + 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        assert lines <= len(read_journal(cut)) <= lines + 1  # only a line's end may be missing
        again = Journal(cut)
        again.append({"id": "f2", "event": "planned"})
        again.close()
        assert len(read_journal(cut)) == lines + 1


def test_garbage_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(
        b'\x00\x00\xff\n[1]\n{"id": 3, "event": "inject"}\n{"id": "f1", "event": "dance"}\n'
        + b"[" * 100_000
        + b'\n{"id": "f1", "event": "inject", "t_ns": 1}\n'
    )
    assert [event["t_ns"] for event in read_journal(path)] == [1]


def test_a_wrong_type_is_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"id": "f1", "event": "probed", "effect_ns": "soon"}\n')
    with pytest.raises(RecordError, match=r"journal\.jsonl"):
        faults_from_journal(path)


def test_what_is_no_event_is_refused(journal: Journal) -> None:
    for event in ({"id": "f1", "event": "dance"}, {"event": "inject"}):
        with pytest.raises(RecordError, match="expected an id"):
            journal.append(event)


def test_no_journal_means_no_faults(tmp_path: Path) -> None:
    assert faults_from_journal(tmp_path / "none").num_rows == 0


def test_what_was_written_down_and_then_not_injected_was_not_begun(journal: Journal) -> None:
    journal.append({"id": "f1", "event": "planned", "fault": "kill", "t_ns": None})
    journal.append({"id": "f1", "event": "inject", "t_ns": 5, "targets": ["n1"]})
    journal.append({"id": "f1", "event": "cancelled", "t_ns": 6, "outcome": "skipped", "why": "x"})
    journal.append({"id": "f2", "event": "planned", "fault": "pause", "t_ns": None})
    journal.append({"id": "f2", "event": "skipped", "t_ns": 7, "outcome": "skipped", "why": "y"})
    rows = faults_from_journal(journal.path).to_pylist()
    shown = [(r["fault"], r["outcome"], r["inject_ns"], r["heal_outcome"], r["why"]) for r in rows]
    assert shown == [("kill", "skipped", None, None, "x"), ("pause", "skipped", None, None, "y")]
    assert open_faults(journal.path) == []
