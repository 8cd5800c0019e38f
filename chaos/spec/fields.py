"""The types that fields of our files have: names, text, durations, targets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from chaos import units
from chaos.spec.load import WrittenFloat, WrittenInt
from chaos.spec.target import Side, Target


class Model(BaseModel):
    """What all our models are: frozen, strict, closed, and written back under their YAML names."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )

    def resolved(self) -> dict[str, Any]:
        """Plain JSON data, defaults filled in, that reads back as the same model."""
        return self.model_dump(mode="json", exclude_none=True)


class Wrong(ValueError):
    """A value is not what a field wants; `fix` says what to write instead."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


def _text(value: Any) -> Any:
    """Text as typed: the version `1.10` and the name `2024` need no quotes."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    if isinstance(value, bool):
        word = "true" if value else "false"
        raise Wrong(f"expected text, got {units.shown(value)}", f'write "{word}"')
    return value


def _setting(value: Any) -> Any:
    """A database's setting: kept as typed where a number would lose digits (`1.10`)."""
    if isinstance(value, WrittenInt):
        return int(value)
    if isinstance(value, WrittenFloat):
        return float(value) if repr(float(value)) == value.text else value.text
    if value is None or isinstance(value, dict | list | tuple):
        raise Wrong(f"expected text, a number, true or false, got {units.shown(value)}")
    return value


def _name(value: str) -> str:
    if not value or len(value) > 40 or not _is_word(value):
        raise Wrong(
            "expected a name of letters, digits, `-` and `_` (at most 40, a letter or digit first),"
            f" got {units.shown(value)}"
        )
    return value


def _is_word(value: str) -> bool:
    return value.isascii() and value[0].isalnum() and value.translate(_WORD).isalnum()


_WORD = str.maketrans("-_", "aa")


def _host(value: str) -> str:
    if _name(value) != value.lower() or "_" in value or value.endswith("-"):
        raise Wrong(
            f"expected a node name of small letters, digits and `-`, got {units.shown(value)}",
            f"write {value.lower().replace('_', '-').strip('-')}",
        )
    return value


def _number(value: Any) -> Any:
    """Strict numbers refuse subclasses that remember their text; hand over the bare one."""
    if isinstance(value, WrittenInt):
        return int(value)
    return float(value) if isinstance(value, WrittenFloat) else value


def _items(value: Any) -> Any:
    """Lists are read into tuples; a frozen model must not hold a list."""
    return tuple(value) if isinstance(value, list) else value


ITEMS = BeforeValidator(_items)

Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str)]
Name = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str),
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"}),
]
HostName = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str),
    AfterValidator(_host),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"}),
]
Setting = Annotated[
    str | int | float | bool,
    BeforeValidator(_setting),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Whole = Annotated[int, BeforeValidator(_number, json_schema_input_type=int)]
Number = Annotated[float, BeforeValidator(_number, json_schema_input_type=float)]


def _text_schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


DurationNs = Annotated[
    int,
    PlainValidator(units.parse_duration_ns),
    PlainSerializer(units.format_duration, return_type=str, when_used="json"),
    _text_schema(units.DURATION_PATTERN, "30s", "1.5s", "2m", "30ms"),
]
SignedDurationNs = Annotated[
    int,
    PlainValidator(units.parse_signed_duration_ns),
    PlainSerializer(units.format_duration, return_type=str, when_used="json"),
    _text_schema(units.SIGNED_DURATION_PATTERN, "1h", "-5m", "300ms"),
]
SizeBytes = Annotated[
    int,
    PlainValidator(units.parse_size_bytes),
    PlainSerializer(units.format_size, return_type=str, when_used="json"),
    _text_schema(units.SIZE_PATTERN, "256MB", "1GiB"),
]
BytesPerS = Annotated[
    int,
    PlainValidator(units.parse_bytes_per_s),
    PlainSerializer(units.format_bytes_per_s, return_type=str, when_used="json"),
    _text_schema(units.BYTES_PER_S_PATTERN, "1MB/s", "512KiB/s"),
]
BitsPerS = Annotated[
    int,
    PlainValidator(units.parse_bits_per_s),
    PlainSerializer(units.format_bits_per_s, return_type=str, when_used="json"),
    _text_schema(units.BITS_PER_S_PATTERN, "1Mbit/s", "64kbit/s"),
]
RatePerS = Annotated[
    float,
    PlainValidator(units.parse_rate_per_s),
    PlainSerializer(units.format_rate, return_type=str, when_used="json"),
    _text_schema(units.RATE_PATTERN, "200/s", "30/m"),
]
Share = Annotated[
    float,
    PlainValidator(units.parse_percent),
    PlainSerializer(units.format_percent, return_type=str, when_used="json"),
    _text_schema(units.PERCENT_PATTERN, "50%", "0.5%"),
]
TargetField = Annotated[
    Target,
    PlainValidator(Target.parse),
    PlainSerializer(str, return_type=str),
    _text_schema(Target.PATTERN, "primary", "replica", "n1", "zone:us-east-a", "random(2)"),
]
SideField = Annotated[
    Side,
    PlainValidator(Side.parse),
    PlainSerializer(str, return_type=str),
    _text_schema(Side.PATTERN, "n1", "primary", "clients@us-east-a"),
]
