"""The verifier: what a certificate must be, and that it is a program of its own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.anomalies import every_kind
from analysis.proof.rows import Refused
from analysis.proof.verify import PROMISES, UNWRITTEN, digest, read, verify
from analysis.recount.counted import FIGURES, OBSERVED
from tests.analysis.certified import (
    CONTRADICTION,
    ORDER,
    PLAIN,
    REGISTER,
    SHA256,
    certificate,
    refusal,
    signed,
    valid,
)
from tests.truth.rows import Row, table

ANALYSIS = Path(__file__).parents[2] / "analysis"
PROOF = sorted((ANALYSIS / "proof").rglob("*.py"))
RECOUNT = sorted((ANALYSIS / "recount").glob("*.py"))
LINES_MAX = 500  # of each part: to be read in one sitting
PARTS = {  # what a reader who doubts one certificate has to read: the first, and what it is of
    "the way in": ("verify", "rows", "source"),
    "objects": ("orders", "models", "contradiction"),
    "what has no order": ("search",),
    "transactions": ("transactions/claims", "transactions/micros", "transactions/payloads"),
    "orders of transactions": ("transactions/replay", "transactions/commits", "transactions/sees"),
    "what transactions break": ("transactions/known", "transactions/observed",
                                "transactions/steps"),
}  # fmt: skip
OURS = ("analysis.proof.", "analysis.recount.")


def whole():
    return certificate(REGISTER, "valid", [ORDER], len(PLAIN))


# It is a program of its own


def test_it_imports_nothing_of_the_checkers():
    allowed = {"pyarrow", "numpy"} | set(sys.stdlib_module_names)
    found = set()
    for file in (*PROOF, *RECOUNT):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level
                found.add(str(node.module))
    foreign = {name for name in found if name.split(".")[0] not in allowed}
    assert {name for name in foreign if not f"{name}.".startswith(OURS)} == set()
    code = "import sys, analysis.proof.verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [m for m in done.stdout.split() if m.split(".")[0] in ("analysis", "chaos", "numba")]
    assert [m for m in ours if not f"{m}.".startswith(OURS)] == ["analysis"]


def test_the_definitions_of_the_counted_know_only_the_history():
    imported = "".join(file.read_text() for file in RECOUNT)
    ours = set(re.findall(r"^ *(?:from|import) (analysis\S*)", imported, re.M))
    others = {name for name in ours if not f"{name}.".startswith("analysis.recount.")}
    assert others == {"analysis.proof.rows"}


def test_each_part_can_be_read_in_one_sitting():
    files = {str(file.relative_to(ANALYSIS / "proof"))[:-3]: file for file in PROOF}
    named = [name for part in PARTS.values() for name in part]
    assert sorted(named) == sorted(name for name in files if not name.endswith("__init__"))
    lines = {part: sum(len(files[name].read_text().splitlines()) for name in names)
             for part, names in PARTS.items()}  # fmt: skip
    assert {part: n for part, n in lines.items() if n >= LINES_MAX} == {}


def test_no_function_calls_itself():
    calls = {}
    for file in (*PROOF, *RECOUNT):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                inner = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
                ours = [f for f in inner if getattr(getattr(f, "value", None), "id", "") == "self"]
                names = {f.attr for f in ours} | {f.id for f in inner if isinstance(f, ast.Name)}
                calls.setdefault(node.name, set()).update(names)
    reached = {name: set(called) & set(calls) for name, called in calls.items()}
    for _ in calls:
        for called in reached.values():
            called |= {further for name in list(called) for further in reached[name]}
    assert [name for name, called in reached.items() if name in called] == []


def test_every_anomaly_can_be_certified():
    missing = [
        (kind.property, kind.name)
        for kind in every_kind()
        if kind.name not in PROMISES[kind.property].broken
        and kind.name not in OBSERVED.get(kind.property, UNWRITTEN)
    ]
    assert missing == []
    assert set(FIGURES) == set(OBSERVED)


# The certificate as a whole


def test_a_right_certificate_is_accepted_however_it_is_written():
    body = whole()
    assert refusal(body, PLAIN) is None
    assert verify(json.dumps(body, indent=3).encode(), table(PLAIN), SHA256) is None
    assert valid(REGISTER, ORDER, PLAIN, final_ns=0) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"certificate": 2}, "version 2"),
        ({"certificate": True}, "version True"),
        ({"certificate": 1.0}, "version 1.0"),
        ({"property": "linearizable-registers"}, "no property"),
        ({"property": None}, "no property"),
        ({"property": []}, "malformed"),
        ({"property": "linearizable-queue"}, "expected the model queue"),
        ({"property": "linearizable-cas-register"}, "expected the model cas-register"),
        ({"property": "sequential"}, "no order can show"),
        ({"property": "set"}, "no order can show"),
        ({"verdict": "invalid"}, "malformed"),
        ({"verdict": "unknown"}, "no third"),
        ({"verdict": ["valid"]}, "no third"),
        ({"history": {"operations": 6, "sha256": SHA256}}, "another history"),
        ({"history": {"operations": 5.0, "sha256": SHA256}}, "another history"),
        ({"history": {"operations": 5, "sha256": "6" * 64}}, "another history"),
        ({"history": {"operations": 5, "sha256": SHA256, "x": 1}}, "another history"),
        ({"history": None}, "another history"),
        ({"initial": 1}, "initial value"),
        ({"initial": "null"}, "initial value"),
        ({"claims": []}, "one claim"),
        ({"claims": [ORDER, ORDER]}, "one claim"),
        ({"claims": {}}, "one claim"),
        ({"claims": None}, "malformed"),
        ({"claims": [None]}, "malformed"),
        ({"claims": [[]]}, "malformed"),
        ({"claims": ["order"]}, "malformed"),
        ({"claims": [{"kind": "figures", "figures": {}}]}, "no figures can show"),
        ({"claims": [CONTRADICTION]}, "no contradiction can show"),
        ({"claims": [{"model": "register", "order": [0, 1, 2, 3]}]}, "malformed"),
        ({"claims": [{**ORDER, "kind": ["order"]}]}, "can show"),
        ({"claims": [{**ORDER, "model": "cas-register"}]}, "expected the model"),
        ({"claims": [{**ORDER, "model": None}]}, "expected the model"),
        ({"claims": [{"kind": "order", "model": "register"}]}, "malformed"),
        ({"claims": [{**ORDER, "order": {"0": 0}}]}, "no list of rows"),
        ({"claims": [{**ORDER, "order": [0, 1, 2.0, 3]}]}, "no list of rows"),
        ({"claims": [{**ORDER, "order": [False, True, 2, 3]}]}, "no list of rows"),
        ({"claims": [{**ORDER, "order": ["0", "1", "2", "3"]}]}, "no list of rows"),
        ({"claims": [{**ORDER, "order": [0, 1, 2, 3, 5]}]}, "a row that the history"),
        ({"claims": [{**ORDER, "order": [-1, 0, 1, 2, 3]}]}, "a row that the history"),
        ({"claims": [{**ORDER, "order": [0, 1, 2, 3, 10**30]}]}, "malformed"),
        ({"claims": [{**ORDER, "order": [0, 1, 2, 3, 3]}]}, "operation 3 twice"),
        ({"claims": [{**ORDER, "order": [0, 1, 3]}]}, "3 is not possible"),
        ({"claims": [{**ORDER, "order": [0, 1, 2]}]}, "operation 3 happened"),
        ({"claims": [{**ORDER, "order": []}]}, "operation 0 happened"),
        ({"claims": [{**ORDER, "order": [0, 1, 2, 3, 4]}]}, "operation 4 did not happen"),
        ({"claims": [{**ORDER, "order": [1, 0, 2, 3]}]}, "operation 0 stands after 1"),
        ({"claims": [{**ORDER, "order": [0, 2, 1, 3]}]}, "operation 1 stands after 2"),
        ({"claims": [{**ORDER, "order": [0, 1, 3, 2]}]}, "operation 3 is not possible"),
    ],
)
def test_what_is_wrong_is_refused_though_its_digest_is_right(change, why):
    assert why in (refusal(signed({**whole(), **change}), PLAIN) or "accepted")


def test_what_was_altered_is_refused_before_it_is_read():
    for name in ("certificate", "property", "verdict", "history", "initial", "claims"):
        body = whole()
        for other in (None, 7, [], "x"):
            if body[name] != other:
                assert "altered" in refusal({**body, name: other}, PLAIN)
    assert "altered" in refusal({**whole(), "digest": "0" * 64}, PLAIN)
    assert "altered" in refusal({**whole(), "digest": None}, PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe\x00",
        b"\x00" * 100,
        b"{}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"certificate": NaN}',
        b"1" * 10_000,
        json.dumps(whole()).encode()[:-5],
        json.dumps({**whole(), "more": 1}).encode(),
    ],
)
def test_what_is_no_certificate_is_refused_with_a_reason(text):
    with pytest.raises(Refused, match=r"\w"):
        read(text)
    with pytest.raises(Refused, match=r"\w"):
        verify(text, table(PLAIN), SHA256)


def test_numbers_that_are_none_are_refused():
    text = json.dumps(whole()).replace('"initial": null', '"initial": NaN')
    assert "NaN" in text
    with pytest.raises(Refused, match="malformed"):
        verify(text.encode(), table(PLAIN), SHA256, initial=float("nan"))


def test_deep_values_are_refused_not_a_crash():
    deep = "x"
    for _ in range(900):
        deep = [deep]
    body = {**whole(), "initial": deep}
    with pytest.raises(Refused):
        verify(body, table(PLAIN), SHA256)
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(Refused):
        verify({**whole(), "claims": deep}, table(PLAIN), SHA256)


def test_a_history_that_makes_no_sense_is_refused():
    backwards = [PLAIN[0]._replace(start=11), *PLAIN[1:]]
    assert "ends before it starts" in refusal(whole(), backwards)
    lacking = table(PLAIN).drop_columns(["process"])
    with pytest.raises(Refused, match="process"):
        verify(whole(), lacking, SHA256)
    empty = certificate(REGISTER, "valid", [{**ORDER, "order": []}], 0)
    assert "tells anything" in refusal(empty, [])
    text = table(PLAIN).set_column(7, "payload", pa.array(["{"] * 5))
    with pytest.raises(Refused, match="malformed"):
        verify(certificate("set", "valid", [{"kind": "figures", "figures": {}}], 5), text, SHA256)


def test_text_is_text_however_odd():
    odd = [Row("write", 'é\u2028\x7f"\\\n', 0, 1), Row("read", 'é\u2028\x7f"\\\n', 2, 3)]
    assert valid(REGISTER, {**ORDER, "order": [0, 1]}, odd, initial="ü\U0001f600") is None
    assert digest({"a": "\ud800"})


def test_what_has_no_definite_answer_may_stand_or_not():
    rows = [Row("write", 1, 0, 9, type="info"), Row("read", 1, 2, 3), Row("read", 1, 4, 5)]
    rows += [Row("read", 5, 6, 7, error="unread: lost"), Row("write", 2, 1, 2, type="open")]
    for order in ([0, 1, 2], [0, 1, 2, 3], [4, 0, 1, 2], [0, 1, 2, 4]):
        assert valid(REGISTER, {**ORDER, "order": order}, rows) is None
    for order in ([1, 2], [0, 1, 4, 2], [0, 2, 1], [0, 3, 1, 2]):
        assert valid(REGISTER, {**ORDER, "order": order}, rows) is not None


def test_a_refused_swap_counts_only_where_it_is_promised():
    rows = [Row("write", 1, 0, 1), Row("read", 1, 2, 3)]
    rows += [Row("cas", 2, 4, 5, expected=9, type="fail", error="cas-mismatch: 1")]
    swap = {**ORDER, "model": "cas-register"}
    assert valid("linearizable-cas-register", {**swap, "order": [0, 1, 2]}, rows) is None
    assert "happened" in valid("linearizable-cas-register", {**swap, "order": [0, 1]}, rows)
    rows[2] = rows[2]._replace(expected=1)
    assert "possible" in valid("linearizable-cas-register", {**swap, "order": [0, 1, 2]}, rows)
    assert valid(REGISTER, {**ORDER, "order": [0, 1]}, rows) is None
    assert "did not happen" in valid(REGISTER, {**ORDER, "order": [0, 1, 2]}, rows)


def test_a_model_of_the_users_own_must_be_given():
    claim = {**ORDER, "model": "mine.py:Register"}
    assert "expected the model register" in valid(REGISTER, claim, PLAIN)
    assert "no property" in valid("mine.py:Register", claim, PLAIN)
