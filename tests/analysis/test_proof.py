"""The verifier: what a certificate must be, what each step of a contradiction must be, and that
it is a program of its own.
"""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.checkers import KINDS
from analysis.proof.counted import FIGURES, OBSERVED
from analysis.proof.rows import Refused
from analysis.proof.verify import PROMISES, UNWRITTEN, digest, read, verify
from tests.analysis.certified import SHA256, certificate, invalid, refusal, signed, valid
from tests.truth.rows import Row, table

FILES = sorted((Path(__file__).parents[2] / "analysis" / "proof").glob("*.py"))
LINES_MAX = 1250  # in all files together: to be read in one sitting

PLAIN = [
    Row("write", 1, 0, 10),
    Row("read", 1, 20, 30),
    Row("write", 2, 40, 50, type="info"),
    Row("read", 2, 60, 70, process=1),
    Row("write", 3, 80, 90, type="fail", error="refused: no"),
]
ORDER = {"kind": "order", "model": "register", "order": [0, 1, 2, 3]}
STALE = [*PLAIN[:4], Row("read", 1, 80, 90)]
STEPS = [
    [0, 4, "reads-from", []],
    [0, 2, "real-time", []],
    [4, 2, "overwrite", [0, 1]],
    [2, 3, "reads-from", []],
    [3, 4, "real-time", []],
    [2, 4, "transitive", [3, 4]],
    [4, 4, "transitive", [2, 5]],
]
CONTRADICTION = {
    "kind": "contradiction",
    "anomaly": "stale-read",
    "operations": [0, 2, 3, 4],
    "steps": STEPS,
}
REGISTER = "linearizable-register"


def whole():
    return certificate(REGISTER, "valid", [ORDER], len(PLAIN))


# It is a program of its own


def test_it_imports_nothing_of_the_checkers():
    allowed = {"pyarrow", "numpy"} | set(sys.stdlib_module_names)
    found = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level
                found.add(str(node.module))
    foreign = {name for name in found if name.split(".")[0] not in allowed}
    assert {name for name in foreign if not name.startswith("analysis.proof.")} == set()
    code = "import sys, analysis.proof.verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [m for m in done.stdout.split() if m.split(".")[0] in ("analysis", "chaos", "numba")]
    assert [m for m in ours if not f"{m}.".startswith(("analysis.proof.",))] == ["analysis"]


def test_it_can_be_read_in_one_sitting():
    assert sum(len(file.read_text().splitlines()) for file in FILES) < LINES_MAX


def test_no_function_calls_itself():
    calls = {}
    for file in FILES:
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
        for kind in KINDS
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


# Contradictions


def test_a_contradiction_is_followed_step_by_step():
    assert invalid(REGISTER, CONTRADICTION, STALE) is None
    assert "no contradiction can show" in invalid("set", CONTRADICTION, STALE)


def bent(changes):
    """The contradiction with some of its steps otherwise."""
    steps = copy.deepcopy(STEPS)
    for number, step in changes.items():
        steps[number] = step
    return {**CONTRADICTION, "steps": steps}


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({**CONTRADICTION, "steps": STEPS[:-1]}, "does not say"),
        ({**CONTRADICTION, "steps": []}, "does not say"),
        ({**CONTRADICTION, "steps": None}, "malformed"),
        ({**CONTRADICTION, "operations": [0, 2, 3]}, "not those of its steps"),
        ({**CONTRADICTION, "operations": [0, 1, 2, 3, 4]}, "not those of its steps"),
        ({**CONTRADICTION, "operations": [0, 2, 3, 4, 4]}, "twice"),
        ({**CONTRADICTION, "operations": [0, 2, 3, 5]}, "does not have"),
        ({**CONTRADICTION, "anomaly": "non-sequential"}, "can show non-sequential"),
        ({**CONTRADICTION, "anomaly": "thin-air-read"}, "can show thin-air-read"),
        ({**CONTRADICTION, "anomaly": None}, "can show"),
        (bent({0: [0, 4, "real-time", [0]]}), "step 0 rests"),
        (bent({1: [0, 2, "real-time", [0]]}), "step 1"),
        (bent({1: [2, 0, "real-time", []]}), "does not follow"),
        (bent({0: [0, 3, "reads-from", []]}), "does not follow"),
        (bent({0: [-1, 4, "reads-from", []]}), "does not follow"),
        (bent({0: [4, 0, "reads-from", []]}), "does not follow"),
        (bent({1: [0, 2, "process", []]}), "does not follow"),
        (bent({1: [0, 2, "initial", []]}), "does not follow"),
        (bent({1: [0, 2, "because", []]}), "malformed"),
        (bent({1: [0, 2, None, []]}), "malformed"),
        (bent({1: [0, 2, "real-time", None]}), "malformed"),
        (bent({1: [0, 2, "real-time"]}), "malformed"),
        (bent({1: [0, 2.0, "real-time", []]}), "not about rows"),
        (bent({1: [False, 2, "real-time", []]}), "not about rows"),
        (bent({1: [0, 5, "real-time", []]}), "not known to have happened"),
        (bent({1: [0, -2, "real-time", []]}), "not known to have happened"),
        (bent({1: [-1, 2, "real-time", []]}), "does not follow"),
        (bent({2: [4, 2, "overwrite", [1, 0]]}), "does not follow"),
        (bent({2: [4, 2, "overwrite", [0]]}), "malformed"),
        (bent({2: [4, 2, "overwrite", [0, 1, 1]]}), "malformed"),
        (bent({2: [4, 2, "overwrite", [0, True]]}), "not about rows"),
        (bent({2: [4, 2, "overwrite", [0, 2]]}), "step 2 rests"),
        (bent({2: [4, 2, "overwritten", [0, 1]]}), "does not follow"),
        (bent({2: [4, 3, "overwrite", [0, 1]]}), "does not follow"),
        (bent({5: [2, 4, "transitive", [4, 3]]}), "does not follow"),
        (bent({5: [3, 4, "transitive", [3, 4]]}), "does not follow"),
    ],
)
def test_a_step_that_does_not_follow_is_refused(claim, why):
    assert why in (invalid(REGISTER, claim, STALE) or "accepted")


def one_step(step, rows, prop=REGISTER, initial=None):
    """Whether a step without premises follows: the complaint is about the claim's end then."""
    claim = {"anomaly": "stale-read", "kind": "contradiction", "steps": [step]}
    claim["operations"] = [row for row in step[:2] if row >= 0]
    return "does not say" in invalid(prop, claim, rows, initial=initial)


def test_reads_from_needs_the_only_writer():
    rows = [Row("write", 1, 0, 1), Row("read", 1, 2, 3), Row("write", 1, 4, 5, type="info")]
    assert not one_step([0, 1, "reads-from", []], rows)
    assert one_step([0, 1, "reads-from", []], rows[:2])
    assert one_step([0, 1, "reads-from", []], [*rows[:2], rows[2]._replace(type="fail")])
    assert not one_step([0, 1, "reads-from", []], rows[:2], initial=1)
    assert one_step([-1, 0, "reads-from", []], rows[1:2], initial=1)
    assert not one_step([-1, 0, "reads-from", []], rows[1:], initial=1)
    assert not one_step([0, 1, "reads-from", []], [rows[0], rows[1]._replace(key="other")])
    assert one_step([0, 1, "reads-from", []], [rows[0], Row("cas", 2, 2, 3, expected=1)])
    for value in (1.0, "1", True, [1]):
        assert not one_step([0, 1, "reads-from", []], [rows[0], rows[1]._replace(value=value)])


def test_real_time_is_strict_and_needs_an_answer():
    rows = [Row("write", 1, 0, 2), Row("write", 2, 2, 3), Row("write", 3, 3, 4, type="info")]
    rows += [
        Row("read", 3, 9, 9),
        Row("read", None, 10, 11, error="unread"),
        Row("read", 3, 12, 13),
    ]
    assert not one_step([0, 1, "real-time", []], rows)
    assert one_step([0, 1, "real-time", []], [rows[0]._replace(end=1), *rows[1:]])
    assert one_step([0, 2, "real-time", []], rows)
    assert not one_step([2, 3, "real-time", []], rows)
    assert not one_step([3, 4, "real-time", []], rows)
    assert one_step([3, 5, "real-time", []], rows)
    assert not one_step([3, 5, "real-time", []], rows, "sequential")
    assert one_step([3, 5, "process", []], rows, "sequential")


def test_process_order_has_an_end_where_the_other_begins():
    rows = [
        Row("write", 1, 0, 2),
        Row("write", 2, 2, 3),
        Row("read", 2, 3, 3),
        Row("read", 2, 3, 3),
    ]
    rows += [Row("read", 2, 4, 4, process=1)]
    for x, y in ((0, 1), (1, 2), (2, 3), (0, 3)):
        assert one_step([x, y, "process", []], rows, "sequential")
        assert not one_step([y, x, "process", []], rows, "sequential")
    assert not one_step([0, 4, "process", []], rows, "sequential")


def test_what_was_seen_has_happened_however_it_was_seen():
    rows = [
        Row("cas", 1, 0, 1, expected=None, type="info"),
        Row("cas", 2, 0, 1, expected=1, type="info"),
        Row("cas", 3, 0, 1, expected=2, type="info"),
        Row("read", 3, 5, 6),
        Row("write", 4, 0, 1, type="info"),
    ]
    for step in ([-1, 0], [0, 1], [1, 2], [2, 3]):
        assert one_step([*step, "reads-from", []], rows)
    assert one_step([-1, 0, "initial", []], rows)
    assert not one_step([-1, 4, "initial", []], rows)
    assert not one_step([-1, 0, "initial", []], [*rows[:2], rows[3]])


def test_refused_swaps_stand_outside_what_they_did_not_find():
    rows = [Row("write", 1, 0, 1), Row("read", 1, 6, 7)]
    rows += [Row("cas", 9, 2, 3, expected=1, type="fail", error="cas-mismatch")]
    steps = [
        [0, 1, "reads-from", []],
        [0, 2, "real-time", []],
        [1, 2, "overwrite", [0, 1]],
        [2, 1, "real-time", []],
        [1, 1, "transitive", [2, 3]],
    ]
    claim = {"kind": "contradiction", "anomaly": "refused-swap", "operations": [0, 1, 2]}
    claim["steps"] = steps
    assert invalid("linearizable-cas-register", claim, rows) is None
    plainly = {**claim, "anomaly": "stale-read"}
    assert "known to have happened" in invalid(REGISTER, plainly, rows)
    rows[2] = rows[2]._replace(expected=2)
    assert "does not follow" in invalid("linearizable-cas-register", claim, rows)


@pytest.mark.parametrize("prop", [REGISTER, "linearizable-cas-register", "sequential"])
def test_values_out_of_thin_air(prop):
    rows = [Row("read", 7, 0, 1), Row("write", 8, 2, 3, type="fail"), Row("read", 8, 4, 5)]
    rows += [Row("write", 9, 6, 7), Row("read", 9, 8, 9), Row("read", None, 10, 11)]
    rows += [Row("cas", 6, 0, 1, expected=5, type="info"), Row("read", 6, 12, 13)]

    def why(name, *operations):
        claim = {"kind": "observed", "anomaly": name, "operations": list(operations)}
        return invalid(prop, claim, rows) or "accepted"

    assert why("thin-air-read", 0) == "accepted"
    assert why("aborted-read", 1, 2) == "accepted"
    assert why("thin-air-read", 6, 7) == "accepted"
    assert "that it happened" in why("thin-air-read", 6)
    assert "that it happened" in why("thin-air-read", 0, 7)
    assert "did" in why("thin-air-read", 2)
    assert "named" in why("aborted-read", 3, 2)
    assert "named" in why("aborted-read", 1, 0)
    assert "somebody" in why("thin-air-read", 4)
    assert "somebody" in why("thin-air-read", 5)
    assert "malformed" in why("thin-air-read")
    assert "malformed" in why("aborted-read", 1)
    assert "can show" in why("phantom", 0)
