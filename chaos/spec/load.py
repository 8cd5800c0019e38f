"""YAML with positions, in which words mean what a person means.

PyYAML composes the text into nodes; we turn those into our own, and keep the place of every key and
value. What differs from YAML 1.1, and why:

- only `true` and `false` are booleans, so a zone called `NO` and a setting of `yes` stay words;
- `12:30:00`, `2013-01-01`, `010` and `0x1F` stay the text they are;
- a number remembers how it was written, so that `1.10` can still be a version (see `Written`);
- a key given twice is refused (PyYAML lets the last one win silently), so are tags and `<<`;
- size, depth and the number of values after aliases are bounded, and a loop of aliases is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from chaos.spec.problems import Finding, Mark, SpecProblems, finding_at
from chaos.units import shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000


class WrittenInt(int):
    """A whole number that remembers its `text`."""

    text: str


class WrittenFloat(float):
    """A number that remembers its `text`: `1.10` is not the version 1.1."""

    text: str


Scalar = str | int | float | bool | None


@dataclass(slots=True, kw_only=True)
class Value:
    """A YAML value and where it stands; `data` is a scalar, a dict of text to Value or a list."""

    data: Scalar | dict[str, Value] | list[Value]
    mark: Mark
    key: Mark | None = None  # of the key it stands under

    def plain(self) -> Any:
        """The same as ordinary dicts, lists and scalars."""
        if isinstance(self.data, dict):
            return {name: child.plain() for name, child in self.data.items()}
        if isinstance(self.data, list):
            return [child.plain() for child in self.data]
        return self.data

    def child(self, step: str | int) -> Value | None:
        """The value under a key or an index, or None."""
        if isinstance(self.data, dict):
            return self.data.get(str(step))
        if isinstance(self.data, list) and isinstance(step, int) and step < len(self.data):
            return self.data[step]
        return None

    def nearest(self, path: Sequence[str | int]) -> Value:
        """The value at `path`, or the deepest one on the way there; steps unknown are skipped."""
        here = self
        for step in path:
            here = here.child(step) or here
        return here


@dataclass(slots=True, kw_only=True)
class Document:
    """One file, read. `findings` are problems that did not hinder reading (keys given twice)."""

    path: str
    root: Value
    findings: list[Finding] = field(default_factory=list)


def read_document(path: Path, name: str | None = None, *, merges: bool = False) -> Document:
    """Read a YAML file whose top is a mapping; SpecProblems if it cannot be read as one.

    `merges`: with merge keys, which files of ours do not have and Compose files do.
    """
    label = _printable(name or _short(path))
    try:
        if path.is_dir():
            raise _whole(label, "expected a YAML file, got a folder", "name a file inside it")
        with path.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _whole(label, "expected a YAML file, found none") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _whole(label, f"cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise _whole(label, f"expected at most {MAX_BYTES // 1024} KiB of YAML, got more")
    document = parse_document(_decode(raw, label), label, merges=merges)
    if not isinstance(document.root.data, dict):
        got = shown(document.root.plain())
        raise SpecProblems(
            [
                finding_at(
                    document.root.mark,
                    f"expected a mapping at the top, got {got}",
                    fix="start with a line such as `name: my-experiment`",
                )
            ]
        )
    return document


def parse_document(text: str, label: str, *, merges: bool = False) -> Document:
    """Read YAML text; `label` is what positions call it. SpecProblems if it is not YAML."""
    lines = re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029", text)
    try:
        loader = _Loader(text)
        try:
            top = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, label, lines) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise SpecProblems([finding_at(_mark(label, lines, line, column), message)]) from None
    except (ValueError, OverflowError, RecursionError) as error:
        # PyYAML lets chr() and int() fail on hostile escapes and directives.
        raise _whole(label, f"is not YAML: {_printable(str(error))[:200]}") from None
    if top is None:
        raise _whole(label, "expected a mapping, got an empty file", "start from a shipped one")
    builder = _Builder(label=label, lines=lines, merges=merges)
    root = builder.value(top, None)
    return Document(path=label, root=root, findings=builder.findings)


_PLAIN = "!plain"


class _Loader(yaml.SafeLoader):
    """Composes nodes; leaves the meaning of plain scalars to us; refuses what nests too deeply."""

    depth = 0

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Mark unquoted scalars; everything else keeps its natural tag."""
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        tag: str = super().resolve(kind, value, (False, True))  # type: ignore[no-untyped-call]
        return tag

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node; the composer recurses, so its depth is bounded here."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                problem=f"values are nested more than {MAX_DEPTH} deep", problem_mark=mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


@dataclass(slots=True, kw_only=True)
class _Builder:
    """Turns PyYAML's nodes into ours, noting problems and bounding what aliases multiply."""

    label: str
    lines: list[str]
    merges: bool
    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    open_nodes: set[int] = field(default_factory=set)

    def value(self, node: Node, key: Mark | None) -> Value:
        mark = self.mark(node)
        self.count += 1
        if self.count > MAX_VALUES:
            self.stop(mark, f"more than {MAX_VALUES:,} values, counting those behind aliases")
        if id(node) in self.open_nodes:
            self.stop(mark, "an alias refers to what contains it", "write the value out")
        if isinstance(node, ScalarNode):
            return Value(data=self.scalar(node, mark), mark=mark, key=key)
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, MappingNode):
                self.check_tag(node, "tag:yaml.org,2002:map", mark)
                return Value(data=self.mapping(node), mark=mark, key=key)
            assert isinstance(node, SequenceNode)
            self.check_tag(node, "tag:yaml.org,2002:seq", mark)
            items = [self.value(child, None) for child in node.value]
            return Value(data=items, mark=mark, key=key)
        finally:
            self.open_nodes.discard(id(node))

    def mapping(self, node: MappingNode) -> dict[str, Value]:
        found: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        for key_node, value_node in node.value:
            mark = self.mark(key_node)
            if not isinstance(key_node, ScalarNode):
                self.note(mark, "expected a word as a key, got a list or a mapping")
                continue
            name = key_node.value
            self.text(name, mark)
            if name == "<<" and key_node.tag == _PLAIN and self.merges:
                for key, value in self.merge(value_node, mark).items():
                    merged.setdefault(key, value)
            elif name == "<<" and key_node.tag == _PLAIN:
                self.note(mark, "merge keys (`<<`) are not supported", "write the keys out")
            elif not name:
                self.note(mark, "expected a key before the colon, got nothing")
            elif name in found:
                first = found[name].key
                line = f" (first on line {first.line})" if first else ""
                self.note(mark, f"the key {shown(name)} stands here twice{line}", "keep one")
            else:
                found[name] = self.value(value_node, mark)
        return {**{key: value for key, value in merged.items() if key not in found}, **found}

    def merge(self, node: Node, mark: Mark) -> dict[str, Value]:
        """What a merge key adds: a mapping, or several of which the first wins."""
        whole = self.value(node, mark)
        found: dict[str, Value] = {}
        for part in whole.data if isinstance(whole.data, list) else [whole]:
            if not isinstance(part.data, dict):
                self.note(part.mark, "expected a mapping, or a list of them, to merge")
                continue
            for key, value in part.data.items():
                found.setdefault(key, value)
        return found

    def scalar(self, node: ScalarNode, mark: Mark) -> Scalar:
        self.text(node.value, mark)
        if node.tag == _PLAIN:
            return plain_scalar(node.value)
        self.check_tag(node, "tag:yaml.org,2002:str", mark)
        return str(node.value)

    def check_tag(self, node: Node, natural: str, mark: Mark) -> None:
        if node.tag != natural:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self.note(mark, f"tags such as {shown(tag)} are not supported", "leave the tag out")

    def text(self, text: str, mark: Mark) -> None:
        if any("\ud800" <= c <= "\udfff" for c in text):
            self.note(mark, "half of a surrogate pair is not a character")

    def mark(self, node: Node) -> Mark:
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 0
        mark = _mark(self.label, self.lines, start.line, start.column)
        full = width or len(mark.text.rstrip()) - start.column
        return Mark(
            path=mark.path,
            line=mark.line,
            column=mark.column,
            width=max(1, full),
            text=mark.text,
        )

    def note(self, mark: Mark, message: str, fix: str = "") -> None:
        self.findings.append(finding_at(mark, message, fix=fix))

    def stop(self, mark: Mark, message: str, fix: str = "") -> None:
        self.note(mark, message, fix)
        raise SpecProblems(self.findings)


_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?", re.ASCII)


def plain_scalar(text: str) -> Scalar:
    """What an unquoted word means: true, false, null, a decimal number, or itself."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        whole = WrittenInt(text)
        whole.text = text
        return whole
    if _FLOAT.fullmatch(text):
        number = WrittenFloat(text)
        number.text = text
        return number
    return text


def _short(path: Path) -> str:
    """The path as a person would type it: relative to where they are, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except (ValueError, OSError):
        return str(path)


def _decode(raw: bytes, label: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = raw[: error.start].split(b"\n")
        line = raw.split(b"\n")[len(lines) - 1]
        mark = Mark(
            path=label,
            line=len(lines),
            column=len(lines[-1].decode("utf-8-sig", "replace")) + 1,
            width=1,
            text=line.decode("utf-8-sig", "replace").rstrip("\r"),
        )
        message = f"expected UTF-8 text, got the byte 0x{raw[error.start]:02X}"
        found = finding_at(mark, message, fix="save the file as UTF-8")
        raise SpecProblems([found]) from None


_PLAINER = (
    ("found character '\\t'", "a tab cannot indent YAML", "use spaces"),
    ("could not find expected ':'", "expected `key: value`, found no colon", ""),
    ("mapping values are not allowed", "a colon here starts a second value on this line",
     "quote the text, or start a new line"),
    ("but found another document", "expected one document, found a second after `---`",
     "keep one per file"),
    ("but got '<stream end>'", "a bracket that is opened here is never closed", "close it"),
    ("found unexpected end of stream", "a quote that is opened here is never closed", "close it"),
    ("found undefined alias", "an alias `*name` without its `&name`", "write the value out"),
    ("found duplicate anchor", "the same `&name` stands here twice", "write the values out"),
    ("expected <block end>", "this line's indentation fits no line above it", "align it"),
)  # fmt: skip


def _syntax_error(error: yaml.MarkedYAMLError, label: str, lines: list[str]) -> SpecProblems:
    """PyYAML's complaint, in words that say what to do."""
    place = error.problem_mark or error.context_mark
    said = f"{error.problem or error.context or 'is not YAML'}"
    message, fix = f"is not YAML: {_printable(said)[:200]}", ""
    for part, words, remedy in _PLAINER:
        if part in f"{said} {error.context or ''}":
            message, fix = words, remedy
            if "opened here" in words:
                place = error.context_mark or place
            break
    if place is None:
        return _whole(label, message, fix)
    mark = _mark(label, lines, place.line, place.column)
    return SpecProblems([finding_at(mark, message, fix=fix)])


def _mark(label: str, lines: list[str], line: int, column: int) -> Mark:
    """A one-column mark from a zero-based line and column."""
    line = min(line, len(lines) - 1)
    return Mark(path=label, line=line + 1, column=column + 1, width=1, text=lines[line])


def _whole(label: str, message: str, fix: str = "") -> SpecProblems:
    return SpecProblems([Finding(path=label, line=0, column=0, message=message, fix=fix)])


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
