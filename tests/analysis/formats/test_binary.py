"""Binary histories: dbcop's bincode and Cobra's logs, whole, cut and made to harm."""

from __future__ import annotations

import os
import struct
import tracemalloc

import pytest

from analysis.formats import dbcop_bincode, open_history
from analysis.proof.source import fingerprint
from chaos.errors import HistoryError
from chaos.record.writer import write_run
from tests.analysis.formats.binary import INITIAL, NULL, bincode, cobra, header, record, u64
from tests.analysis.formats.reading import properties, read, rows

SESSIONS = [
    [([(1, 1, 5, 1), (0, 2, 0, 1)], 1), ([(0, 1, 5, 1), (1, 2, 9, 0)], 1)],
    [([(1, 1, 7, 1), (0, 2, 4, 1)], 0), ([], 1)],
    [],
    [([(1, 3, 2**64 - 1, 1)], 1)],
]
HEAD = header() + u64(1)


def test_bincode(tmp_path):
    run = read(tmp_path, bincode(SESSIONS))
    assert run.meta["imported"]["format"] == "dbcop-bincode"
    assert properties(run) == ["rw-register"]
    assert rows(run, "process", "f", "payload", "type") == [
        (0, "txn", '[["w",1,5],["r",2,null]]', "ok"),
        (0, "txn", '[["r",1,5]]', "ok"),
        (1, "txn", '[["w",1,7],["r",2,null]]', "fail"),
        (3, "txn", '[["w",3,18446744073709551615]]', "ok"),
    ]
    assert run.notes == [
        "left out: 1 operation of committed transactions that failed",
        "left out: 1 transaction without operations",
    ]


def test_bincode_of_many_transactions(tmp_path, monkeypatch):
    from analysis.formats import sessions

    monkeypatch.setattr(dbcop_bincode, "AT_ONCE", 7)
    monkeypatch.setattr(sessions, "CHUNK", 5)
    made = [[([(1, k % 3, 100 * s + k, 1)] * (k % 4 + 1), 1) for k in range(20)] for s in range(3)]
    found = rows(read(tmp_path, bincode(made)), "process", "payload")
    assert found == [
        (s, "[" + ",".join([f'["w",{k % 3},{100 * s + k}]'] * (k % 4 + 1)) + "]")
        for s in range(3) for k in range(20)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "byte", "said"),
    [
        (u64(1, 2, 3), 24, "five numbers of 8 bytes first, got the end of the file"),
        (u64(1, 2, 2, 2, 2, 2**60) + b"x" * 40, 40, f"the length of a text (info), got {2**60}"),
        (u64(1, 2, 2, 2, 2, 2) + b"a\xff" + u64(0) * 4, 49, "a text in UTF-8 (info)"),
        (u64(1, 2, 2, 2, 2, 0), 48, "the length of a text (start) (8 bytes), got the end"),
        (header() + b"\1\2", 88, "a number of sessions (8 bytes), got the end of the file"),
        (header() + u64(2**60), 88, f"at most 0 sessions in the bytes that are left, got {2**60}"),
        (header() + u64(2**64 - 1, 0), 88, "at most 1 sessions"),
        (HEAD + u64(2**60), 96, f"at most 0 transactions in the bytes that are left, got {2**60}"),
        (HEAD + u64(1, 2**60) + b"\1", 104, "at most 0 events in the bytes that are left"),
        (HEAD + u64(1, 1) + struct.pack("<BQQB", 2, 1, 1, 1) + b"\1", 112, "a byte 0 (no) or 1"),
        (HEAD + u64(1, 1) + struct.pack("<BQQB", 1, 1, 1, 7) + b"\1", 129, "(yes), got 7"),
        (HEAD + u64(1, 1) + struct.pack("<BQQB", 1, 1, 1, 1) + b"\3", 130, "(yes), got 3"),
        (bincode(SESSIONS) + b"\0", 299, "the end of the file after the last session, got 1 byte"),
        (bincode(SESSIONS) * 2, 299, "the end of the file after the last session, got 299 bytes"),
    ],
)
def test_bincode_that_is_wrong(tmp_path, data, byte, said):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, data, "dbcop-bincode")
    assert f"txt: byte {byte}: expected " in caught.value.what
    assert said in caught.value.what


def test_bincode_cut_anywhere(tmp_path):
    whole = bincode(SESSIONS)
    for size in [*range(0, len(whole), 3), len(whole) - 1]:
        with pytest.raises(HistoryError, match=r"byte \d|empty"):
            read(tmp_path, whole[:size], "dbcop-bincode")


def test_bincode_damaged_anywhere(tmp_path):
    """Whatever a byte is turned to, it is another history or an error."""
    whole = bincode(SESSIONS)
    errors = set()
    for place in range(len(whole)):
        changed = bytes([whole[place] ^ 0xFF])
        (tmp_path / "history").write_bytes(whole[:place] + changed + whole[place + 1 :])
        try:
            dbcop_bincode.read(tmp_path / "history", None)
        except HistoryError as error:
            errors.add(error.what.split("expected ")[1].partition(",")[0])
    assert len(errors) > 5


@pytest.mark.parametrize("inside", [0, 1])
def test_nothing_but_zeros(tmp_path, inside):
    """Sessions, or transactions, of length zero, as many as the file holds: no memory for them."""
    count = 30_000
    data = HEAD[:-8] + (
        u64(1, count) + bytes(9 * count) if inside else u64(count) + bytes(8 * count)
    )
    (tmp_path / "zeros").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(HistoryError, match="transactions that read or write, got "):
            open_history(tmp_path / "zeros", "dbcop-bincode")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_binary_file_of_no_format(tmp_path):
    with pytest.raises(HistoryError, match="text in UTF-8, got a zero byte"):
        read(tmp_path, u64(1, 2, 3, 4, 5, 2**40))


LOGS = {
    "T10.log": [("S", 31), ("R", 21, 201, 6, 9), ("C", 31)],
    "T1.log": [
        ("S", 11), ("W", 101, 5, 900), ("R", INITIAL, INITIAL, 6, 1), ("C", 11),
        ("S", 12), ("C", 12),
        ("S", 13), ("R", 11, 101, 5, 900), ("C", 13),
    ],
    "T2.log": [
        ("S", 21), ("R", NULL, NULL, 7, 1), ("W", 201, 6, 900), ("C", 21),
        ("S", 22), ("R", 11, 101, 5, 900), ("W", 202, 2**64 - 3, 1),
    ],
    "T3.log": [],
    "T4.txt": [("C", 1)],
}  # fmt: skip


def test_cobra(tmp_path):
    folder = cobra(tmp_path / "logs", LOGS)
    run = open_history(folder)
    assert run.meta["imported"] | {"sha256": ""} == {
        "format": "cobra",
        "file": "logs",
        "properties": ["rw-register"],
        "initial": None,
        "models": "axiomatic",
        "sha256": "",
        "notes": run.notes,
    }
    assert run.meta["imported"]["sha256"] == fingerprint(folder)
    assert rows(run, "process", "payload", "type") == [
        (1, '[["w",5,101],["r",6,null]]', "ok"),
        (1, '[["r",5,101]]', "ok"),
        (2, '[["r",7,null],["w",6,201]]', "ok"),
        (2, '[["r",5,null],["w",-3,202]]', "info"),
        (10, '[["r",6,201]]', "ok"),
    ]
    assert run.notes == [
        "1 transaction without an end: indeterminate",
        "left out: 1 transaction without operations",
    ]
    assert open_history(folder, "cobra").history == run.history
    made = write_run(tmp_path / "run", run.meta, run.history)
    assert rows(open_history(made), "payload") == rows(run, "payload")


@pytest.mark.parametrize(
    ("second", "payloads"),
    [
        # numbers of writes that begin again in each transaction: the writer tells them apart
        ([("S", 2), ("W", 1, 5, 0), ("C", 2), ("S", 3), ("R", 1, 1, 5, 0), ("C", 3)],
         ['[["w",5,[1,1]]]', '[["w",5,[2,1]]]', '[["r",5,[1,1]]]']),
        # a read that names another writer than the write has
        ([("S", 2), ("R", 9, 1, 5, 0), ("C", 2)], ['[["w",5,[1,1]]]', '[["r",5,[9,1]]]']),
        # a read of a write that is in no log
        ([("S", 2), ("R", 1, 7, 5, 0), ("C", 2)], ['[["w",5,1]]', '[["r",5,7]]']),
        # Java's int, extended with its sign
        ([("S", 2), ("R", INITIAL - (1 << 32), INITIAL - (1 << 32), 5, 0), ("C", 2)],
         ['[["w",5,1]]', '[["r",5,null]]']),
        # marks of the garbage collection
        ([("S", 2), ("R", 4, 0x23332333, 5, 0), ("R", 1, 1, 5, 0), ("C", 2)],
         ['[["w",5,1]]', '[["r",5,1]]']),
        # somebody wrote it
        ([("S", 2), ("W", NULL, 6, 0), ("C", 2), ("S", 3), ("R", 2, NULL, 6, 0), ("C", 3)],
         ['[["w",5,1]]', f'[["w",6,{NULL}]]', f'[["r",6,{NULL}]]']),
    ],
)  # fmt: skip
def test_which_write_a_read_saw(tmp_path, second, payloads):
    logs = {"T1.log": [("S", 1), ("W", 1, 5, 0), ("C", 1)], "T2.log": second}
    run = open_history(cobra(tmp_path / "logs", logs))
    assert [payload for (payload,) in rows(run, "payload")] == payloads
    marked = any(0x23332333 in each for each in second)
    assert ("garbage collection" in "".join(run.notes)) == marked


@pytest.mark.parametrize(
    ("data", "byte", "said"),
    [
        (b"X", 0, "a record S, R, W or C, got the byte 0x58"),
        (record("S", 1) + b"\0", 9, "got the byte 0x00"),
        (record("S", 1) + record("W", 1, 2), 9, "a record of 25 bytes, got the end of the file"),
        (record("S", 1)[:5], 0, "a record of 9 bytes"),
        (record("W", 1, 2, 3), 0, "the start of a transaction (S), got a record W"),
        (record("S", 1) + record("C", 1) + record("C", 1), 18, "(S), got a record C"),
        (record("S", 1) + record("C", 1) + record("R", 1, 2, 3, 4), 18, "(S), got a record R"),
        (record("S", 1) + record("C", 2), 9, "the end of transaction 1, got that of 2"),
    ],
)
def test_cobra_that_is_wrong(tmp_path, data, byte, said):
    (tmp_path / "T1.log").write_bytes(data)
    with pytest.raises(HistoryError) as caught:
        open_history(tmp_path)
    assert f"T1.log: byte {byte}: expected " in caught.value.what
    assert said in caught.value.what


def test_folders_that_are_none_of_cobras(tmp_path):
    with pytest.raises(HistoryError, match=r"expected logs such as T1.log .* found none"):
        open_history(tmp_path, "cobra")
    (tmp_path / "T1.log").write_bytes(b"")
    with pytest.raises(HistoryError, match="with transactions"):
        open_history(tmp_path)
    os.mkfifo(tmp_path / "T2.log")
    with pytest.raises(HistoryError, match="expected"):
        open_history(tmp_path)
    (tmp_path / "T2.log").unlink()
    (tmp_path / "T2.log").write_bytes(record("S", 1) + record("C", 1))
    with pytest.raises(HistoryError, match="got transactions without any operation"):
        open_history(tmp_path)
