"""Whole columns of Arrow as columns of a field's type, with the values that `columns.fitted` gives.

Where a column holds anything that this can't tell exactly, None says so, and its values are fitted one by
one.
"""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.fields import Field, FieldType
from detections.stores.embedded import columns

_PLAIN_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"
_BEYOND_MICROSECONDS = r"(\.\d{6})\d+Z$"
_EARLIEST, _LATEST = datetime(1601, 1, 1), datetime(9999, 1, 1)  # noqa: DTZ001 -- UTC, as in the columns
_AS_THEY_ARE = {
    FieldType.KEYWORD: pa.string(),
    FieldType.TEXT: pa.string(),
    FieldType.VERSION: pa.string(),
    FieldType.LONG: pa.int64(),
    FieldType.BOOLEAN: pa.bool_(),
}


def physical(field: Field, values: pa.ChunkedArray) -> list[tuple[str, pa.ChunkedArray]] | None:
    """The physical columns of a field: one for rows with one value, one for rows with several."""
    one, many = (columns.physical(field.name, several=several) for several in (False, True))
    if not pa.types.is_list(values.type):
        held = None if field.is_list else fitted(field.type, values)
        return None if held is None else _held([(one, held)])
    lists = _fitted_lists(field.type, values)
    if lists is None:
        return None
    length = pc.list_value_length(lists)
    if field.is_list:
        return _held([(many, _where(pc.greater(length, 0), lists))])
    is_single = pc.fill_null(pc.equal(length, 1), False)
    return _held([(one, _singles(lists, is_single)), (many, _where(pc.greater(length, 1), lists))])


def fitted(kind: FieldType, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Scalars as a column of this type."""
    if values.type == _AS_THEY_ARE.get(kind):
        return values
    if kind is FieldType.DOUBLE and pa.types.is_floating(values.type):
        return values if pc.all(pc.is_finite(values)).as_py() is not False else None
    if values.type == pa.string():
        if kind is FieldType.DATE:
            return times(values)
        if kind is FieldType.IP:
            return _addresses(values)
    return None


def times(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Texts as moments, where all are times in the usual form."""
    if pc.all(pc.match_substring_regex(values, _PLAIN_TIME)).as_py() is False:
        return None
    cut = pc.replace_substring_regex(values, _BEYOND_MICROSECONDS, r"\1Z")
    try:
        found = cut.cast(pa.timestamp("us", "UTC")).cast(columns.TIMESTAMP)
    except pa.ArrowInvalid:
        return None
    ends = pc.min_max(found).as_py()
    is_empty = ends["min"] is None
    return found if is_empty or (ends["min"] >= _EARLIEST and ends["max"] < _LATEST) else None


def _addresses(values: pa.ChunkedArray) -> pa.ChunkedArray:
    coded = values.combine_chunks().dictionary_encode()
    fit = columns.fitting(FieldType.IP)
    spelled = pa.array([fit(text) for text in coded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([spelled.take(coded.indices)])


def _fitted_lists(kind: FieldType, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Lists of one type as lists of another; None also where a value of a list does not fit."""
    lists = values.combine_chunks()
    inside = fitted(kind, pa.chunked_array([lists.flatten()]))
    if inside is None or inside.null_count:
        return None
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    mask = lists.is_null()
    return pa.chunked_array([pa.ListArray.from_arrays(offsets, inside.combine_chunks(), mask=mask)])


def _where(condition: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where a condition holds, and null elsewhere."""
    if pc.all(condition).as_py() is not False:
        return values
    return pc.if_else(condition, values, pa.scalar(None, values.type))


def _singles(lists: pa.ChunkedArray, is_single: pa.ChunkedArray) -> pa.ChunkedArray:
    inside = lists.filter(is_single).combine_chunks().flatten()
    mask = is_single.combine_chunks()
    return pa.chunked_array([pc.replace_with_mask(pa.nulls(len(mask), inside.type), mask, inside)])


def _held(found: list[tuple[str, pa.ChunkedArray]]) -> list[tuple[str, pa.ChunkedArray]]:
    return [(name, column) for name, column in found if column.null_count < len(column)]
