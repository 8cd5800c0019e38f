"""Lines with a shape are read as the parser reads them, in EDN and in JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.formats import blockwise
from analysis.formats.dialects import EDN, JSON
from analysis.formats.sink import attempted
from chaos.errors import HistoryError

EVENT_VALUES = st.sampled_from(
    ["nil", "1", "-3", "12345678901234567890", "1.5", '"a"', '"a\\n"', ":k", "[1 2]", "[nil 3]",
     '["k" 4]', "[[:r 1 nil] [:w 2 3]]", "{:a 1}", "[1, 2, 3]",
     "[[:append 1 :x] [:r 1 [2 3]]]", "[[:r 1]]", '["x" [1 2]]', "true", "[7 [8 9]]"]
)  # fmt: skip


@st.composite
def histories(draw):
    """Lines of clients that wait for their answers, in a few orders of keys, some of them odd."""
    keyed = draw(st.booleans())
    open_: dict[int, str] = {}
    lines = []
    for index in range(draw(st.integers(1, 25))):
        process = draw(st.integers(0, 3))
        f = open_.pop(process, None)
        kind = "invoke" if f is None else draw(st.sampled_from(["ok", "ok", "fail", "info"]))
        if f is None:
            f = open_[process] = draw(st.sampled_from(["read", "write", "cas", "add", "txn"]))
        value = draw(EVENT_VALUES) if f != "cas" else draw(st.sampled_from(["[1 2]", '[nil "a"]']))
        value = (
            f"[{draw(st.sampled_from(['0', '1', ':a', chr(34) + 'b' + chr(34)]))} {value}]"
            if (keyed and kind == "invoke")
            else value
        )
        value = "nil" if keyed and kind == "ok" else value
        parts = [f":type :{kind}", f":process {process}", f":f :{f}", f":value {value}"]
        if draw(st.integers(0, 15)) == 0:
            del parts[draw(st.integers(1, 3))]
        if draw(st.integers(0, 3)):
            parts.append(f":time {draw(st.integers(0, 60))}")
        parts.append(f":index {index}")
        if kind in ("fail", "info") and draw(st.booleans()):
            parts.append(draw(st.sampled_from([":error :x", ':error "a: b"', ":error [:a 1]"])))
        if draw(st.integers(0, 7)) == 0:
            parts.reverse()
        line = (
            draw(st.sampled_from(["{", "{", "#jepsen.history.Op{"]))
            + draw(st.sampled_from([", ", " "])).join(parts)
            + "}"
        )
        lines.append(draw(st.sampled_from([f"{line}\n", f"{line}\n", f" {line}, ", f"{line};]\n"])))
    return "".join(lines)


JSON_VALUES = st.sampled_from(
    ["null", "1", "-3", "-0", "12345678901234567890", "1.50", "1e3", '"a"', '"a\\n"', '"é"',
     "[1, 2]", "[null,3]", '["k", 4]', '[["r", 1, null], ["w", 2, 3]]',
     '[["append",1,"x y"],["r",1,[2,3]]]',
     '[["r",1]]', '{"a": 1}', "[1,2,3]", "true", "[7, [8, 9]]", "[1 2]", "01", "[1,]"]
)  # fmt: skip


@st.composite
def json_histories(draw):
    """The same in JSON: mostly right."""
    keyed = draw(st.booleans())
    open_: dict[int, str] = {}
    lines = []
    for index in range(draw(st.integers(1, 25))):
        process = draw(st.integers(0, 3))
        f = open_.pop(process, None)
        kind = "invoke" if f is None else draw(st.sampled_from(["ok", "ok", "fail", "info"]))
        if f is None:
            f = open_[process] = draw(st.sampled_from(["read", "write", "cas", "add", "txn"]))
        value = draw(JSON_VALUES) if f != "cas" else draw(st.sampled_from(["[1, 2]", '[null,"a"]']))
        if keyed:
            value = f"[{draw(st.sampled_from(['0', '1', chr(34) + 'b' + chr(34)]))}, {value}]"
            value = "null" if kind == "ok" else value
        parts = [f'"type": "{kind}"', f'"process":{process}', f'"f": "{f}"', f'"value": {value}']
        if draw(st.integers(0, 15)) == 0:
            del parts[draw(st.integers(1, 3))]
        if draw(st.integers(0, 3)):
            parts.append(f'"time": {draw(st.integers(0, 60))}')
        parts.append(f'"index": {index}')
        if kind in ("fail", "info") and draw(st.booleans()):
            parts.append(draw(st.sampled_from(['"error": "x"', '"error":["a", 1]'])))
        if draw(st.integers(0, 7)) == 0:
            parts.reverse()
        line = "{" + draw(st.sampled_from([", ", ","])).join(parts) + "}"
        lines.append(draw(st.sampled_from([f"{line}\n", f"{line}\n", f" {line}, ", f"{line},\n"])))
    text = "".join(lines)
    return f"[{text}]" if draw(st.booleans()) else text


@settings(max_examples=120, deadline=None)
@given(
    st.tuples(st.just(EDN), histories()) | st.tuples(st.just(JSON), json_histories()),
    st.sampled_from([0, 4096]),
)
def test_pieces_with_a_shape_are_what_the_parser_reads(tmp_path_factory, history, long_line):
    """Blocks are cut into lines, or (0) between maps."""
    dialect, text = history
    path = tmp_path_factory.mktemp("shapes") / "history"
    path.write_text(text)

    def outcome(shaped: bool) -> object:
        def attempt(**how):
            how["shaped"] = shaped and how.get("shaped", True)
            return blockwise.read(path, dialect, **how)

        try:
            found = attempted(attempt, None)
        except HistoryError:
            return "refused"  # of several mistakes either may be told
        return found.table.to_pylist(), found.properties, found.notes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise, "LONG_LINE_BYTES", long_line)
        assert outcome(True) == outcome(False)


def test_plain_lines_are_read_by_their_shape(tmp_path, monkeypatch):
    """Without the parser; but the first one, of which is to be known whether it has a key."""
    event = {"type": "invoke", "f": "txn", "value": [["r", 1, None]], "process": 0, "time": 5}
    lines = [event, {**event, "type": "ok", "value": [["r", 1, [2]]]}] * 50
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "history").write_text(text)
    parsed = []
    monkeypatch.setattr(blockwise, "_forms", lambda *arguments, **_: parsed.append(arguments[2]))
    sink, _ = blockwise.read(tmp_path / "history", JSON)
    assert sum(map(len, sink.pairs.rows)) == 50
    assert "".join(parsed) == ""
