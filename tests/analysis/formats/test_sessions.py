"""Transactions of sessions: dbcop's, PolySI's and AWDIT's text, and what all such formats share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.formats import open_history, source
from chaos.errors import HistoryError
from chaos.record.writer import write_run
from tests.analysis.formats.binary import bincode
from tests.analysis.formats.reading import properties, read, rows

Operation = tuple[str, int, int | None]
Transaction = tuple[list[Operation], bool]
ABORTED = "aborted: not committed"


def dbcop_json(sessions, *, odd=False) -> str:
    """The history in dbcop's JSON; odd: with members in another order and much white space."""

    def event(name: str, key: int, value: int | None) -> dict[str, Any]:
        inside = {"version": value, "variable": key} if odd else {"variable": key, "version": value}
        return {"Write" if name == "w" else "Read": inside}

    data = [
        [{"events": [event(*each) for each in done], "committed": kept} for done, kept in session]
        for session in sessions
    ]
    return json.dumps({"id": 1, "data": data}, indent=2) if odd else json.dumps(
        data, separators=(",", ":")
    )  # fmt: skip


def dbcop_text(sessions, *, odd=False) -> str:
    def each(name: str, key: int, value: int | None) -> str:
        return f"{key}{':=' if name == 'w' else '=='}{'?' if value is None else value}"

    space, between = ("  ", " // more\n\n") if odd else (" ", " ")
    return "\n---\n".join(
        between.join(
            f"[{space.join(each(*one) for one in done)}]{'' if kept else '!'}"
            for done, kept in session
        )
        for session in sessions
    )


def polysi(sessions, *, odd=False) -> str:
    form = " {}( {}, +{} ,{},{} ) ;\r\n\n" if odd else "{}({},{},{},{})\n"
    number, out = 0, []
    for place, session in enumerate(sessions):
        for done, _ in session:
            number += 1
            out += [form.format(name, key, value or 0, place, number) for name, key, value in done]
    return "".join(out)


def awdit(sessions, *, odd=False) -> str:
    form = "  {}\t{}  {} \r\n\n" if odd else "{} {} {}\n"
    return "======\n".join(
        "----\n".join(
            "".join(form.format(name, key, value or 0) for name, key, value in done)
            for done, _ in session
        )
        for session in sessions
    )


def binary(sessions, *, odd=False) -> bytes:
    return bincode(
        [
            [
                ([(name == "w", key, value or 0, 1) for name, key, value in done], kept)
                for done, kept in session
            ]
            for session in sessions
        ]
    )


WRITERS = {
    "dbcop-json": dbcop_json,
    "dbcop-text": dbcop_text,
    "dbcop-bincode": binary,
    "polysi-text": polysi,
    "awdit": awdit,
}
ABORTS = ("dbcop-json", "dbcop-text", "dbcop-bincode")  # what can say it


@st.composite
def histories(draw):
    """Sessions of transactions of one to four operations; values from 1, some reads of nothing."""
    key = st.integers(0, 3)
    write = st.tuples(st.just("w"), key, st.integers(1, 10**17))
    read_ = st.tuples(st.just("r"), key, st.none() | st.integers(1, 9))
    done = st.lists(write | read_, min_size=1, max_size=4)
    session = st.lists(st.tuples(done, st.sampled_from([True, True, False])), max_size=4)
    return draw(st.lists(session, min_size=1, max_size=4).filter(any))


def expected(sessions, *, aborts=True) -> list[tuple[Any, ...]]:
    found = []
    for place, session in enumerate(sessions):
        for done, kept in session:
            ok = kept or not aborts
            told = [[n, k, v if n == "w" or ok else None] for n, k, v in done]
            payload = json.dumps(told, separators=(",", ":"))
            found.append((place, payload, "ok" if ok else "fail", None if ok else ABORTED))
    return found


@settings(max_examples=60, deadline=None)
@given(histories(), st.sampled_from(sorted(WRITERS)), st.booleans(), st.sampled_from([70, 1 << 22]))
def test_what_is_written_is_read(tmp_path_factory, sessions, name, odd, block):
    folder = tmp_path_factory.mktemp("sessions")
    was, source.BLOCK_BYTES = source.BLOCK_BYTES, block
    try:
        run = read(folder, WRITERS[name](sessions, odd=odd), name)
    finally:
        source.BLOCK_BYTES = was
    wanted = expected(sessions, aborts=name in ABORTS)
    assert rows(run, "process", "payload", "type", "error") == wanted
    assert {row[0] for row in rows(run, "start_ns")} == {row[0] for row in rows(run, "end_ns")}
    assert properties(run) == ["rw-register"]
    assert run.meta["imported"]["models"] == "axiomatic"
    made = write_run(folder / "run", run.meta, run.history)
    assert rows(open_history(made), "process", "payload") == [row[:2] for row in wanted]
    assert open_history(made).meta["imported"]["models"] == "axiomatic"


def test_jepsen_is_judged_by_adya(tmp_path):
    run = read(tmp_path, "{:type :invoke, :f :txn, :value [[:w 1 1]], :process 0}")
    assert run.meta["imported"]["models"] == "adya"


def test_dbcop_json(tmp_path):
    text = """{"params": {"id": 3, "n_node": 2}, "info": "a [ \\" {", "start": null, "end": 5,
     "data": [[], [{"events": [{"Write": {"variable": "x", "version": 1}}], "committed": true},
       {"committed": true, "events": []}], [], [{"committed": false, "events": [
       {"Read": {"variable": "x y", "version": 1}}, {"Read": {"variable": 1}}]}]]}"""
    run = read(tmp_path, text)
    assert rows(run, "process", "payload", "type") == [
        (1, '[["w","x",1]]', "ok"),
        (3, '[["r","x y",null],["r",1,null]]', "fail"),
    ]
    assert run.notes == ["left out: 1 transaction without operations"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("7", 1, "a list of sessions"),
        ('{"data": 7}', 1, "a list of sessions as `data`, got '7}'"),
        ('{"id": 7}', 1, "an object with `data`, a list of sessions, got none"),
        ('{"id" 7}', 1, 'a name such as "data":'),
        ('[\n{"events": []}]', 2, "a session (a list)"),
        ("[[\n7]]", 2, "a transaction {"),
        ('[[\n{"events": 7}]]', 2, "a transaction {"),
        ('[[{"events": []}]]', 1, "`committed` of a transaction, true or false, got null"),
        ('[[{"events": [], "committed": 1}]]', 1, "true or false, got 1"),
        ('[[{"events": [{"Erase": {}}], "committed": true}]]', 1, "an event `Write` or `Read`"),
        ('[[{"events": [7], "committed": true}]]', 1, "an event `Write` or `Read`"),
        ('[[\n\n{"events": [{"Write": {"variable": 1}}], "committed": true}]]', 3, "of a Write"),
        ('[[{"events": [{"Read": {"version": 1}}], "committed": true}]]', 1, "of a Read"),
        ('[[{"events": [{"Read": {"variable": [1]}}], "committed": true}]]', 1, "of a Read"),
        ('[[{"events": [], "committed": true}]]\n[]', 2, "nothing after the end"),
        ('[[{"events": [], "committed": true}\n', 2, "the end of the history, got the end of the"),
        ('[[{"events": [{"Wr', 1, "got the end of the file"),
        ('[[{"events" []}]]', 1, "JSON (expecting ':' delimiter)"),
        ('[[{"events": NaN}]]', 1, "no NaN"),
        ('[[{"events": ' + "9" * 5000 + "}]]", 1, "4000 digits"),
        ('[[{"events": ' + "[" * 5000 + "}]]", 1, "in each other"),
        ('{"a": ' + "[" * 100_000 + "}]]", 1, "in each other"),
    ],
)
def test_dbcop_json_that_is_wrong(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "dbcop-json")
    assert f"txt:{line}: expected " in caught.value.what
    assert said in caught.value.what


def test_dbcop_text(tmp_path):
    text = """// about [x:=9]
    [x:=1 y:=2] [y==2 x:=3]   // more
    [z.1==?]
    -----
    [x==3]! [] [007:=-4 a==+5]
    """
    run = read(tmp_path, text)
    assert rows(run, "process", "payload", "type") == [
        (0, '[["w","x",1],["w","y",2]]', "ok"),
        (0, '[["r","y",2],["w","x",3]]', "ok"),
        (0, '[["r","z.1",null]]', "ok"),
        (1, '[["r","x",null]]', "fail"),
        (1, '[["w",7,-4],["r","a",5]]', "ok"),
    ]
    assert run.notes == ["left out: 1 transaction without operations"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[x:=1]\n[x:=]", 2, "a write), x==1 or x==? (a read), got 'x:='"),
        ("[x:=1 y==2] x==3", 1, "transactions such as [x:=1 y==2], or ---, got 'x==3'"),
        ("[x:=1]\n\n[x:=2\ny:=1]", 3, "transactions such as"),
        ("[x:=?]", 1, "got 'x:=?'"),
        ("[x:=1 !]", 1, "got '!'"),
        ("[x:=1]!!", 1, "got '!'"),
        ("[x=1]", 1, "got 'x=1'"),
        ("[x:=1] ---", 1, "got '---'"),
        ("[x:=" + "9" * 5000 + "]", 1, "a write)"),
    ],
)
def test_dbcop_text_that_is_wrong(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "dbcop-text")
    assert f"txt:{line}: expected " in caught.value.what
    assert said in caught.value.what


def test_polysi_text(tmp_path):
    """Transactions in the order of their first lines, also where lines of several are mixed."""
    text = "r(2,0,7,4)\nw(1,10,3,9)\nr(1,10,7,4)\nw(2,-5,3,2)\nw(3,1,3,9)\n"
    run = read(tmp_path, text)
    assert rows(run, "process", "payload") == [
        (7, '[["r",2,null],["r",1,10]]'),
        (3, '[["w",1,10],["w",3,1]]'),
        (3, '[["w",2,-5]]'),
    ]
    assert run.notes == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("r(1,2,3,4)\nx(1,2,3,4)", 2, "`r(key,value,session,transaction)`"),
        ("r(1,2,3)", 1, "`r(key,value,session,transaction)`"),
        ("r(1,2,3,a)", 1, "`r(key,value,session,transaction)`"),
        ("r(1,9223372036854775808,3,4)", 1, "whole numbers of at most 64 bits, got 9223372036"),
        ("r(1," + "9" * 5000 + ",3,4)", 1, "whole numbers of at most 64 bits"),
        ("\n\n", 1, "transactions that read or write, got none"),
    ],
)
def test_polysi_text_that_is_wrong(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "polysi-text")
    assert said in caught.value.what
    assert f"txt:{line}: " in caught.value.what or "got none" in said


@pytest.mark.parametrize("name", ["polysi-text", "awdit", "dbcop-bincode"])
def test_zero_is_a_value_where_somebody_wrote_it(tmp_path, name):
    sessions = [[([("w", 1, 0), ("w", 2, 3)], True)], [([("r", 1, 0), ("r", 2, 0)], True)]]
    run = read(tmp_path, WRITERS[name](sessions), name)
    assert rows(run, "payload") == [('[["w",1,0],["w",2,3]]',), ('[["r",1,0],["r",2,null]]',)]


def test_session_0_may_be_the_initial_state(tmp_path):
    begun = "w(1,5,0,0)\nw(2,0,0,0)\n"
    text = "r(1,5,1,1)\nw(1,6,1,1)\nr(1,6,1,2)\nr(2,0,1,2)\nw(3,5,2,3)\n"
    run = read(tmp_path, begun + text)
    assert rows(run, "process", "payload") == [
        (1, '[["r",1,null],["w",1,6]]'),
        (1, '[["r",1,6],["r",2,null]]'),
        (2, '[["w",3,5]]'),
    ]
    assert run.notes == [
        "session 0 was taken for the initial state, for it only writes (2 keys, each once): "
        "a read of that is a read of nothing"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "w(1,5,0,0)\nr(1,0,1,1)\n",  # there was nothing before
        "w(1,5,0,0)\nr(2,7,1,1)\n",  # a key that it does not write is read
        "w(1,5,0,0)\nr(1,5,0,1)\nr(1,5,1,1)\n",  # it reads
        "w(1,5,0,0)\nw(1,6,0,1)\nr(1,5,1,1)\n",  # it writes a key twice
        "w(1,5,0,0)\nw(1,5,1,1)\nr(1,5,2,1)\n",  # another writes the same
        "w(1,5,0,0)\nw(2,5,0,1)\n",  # there is no other session
        "w(1,5,3,0)\nr(1,5,1,1)\n",  # there is no session 0
    ],
)
def test_session_0_may_be_a_session(tmp_path, text):
    run = read(tmp_path, text)
    assert run.notes == []
    operations = [each for (payload,) in rows(run, "payload") for each in json.loads(payload)]
    assert len(operations) == text.count("\n")
    assert '["w",1,5]' in rows(run, "payload")[0][0]


def test_awdit(tmp_path):
    text = "=====\n-----\nw 1 10\nr 2 0\n-----\n-----\nr 1 10\n=====\nw 2 7\n-----\n"
    run = read(tmp_path, text)
    assert rows(run, "process", "payload") == [
        (1, '[["w",1,10],["r",2,null]]'),
        (1, '[["r",1,10]]'),
        (2, '[["w",2,7]]'),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("w 1 2\nx 1 2", 2, "`r key value`, `w key value`, `-----` or `=====`, got 'x 1 2'"),
        ("w 1", 1, "`w key value`"),
        ("w 1 2 3", 1, "`w key value`"),
        ("w 1 2\n--", 2, "`-----`"),
        ("w 1 2\n\n\nw -9223372036854775809 2", 4, "at most 64 bits"),
        ("---\n", 1, "transactions that read or write, got none"),
    ],
)
def test_awdit_that_is_wrong(tmp_path, text, line, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, text, "awdit")
    assert said in caught.value.what
    assert f"txt:{line}: " in caught.value.what or "got none" in said
