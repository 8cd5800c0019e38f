"""Pydantic's errors, said in words, at the place in the file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chaos.registry import did_you_mean
from chaos.spec.annotations import Path, model_at
from chaos.spec.entries import FAULT_ENTRIES
from chaos.spec.load import Document, Value
from chaos.spec.problems import Finding, SpecProblems, finding_at
from chaos.units import shown

M = TypeVar("M", bound=BaseModel)


def read_as(model: type[M], document: Document) -> M:
    """The document as a model; SpecProblems with everything that is wrong with its shape."""
    findings = list(document.findings)
    try:
        result = model.model_validate(document.root.plain())
    except ValidationError as error:
        errors = error.errors()
        findings += [
            _finding(model, document.root, each) for each in errors if each["type"] != "missing"
        ]
        findings += _missing(document.root, [e["loc"] for e in errors if e["type"] == "missing"])
    if findings:
        raise SpecProblems(sorted(findings, key=lambda f: (f.line, f.column)))
    return result


def at(root: Value, path: Sequence[str | int], *, key: bool = False) -> Value:
    """The value at `path` or the deepest above it; with `key`, marked at its key instead."""
    value = root.nearest(path)
    if key and value.key is not None:
        return Value(data=value.data, mark=value.key)
    return value


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping (`name: value` lines)",
    "tuple_type": "a list",
    "finite_number": "a number",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}


def _finding(model: type[BaseModel], root: Value, error: ErrorDetails) -> Finding:
    path, kind, got = error["loc"], error["type"], error["input"]
    context: dict[str, Any] = error.get("ctx") or {}
    place = at(root, path)
    key_place = at(root, path, key=True)
    if kind == "extra_forbidden":
        known = _keys(model_at(model, path[:-1]))
        word = str(path[-1])
        return finding_at(
            key_place.mark,
            f"unknown key {shown(word)}; expected one of {', '.join(known)}",
            fix=did_you_mean(word, known),
        )
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _untagged(place, kind, context)
    if kind == "value_error":
        wrong = context["error"]
        mark = key_place.mark if path[-1:] == ("[key]",) else place.mark
        said = getattr(wrong, "what", str(wrong))
        return finding_at(mark, said, fix=getattr(wrong, "fix", ""))
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        message = f"expected {_either(words)}, got {shown(got)}"
        return finding_at(place.mark, message, fix=did_you_mean(str(got), words))
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(_keys(model_at(model, path)))
        message = f"expected a mapping with the keys {keys}, got {shown(got)}"
        return finding_at(place.mark, message)
    message = _expectation(kind, context, got, error["msg"])
    return finding_at(place.mark, message, fix=_respelled(kind, got))


def _respelled(kind: str, got: Any) -> str:
    """What a person who typed a word of YAML 1.1 most likely meant."""
    word = got.lower() if isinstance(got, str) else ""
    if kind == "bool_type" and word in ("yes", "on", "y", "true", "no", "off", "n", "false"):
        return f"write {'true' if word in ('yes', 'on', 'y', 'true') else 'false'}"
    if kind in ("int_type", "float_type"):
        digits = word.replace("_", "").replace(",", "").lstrip("0")
        return f"write {digits}" if digits.isdecimal() and digits.isascii() else ""
    return ""


def _expectation(kind: str, context: dict[str, Any], got: Any, said: str) -> str:
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {shown(got)}"
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        return f"expected a value {word} {context[bound]}, got {shown(got)}"
    if kind == "too_short":
        return f"expected at least {context['min_length']}, got {context['actual_length']}"
    if kind == "too_long":
        return f"expected at most {context['max_length']}, got {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return f"expected text that matches {context['pattern']}, got {shown(got)}"
    return f"{said}, got {shown(got)}"


def _missing(root: Value, paths: Sequence[Path]) -> list[Finding]:
    """Keys and items that should be there: one finding for each place that lacks some."""
    lacking: dict[Path, list[str | int]] = {}
    for path in paths:
        lacking.setdefault(path[:-1], []).append(path[-1])
    found = []
    for path, names in lacking.items():
        place = at(root, path)
        if isinstance(names[0], int):
            message = f"expected {int(names[-1]) + 1} items, got {names[0]}"
            found.append(finding_at(place.mark, message))
            continue
        keys = ", ".join(f"`{name}`" for name in names)
        message = f"expected the key{'s' if len(names) > 1 else ''} {keys}, found none"
        found.append(finding_at(place.key or place.mark, message, fix="add it"))
    return found


def _untagged(place: Value, kind: str, context: dict[str, Any]) -> Finding:
    """An entry that does not say (or wrongly says) which of several kinds it is."""
    faults = list(FAULT_ENTRIES)
    if "tag" in context:
        value = place.child("fault") or place.child("kind") or place
        known = faults if place.child("fault") else [
            word.strip("'") for word in str(context.get("expected_tags", "")).split(", ")
        ]  # fmt: skip
        message = f"expected {_either(known)}, got {shown(context['tag'])}"
        return finding_at(value.mark, message, fix=did_you_mean(str(context["tag"]), known))
    if not isinstance(place.data, dict):
        return finding_at(place.mark, f"expected a mapping, got {shown(place.plain())}")
    wanted = "`kind:`" if "kind" in str(context.get("discriminator")) else "`fault:` or `step:`"
    return finding_at(place.mark, f"expected the key {wanted}, found neither", fix="add it")


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _keys(annotation: Any) -> list[str]:
    """The keys a model knows, as YAML spells them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [field.alias or name for name, field in annotation.model_fields.items()]
    return []
