"""YAML means what a person means, or is refused with its place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.errors import SpecError
from chaos.spec.load import MAX_BYTES, WrittenFloat, parse_document, read_document
from chaos.spec.problems import SpecProblems


def plain(text: str) -> object:
    document = parse_document(text, "f.yaml")
    assert document.findings == []
    return document.root.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("12:30:00", "12:30:00"),
        ("2013-05-18", "2013-05-18"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("~", None),
        ("", None),
        ("17", 17),
        ("-3", -3),
        ("1e3", 1000.0),
        ('"17"', "17"),
        ("!!str 17", "17"),
        ("'true'", "true"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_words_mean_what_is_written(text: str, value: object) -> None:
    found = plain(f"x: {text}\n")
    assert found == {"x": value}
    assert isinstance(found, dict)
    assert isinstance(found["x"], bool) == isinstance(value, bool)


def test_keys_are_text_as_written() -> None:
    assert plain("{NO: 1, 010: 2, true: 3, 1.10: 4}") == {"NO": 1, "010": 2, "true": 3, "1.10": 4}


def test_a_number_remembers_how_it_was_written() -> None:
    found = parse_document("1.10", "f.yaml").root.data
    assert isinstance(found, WrittenFloat)
    assert (found, found.text) == (1.1, "1.10")


def test_every_value_has_its_place() -> None:
    root = parse_document("a:\n  - b: 1\n    cc: xyz\n", "f.yaml").root
    value = root.nearest(["a", 0, "cc"])
    assert (value.mark.line, value.mark.column, value.mark.width) == (3, 9, 3)
    assert value.key is not None
    assert (value.key.line, value.key.column, value.key.width) == (3, 5, 2)
    assert root.nearest(["a", 0, "nothing", "here"]) is root.nearest(["a", 0])


def test_aliases_are_written_out() -> None:
    assert plain("a: &z [us-east]\nb: *z\n") == {"a": ["us-east"], "b": ["us-east"]}


BROKEN = {
    "a: 1\nb: 2\na: 3\n": """\
f.yaml:3:1: the key `a` stands here twice (first on line 1)
  3 | a: 3
    | ^
→ keep one""",
    "a:\n\tb: 1\n": """\
f.yaml:2:1: a tab cannot indent YAML
  2 |  b: 1
    | ^
→ use spaces""",
    "b: &x {c: 1}\na: {<<: *x}\n": """\
f.yaml:2:5: merge keys (`<<`) are not supported
  2 | a: {<<: *x}
    |     ^^
→ write the keys out""",
    "a: &a [*a]\n": """\
f.yaml:1:4: an alias refers to what contains it
  1 | a: &a [*a]
    |    ^^^^^^^
→ write the value out""",
    "a: !!python/object/apply:os.system [ls]\n": """\
f.yaml:1:4: tags such as `!!python/object/apply:os.system` are not supported
  1 | a: !!python/object/apply:os.system [ls]
    |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
→ leave the tag out""",
    "a: b: c\n": """\
f.yaml:1:5: a colon here starts a second value on this line
  1 | a: b: c
    |     ^
→ quote the text, or start a new line""",
    'a: 1\nb: "abc\n': """\
f.yaml:2:4: a quote that is opened here is never closed
  2 | b: "abc
    |    ^
→ close it""",
    "a: [1, 2\n": """\
f.yaml:1:4: a bracket that is opened here is never closed
  1 | a: [1, 2
    |    ^
→ close it""",
    "a: 1\n---\nb: 2\n": """\
f.yaml:2:1: expected one document, found a second after `---`
  2 | ---
    | ^
→ keep one per file""",
    "a: *x\n": """\
f.yaml:1:4: an alias `*name` without its `&name`
  1 | a: *x
    |    ^
→ write the value out""",
    "# nothing\n": """\
f.yaml: expected a mapping, got an empty file
→ start from a shipped one""",
    "- a\n": """\
f.yaml:1:1: expected a mapping at the top, got a list
  1 | - a
    | ^^^
→ start with a line such as `name: my-experiment`""",
    'a: "\\uD800"\n': """\
f.yaml:1:4: half of a surrogate pair is not a character
  1 | a: "\\uD800"
    |    ^^^^^^^^""",
    "a: x\x00y\n": """\
f.yaml:1:5: the character U+0000 is not allowed in YAML
  1 | a: x y
    |     ^""",
    "a: [" + "[" * 2000: f"""\
f.yaml:1:35: is not YAML: values are nested more than 32 deep
  1 | a: {"[" * 97}
    | {" " * 34}^""",
}


def problems(path: Path) -> str:
    try:
        findings = read_document(path).findings
    except SpecProblems as error:
        return str(error)
    return str(SpecProblems(findings)) if findings else ""


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_refused_with_its_place(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(text, encoding="utf-8")
    assert problems(Path("f.yaml")) == BROKEN[text]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: caf\xe9\n", "f.yaml:1:7: expected UTF-8 text, got the byte 0xE9"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1: expected UTF-8 text, got the byte 0xFF"),
        (b"a: 1\n" * MAX_BYTES, "f.yaml: expected at most 256 KiB of YAML, got more"),
        (b"a: 1\n- b\n", "f.yaml:2:1: this line's indentation fits no line"),
    ],
)
def test_bytes_that_are_no_yaml(
    raw: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_bytes(raw)
    with pytest.raises(SpecProblems) as caught:
        read_document(Path("f.yaml"))
    assert str(caught.value).startswith(message)


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(path).root.plain() == {"a": 1}


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecProblems, match="expected a YAML file, found none"):
        read_document(tmp_path / "none.yaml")
    with pytest.raises(SpecProblems, match="expected a YAML file, got a folder"):
        read_document(tmp_path)


def test_aliases_cannot_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    with pytest.raises(SpecProblems, match="more than 20,000 values, counting those behind"):
        parse_document("\n".join(lines), "f.yaml")


def test_a_long_line_is_shown_around_the_place() -> None:
    with pytest.raises(SpecProblems) as caught:
        parse_document("a: {" + "b: c, " * 100 + "d: e: f}", "f.yaml")
    shown = str(caught.value).splitlines()
    assert max(map(len, shown)) <= 110
    assert shown[1][shown[2].index("^")] == ":"


YAMLISH = st.text(
    alphabet=st.sampled_from(list("ab01:-[]{}&*!|>%@`'\"#,?~.<\\ \n\t\r\x00\ud7ff\u2028é"))
)


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.text(), YAMLISH))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SpecError):
        parse_document(text, "f.yaml").root.plain()


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    with contextlib.suppress(SpecError):
        read_document(path)
