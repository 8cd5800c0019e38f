"""Which format a file is of: by its content, by name, or not at all."""

from __future__ import annotations

import gzip
import os

import pytest

from analysis.formats import FORMATS, of_folder, open_history, recognise
from chaos.errors import HistoryError, RecordError, UsageError
from chaos.record.writer import write_run
from tests.analysis.formats.binary import bincode, header, u64
from tests.analysis.formats.reading import read, rows

SAMPLES = {
    "jepsen-edn": [
        "{:type :invoke, :f :read}",
        "  ; a remark {\n[{:f :read, :value {:a [1]}, :type :ok",
        "#jepsen.history.Op{:index 0, :type :info",
        '{:process 0, :type :invoke, :f :read, :key "0"',
        "({:type :fail",
    ],
    "elle-json": ['{"type": "invoke"}', '[\n {"index":0,"type":"ok"', '{"a": 1, "type" : ":info"'],
    "porcupine-etcd": [
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil",
        "2015-01-01 INFO x\n2015-01-01 10:00:00,000 INFO  jepsen.util - 12 :ok :write 3",
    ],
    "porcupine-kv": ['{:process 0, :type :invoke, :f :append, :key "0", :value "x"}'],
    "limo": ["# @object atomic-queue", "[1] call push(3)", "# about\n[12] return", "[3]call pop"],
    "fastlin": [
        "# queue\nenq 1 2 3",
        "# stack\n\n# more\npush -1 2 3\n",
        "#set\r\ninsert 1 2 3\r\n",
    ],
    "fptlin": ["# queue\n0 1 2 ENQ 3", "# rmw\n0 1 2 READ_MODIFY_WRITE 3 4"],
    "dbcop-json": [
        '[[{"events":[{"Write":{"variable":0,"version":1}}],"committed":true}]]',
        '[\n [],\n [{"committed": true, "events": [\n {"Read": {"version": null, "variable": 0',
        '{"params": {"id": 0}, "info": "type", "data": [[{"events":[{"Read":{"variable":0',
    ],
    "dbcop-text": ["[x:=1 y:=2] [y==2]", "// about\n\n---\n [x==?]!\n", "[12==3]"],
    "dbcop-bincode": [bincode([]), bincode([[([(1, 1, 1, 1)], 1)]]), header("", "", "") + u64(0)],
    "cobra": [{"T1.log": b"S"}, {"T7.log": b"", "notes.txt": b"x"}],
    "polysi-text": ["w(1,10,1,1)\nr(2,0,1,1)\n", "\nr( 1, 2, 3, 4 )"],
    "awdit": ["w 1 10", "=====\nr 1 2\n-----\nw 2 -3\n", "w 1 1\r\n---\r\n", "\n\nr 1 2\nw 1"],
}


@pytest.mark.parametrize(
    ("name", "sample"), [(name, sample) for name, samples in SAMPLES.items() for sample in samples]
)
def test_each_format_is_recognised_by_nobody_else(tmp_path, name, sample):
    path = tmp_path / "history"
    if isinstance(sample, dict):
        path.mkdir()
        for file, data in sample.items():
            (path / file).write_bytes(data)
        assert FORMATS[name].recognises(path, b"")
        assert of_folder(path).name == name
        return
    data = sample if isinstance(sample, bytes) else sample.encode()
    path.write_bytes(data)
    assert recognise(path).name == name
    texts = [known for known in FORMATS.values() if known.kind == "text"]
    assert isinstance(sample, str) or not any(known.recognises(path, data) for known in texts)


def test_every_format_has_samples():
    assert set(SAMPLES) == set(FORMATS)


@pytest.mark.parametrize("text", ["hello\n", "{}", "[1, 2]", "# queue\n", "<html>", "{:a 1}", "\n"])
def test_what_is_of_no_format(tmp_path, text):
    with pytest.raises(HistoryError, match="of no format we know") as caught:
        read(tmp_path, text)
    assert all(f"{name}: no " in caught.value.detail for name in FORMATS)


def test_what_may_be_two_formats(tmp_path):
    text = '{"type": "invoke"}\nINFO  jepsen.util - 0 :invoke :read nil\n'
    with pytest.raises(HistoryError, match="elle-json and porcupine-etcd") as caught:
        read(tmp_path, text)
    assert "--format" in caught.value.fix
    assert rows(read(tmp_path, text, "porcupine-etcd"), "f") == [("read",)]


def test_a_format_may_be_named(tmp_path):
    with pytest.raises(UsageError, match="expected a format of run, jepsen-edn"):
        read(tmp_path, "x", "csv")
    with pytest.raises(HistoryError, match="expected a folder of Cobra's logs"):
        read(tmp_path, "x", "cobra")
    with pytest.raises(HistoryError, match="txt: byte 2: expected five numbers"):
        read(tmp_path, "xy", "dbcop-bincode")
    with pytest.raises(HistoryError, match="txt:1: expected `method value start end`"):
        read(tmp_path, "{:type :invoke}", "fastlin")


def test_a_run_directory_is_its_own_format(tmp_path):
    row = {"process": 0, "f": "read", "type": "ok", "start_ns": 0, "end_ns": 1}
    path = write_run(tmp_path / "run", {"name": "x"}, [row])
    assert open_history(path, initial=3).meta["imported"] == {"initial": 3}
    assert open_history(path, "run").history.num_rows == 1
    with pytest.raises(HistoryError, match="found a folder"):
        open_history(path, "jepsen-edn")
    (path / "T1.log").write_bytes(b"S")
    assert open_history(path).history.num_rows == 1
    with pytest.raises(RecordError, match="expected a run directory"):
        open_history(path / "run.json", "run")
    with pytest.raises(RecordError, match="found nothing"):
        open_history(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "txt:1: expected a history, got an empty file"),
        (gzip.compress(b"{:type :invoke}", mtime=0), "packed (gzip)"),
        (b"PK\x03\x04rest", "packed (zip)"),
        (b"PAR1rest", "run directory"),
        (b"\x89PNG\x00", "zero byte"),
    ],
)
@pytest.mark.parametrize("name", [None, "jepsen-edn"])
def test_what_is_no_text(tmp_path, data, said, name):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, data, name)
    assert said in caught.value.what


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(HistoryError, match="expected a history file"):
            open_history(path, "jepsen-edn")
    with pytest.raises(HistoryError, match="no regular file"):
        recognise(tmp_path / "pipe")
