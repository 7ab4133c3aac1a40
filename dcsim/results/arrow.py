"""Between numpy columns and Arrow tables: types, units and meanings from the one schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import ResultError
from dcsim.results.schema import RESULT_VERSION, Column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_schema", "from_arrow", "to_arrow"]


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the `pyarrow.Schema` of a table; each field carries its unit and meaning as metadata.

    >>> from dcsim.results.schema import JOBS
    >>> arrow_schema(JOBS).field("wait_s").metadata[b"unit"]
    b's'
    """
    import pyarrow as pa

    types = {
        "float64": pa.float64(),
        "int64": pa.int64(),
        "int32": pa.int32(),
        "int16": pa.int16(),
        "bool": pa.bool_(),
        "text": pa.string(),
    }
    fields = [
        pa.field(c.name, types[c.dtype], nullable=False, metadata={"unit": c.unit, "meaning": c.meaning})
        for c in columns
    ]
    return pa.schema(fields, metadata={"dcsim_result_version": str(RESULT_VERSION)})


def to_arrow(table: Mapping[str, npt.NDArray[Any]], columns: Sequence[Column], name: str) -> pa.Table:
    """Return a `pyarrow.Table` over the given columns; contiguous numbers are not copied.

    Args:
        table: arrays by column name, all of one length.
        columns: of the schema, in order.
        name: of the table, for messages.

    Raises:
        ResultError: a column is missing, unknown, of another length, or does not fit its type.
    """
    import pyarrow as pa

    _check_columns(table, columns, name)
    schema = arrow_schema(columns)
    arrays = []
    for field in schema:
        values = table[field.name]
        try:
            arrays.append(_to_array(values, field.type))
        except (pa.ArrowException, OverflowError, UnicodeError) as error:
            raise ResultError(f"{name}.{field.name}: does not fit {field.type}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _to_array(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if kind == pa.string():
        return pa.array(np.asarray(values, dtype=object), type=kind)
    return pa.array(np.ascontiguousarray(values), type=kind, from_pandas=False)


def _check_columns(table: Mapping[str, npt.NDArray[Any]], columns: Sequence[Column], name: str) -> None:
    expected = [column.name for column in columns]
    missing = [column for column in expected if column not in table]
    unknown = [column for column in table if column not in expected]
    if missing or unknown:
        raise ResultError(f"{name}: columns missing: {missing}, unknown: {unknown}")
    lengths = {column: len(table[column]) for column in expected}
    if len(set(lengths.values())) > 1:
        raise ResultError(f"{name}: columns of different lengths: {lengths}")


def from_arrow(table: pa.Table, columns: Sequence[Column], name: str) -> dict[str, npt.NDArray[Any]]:
    """Return numpy columns of a `pyarrow.Table`; text comes back as object arrays.

    Raises:
        ResultError: the table's columns or types are not those of the schema, or it holds nulls.
    """
    expected = arrow_schema(columns)
    if not table.schema.equals(expected, check_metadata=False):
        raise ResultError(f"{name}: columns {table.schema.names} are not {expected.names} of the schema")
    if any(column.null_count for column in table.columns):
        raise ResultError(f"{name}: holds nulls where values are required")
    return {
        column.name: table.column(column.name).to_numpy(zero_copy_only=False)
        if column.dtype in ("text", "bool")
        else table.column(column.name).combine_chunks().to_numpy(zero_copy_only=False)
        for column in columns
    }
