"""What an experiment says of its workload, its client and the properties fits together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.checkers import CHECKERS
from analysis.verdict import PROPERTIES as DEFAULTS
from chaos.errors import SpecError
from chaos.registry import SYSTEMS, WORKLOADS
from chaos.spec.files import load_experiment
from chaos.spec.properties import PROPERTIES

Write = Callable[..., Path]

REFUSED = {
    "workload: {name: append, options: {lenght: 3}}": (
        "unknown option of `append` `lenght`; known: length, lifetime",
        "did you mean `length`?",
    ),
    "workload: {name: append, options: {length: 0}}": (
        "expected length from 1 to 1000000, got 0",
        "it is 4 if left out",
    ),
    "workload: {name: append, mix: {w: 1}}": (
        "unknown operation of `append` `w`; known: append, r",
        "",
    ),
    "workload: {name: set}\nproperties: [serializable]": (
        "a history of `set` does not decide `serializable`",
        "it decides set, set-full, convergence, linearizable-set",
    ),
    "workload: {name: append}\nproperties: [serialisable]": (
        "unknown property `serialisable`; known: linearizable-register, ",
        "did you mean `serializable`?",
    ),
    "workload: {name: set, options: {total: 1}}": (
        "unknown option of `set` `total`; known: none",
        "",
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_does_not_fit_is_refused(experiment: Write, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(experiment(("workload: {name: set}", text)))
    message, fix = REFUSED[text]
    assert message in str(caught.value)
    assert fix in str(caught.value)
    assert str(caught.value).startswith("try.yaml:")


@pytest.mark.parametrize(
    ("system", "options", "workload", "problem"),
    [
        ("postgres", {"isolation": "serializable"}, "set", "means nothing to the workload set"),
        ("postgres", {"isolation": "chaos"}, "append", "expected a value matching read-committed"),
        ("postgres", {"reads": "any"}, "append", "it is for session"),
        ("postgres", {"reads": "any"}, "session", ""),
        ("postgres", {"isolation": "repeatable-read"}, "bank", ""),
        ("redis", {"reads": "home"}, "register", "it is for session"),
        ("etcd", {"reads": "serializable"}, "append", ""),
    ],
)
def test_an_option_of_the_client_is_for_some_workloads(
    system: str, options: dict[str, str], workload: str, problem: str
) -> None:
    found = list(SYSTEMS.get(system).check_options(options, workload))
    assert len(found) == bool(problem)
    assert problem in "".join(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workload: {name: wr}", "try.yaml:3:18: wr: its transactions are of several keys"),
        ("workload: {name: set}\nclient: {wait: 2}", "try.yaml:4:9: client.wait: 2 replicas"),
    ],
)
def test_what_the_mode_of_a_topology_cannot_do_is_refused(
    experiment: Write, text: str, said: str
) -> None:
    changes = (("topology: small.yaml", "topology: redis-cluster"), ("workload: {name: set}", text))
    with pytest.raises(SpecError) as caught:
        load_experiment(experiment(*changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: log, mix: {send: 1, txn: 1}}", "3:43: the logs of fake know no `txn`"),
        ("{name: log, options: {subscribe: 1}}", "3:44: the logs of fake know no `subscribe`"),
        ("{name: log, mix: {send: 1, poll: 1}, options: {subscribe: 0}}", ""),
    ],
)
def test_groups_and_transactions_of_logs_are_for_systems_that_know_them(
    experiment: Write, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    path = experiment(("workload: {name: set}", f"workload: {text}"))
    assert load_experiment(path).experiment.workload.name == "log"
    monkeypatch.setattr(SYSTEMS.get("fake"), "log_operations", frozenset())
    if not said:
        load_experiment(path)
        return
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    assert said in str(caught.value)


def test_options_that_are_left_out_are_filled_in(experiment: Write) -> None:
    text = "workload: {name: bank, options: {total: 90}}"
    loaded = load_experiment(experiment(("workload: {name: set}", text)))
    assert loaded.experiment.workload.options == {"accounts": 8, "total": 90, "most": 10}
    again = loaded.experiment.resolved()["workload"]["options"]
    assert again == loaded.experiment.workload.options


def test_the_names_of_properties_are_those_that_are_decided() -> None:
    assert set(CHECKERS) == set(PROPERTIES)
    assert len(set(PROPERTIES)) == len(PROPERTIES)


@pytest.mark.parametrize("name", WORKLOADS.names())
def test_a_workload_is_judged_by_what_it_decides(name: str) -> None:
    known = set(WORKLOADS.get(name).properties)
    assert set(DEFAULTS[name]) <= known <= set(PROPERTIES)
