"""A user's model: the one in the documentation, its certificates, and everything that is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.checkers.base import Context, Exhausted, Meter, Verdict
from analysis.checkers.own_model import checker, load, own
from analysis.history import read_history
from analysis.proof.models import own_model
from analysis.proof.rows import Refused
from analysis.proof.verify import digest, verify
from chaos.cli import main
from chaos.errors import UsageError
from chaos.record.schema import HISTORY

DOCS = Path(__file__).parents[2] / "docs" / "checkers.md"
RAISES = """
class Raises:
    initial = 0
    def step(self, state, op):
        if op.f == "release":
            raise ValueError("no such thing")
        return state + 1

class Lists:
    initial = 0
    def step(self, state, op):
        return [op.f]

class NoState:
    initial = None
    def step(self, state, op):
        return state

class Loose:
    initial = []
    def step(self, state, op):
        return state

class Broken(Raises):
    def __init__(self):
        self.size = 1 / 0

class NoStep:
    initial = 0
"""


@pytest.fixture
def semaphore(tmp_path):
    """The model of the documentation, in a file."""
    (code,) = re.findall(r"```python\n# semaphore.py\n(.*?)```", DOCS.read_text(), re.S)
    assert len(code.splitlines()) <= 20
    path = tmp_path / "semaphore.py"
    path.write_text(code)
    return path


@pytest.fixture
def raises(tmp_path):
    path = tmp_path / "raises.py"
    path.write_text(RAISES)
    return path


def row(f, value, start, end, *, type="ok", process=0, key=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": None,
        "payload": None,
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def table(rows):
    return pa.Table.from_pylist(rows, schema=HISTORY)


def judge(model, rows, **context):
    return checker(model)(read_history(table(rows)), Context(enough=1, **context))


VALID = [
    row("acquire", None, 1, 2, process=1),
    row("acquire", None, 1, 3, process=2),
    row("free", 0, 4, 5, process=3),
    row("acquire", None, 6, 9, process=4),
    row("release", 2, 7, 8, process=1),
    row("acquire", None, 9, 10, process=5, type="info"),
    row("free", 0, 11, 12, process=3),
    row("release", 9, 13, 14, process=3, type="fail"),
    row("acquire", None, 1, 2, process=1, key="another"),
]
INVALID = [*VALID, row("acquire", None, 13, 15, process=6)]


def accept(model, rows, result):
    """The verifier accepts what the result claims."""
    valid = result.verdict is Verdict.VALID
    claims = [result.claim] if valid else [a.claim for a in result.anomalies]
    body = {
        "certificate": 1,
        "property": result.property,
        "verdict": str(result.verdict),
        "history": {"operations": len(rows), "sha256": "x"},
        "initial": None,
        "claims": json.loads(json.dumps(claims, default=lambda array: array.tolist())),
    }
    models = {model.name: own_model(model, table(rows))}
    verify({**body, "digest": digest(body)}, table(rows), "x", models=models)


def test_the_documented_model(semaphore):
    model = load(f"{semaphore}:Semaphore")
    good = judge(model, VALID)
    assert (good.property, good.verdict) == ("Semaphore", Verdict.VALID)
    assert good.claim["model"] == "semaphore.py:Semaphore"
    accept(model, VALID, good)
    bad = judge(model, INVALID)
    assert bad.verdict is Verdict.INVALID
    (anomaly,) = bad.anomalies
    assert (anomaly.name, anomaly.claim["until"]) == ("non-linearizable", len(VALID))
    assert anomaly.argument.startswith(
        "process 6 acquired the Semaphore between 0.000000013 s and 0.000000015 s, but no order of "
        "the 8 operations on the Semaphore that had begun by then explains what they found"
    )
    accept(model, INVALID, bad)


def test_wrong_claims_are_refused(semaphore):
    model = load(f"{semaphore}:Semaphore")
    good = judge(model, VALID)
    with pytest.raises(Refused, match="operation 9 happened"):
        accept(model, INVALID, good)
    (anomaly,) = judge(model, INVALID).anomalies
    rows = [*INVALID, row("release", 1, 14, 15, process=7)]
    with pytest.raises(Refused, match="do have an order"):
        accept(model, rows, judge_as(anomaly, model, rows))


def judge_as(anomaly, model, rows):
    """A result that claims an anomaly of another history."""
    return replace(judge(model, rows), verdict=Verdict.INVALID, anomalies=(anomaly,))


def test_an_object_made_in_python():
    class Flag:
        initial = False

        def step(self, state, op):
            return True if op.f == "set" else state if op.value == int(state) else None

    rows = [row("set", None, 1, 2), row("get", 1, 3, 4)]
    assert judge(own(Flag(), "flag.py:Flag"), rows).verdict is Verdict.VALID
    rows[1]["value"] = 0
    assert judge(own(Flag(), "flag.py:Flag"), rows).verdict is Verdict.INVALID
    rows = [row("set", None, 1, 2, type="info")]
    assert judge(own(Flag(), "flag.py:Flag"), rows).verdict is Verdict.UNKNOWN


def test_the_budget_is_named(semaphore):
    with pytest.raises(Exhausted, match="budget of 3 steps"):
        judge(load(f"{semaphore}:Semaphore"), VALID, meter=Meter(3))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "Raises",
            "the model raises.py:Raises failed at operation 4 (release of 2 by process 1, in the "
            "state 3): ValueError: no such thing (raises.py:6)",
        ),
        (
            "Lists",
            "the model raises.py:Lists failed at operation 0 (acquire of None by process 1, in the "
            "state 0): TypeError: unhashable type: 'list'",
        ),
    ],
)
def test_a_model_that_fails_is_unknown(raises, name, why):
    result = judge(load(f"{raises}:{name}"), VALID)
    assert result.verdict is Verdict.UNKNOWN
    assert result.why == why


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Missing", "none of that name; the models in it: Raises, Lists, NoState, Loose, Broken$"),
        ("NoStep", "to have a method step"),
        ("NoState", "initial state that is not None"),
        ("Loose", "to be hashable, got unhashable type: 'list'"),
        ("Broken", r"could not be made: ZeroDivisionError: division by zero \(raises.py:26\)"),
        ("not a name", "expected --model FILE.py:NAME"),
    ],
)
def test_what_is_no_model(raises, name, what):
    with pytest.raises(UsageError, match=what):
        load(f"{raises}:{name}")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load(f"{tmp_path}/nowhere.py:Model")
    with pytest.raises(UsageError, match="expected --model"):
        load("Model")
    path = tmp_path / "wrong.py"
    path.write_text("class Model:\n    initial = = 2\n")
    with pytest.raises(UsageError, match=r"SyntaxError: invalid syntax \(wrong.py, line 2\)"):
        load(f"{path}:Model")
    path.write_text("raise SystemExit(3)")
    with pytest.raises(UsageError, match=r"SystemExit: 3 \(wrong.py:1\)"):
        load(f"{path}:Model")


EDN = "".join(
    f"{{:process {p}, :type :{t}, :f :{f}, :value {v}}}\n"
    for p, t, f, v in [
        (0, "invoke", "acquire", "nil"), (0, "ok", "acquire", "nil"),
        (1, "invoke", "free", "nil"), (1, "ok", "free", "FREE"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(("free", "code"), [(1, 0), (2, 1)])
def test_on_the_command_line(semaphore, tmp_path, monkeypatch, capsys, free, code):
    """`check` judges, `verify` accepts, but only with the model named by the user."""
    history = tmp_path / "history.edn"
    history.write_text(EDN.replace("FREE", str(free)))
    monkeypatch.chdir(tmp_path)
    named = ["--model", "semaphore.py:Semaphore", "--json"]
    assert run(monkeypatch, "check", "history.edn", *named) == code
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert (check["property"], bool(check["proof"])) == ("Semaphore", True)
    assert run(monkeypatch, "verify", "history.edn", *named) == 0
    assert run(monkeypatch, "verify", "history.edn") == 1
    assert "no model of your own was named so" in " ".join(capsys.readouterr().out.split())


def test_names_of_properties_are_taken(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(RAISES + "\nlock = Raises\nlock.__name__ = 'lock'\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history.edn").write_text(EDN)
    assert run(monkeypatch, "check", "history.edn", "--model", "mine.py:lock") == 2
    assert "'lock' is a property" in capsys.readouterr().err


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["aftershock", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    return exit.value.code
