"""Transactions in EDN and JSON: micro-operations, whatever the operation is called."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.formats import edn, jepsen, microops
from analysis.formats.export import edn as edn_of
from chaos.errors import HistoryError
from tests.analysis.formats.reading import properties, read, rows

TXN = "{:type :%s, :f :txn, :value %s, :process 0}\n"
ATOMS = ["nil", "0", "-0", "07", "3", "-12", "+4", "5N", "1/2", "2.5", "true", ":x", ":nil", ":a/b",
         '"nil"', '"a b"', '"a,b"', '"[:r"', '"é"', '"\\n"', '"x:y"', "sym", "9" * 30, "[1 2]",
         "[]", "[nil]", "[:a 1]", '["s" 1 :k]', "[[1] 2]", "\\a", "#{1}", "{1 2}"]  # fmt: skip
SEPARATORS = [" ", "  ", ", ", "\t", " , "]


@st.composite
def values(draw):
    """EDN of a transaction, now and then of something that is none."""
    space = draw(st.sampled_from(SEPARATORS))
    names = [":append", ":r", ":w", '"r"', "r", ":cas", ":rr"]
    name = st.sampled_from(names[: draw(st.sampled_from([3, 3, 3, 7]))])
    item = st.tuples(name, st.sampled_from(ATOMS), st.sampled_from(ATOMS)).map(space.join)
    held = draw(st.lists(item.map("[{}]".format), min_size=1, max_size=3))
    return f"[{draw(st.sampled_from(['', '', ' ']))}{space.join(held)}]"


@settings(max_examples=400, deadline=None)
@given(st.lists(values(), min_size=1, max_size=4))
def test_bytes_say_what_the_parser_says(texts):
    import pyarrow as pa

    found, exact = microops.of_edn(pa.array(texts))
    for text, said, right in zip(texts, found.to_pylist(), exact, strict=True):
        if right:
            form = edn.one(text)
            assert said == edn.canonical([[item[0].removeprefix(":"), *item[1:]] for item in form])


def test_plain_transactions_need_no_parser():
    import pyarrow as pa

    texts = ["[[:append 1 2] [:r 1 [1 2]]]", "[[:w :x 1], [:r :x nil]]", '[["r" "k" []]]']
    found, exact = microops.of_edn(pa.array(texts))
    assert exact.all()
    assert found.to_pylist() == [
        '[["append",1,2],["r",1,[1,2]]]', '[["w",":x",1],["r",":x",null]]', '[["r","k",[]]]',
    ]  # fmt: skip


@pytest.mark.parametrize("odd", ["", " ; odd"])
@pytest.mark.parametrize(
    ("f", "payload", "decides"),
    [
        (":f :txn, ", '[["append",":x",1],["r",2,[1,2]]]', "list-append"),
        (":f :append, ", '[["append",3,1]]', "list-append"),
        (":f :read, ", '[["w","a",null],["r","a",1]]', "rw-register"),
        ("", '[["w",1,2]]', "rw-register"),
    ],
)
def test_what_operations_are_called_is_no_matter(tmp_path, odd, f, payload, decides):
    value = edn_of([[jepsen_word(item[0]), *item[1:]] for item in json.loads(payload)])
    process = ":process 3, " if f else ""
    event = f"{{:index %d :type :%s, {f}{process}:value {value}}}{odd}\n"
    run = read(tmp_path, event % (0, "invoke") + event % (1, "ok"))
    assert rows(run, "f", "payload", "type") == [("txn", payload, "ok")]
    assert properties(run) == [decides]


def jepsen_word(name: str):
    from analysis.formats.export import _Keyword

    return _Keyword(f":{name}")


def test_an_answer_without_a_value_has_the_name_of_its_invocation(tmp_path):
    text = (
        "{:type :invoke, :f :read, :value [[:r 1 nil]], :process 0}\n"
        "{:type :info, :f :read, :value :timeout, :process 0}\n"
        "{:type :invoke, :f :write, :value [[:w 1 2]], :process 1}\n"
        "{:type :fail, :f :write, :process 1}\n"
        "{:type :invoke, :value [[:w 1 3]], :process 2}\n"
        "{:type :info, :process 2}\n"
        "{:type :invoke, :value [], :process 2}\n"
        "{:type :ok, :value [], :process 2}\n"
    )
    run = read(tmp_path, text)
    assert rows(run, "process", "f", "payload", "type") == [
        (0, "txn", '[["r",1,null]]', "info"),
        (1, "txn", '[["w",1,2]]', "fail"),
        (2, "txn", '[["w",1,3]]', "info"),
        (2, "txn", "[]", "ok"),
    ]


def test_an_answer_without_a_name_is_to_what_was_invoked(tmp_path):
    text = (
        "{:type :invoke, :f :write, :value 3, :process 0}\n{:type :ok, :process 0}\n"
        "{:type :invoke, :f :read, :value [[:r 1 nil]], :process 1}\n"
        "{:type :ok, :value [[:r 1 2]], :process 1}\n"
    )
    for odd in (text, text.replace("}", "} ;")):
        run = read(tmp_path, odd)
        assert rows(run, "f", "value", "payload") == [
            ("write", 3, None),
            ("txn", None, '[["r",1,2]]'),
        ]


def test_an_answer_that_does_not_tell_what_was_read(tmp_path):
    text = "".join(
        f"{{:type :invoke, :f :txn, :value {value}, :process {k}}}\n"
        f"{{:type :ok, :f :txn, :value nil, :process {k}}}\n"
        for k, value in enumerate(["[[:w 1 1]]", "[[:r 1 nil]]", '[[:w "r" 2] [:r 1 nil]]'])
    )
    unread = "unread: the history does not tell what was read"
    found = rows(read(tmp_path, text), "type", "error")
    assert found == [("ok", None), ("ok", unread), ("ok", unread)]


def test_a_name_that_carries_other_values_stays(tmp_path):
    text = "".join(
        f"{{:type :{kind}, :f :read, :value {value}, :process 0}}\n"
        for value in ("[[:r 1 2]]", "[1 2]")
        for kind in ("invoke", "ok")
    )
    assert {f for (f,) in rows(read(tmp_path, text), "f")} == {"read"}


@pytest.mark.parametrize(
    "value", ["[[:append 1]]", "[[:r 1 nil] [:cas 1 2]]", "[[:w 1 2 3]]", "[[:w 1 2] 7]"]
)
def test_micro_operations_that_are_wrong(tmp_path, value):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, TXN % ("invoke", "[[:r 1 nil]]") + TXN % ("ok", value))
    assert "txt:2: expected micro-operations such as [:append k v]" in caught.value.what


def test_bank(tmp_path):
    text = (
        "{:type :invoke, :f :read, :value nil, :process 0}\n"
        "{:type :ok, :f :read, :value {0 10, 1 20}, :process 0}\n"
        "{:type :invoke, :f :transfer, :value {:from 0, :to 1, :amount 3}, :process 1}\n"
        "{:type :ok, :f :transfer, :value {:from 0, :to 1, :amount 3}, :process 1}\n"
    )
    run = read(tmp_path, text)
    expected = [
        ("read", '{"0":10,"1":20}'),
        ("transfer", '{"amount":3,"from":0,"to":1}'),
    ]
    assert rows(run, "f", "payload") == expected
    assert properties(run) == ["bank"]
    events = [
        {"type": "invoke", "f": "read", "value": None, "process": 0},
        {"type": "ok", "f": "read", "value": {"0": 10, "1": 20}, "process": 0},
        {"type": "invoke", "f": "transfer", "value": {"from": 0, "to": 1, "amount": 3}},
        {"type": "ok", "f": "transfer", "value": {"from": 0, "to": 1, "amount": 3}},
    ]
    text = "\n".join(json.dumps({**event, "process": k // 2}) for k, event in enumerate(events))
    assert rows(read(tmp_path, text), "f", "payload") == expected


def test_lists_sets_and_texts_in_transactions(tmp_path):
    assert jepsen.JEPSEN.name == "jepsen-edn"
    value = '([:r "a b" (1 2)] (:r :k #{2 1}) [:w "é" {:a 1}])'
    run = read(tmp_path, TXN % ("invoke", value) + TXN % ("ok", value))
    assert rows(run, "payload") == [
        ('[["r","a b",[1,2]],["r",":k",[1,2]],["w","é",{":a":1}]]',)
    ]  # fmt: skip
