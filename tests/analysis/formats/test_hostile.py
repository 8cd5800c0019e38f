"""Files that were cut, damaged or made to harm: an error with a line, soon, in little memory."""

from __future__ import annotations

import tracemalloc

import pytest

from analysis.formats import FORMATS, open_history, source
from chaos.errors import HistoryError
from tests.analysis.formats.reading import read, rows

OP = "{:type :invoke, :f :read, :value nil, :process 0}\n"
STARTS = {
    "jepsen-edn": OP,
    "elle-json": '{"type": "invoke", "f": "read", "process": 0}\n',
    "porcupine-etcd": "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n",
    "porcupine-kv": '{:process 0, :type :invoke, :f :get, :key "0", :value nil}\n',
    "limo": "# @object atomic-queue\n",
    "fastlin": "# queue\n",
    "fptlin": "# queue\n",
    "dbcop-json": '[[{"events":[{"Write":{"variable":0,"version":1}}],"committed":true},\n',
    "dbcop-text": "[x:=1 y==2]\n",
    "polysi-text": "w(1,10,1,1)\n",
    "awdit": "w 1 10\n",
}
TEXTS = [name for name, known in FORMATS.items() if known.kind == "text"]


def wrong(folder, text, name=None) -> str:
    with pytest.raises(HistoryError) as caught:
        read(folder, text, name)
    return str(caught.value.what)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("data", "got"),
    [(b"a\0b", "a zero byte"), (b"a\xffb", "the byte 0xff"), (b"caf\xe9", "the byte 0xe9"),
     (b"\xf0\x9f\x98", "the byte 0xf0")],
)  # fmt: skip
def test_bytes_that_are_no_text(tmp_path, name, data, got):
    start = STARTS[name]
    line = start.count("\n") + 1
    said = wrong(tmp_path, start.encode() + b'{"' + data, name)
    assert f"txt:{line}: expected text in UTF-8, got {got}" in said


def test_bytes_that_are_no_text_far_into_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK_BYTES", 256)
    for start in (OP, OP.replace("\n", " ")):
        text = (start.replace(":invoke", ":info").replace("0}", ":n}") * 40).encode()
        lines = text.count(b"\n") + 1
        assert f"txt:{lines}: expected text in UTF-8" in wrong(tmp_path, text + b"\xff\n")
        assert f"txt:{lines}: expected text in UTF-8" in wrong(tmp_path, text + b"\0\n")


@pytest.mark.parametrize("name", ["jepsen-edn", "porcupine-kv", "elle-json"])
@pytest.mark.parametrize("opened", ["[", '{"a" ', "#{", "("])
def test_deep_nesting(tmp_path, name, opened):
    if name == "elle-json":
        opened = {"[": "[", "#{": '{"a":', "(": "[{", '{"a" ': '{"a": '}[opened]
        opened = opened if opened != "[{" else '[{"a":'
        text = STARTS[name] + '{"value": ' + opened * 100_000
    else:
        text = STARTS[name] + "{:value " + opened * 100_000
    assert "in each other" in wrong(tmp_path, text, name)


@pytest.mark.parametrize("name", TEXTS)
def test_a_line_that_does_not_end(tmp_path, monkeypatch, name):
    """A sparse file of spaces' worth: the limit is lowered so that the test is small."""
    monkeypatch.setattr(source, "FORM_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(source, "BLOCK_BYTES", 1 << 16)
    long = {
        "elle-json": '{"value": "',
        "dbcop-json": '{"events": ["',
        "jepsen-edn": '{:value "',
        "porcupine-kv": '{:value "',
    }
    text = STARTS[name] + long.get(name, "") + "x" * (3 << 20)
    tracemalloc.start()
    try:
        said = wrong(tmp_path, text, name)
        peak = tracemalloc.get_traced_memory()[1] - 2 * len(text)  # the test's own
    finally:
        tracemalloc.stop()
    assert "at most 1 MiB" in said
    assert f"txt:{STARTS[name].count(chr(10)) + 1}: " in said
    assert peak < 24 << 20


@pytest.mark.parametrize("name", ["jepsen-edn", "elle-json"])
@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_file_cut_anywhere(tmp_path, name, cut):
    text = f"[{STARTS[name].strip()}]"
    assert cut >= len(text) or "end of the file" in wrong(tmp_path, text[:cut], name)


@pytest.mark.parametrize("value", ["9" * 10_000, '"' + "\\u0041" * 50_000 + '\\q"', "}"])
def test_values_out_of_all_proportion(tmp_path, value):
    said = wrong(tmp_path, OP.replace(":process 0", ":process 1") + OP.replace("nil", value))
    assert "txt:2: expected" in said


def test_values_of_any_size_are_kept(tmp_path):
    value = '"' + "\\u0041" * 50_000 + '"'
    run = read(tmp_path, OP.replace("nil", value))
    assert rows(run, "payload") == [('"' + "A" * 50_000 + '"',)]


@pytest.mark.parametrize("odd", ["", " ; odd"])
def test_memory_is_the_table_and_a_buffer(tmp_path, monkeypatch, odd):
    """What Python holds while it reads depends on the block, not on the length of the file."""
    monkeypatch.setattr(source, "BLOCK_BYTES", 1 << 15)

    def cost(count: int) -> int:
        path = tmp_path / f"{count}.edn"
        with path.open("w") as out:
            for k in range(count):
                for kind in ("invoke", "ok"):
                    event = f":type :{kind}, :f :write, :value {k}, :process {k % 9}"
                    out.write(f"{{{event}}}{odd}\n")
        tracemalloc.start()
        try:
            run = open_history(path)
            assert run.history.num_rows == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    cost(100)  # imports
    assert cost(8000) < 2 * cost(2000)


def test_many_blocks_are_one_history(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK_BYTES", 300)
    events = [
        f"{{:type :{kind}, :f :write, :value {p * 100 + k}, :process {p}, :time {k}}}\n"
        for k in range(60)
        for kind in ("invoke", "ok")
        for p in range(3)
    ]
    whole = rows(read(tmp_path, "".join(events)), "process", "value", "type", "start_ns", "end_ns")
    assert len(whole) == 180
    assert [value for _, value, *_ in whole[:4]] == [0, 100, 200, 1]
    odd = "".join(event.replace(", :f", ",\n :f") if k % 7 == 0 else event
                  for k, event in enumerate(events))  # fmt: skip
    for text in (odd, f"[{''.join(events)}]", f"[{odd}]", "".join(events).replace("\n", " ")):
        assert rows(read(tmp_path, text), "process", "value", "type", "start_ns", "end_ns") == whole
