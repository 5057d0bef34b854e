"""The leaf fields of a batch of JSON texts by Arrow's reader, which makes no Python object a value.

Arrow takes a field for one type. A piece of the batch in which that is not so, or that Arrow might read
otherwise than `flattening` walks it, is parsed and walked, so that both give the same fields and values.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from detections.stores.embedded import flattening
from detections.stores.embedded.flattening import Gathered

PIECE_ROWS, PIECE_BYTES = 256, 512 * 1024
# Each field takes room for each row of a piece, and names are the sender's.
PIECE_FIELDS, MOST_FIELDS = 1_000, 2_000
_MAX_DEPTH = 20
# A column of a piece, as long as the piece.
Leaves = dict[str, pa.Array]


class _IrregularError(Exception):
    """Arrow's reading of this piece would not be that of `flattening`."""


class ArrowLeaf:
    """The values of one field over a batch, in Arrow's columns of pieces. Offers what `Gathered` does."""

    __slots__ = ("name", "parts")

    def __init__(self, name: str, parts: list[tuple[int, pa.Array]]) -> None:
        """parts: columns of one type, each with the number of its first document."""
        self.name, self.parts = name, parts

    def __len__(self) -> int:
        return sum(len(values) - values.null_count for _, values in self.parts)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for start, values in self.parts:
            for row, value in enumerate(values.to_pylist(), start):
                if isinstance(value, list):
                    value = value if len(value) != 1 else value[0]
                if value is not None and value != []:
                    yield row, value

    @property
    def kind(self) -> pa.DataType:
        return self.parts[0][1].type

    @property
    def types(self) -> set[type]:
        return {type(value) for _, value in self}

    @property
    def first(self) -> list[Any]:
        value = min(self, key=itemgetter(0))[1]
        return value if isinstance(value, list) else [value]

    def spread(self, length: int) -> list[Any]:
        found: list[Any] = [None] * length
        for row, value in self:
            found[row] = value
        return found

    def column(self, length: int) -> pa.ChunkedArray:
        """A value for each of so many documents."""
        chunks, at = [], 0
        for start, values in self.parts:
            if start > at:
                chunks.append(pa.nulls(start - at, self.kind))
            chunks.append(values)
            at = start + len(values)
        if at < length:
            chunks.append(pa.nulls(length - at, self.kind))
        return pa.chunked_array(chunks, self.kind)


Leaf = Gathered | ArrowLeaf


class Shape:
    """The fields that documents have had, with Arrow's types: what it reads next is declared.

    Arrow's memory and time grow with rows times fields, so a piece with a new field is walked before that is
    declared, and nobody can make Arrow read more fields than these.
    """

    def __init__(self) -> None:
        self.schema = pa.schema([])

    def leaves(self, texts: Sequence[str], doubles: Set[str]) -> dict[str, Leaf]:
        """The leaf fields of documents by dotted name, as `flattening.leaves` gives them.

        doubles: the fields whose whole numbers may be read as floating ones.
        """
        parts: dict[str, list[tuple[int, pa.Array | Gathered]]] = {}
        start = 0
        for piece in _pieces(texts):
            for name, held in self._read(piece, doubles).items():
                parts.setdefault(name, []).append((start, held))
            start += len(piece)
        return {name: _joined(name, held) for name, held in parts.items()}

    def _read(self, piece: Sequence[str], doubles: Set[str]) -> Mapping[str, pa.Array | Gathered]:
        content = "\n".join(piece).encode(errors="surrogatepass")
        try:
            return _columns(_table(content, self.schema, "error"), len(piece), doubles)
        except _IrregularError:
            return _walked(piece)
        except pa.ArrowException:
            found = _walked(piece)
        if _is_narrow(found, content):
            self._learn(content)
        try:
            return _columns(_table(content, self.schema, "error"), len(piece), doubles)
        except (_IrregularError, pa.ArrowException):
            return found

    def _learn(self, content: bytes) -> None:
        """Declare the fields of a piece; all anew if they have become many."""
        try:
            found = _table(content, pa.schema(_typed(self.schema)), "infer").schema
        except pa.ArrowException:
            return
        # A text that looks like a time would lose its spelling.
        self.schema = pa.schema([_as_text(entry) for entry in found])
        if _count(self.schema) > MOST_FIELDS:
            self.schema = pa.schema([])


def _walked(piece: Iterable[str]) -> dict[str, Gathered]:
    # Not orjson: it turns integers past 64 bits into floats.
    return flattening.leaves([json.loads(text) for text in piece])


def _is_narrow(found: Mapping[str, Gathered], content: bytes) -> bool:
    """Whether a piece has few fields, also of those without a value, which only its colons tell."""
    values = sum(map(len, found.values()))
    return len(found) <= PIECE_FIELDS and content.count(b":") <= 4 * values


def _pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = size = 0
    for end, text in enumerate(texts):
        if end > start and (end - start == PIECE_ROWS or size + len(text) > PIECE_BYTES):
            yield texts[start:end]
            start, size = end, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def _joined(name: str, held: Sequence[tuple[int, pa.Array | Gathered]]) -> Leaf:
    kinds = {None if isinstance(part, Gathered) else part.type for _, part in held}
    if len(kinds) == 1 and None not in kinds:
        return ArrowLeaf(name, list(held))
    walked = Gathered(name, [])
    for start, part in held:
        if isinstance(part, Gathered):
            walked.parts += [([start + row for row in rows], values) for rows, values in part.parts]
        else:
            pairs = list(ArrowLeaf(name, [(start, part)]))
            walked.parts.append(([row for row, _ in pairs], [value for _, value in pairs]))
    return walked


def _columns(table: pa.Table, rows: int, doubles: Set[str]) -> Leaves:
    """The leaves of a table of so many documents. Raises _IrregularError where they have to be walked."""
    if table.num_rows != rows:
        raise _IrregularError
    found: Leaves = {}
    for entry, column in zip(table.schema, table.columns, strict=True):
        _gather(found, entry.name, column.combine_chunks(), 0)
    floating = {name for name, values in found.items() if pa.types.is_floating(_item(values.type))}
    if floating - doubles:
        raise _IrregularError
    return found


def _table(content: bytes, schema: pa.Schema, unexpected: str) -> pa.Table:
    return pj.read_json(
        io.BytesIO(content),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(content) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
    )


def _gather(found: Leaves, name: str, values: pa.Array, depth: int) -> None:
    """Add the leaves below a column. Raises _IrregularError for what has to be walked."""
    kind = values.type
    if pa.types.is_null(kind) or values.null_count == len(values):
        return
    if pa.types.is_struct(kind):
        if depth > _MAX_DEPTH or any(not entry.name for entry in kind):
            raise _IrregularError
        for entry, below in zip(kind, values.flatten(), strict=True):
            _gather(found, f"{name}.{entry.name}", below, depth + 1)
        return
    if pa.types.is_list(kind):
        if pa.types.is_struct(kind.value_type):
            _spread(found, name, values.flatten(), pc.list_parent_indices(values), len(values), depth + 1)
            return
        if pa.types.is_null(kind.value_type):
            return
        if pa.types.is_nested(kind.value_type) or values.flatten().null_count:
            raise _IrregularError
    if name in found or not name:
        raise _IrregularError
    found[name] = values


def _spread(found: Leaves, name: str, values: pa.Array, owners: pa.Array, rows: int, depth: int) -> None:
    """Add the leaves of objects in lists: for each document the values of all its objects, in their order.

    owners: the document of each value, ascending.
    """
    kind = values.type
    if pa.types.is_null(kind) or values.null_count == len(values):
        return
    if depth > _MAX_DEPTH:
        raise _IrregularError
    if pa.types.is_list(kind):
        below = owners.take(pc.list_parent_indices(values))
        _spread(found, name, values.flatten(), below, rows, depth + 1)
    elif pa.types.is_struct(kind):
        if not all(entry.name for entry in kind):
            raise _IrregularError
        for entry, part in zip(kind, values.flatten(), strict=True):
            _spread(found, f"{name}.{entry.name}", part, owners, rows, depth + 1)
    elif name in found:
        raise _IrregularError
    else:
        found[name] = _regrouped(values, owners, rows)


def _regrouped(values: pa.Array, owners: pa.Array, rows: int) -> pa.ListArray:
    """The values of each document as a list, null where it has none."""
    is_valid = values.is_valid()
    counted = pc.value_counts(owners.filter(is_valid))
    place = pc.index_in(pa.array(range(rows), owners.type), value_set=counted.field("values"))
    lengths = counted.field("counts").take(place).fill_null(0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, values.filter(is_valid), mask=pc.equal(lengths, 0))


def _item(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def _typed(entries: Iterable[pa.Field]) -> Iterator[pa.Field]:
    """The entries without what was never more than null."""
    for entry in entries:
        if pa.types.is_struct(entry.type):
            yield entry.with_type(pa.struct(list(_typed(entry.type))))
        elif not pa.types.is_null(_item(entry.type)):
            yield entry


def _count(entries: Iterable[pa.Field]) -> int:
    return sum(_count(entry.type) if pa.types.is_struct(entry.type) else 1 for entry in entries)


def _as_text(entry: pa.Field) -> pa.Field:
    kind = entry.type
    if pa.types.is_timestamp(kind):
        return entry.with_type(pa.string())
    if pa.types.is_list(kind):
        return entry.with_type(pa.list_(_as_text(kind.value_field)))
    if pa.types.is_struct(kind):
        return entry.with_type(pa.struct([_as_text(below) for below in kind]))
    return entry
