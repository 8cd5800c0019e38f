"""JSON Schema of our files, for editors: `aftershock schema` writes them.

The YAML language server reads draft 7, pydantic writes 2020-12; `draft7` translates what differs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chaos.spec.entries import FAULT_ENTRIES
from chaos.spec.experiment import Experiment
from chaos.spec.random_schedule import MixEntry
from chaos.spec.story import Story
from chaos.spec.topology import Topology
from chaos.spec.track_record import TrackRecord

MODELS: dict[str, type[BaseModel]] = {
    "topology": Topology,
    "experiment": Experiment,
    "story": Story,
    "track-record": TrackRecord,
}


def schema(kind: str) -> dict[str, Any]:
    """The draft-7 schema of a `topology`, `experiment`, `story` or `track-record`."""
    own: dict[str, Any] = draft7(MODELS[kind].model_json_schema(by_alias=True, mode="validation"))
    if kind == "topology":  # a Compose file says where its services are, or that it does not matter
        own["required"].remove("regions")
        own["anyOf"] = [{"required": ["regions"]}, {"required": ["compose"]}]
    if (definitions := own.get("definitions", {})) and MixEntry.__name__ in definitions:
        _spread_mix(definitions)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **own}


def _spread_mix(definitions: dict[str, Any]) -> None:
    """An entry of a mix as it is written: the keys of its fault, its weight and its lengths.

    The model holds the fault as a part of its own; a file has all keys on one level.
    """
    own = definitions[MixEntry.__name__]["properties"]
    options = []
    for model in FAULT_ENTRIES.values():
        fault = definitions[model.__name__]
        keys = {name: part for name, part in fault["properties"].items() if name != "at"}
        lengths = {"for": own["for"]} if "for" in keys else {}
        options.append(
            {
                **fault,
                "properties": {**keys, **lengths, "weight": own["weight"]},
                "required": [name for name in fault["required"] if name not in ("at", "for")],
            }
        )
    definitions[MixEntry.__name__] = {
        "description": definitions[MixEntry.__name__]["description"],
        "anyOf": options,
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write one `KIND.json` per kind of file into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in MODELS:
        path = folder / f"{kind}.json"
        path.write_text(json.dumps(schema(kind), indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return written


_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


def draft7(part: Any) -> Any:
    """A 2020-12 schema as draft 7.

    `$defs` becomes `definitions`; a `$ref` hides its neighbours there, so it moves into `allOf`;
    `prefixItems` is a list of `items`; the OpenAPI word `discriminator` is left out.
    Bounds of fields with a validator of ours come out under pydantic's own names.
    """
    if isinstance(part, list):
        return [draft7(item) for item in part]
    if not isinstance(part, dict):
        return part
    found: dict[str, Any] = {}
    for key, value in part.items():
        if key == "$defs":
            found["definitions"] = _each(value)
        elif key == "properties":
            found["properties"] = _each(value)
        elif key == "prefixItems":
            found["items"] = draft7(value)
        elif key == "$ref":
            found["$ref"] = value.replace("#/$defs/", "#/definitions/")
        elif key in ("default", "const", "enum", "examples"):
            found[key] = value
        elif key in _BOUNDS:
            if part.get("type") in ("integer", "number"):
                found[_BOUNDS[key]] = value
        elif key not in ("discriminator", "title"):
            found[key] = draft7(value)
    if "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def _each(named: dict[str, Any]) -> dict[str, Any]:
    """Schemas by name: the names are the user's words, not the schema language's."""
    return {name: draft7(value) for name, value in named.items()}


def main() -> None:
    """Write the schemas of this checkout: `python -m chaos.spec.schema`."""
    from chaos import paths

    write_schemas(paths.schemas())


if __name__ == "__main__":
    main()
