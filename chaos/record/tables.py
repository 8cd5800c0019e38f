"""Rows and Parquet files into tables of a known schema, or a RecordError that says why not.

A run directory may come from anywhere, so nothing in a file is believed: columns, types, nulls,
words and the number of rows are checked before anybody computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaos.errors import RecordError
from chaos.record import rundir
from chaos.record.schema import ADDED, FAULTS, HISTORY, SAMPLES

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table

ROWS_MAX = 500_000_000
UNCOMPRESSED_BYTES_MAX = 64 << 30

REQUIRED_HISTORY = ("process", "node", "zone", "f", "type", "start_ns", "end_ns")
_REQUIRED = {
    HISTORY: REQUIRED_HISTORY,
    SAMPLES: ("t_ns", "node"),
    FAULTS: ("id", "kind", "fault"),
}
_EMPTY_TEXT = ("node", "zone")  # "" where a row says nothing
_TYPES = pa.array(["ok", "fail", "info"])


def plain(schema: pa.Schema) -> pa.Schema:
    """`schema` with text instead of dictionaries of text: what segments hold."""
    return pa.schema(
        [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    )


def table_of(rows: Rows, schema: pa.Schema, where: str) -> pa.Table:
    """`rows` as a table of `schema`: absent keys are null, keys it does not know are refused."""
    if isinstance(rows, pa.Table):
        return conform(rows, schema, where)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise RecordError(
            f"{where}: no column {sorted(unknown)[0]!r}; the columns are {', '.join(schema.names)}"
        )
    filled = [
        {**row, **{key: "" for key in _EMPTY_TEXT if row.get(key) is None}}
        if schema is HISTORY
        else row
        for row in rows
    ]
    try:
        table = pa.Table.from_pylist(filled, schema=plain(schema))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{where}: a value does not fit its column: {error}") from None
    return conform(table, schema, where)


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """`table` cast to those columns of `schema` it is asked to have, checked; else RecordError.

    `schema` may be a selection of HISTORY's, FAULTS' or SAMPLES' columns.
    """
    for name in (name for name in ADDED if name in schema.names):
        if name not in table.column_names:
            nulls = pa.nulls(len(table), schema.field(name).type)
            table = table.append_column(schema.field(name), nulls)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise RecordError(
            f"{where}: expected the columns {', '.join(schema.names)}, "
            f"{', '.join(missing)} missing",
            fix="docs/run-directory.md lists every column",
        )
    try:
        table = table.select(schema.names)
        if table.schema != schema:
            table = table.cast(schema)
        table = table.unify_dictionaries()
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise RecordError(f"{where}: a column is not of its type: {error}") from None
    _check_values(table, where)
    return table.replace_schema_metadata(None)


def _check_values(table: pa.Table, where: str) -> None:
    required = next(
        (
            names
            for known, names in _REQUIRED.items()
            if set(table.column_names) <= set(known.names)
        ),
        (),
    )
    for name in required:
        if name in table.column_names and table[name].null_count:
            raise RecordError(f"{where}: column {name} has {table[name].null_count} empty values")
    names = table.column_names
    if "type" in names:
        words = pc.unique(table["type"].cast(pa.string()))
        bad = words.filter(pc.invert(pc.is_in(words, value_set=_TYPES)))
        if len(bad):
            raise RecordError(f"{where}: type is ok, fail or info, not {str(bad[0])[:40]!r}")
    if "start_ns" in names and "end_ns" in names and len(table):
        early = pc.sum(pc.less(table["end_ns"], table["start_ns"])).as_py()
        if early:
            raise RecordError(f"{where}: {early} operations end before they start")


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` from a Parquet file; RecordError when it is not such a file."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            meta = file.metadata
            size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if meta.num_rows > ROWS_MAX or size > UNCOMPRESSED_BYTES_MAX:
                raise RecordError(
                    f"{path} says it holds {meta.num_rows} rows in {size} bytes: more than "
                    f"the {ROWS_MAX} rows and {UNCOMPRESSED_BYTES_MAX} bytes that are read"
                )
            columns = [name for name in schema.names if name in file.schema_arrow.names]
            table = file.read(columns=columns)
    except FileNotFoundError:
        raise RecordError(f"expected a file {path.name} in {path.parent}, found none") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RecordError(
            f"{path} cannot be read as Parquet: {text}",
            fix="it is damaged or cut short; copy the run directory again",
        ) from None
    return conform(table, schema, str(path))


def write_parquet(path: Path, table: pa.Table) -> None:
    """Replace `path` by `table`, all or nothing, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        pq.write_table(table, temporary, compression="zstd")
        rundir.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
