"""Jepsen histories in EDN: what each event means, and the two ways to read it, which must agree."""

from __future__ import annotations

import pytest

from chaos.errors import HistoryError
from tests.analysis.formats.reading import COLUMNS, properties, read, rows

PAIR = """{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}
{:type :ok, :f :write, :value 1, :process 0, :time 20, :index 1}
"""


def ops(*events: str) -> str:
    """Lines of `process type f value [more]`."""
    lines = []
    for event in events:
        process, kind, f, value, *more = event.split(" ", 4)
        rest = f", {more[0]}" if more else ""
        lines.append(f"{{:process {process}, :type :{kind}, :f :{f}, :value {value}{rest}}}\n")
    return "".join(lines)


def test_a_pair_is_an_operation(tmp_path):
    run = read(tmp_path, PAIR)
    assert rows(run, *COLUMNS) == [(0, "write", None, 1, None, None, "ok", None)]
    assert rows(run, "start_ns", "end_ns", "node", "zone") == [(10, 20, "", "")]
    assert run.meta["imported"]["format"] == "jepsen-edn"
    assert properties(run) == ["linearizable-register"]


@pytest.mark.parametrize(
    "text",
    [
        f"[{PAIR}]",
        f"({PAIR.replace('}', '}, ')})",
        PAIR.replace("}\n{", "} {"),
        f"; a comment ]\n\n{PAIR.replace('{:type', '#jepsen.history.Op{:type')}",
        PAIR.replace(", ", ",\n  ").replace(":f", "; why [\n :f"),
        f"\ufeff{PAIR}",
        PAIR.replace("\n", "\r\n"),
        PAIR.removesuffix("\n"),
        f'{PAIR.replace(":f :write", ":f :write :name #{{1 2}} :ok? true")}'.replace("{{", "{")
        .replace("}}", "}"),
    ],
    ids=["vector", "list", "one line", "records", "many lines", "mark", "crlf", "no end", "more"],
)  # fmt: skip
def test_the_same_operation_however_it_is_laid_out(tmp_path, text):
    assert rows(read(tmp_path, text), *COLUMNS, "start_ns", "end_ns") == [
        (0, "write", None, 1, None, None, "ok", None, 10, 20)
    ]


def test_ok_reads_get_their_answer_and_failed_ones_do_not(tmp_path):
    text = ops("0 invoke read nil", "1 invoke read nil", "2 invoke write 4", "0 ok read 7",
               "1 fail read 8 :error :timeout",
               '2 info write 5 :error [:net "no route"]')  # fmt: skip
    assert rows(read(tmp_path, text), "value", "type", "error", "start_ns", "end_ns") == [
        (7, "ok", None, 0, 3),
        (None, "fail", "timeout", 1, 4),
        (4, "info", "net: no route", 2, 5),
    ]


def test_an_operation_without_an_answer_may_have_happened(tmp_path):
    run = read(tmp_path, ops("3 invoke write 9", "0 invoke write 1", "0 ok write 1"))
    assert rows(run, "process", "value", "type", "end_ns") == [(0, 1, "ok", 2), (3, 9, "info", 2)]
    assert rows(run, "error")[1][0].startswith("unanswered: ")


def test_cas_keeps_what_it_expected(tmp_path):
    text = ops("0 invoke cas [1 2]", "0 ok cas [1 2]", "0 invoke cas [nil 3]", "0 ok cas nil",
               '0 invoke cas ["a" 3]', "0 fail cas nil", "0 invoke cas [3 4]",
               "0 ok cas true", "0 invoke cas [5 6]", "0 ok cas false")  # fmt: skip
    run = read(tmp_path, text)
    assert rows(run, "expected", "value", "payload", "type") == [
        (1, 2, None, "ok"),
        (None, 3, None, "ok"),
        (None, None, '["a",3]', "fail"),
        (3, 4, None, "ok"),
        (5, 6, None, "fail"),
    ]
    assert rows(run, "error")[-1] == ("cas-mismatch: answered false",)
    assert properties(run) == ["linearizable-cas-register"]


def test_values_that_are_no_integers_are_json(tmp_path):
    values = {"1.0": "1.0", '"1"': '"1"', ":a": '":a"', "[1 [2]]": "[1,[2]]", "{:b 1}": '{":b":1}',
              "9223372036854775808": "9223372036854775808", '"é\\n"': '"é\\n"',
              "#{2 1}": "[1,2]", "true": "true"}  # fmt: skip
    text = ops(*(f"0 {kind} write {v}" for v in values for kind in ("invoke", "ok")))
    assert rows(read(tmp_path, text), "value", "payload") == [(None, p) for p in values.values()]
    assert rows(read(tmp_path, ops("0 invoke write -5", "0 ok write -5")), "value") == [(-5,)]


def test_lines_are_time_unless_they_all_have_an_index(tmp_path):
    lines = [
        "0 invoke write 1 :index 2",
        "0 ok write 1 :index 3",
        "1 invoke read nil :index 0",
        "1 ok read nil :index 1",
    ]
    run = read(tmp_path, ops(*lines))
    assert rows(run, "f") == [("read",), ("write",)]
    assert "order of their :index" in run.notes[0]
    run = read(tmp_path, ops(*lines[:3], "1 ok read nil"))
    assert rows(run, "f") == [("write",), ("read",)]
    run = read(tmp_path, ops(*lines[:2], *(line.replace("0", "3", 1) for line in lines[:2])))
    assert rows(run, "process") == [(0,), (3,)]
    assert "stands at several operations" in run.notes[0]


def test_time_never_goes_back_and_what_followed_follows(tmp_path):
    times = [50, 40, None, 60, 60, 60, 60, 60]
    events = ["0 invoke a 1", "1 invoke a 2", "0 ok a 1", "0 invoke a 3", "1 ok a 2", "0 ok a 3",
              "1 invoke a 4", "1 ok a 4"]  # fmt: skip
    text = ops(*(e if t is None else f"{e} :time {t}" for e, t in zip(events, times, strict=True)))
    assert rows(read(tmp_path, text, "jepsen-edn"), "start_ns", "end_ns") == [
        (50, 51),
        (50, 60),
        (60, 60),
        (61, 61),
    ]


def test_who_is_no_client_is_left_out(tmp_path):
    text = PAIR.split("\n")[0] + "\n{:type :info, :f :kill, :process :nemesis, :value nil}\n"
    run = read(tmp_path, text + PAIR.split("\n")[1])
    assert rows(run, "f") == [("write",)]
    assert run.notes == ["1 events of no client (a nemesis, for instance) are left out"]


def test_large_process_numbers_are_kept_apart(tmp_path):
    big = 3_000_000_000
    run = read(tmp_path, ops(f"{big} invoke write 1", "7 invoke write 2", f"{big} ok write 1",
                             "7 ok write 2"))  # fmt: skip
    assert rows(run, "process", "value") == [(1, 1), (0, 2)]


def test_a_process_that_goes_on_after_an_indefinite_answer_is_noted(tmp_path):
    run = read(tmp_path, ops("0 invoke write 1", "0 info write 1", "0 invoke write 2"))
    assert rows(run, "value", "type") == [(1, "info"), (2, "info")]
    assert "line 3" in run.notes[0]


def test_without_processes_each_completion_answers_the_event_before(tmp_path):
    text = ops("0 invoke write 1", "0 ok write 1").replace(":process 0, ", "")
    assert rows(read(tmp_path, text), "process", "value", "type") == [(0, 1, "ok")]
    with pytest.raises(HistoryError, match="1 of 3 have none"):
        read(tmp_path, text[: text.index("\n")] + "\n" + ops("1 invoke write 2", "1 ok write 2"))


@pytest.mark.parametrize("more", ["", ", :extra {:a [1]}"])  # a shape that is learnt, or none
def test_without_processes_each_operation_is_one_of_its_own(tmp_path, more):
    events = [
        *("0 invoke write 1", "0 ok write 1", "0 invoke write 2", "0 info write 2"),
        *("0 invoke read nil", "0 ok read 1", "0 invoke write 3"),
    ]
    text = ops(*events).replace(":process 0, ", "").replace("}", f"{more}}}")
    run = read(tmp_path, text)
    found = rows(run, "process", "value", "type")
    assert found == [(0, 1, "ok"), (1, 2, "info"), (2, 1, "ok"), (3, 3, "info")]
    assert not run.notes  # nobody went on after an indefinite answer
    with pytest.raises(HistoryError, match="another invocation by it"):
        read(tmp_path, text + "\n" + text)
    with pytest.raises(HistoryError, match="its completion :ok alone"):
        read(tmp_path, text.split("\n", 1)[1])


def test_a_read_of_nil_tells_nothing_where_something_was_there_first(tmp_path):
    text = ops("0 invoke read nil", "0 ok read nil", "0 invoke write 1", "0 ok write 1")
    assert rows(read(tmp_path, text), "error") == [(None,), (None,)]
    told = rows(read(tmp_path, text, initial=0), "type", "error")
    assert told == [("ok", "unread: the history does not tell what was read"), ("ok", None)]


def test_values_of_independent_keys(tmp_path):
    text = ops("0 invoke write [0 5]", "1 invoke cas [\"k\" [5 6]]", "2 invoke read [0 nil]",
               "0 ok write [0 5]", "1 ok cas [\"k\" [5 6]]", "2 ok read [0 5]",
               "3 invoke read [0 nil]", "3 info read nil")  # fmt: skip
    assert rows(read(tmp_path, text), "f", "key", "expected", "value") == [
        ("write", "0", None, 5),
        ("cas", "k", 5, 6),
        ("read", "0", None, 5),
        ("read", "0", None, None),
    ]


@pytest.mark.parametrize(
    "events",
    [
        ["0 invoke write [0 5]", "0 ok write [0 5]", "1 invoke read nil", "1 ok read [0 5]"],
        ["0 invoke cas [0 5]", "0 ok cas [0 5]", "1 invoke read nil", "1 ok read 5"],
        ["0 invoke write [0 5] :key nil", "0 ok write [0 5] :key nil"],
    ],
)
def test_pairs_that_are_no_keys(tmp_path, events):
    run = read(tmp_path, ops(*events))
    assert {key for (key,) in rows(run, "key")} == {None}


def test_keys_of_two_kinds_are_two_keys(tmp_path):
    text = ops(*(f"{p} {kind} write [{key} 5]" for p, key in enumerate(("1", '"1"', '"b"'))
                 for kind in ("invoke", "ok")))  # fmt: skip
    assert rows(read(tmp_path, text), "key") == [("1",), ('"1"',), ('"b"',)]


def test_answers_about_an_element(tmp_path):
    text = ops("0 invoke add 3", "0 ok add true", "0 invoke remove 3", "0 ok remove false",
               "0 invoke contains 3", "0 ok contains false", "0 invoke contains 3",
               "0 ok contains true")  # fmt: skip
    run = read(tmp_path, text)
    assert rows(run, "value", "payload", "type") == [
        (3, None, "ok"), (None, "[3,false]", "ok"), (None, "[3,false]", "ok"), (3, None, "ok"),
    ]  # fmt: skip
    assert properties(run) == ["linearizable-set"]


@pytest.mark.parametrize(
    ("events", "names", "property_"),
    [
        (["put 1", "get nil"], {"write", "read"}, "linearizable-register"),
        (["enq 1", "deq nil"], {"enqueue", "dequeue"}, "linearizable-queue"),
        (["add 1", "poll nil"], {"enqueue", "dequeue"}, "linearizable-queue"),
        (["enqueue 1", "dequeue nil", "drain nil"], {"enqueue", "dequeue", "drain"},
         "total-queue"),
        (["push 1", "pop nil"], {"push", "pop"}, "linearizable-stack"),
        (["lock nil", "unlock nil"], {"acquire", "release"}, "linearizable-lock"),
        (["inc nil", "decr nil"], {"add"}, "counter"),
        (["generate nil"], {"generate"}, "unique-ids"),
        (["append \"x\"", "get nil"], {"append", "read"}, "linearizable-kv-append"),
        (["insert 1", "delete 1"], {"add", "remove"}, "linearizable-set"),
        (["txn [[:append 1 2] [:r 3 nil]]"], {"txn"}, "list-append"),
        (["txn [[:w 1 2]]"], {"txn"}, "rw-register"),
        (["transfer {:from 1}"], {"transfer"}, "bank"),
    ],
)  # fmt: skip
def test_names_tell_the_property(tmp_path, events, names, property_):
    text = ops(*(f"0 {kind} {event}" for event in events for kind in ("invoke", "ok")))
    run = read(tmp_path, text)
    assert {f for (f,) in rows(run, "f")} == names
    assert properties(run) == [property_]


def test_reads_tell_a_counter_from_a_set(tmp_path):
    adds = ["0 invoke add 1", "0 ok add 1", "0 invoke dec 2", "0 ok dec 2", "1 invoke read nil"]
    run = read(tmp_path, ops(*adds, "1 ok read -1"))
    assert properties(run) == ["counter"]
    assert rows(run, "f", "value") == [("add", 1), ("add", -2), ("read", -1)]
    assert properties(read(tmp_path, ops(*adds[:2], adds[4], "1 ok read [1]"))) == ["set-full"]


def test_operations_that_we_know_nothing_of(tmp_path):
    run = read(tmp_path, ops("0 invoke dance 1", "0 ok dance 1"))
    assert properties(run) == []
    assert "name one with --property" in run.notes[0]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (ops("0 ok read 1"), 1, "completion :ok alone"),
        (PAIR + ops("0 invoke read nil", "0 invoke read nil"), 4, "process 0 to complete first"),
        (PAIR + ops("0 done read nil"), 3, ":invoke, :ok, :fail or :info"),
        (PAIR + "{:process 1 :f :read}\n", 3, "got none"),
        (PAIR + "{:process 1 :type :invoke}\n", 3, "(:f)"),
        (PAIR + "7\n", 3, "an operation (a map)"),
        (PAIR + "{:process 1.5 :type :invoke :f :read}", 3, "whole number"),
        (PAIR + "{:process 99999999999999999999 :type :invoke :f :read}", 3, "64 bits"),
        (ops("0 invoke cas 5"), 1, "[old new]"),
        (ops("0 invoke read nil", "0 ok write 1"), 2, "what it invoked, read, got write"),
        (ops("0 invoke read [1 nil]", "0 ok read [2 3]"), 2, "key it named, 1, got 2"),
        (ops("0 invoke read nil :time :now"), 1, ":time"),
        (PAIR + '{:process 0, :type :invoke\n :f :read', 3, "the end of the file"),
        (f"[{PAIR}", 3, "']'"),
        (f"[{PAIR}]\n{PAIR}", 4, "nothing after"),
        (PAIR + "{:process 0 :type :invoke :f :read :value [1}", 3, "']'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "jepsen-edn")
    assert f"history.txt:{line}: expected " in caught.value.what
    assert said in caught.value.what
