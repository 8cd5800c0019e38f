"""`${VAR}` in a Compose file, and the `.env` file beside it.

Forms: `$VAR` `${VAR}` · `${VAR:-default}` `${VAR-default}` · `${VAR:?message}` `${VAR?message}` ·
`${VAR:+other}` `${VAR+other}` · `$$` is a dollar. What follows the operator may hold variables. A
colon: an empty value counts as none (https://docs.docker.com/reference/compose-file/interpolation).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

MAX_BYTES = 64 * 1024
MAX_TEXT = 256 * 1024  # of a value: defaults within defaults may multiply
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OPERATOR = re.compile(r":?[-?+]")


class Unfilled(ValueError):
    """A text whose variables cannot be filled in; `fix` says what to write."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


def fill(text: str, known: Mapping[str, str], depth: int = 0) -> tuple[str, list[str]]:
    """The text with its variables replaced, and those that have no value; Unfilled."""
    if "$" not in text:
        return text, []
    if depth > 16:
        raise Unfilled("variables are nested more than 16 deep", "write the value out")
    parts: list[str] = []
    unset: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        at = dollar + 1
        if text[at : at + 1] == "$":
            parts.append("$")
            at += 1
            continue
        braced = text[at : at + 1] == "{"
        name = _NAME.match(text, at + braced)
        if name is None:
            said = text[dollar : dollar + 20]
            raise Unfilled(f"expected a variable's name after `$`, got `{said}`", "write $$ for $")
        at = name.end()
        if not braced:
            parts.append(known.get(name[0], ""))
            unset += [] if name[0] in known else [name[0]]
            continue
        end = _closing(text, at)
        value, missing = _braced(name[0], text[at:end], known, depth)
        parts.append(value)
        unset += missing
        at = end + 1
    found = "".join([*parts, text[at:]])
    if len(found) > MAX_TEXT:
        raise Unfilled("with its variables filled in the value is longer than 256 KiB")
    return found, unset


def _closing(text: str, at: int) -> int:
    """Where the brace that is open before `at` closes."""
    depth = 1
    for place in range(at, len(text)):
        if text.startswith("${", place):
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place
    raise Unfilled("`${` is never closed", "write `}`, or $$ for $")


def _braced(name: str, rest: str, known: Mapping[str, str], depth: int) -> tuple[str, list[str]]:
    """The value of `${name rest}`."""
    operator = _OPERATOR.match(rest)
    if rest and operator is None:
        raise Unfilled(
            f"expected `:-`, `-`, `:?`, `?`, `:+`, `+` or a brace after `${{{name}`, got "
            f"`{rest[:20]}`",
            f"write `${{{name}:-default}}`",
        )
    value = known.get(name)
    if operator is None:
        return value or "", [] if value is not None else [name]
    mark, word = operator[0][-1], rest[operator.end() :]
    there = value is not None and (value != "" or len(operator[0]) == 1)
    if mark == "+":
        return fill(word, known, depth + 1) if there else ("", [])
    if there:
        return value or "", []
    if mark == "-":
        return fill(word, known, depth + 1)
    said, _ = fill(word, known, depth + 1)
    raise Unfilled(
        f"the variable `{name}` must be set{': ' + said if said else ''}",
        f"write `{name}=…` into .env beside the file, or `variables: {{{name}: …}}` in a topology",
    )


def read_env(path: Path) -> dict[str, str]:
    """NAME=value lines of a .env file; {} where there is none. Unfilled: which line is wrong."""
    try:
        with path.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Unfilled(f"{path.name} cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise Unfilled(f"{path.name} is longer than {MAX_BYTES // 1024} KiB")
    try:
        return parse_env(raw.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError:
        raise Unfilled(f"{path.name} is no UTF-8 text") from None


def parse_env(text: str, label: str) -> dict[str, str]:
    """NAME=value lines: `#` begins a comment, quotes keep spaces, `'…'` keeps dollars."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip().removeprefix("export ").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, rest = line.partition("=")
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise Unfilled(f"{label}:{number}: expected NAME=value, got `{line[:40]}`")
        if equals:
            found[name] = _env_value(rest.strip(), found, f"{label}:{number}")
    return found


def _env_value(text: str, known: Mapping[str, str], where: str) -> str:
    quote = text[:1]
    if quote in ("'", '"') and len(text) > 1:
        end = text.find(quote, 1)
        if end < 0:
            raise Unfilled(f"{where}: a quote is opened here and not closed on this line")
        inside = text[1:end]
        if quote == "'":
            return inside
        inside = inside.replace("\\n", "\n").replace("\\t", "\t")
    else:
        inside = re.split(r"\s+#", text, maxsplit=1)[0]
    try:
        return fill(inside, known)[0]
    except Unfilled as error:
        raise Unfilled(f"{where}: {error}", error.fix) from None
