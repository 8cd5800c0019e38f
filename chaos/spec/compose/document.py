"""The text of a Compose file: YAML with merge keys, its variables filled in, every place kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from chaos.spec.compose.variables import Unfilled, fill, read_env
from chaos.spec.load import Document, Value, WrittenFloat, WrittenInt, plain_scalar, read_document
from chaos.spec.problems import Finding, finding_at
from chaos.units import shown

Say = Callable[[Finding], None]


def variables(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What variables mean: what a topology gives, then this process's environment, then `.env`.

    Unfilled when .env cannot be read.
    """
    return {**read_env(folder / ".env"), **os.environ, **given}


def read_compose(path: Path, known: Mapping[str, str], say: Say) -> Document:
    """The file with its variables filled in; SpecProblems if it is no YAML. `say` gets the rest."""
    document = read_document(path, merges=True)
    for finding in document.findings:
        say(finding)
    return replace(document, root=_filled(document.root, known, say))


def _filled(value: Value, known: Mapping[str, str], say: Say) -> Value:
    data = value.data
    if isinstance(data, dict):
        return replace(value, data={n: _filled(child, known, say) for n, child in data.items()})
    if isinstance(data, list):
        return replace(value, data=[_filled(child, known, say) for child in data])
    if not isinstance(data, str) or "$" not in data:
        return value
    try:
        text, unset = fill(data, known)
    except Unfilled as error:
        say(finding_at(value.mark, str(error), fix=error.fix))
        return value
    for name in dict.fromkeys(unset):
        message = f"the variable `{name}` has no value, and counts as empty"
        say(finding_at(value.mark, message, severity="note"))
    # A value that is nothing but a variable means what it would mean if it stood there.
    return replace(value, data=plain_scalar(text) if data.startswith("${") else text)


def words(value: Value) -> str | None:
    """A scalar as text, as it was written; None for null."""
    data = value.data
    if data is None or isinstance(data, str):
        return data
    if isinstance(data, WrittenInt | WrittenFloat):
        return data.text
    if isinstance(data, bool):
        return "true" if data else "false"
    return str(data)


class Reader:
    """Reads values of one file, and notes what is wrong with each."""

    def __init__(self, folder: Path, known: Mapping[str, str], say: Say) -> None:
        self.folder = folder
        self.known = known
        self.say = say

    def wrong(self, value: Value, message: str, fix: str = "", *, key: bool = False) -> None:
        """An error at a value, or at its key."""
        self.say(finding_at((key and value.key) or value.mark, message, fix=fix))

    def note(self, value: Value, message: str, fix: str = "") -> None:
        """Something worth saying at a key."""
        self.say(finding_at(value.key or value.mark, message, fix=fix, severity="note"))

    def text(self, value: Value | None, what: str = "text") -> str | None:
        """A scalar as text; None if it is absent, null or wrong."""
        if value is None or value.data is None:
            return None
        if isinstance(value.data, dict | list):
            self.wrong(value, f"expected {what}, got {shown(value.plain())}")
            return None
        return words(value)

    def flag(self, value: Value | None) -> bool:
        """true or false; also as text, as variables give it."""
        if value is None or value.data is None:
            return False
        said = None if isinstance(value.data, dict | list) else words(value)
        if said in ("true", "false"):
            return said == "true"
        self.wrong(value, f"expected true or false, got {shown(value.plain())}")
        return False

    def whole(self, value: Value | None, least: int, most: int) -> int | None:
        """A whole number within bounds; None if it is absent or wrong."""
        if value is None or value.data is None:
            return None
        said = None if isinstance(value.data, dict | list) else words(value)
        digits = said.isascii() and said.isdecimal() and len(said) < 12 if said else False
        if not said or not digits or not least <= int(said) <= most:
            got = shown(value.plain())
            self.wrong(value, f"expected a whole number from {least} to {most}, got {got}")
            return None
        return int(said)

    def mapping(self, value: Value | None, what: str = "a mapping") -> dict[str, Value]:
        """Its children by key; {} if it is absent, null or wrong."""
        if value is None or value.data is None:
            return {}
        if not isinstance(value.data, dict):
            self.wrong(value, f"expected {what}, got {shown(value.plain())}")
            return {}
        return value.data

    def items(self, value: Value | None, what: str = "a list") -> list[Value]:
        """Its items; [] if it is absent, null or wrong."""
        if value is None or value.data is None:
            return []
        if not isinstance(value.data, list):
            self.wrong(value, f"expected {what}, got {shown(value.plain())}")
            return []
        return value.data
