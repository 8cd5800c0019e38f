"""Which items are done, in which order, with which values; and what a journal cannot make us do."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import NotFound

from chaos.errors import UsageError
from chaos.healing.remains import Remains, find
from chaos.healing.undo import undo


class Container:
    """A container as the driver shows it, which remembers what was done to it."""

    def __init__(self, name: str, status: str, said: list[str]) -> None:
        self.name, self.status, self._said = name, status, said
        self.gone = False

    def reload(self) -> None:
        if self.gone:
            raise NotFound("no such container")

    def start(self) -> None:
        self._say("start")
        self.status = "running"

    def kill(self) -> None:
        self._say("kill")
        self.status = "exited"

    def wait(self, timeout: float) -> None:
        self._say("wait")

    def unpause(self) -> None:
        self._say("unpause")
        self.status = "running"

    def update(self, **limits: Any) -> None:
        self._say(f"update {sorted(limits.items())}")

    def _say(self, what: str) -> None:
        self._said.append(f"{self.name} {what}")


def remains(said: list[str], **states: str) -> Remains:
    databases = {node: [Container(node, state, said)] for node, state in states.items()}
    return Remains(
        client=None,  # type: ignore[arg-type]
        run_id="0123abcd",
        agents={},
        databases=databases,
        toxiproxy=None,
        cluster=None,
    )


def fault(id: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id, "fault": "kill", "undo": list(items), **more}


def test_each_item_once_and_what_has_a_deadline_first() -> None:
    said: list[str] = []
    start = {"do": "start", "node": "n1"}
    result = undo(
        remains(said, n1="exited", n2="paused"),
        [fault("f1", start), fault("f2", start), fault("f3", {"do": "unpause", "node": "n2"})],
        [],
    )
    assert said == ["n2 unpause", "n1 start"]
    assert result.done == {"f1": ["n1 started"], "f2": ["n1 started"], "f3": ["n2 thawed"]}
    assert result.problems == {}


def test_done_twice_does_no_harm() -> None:
    said: list[str] = []
    left = remains(said, n1="exited", n2="paused")
    items = [{"do": "start", "node": "n1"}, {"do": "unpause", "node": "n2"}]
    undo(left, [fault("f1", *items)], [])
    undo(left, [fault("f1", *items)], [])
    assert sorted(said) == ["n1 start", "n2 unpause"]


def test_of_two_faults_on_one_limit_the_first_knows_what_was_before() -> None:
    said: list[str] = []
    first = {"do": "update", "node": "n1", "cpu_quota": 0, "cpu_period": 100_000}
    second = {"do": "update", "node": "n1", "cpu_quota": 50_000}
    # f1 was healed before the controller died; f2 had seen the limit that f1 had set.
    undo(remains(said, n1="running"), [fault("f2", second)], [first, second])
    assert said == ["n1 update [('cpu_period', 100000), ('cpu_quota', -1)]"]


def test_a_restart_ends_all_containers_of_a_node_before_it_starts_one() -> None:
    said: list[str] = []
    left = remains(said, n1="running")
    left.databases["n1"].append(Container("n1b", "running", said))  # type: ignore[arg-type]
    undo(left, [fault("f1", {"do": "restart", "node": "n1"})], [])
    assert said == ["n1 kill", "n1b kill", "n1 wait", "n1b wait", "n1 start", "n1b start"]


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ({"do": "start", "node": "other"}, "expected a node of run 0123abcd (n1), got 'other'"),
        ({"do": "remove", "node": "n1"}, "expected one of toxics, unpause, update"),
        ({"node": "n1"}, "got 'None'"),
        ({"do": "update", "node": "n1", "privileged": True}, "expected limits among blkio_weight"),
        ({"do": "update", "node": "n1", "cpu_quota": [1]}, "expected limits among"),
        ({"do": "start", "node": ["n1"]}, "expected a node of run"),
    ],
)
def test_a_journal_can_ask_for_nothing_else(item: dict[str, Any], complaint: str) -> None:
    said: list[str] = []
    result = undo(remains(said, n1="exited"), [fault("f1", item)], [item])
    assert said == []
    assert complaint in result.problems["f1"][0]


@pytest.mark.parametrize("undo_of", [None, "start n1", {"do": "start"}, [1, None, "x"]])
def test_what_is_no_list_of_items_asks_for_nothing(undo_of: Any) -> None:
    said: list[str] = []
    broken = {"id": "f1", "fault": "pause", "undo": undo_of}
    result = undo(remains(said, n1="exited"), [broken], [])
    assert (said, result.done, result.problems) == ([], {}, {})


def test_a_kill_of_an_older_journal_is_undone_by_its_targets() -> None:
    said: list[str] = []
    undo(remains(said, n1="exited"), [{"id": "f1", "fault": "kill", "targets": ["n1"]}], [])
    assert said == ["n1 start"]


def test_one_problem_does_not_keep_the_others_from_being_undone() -> None:
    said: list[str] = []
    left = remains(said, n1="exited", n2="exited")
    left.databases["n1"][0].start = lambda: 1 / 0  # type: ignore[method-assign]
    result = undo(
        left, [fault("f1", {"do": "start", "node": "n1"}, {"do": "start", "node": "n2"})], []
    )
    assert said == ["n2 start"]
    assert result.problems == {"f1": ["start failed: ZeroDivisionError: division by zero"]}
    assert result.done == {"f1": ["n2 started"]}


@pytest.mark.parametrize("run_id", ["", "x", "0123abcd,other=1", "../../x", "0123ABCD"])
def test_only_a_runs_id_finds_containers(run_id: str) -> None:
    with pytest.raises(UsageError, match="expected a run's id"):
        find(None, run_id)  # type: ignore[arg-type]
