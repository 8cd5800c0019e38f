"""The formats of other checkers: what each line means, and what is wrong with it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from chaos.errors import HistoryError
from tests.analysis.formats.reading import COLUMNS, properties, read, rows

ETCD = """INFO  jepsen.core - starting
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:fail\t:cas\t[1 2]
INFO  jepsen.util - 2\t:invoke\t:write\t3
INFO  jepsen.util - 3\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:info\t:write\t:timed-out
INFO  jepsen.util - 3\t:fail\t:read\t:timed-out
INFO  jepsen.util - 4\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - 4\t:ok\t:cas\t[3 4]
"""
LIMO = """# @object atomic-queue
[1] call add(7)
[2] call remove
[1] return
[2] return empty
[3] call rem
[3] return 7
[4] call enqueue x
[5] call dequeue
[5] return
"""


def test_etcd_logs(tmp_path):
    run = read(tmp_path, ETCD)
    assert run.meta["imported"]["format"] == "porcupine-etcd"
    assert properties(run) == ["linearizable-cas-register"]
    assert rows(run, "process", "f", "expected", "value", "type") == [
        (0, "read", None, None, "ok"),
        (1, "cas", 1, 2, "fail"),
        (2, "write", None, 3, "info"),
        (3, "read", None, None, "fail"),
        (4, "cas", 3, 4, "ok"),
    ]
    assert [error and error.partition(":")[0] for (error,) in rows(run, "error")] == [
        None, "cas-mismatch", "timed-out", "timed-out", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("INFO  jepsen.util - 0\t:invoke\t:cas\t7", "[old new]"),
        ("INFO  jepsen.util - 0\t:maybe\t:read\tnil", ":invoke, :ok"),
        ("INFO  jepsen.util - 0\t:ok\t:read\t(1", "']'"),
        ("INFO  jepsen.util - 0\t:ok\t:read\t3", "alone"),
    ],
)
def test_etcd_lines_that_make_no_sense(tmp_path, line, said):
    with pytest.raises(HistoryError, match=r"txt:13: expected") as caught:
        read(tmp_path, f"{ETCD}{line}\n")
    assert said in caught.value.what


def test_key_value_logs(tmp_path):
    text = """{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
{:process 0, :type :ok, :f :append, :key "0", :value "x 0 0 y"}
{:process 2, :type :invoke, :f :put, :key "1", :value "a \\"b\\""}
"""
    run = read(tmp_path, text)
    assert run.meta["imported"]["format"] == "porcupine-kv"
    assert properties(run) == ["linearizable-kv-append"]
    assert rows(run, "f", "key", "value", "payload", "type") == [
        ("read", "0", None, '""', "ok"),
        ("append", "0", None, '"x 0 0 y"', "ok"),
        ("write", "1", None, '"a \\"b\\""', "info"),
    ]
    first = text[: text.index("\n") + 1].replace("append", "put")
    assert properties(read(tmp_path, first)) == ["linearizable-kv-append"]


ELLE = [
    {"index": 0, "process": 1, "type": "invoke", "value": [["append", 253, 1], ["r", 2, None]]},
    {"index": 1, "process": 0, "type": "invoke", "f": "txn", "value": [["r", "k", None]]},
    {"index": 2, "process": 1, "type": "ok", "value": [["append", 253, 1], ["r", 2, [5]]]},
    {"index": 3, "process": 0, "type": "info", "f": "txn", "value": None, "error": "timeout"},
]  # fmt: skip


@pytest.mark.parametrize("layout", ["array", "lines", "pretty", "tight", "shuffled"])
def test_elle_json(tmp_path, layout):
    texts = [json.dumps(event) for event in ELLE]
    text = {
        "array": "[" + ",\n".join(texts) + "]",
        "lines": "\n".join(texts),
        "pretty": json.dumps(ELLE, indent=2),
        "tight": "[" + ",".join(texts) + "]",
        "shuffled": "\n".join(reversed(texts)),
    }[layout]
    run = read(tmp_path, text)
    assert run.meta["imported"]["format"] == "elle-json"
    assert properties(run) == ["list-append"]
    assert rows(run, "process", "f", "payload", "type") == [
        (1, "txn", '[["append",253,1],["r",2,[5]]]', "ok"),
        (0, "txn", '[["r","k",null]]', "info"),
    ]


def test_json_keeps_its_numbers(tmp_path):
    values = [1, 1.0, "1", 2**70, [1.5], {"b": 1, "a": None}]
    events = [
        {"process": 0, "type": kind, "f": "write", "value": value}
        for value in values
        for kind in ("invoke", "ok")
    ]
    run = read(tmp_path, "\n".join(map(json.dumps, events)))
    assert rows(run, "value", "payload") == [
        (1, None), (None, "1.0"), (None, '"1"'), (None, str(2**70)), (None, "[1.5]"),
        (None, '{"a":null,"b":1}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"type": "ok", "value": 1}\n{"type": "invoke" "f"}', 1, "(:f)"),
        ('{"type": "invoke", "f": "read"}\n\n{"type": "invoke" "f": 1}', 3, "JSON"),
        ('[{"type": "invoke", "f": "read"},\n', 2, "the ] of the array"),
        ('[{"type": "invoke", "f": "read"},\n {"type": ', 2, "a whole operation"),
        ('[{"type": "invoke", "f": "read"}]\n{}', 2, "nothing after"),
        ('{"type": "invoke", "f": "read"}\n7', 2, "an operation (a JSON object)"),
        ('{"type": "invoke", "f": "read", "value": NaN}', 1, "no NaN"),
        ('{"type": "invoke", "f": "read", "value": ' + "9" * 5000 + "}", 1, "4000 digits"),
        ('{"type": "invoke", "f": "read", "value": ' + "[" * 5000 + "}", 1, "in each other"),
    ],
)
def test_json_that_is_wrong(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "elle-json")
    assert f"txt:{line}: expected " in caught.value.what
    assert said in caught.value.what


def test_limo(tmp_path):
    run = read(tmp_path, LIMO)
    assert run.meta["imported"]["format"] == "limo"
    assert properties(run) == ["linearizable-queue"]
    assert rows(run, "process", "f", "value", "payload", "type") == [
        (1, "enqueue", 7, None, "ok"),
        (2, "dequeue", None, None, "ok"),
        (3, "dequeue", 7, None, "ok"),
        (5, "dequeue", None, None, "ok"),
        (4, "enqueue", None, '"x"', "info"),
    ]
    errors = [error and error.partition(":")[0] for (error,) in rows(run, "error")]
    assert errors == [None, None, None, "unread", "unanswered"]


def test_limo_objects(tmp_path):
    stack = LIMO.replace("queue\n", "stack\n", 1).replace("enqueue", "push").replace("deq", "p")
    run = read(tmp_path, stack.replace("pueue", "pop"))
    assert properties(run) == ["linearizable-stack"]
    assert {f for (f,) in rows(run, "f")} == {"push", "pop"}
    text = "# a remark\n# @object atomic-set\n[1] call add 4\n[1] return true\n"
    text += "[2] call contains(5)\n[2] return false\n[1] call remove(4)\n[1] return\n"
    text += "[1] call contains(6)\n[1] return\n"
    run = read(tmp_path, text)
    assert properties(run) == ["linearizable-set"]
    assert rows(run, "f", "value", "payload") == [
        ("add", 4, None),
        ("contains", None, "[5,false]"),
        ("remove", 4, None),
        ("contains", 6, None),
    ]
    assert rows(run, "error")[-1][0].startswith("unread")
    run = read(tmp_path, "# @object atomic-register\n[1] call write(3)\n[2] call cas(3, 4)\n"
               "[1] return\n[2] return false\n")  # fmt: skip
    assert rows(run, "f", "expected", "value", "type") == [
        ("write", None, 3, "ok"),
        ("cas", 3, 4, "fail"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LIMO + "[9] return 3\n", "txt:11: expected process 9 to have invoked"),
        (LIMO + "hello\n", "txt:11: expected `[thread] call"),
        (LIMO.replace("atomic-queue", "atomic-bomb"), "txt:1: expected an object of atomic-queue"),
        (LIMO.partition("\n")[2], "got none"),
        (LIMO + "[4] call dequeue\n", "txt:11: expected process 4 to complete first"),
    ],
)
def test_limo_that_is_wrong(tmp_path, text, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text)
    assert said in caught.value.what


def test_fastlin(tmp_path):
    run = read(
        tmp_path, "# queue\nenq 1 10 20\n\n# remark\ndeq -1 5 12\nenq 2 20 25\ndeq 1 21 22\n"
    )
    assert run.meta["imported"]["format"] == "fastlin"
    assert properties(run) == ["linearizable-queue"]
    assert rows(run, "f", "value", "start_ns", "end_ns") == [
        ("dequeue", None, 5, 12), ("enqueue", 1, 10, 20), ("dequeue", 1, 21, 22),
        ("enqueue", 2, 20, 25),
    ]  # fmt: skip


def test_fastlin_processes_do_one_thing_at_a_time(tmp_path):
    spans = [(0, 10), (10, 12), (11, 30), (13, 14), (15, 16), (15, 40), (31, 31)]
    lines = [f"push {k} {start} {end}" for k, (start, end) in enumerate(spans)]
    run = read(tmp_path, "# stack\n" + "\n".join(lines))
    lanes: dict[int, list[tuple[int, int]]] = {}
    for process, start, end in rows(run, "process", "start_ns", "end_ns"):
        lanes.setdefault(process, []).append((start, end))
    for lane in lanes.values():
        lane.sort()
        assert all(one[1] < other[0] for one, other in pairwise(lane))
    assert len(lanes) == 3


def test_fastlin_sets(tmp_path):
    text = "#set\ninsert -1 1 2\ncontains_true -1 3 4\ncontains_false 8 3 4\nremove -1 5 6\n"
    run = read(tmp_path, text)
    assert properties(run) == ["linearizable-set"]
    assert rows(run, "f", "value", "payload") == [
        ("add", -1, None),
        ("contains", -1, None),
        ("contains", None, "[8,false]"),
        ("remove", -1, None),
    ]


def test_fptlin(tmp_path):
    run = read(tmp_path, "# stack\n0 1 5 PUSH 1\n2 3 7 POP 2\n4 2 9 PEEK -1\n1 2 6 PUSH 2\n")
    assert run.meta["imported"]["format"] == "fptlin"
    assert properties(run) == ["linearizable-stack"]
    assert rows(run, *COLUMNS[:4], "start_ns", "end_ns") == [
        (0, "push", None, 1, 1, 5),
        (1, "push", None, 2, 2, 6),
        (2, "pop", None, 2, 3, 7),
        (4, "peek", None, None, 2, 9),
    ]


def test_fptlin_of_pairs(tmp_path):
    run = read(tmp_path, "# set\n0 1 5 INSERT 3 1\n1 1 6 INSERT 3 0\n2 7 8 CONTAINS 4 0\n")
    assert rows(run, "f", "value", "payload") == [
        ("add", 3, None),
        ("add", None, "[3,false]"),
        ("contains", None, "[4,false]"),
    ]
    run = read(tmp_path, "# rmw\n0 1 5 READ_MODIFY_WRITE 0 7\n1 2 6 READ_MODIFY_WRITE 7 8\n")
    assert properties(run) == ["linearizable-cas-register"]
    assert run.meta["imported"]["initial"] == 0
    assert rows(run, "f", "expected", "value", "error") == [
        ("cas", 0, 7, None),
        ("cas", 7, 8, None),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# heap\nenq 1 2 3", "txt:1: expected a data type of queue"),
        ("# queue\nenq 1 2 3\nenq 1 2", "txt:3: expected `method value start end`"),
        ("# queue\nenq 1 3 2", "txt:2: expected 0 <= start <= end"),
        ("# queue\npush 1 2 3", "txt:2: expected a method of a queue (deq, enq, peek)"),
        ("# queue\nenq 1 -2 3", "txt:2: expected 0 <= start"),
        ("# queue\nenq 9999999999999999999 2 3", "txt:2: expected values of at most 64 bits"),
        ("enq 1 2 3", "txt:1: expected a data type such as `# queue` first"),
        ("# \n", "txt:1: expected a data type"),
    ],
)
def test_fastlin_that_is_wrong(tmp_path, text, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "fastlin")
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# set\n0 1 2 CONTAINS 3", "txt:2: expected 2 values of contains, got 1"),
        ("# set\n0 1 2 INSERT", "1 to 2 values of insert, got 0"),
        ("# rmw\n0 1 2 READ_MODIFY_WRITE 3", "2 values"),
        ("# stack\n0 1 PUSH 3", "`process start end METHOD value`"),
    ],
)
def test_fptlin_that_is_wrong(tmp_path, text, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "fptlin")
    assert said in caught.value.what
