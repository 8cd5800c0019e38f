"""EDN into JSON's values: every form there is, and none that there is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.formats.edn import Forms, Incomplete, Malformed, canonical, one, parse
from analysis.formats.export import edn

FORMS = [
    ("nil", None),
    ("true", True),
    ("[false, nil]", [False, None]),
    ("-12", -12),
    ("+7", 7),
    ("0", 0),
    ("12345678901234567890N", 12345678901234567890),
    ("5N", 5),
    ("1.0", 1.0),
    ("1e3", 1000.0),
    ("-0.5M", -0.5),
    ("0.1M", "0.1M"),  # no double is a tenth
    ("1e999", "1e999"),
    ("1/3", "1/3"),
    (":kw", ":kw"),
    (":a.b/c-d", ":a.b/c-d"),
    ("sym", "sym"),
    ("-", "-"),
    ("007", "007"),
    ("##Inf", "##Inf"),
    ("\\a", "\\a"),
    ("[\\newline \\( \\u0041]", ["\\newline", "\\(", "\\u0041"]),
    ('"a b"', "a b"),
    (r'"q\" \\ \n\té\101"', 'q" \\ \n\téA'),
    (r'"\ud83d\ude00"', "😀"),
    ("(1 2)", [1, 2]),
    ("[1,2 , 3]", [1, 2, 3]),
    ("#{3 1 10 :b \"a\"}", [1, 3, 10, ":b", "a"]),
    ("{:a 1, \"b\" [2], 3 4}", {":a": 1, "b": [2], "3": 4}),
    ("#jepsen.history.Op{:index 0, :f :read}", {":index": 0, ":f": ":read"}),
    ('#inst "2020-01-01"', "2020-01-01"),
    ("#object[foo.Bar 0x1f \"it\"]", ["foo.Bar", "0x1f", "it"]),
    ("[#<Barrier foo@3> 1]", ["#<Barrier foo@3>", 1]),
    ('[#"a.*b" 1]', ["a.*b", 1]),
    ("^{:line 3} [1]", [1]),
    ("[#_ 1 2 #_#_ 3 4 5]", [2, 5]),
    ("[#tag #_1 2]", [2]),
    ("[1 ; and so on\n 2]", [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FORMS)
def test_each_form(text, value):
    found = one(text)
    assert canonical(found) == canonical(value)
    assert type(found) is type(value)


def test_one_and_one_point_zero_and_the_text_are_three_values():
    assert len({canonical(one(text)) for text in ("1", "1.0", '"1"', "[1]")}) == 4


@pytest.mark.parametrize(
    "text",
    ["]", "[1}", "{:a}", "{:a 1 :a 2}", r'"\x"', "[#tag]", "[#_]", "1 2", "[" * 300, r'"\ud83d"',
     "1" * 5000, "@a", "[`a]", "~a"],
)  # fmt: skip
def test_what_is_no_form(text):
    with pytest.raises(Malformed):
        one(text)


@pytest.mark.parametrize("text", ["", "[1", '"a', '"a\\"', "#_ 1", "{:a", "#tag", "[1 ; no end"])
def test_what_ends_too_early(text):
    with pytest.raises(Incomplete):
        one(text)


def test_a_number_at_the_end_may_go_on():
    with pytest.raises(Incomplete):
        parse("12", 0)
    assert parse("12 ", 0) == (12, 2)
    with pytest.raises(Incomplete):
        parse("#", 0)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc:1", max_size=3), inner,
                                                                max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_what_is_written_is_read_again(value):
    assert canonical(one(edn(value))) == canonical(value)
    assert json.loads(canonical(value)) == value


@given(st.lists(JSON, max_size=4), st.sampled_from(["[]", "()", ""]), st.data())
def test_forms_in_pieces_cut_anywhere(values, around, data):
    """Maps, wherever their text is cut, are those of the whole text."""
    maps = [{":v": value} for value in values]
    inner = "\n; a remark ]\n, ".join(map(edn, maps))
    text = f"{around[0]} {inner}{around[1]} " if around else inner
    forms, found, rest = Forms(), [], ""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += [form for form, _ in forms.feed(rest + text[begin:end], final=False)]
        rest = forms.rest
    found += [form for form, _ in forms.feed(rest, final=True)]
    assert canonical(found) == canonical(maps)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("[{} {}", "']'"), ("{} {", "a whole operation"), ("[{}] {}", "nothing after the end"),
     ("{} ]", "a value")],
)  # fmt: skip
def test_a_history_that_does_not_end_well(text, wanted):
    with pytest.raises(Malformed) as caught:
        list(Forms().feed(text, final=True))
    assert wanted in caught.value.args[0]


def test_discarded_forms_between_operations():
    text = "[{:a 1} #_{:b 2} #_#_{:c 3} {:d 4} {:e 5} #_{:f 6}]"
    assert [form for form, _ in Forms().feed(text, final=True)] == [{":a": 1}, {":e": 5}]
