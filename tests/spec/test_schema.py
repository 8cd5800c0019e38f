"""The JSON Schemas are current, are draft 7, and accept what ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from chaos import paths
from chaos.spec.load import read_document
from chaos.spec.schema import MODELS, draft7, schema, write_schemas

KINDS = {"topologies": "topology", "experiments": "experiment", "stories": "story"}
SHIPPED = [
    *paths.topologies().glob("*.yaml"),
    *paths.experiments().glob("*.yaml"),
    *paths.stories().glob("*.yaml"),
]


@pytest.mark.parametrize("kind", MODELS)
def test_the_schema_in_the_tree_is_current(kind: str, tmp_path: Path) -> None:
    write_schemas(tmp_path)
    stored = (paths.schemas() / f"{kind}.json").read_text(encoding="utf-8")
    assert stored == (tmp_path / f"{kind}.json").read_text(encoding="utf-8"), (
        "run: python -m chaos.spec.schema"
    )


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_is_draft_7(kind: str) -> None:
    Draft7Validator.check_schema(schema(kind))
    text = json.dumps(schema(kind))
    for word in ("$defs", "prefixItems", "discriminator", '"ge"', '"gt"', "unevaluated"):
        assert word not in text


def _refs(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [ref for item in part for ref in _refs(item)]
    if not isinstance(part, dict):
        return []
    own = [part] if isinstance(part.get("$ref"), str) else []
    return own + [ref for value in part.values() for ref in _refs(value)]


@pytest.mark.parametrize("kind", MODELS)
def test_every_reference_stands_alone_and_leads_somewhere(kind: str) -> None:
    whole = schema(kind)
    refs = _refs(whole)
    assert refs
    for ref in refs:
        assert list(ref) == ["$ref"]
        assert ref["$ref"].removeprefix("#/definitions/") in whole["definitions"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_file_fits_its_schema_and_names_it(path: Path) -> None:
    kind = KINDS[path.parent.name]
    Draft7Validator(schema(kind)).validate(read_document(path).root.plain())
    first = path.read_text(encoding="utf-8").splitlines()[0]
    reference = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == paths.schemas() / f"{kind}.json"


BROKEN = [
    ("redis-split-brain", lambda e: e.update(duration=30)),
    ("redis-split-brain", lambda e: e.update(sede=1)),
    ("redis-split-brain", lambda e: e.pop("workload")),
    ("redis-split-brain", lambda e: e["schedule"][0].update(fault="partitoin")),
    ("redis-split-brain", lambda e: e["schedule"][0].update(isolate="Not A Target")),
    ("redis-split-brain", lambda e: e["schedule"][0].pop("for")),
    ("redis-split-brain", lambda e: e["workload"].update(keys=0)),
]


@pytest.mark.parametrize(("name", "spoil"), BROKEN)
def test_a_broken_file_does_not_fit(name: str, spoil: Any) -> None:
    data = read_document(paths.experiments() / f"{name}.yaml").root.plain()
    validator = Draft7Validator(schema("experiment"))
    assert validator.is_valid(data)
    spoil(data)
    assert not validator.is_valid(data)


def test_a_property_may_be_called_as_the_schema_language_is() -> None:
    own = {"properties": {"title": {"type": "string"}, "discriminator": {"$ref": "#/$defs/X"}}}
    assert draft7(own) == {
        "properties": {
            "title": {"type": "string"},
            "discriminator": {"$ref": "#/definitions/X"},
        }
    }


@pytest.mark.parametrize("kind", MODELS)
def test_every_key_that_needs_explaining_is_explained(kind: str) -> None:
    whole = schema(kind)
    for name, part in whole["properties"].items():
        plain = name in ("name", "title", "year", "source", "about", "facts", "beats", "questions")
        meant = whole["definitions"].get(part.get("$ref", "").rpartition("/")[2], part)
        assert plain or meant.get("description"), f"{kind}: {name}"
