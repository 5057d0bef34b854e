"""Single values of a text column, straight from the pages of a segment's file that hold them.

Arrow and DuckDB unpack all pages of a row group for one of its rows, which costs more than the whole search
before it. The layout is Apache Parquet's: column chunks of data pages (version 1), each with a header in
Thrift's compact protocol, plain values behind definition levels (parquet-format: README, `parquet.thrift`).
"""

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from detections.stores.embedded.segment_files import metadata_of

_DATA_PAGE, _PLAIN = 0, 0
# A header holds a dozen numbers, and the first and last value of its page where statistics are written.
_HEADER, _LARGEST_HEADER = 512, 1024**2
_CODEC = pa.Codec("zstd")
THREADS = 2


class UnusualLayoutError(Exception):
    """The column is not laid out as segments are written; read it with Arrow."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of values: its first row in the file, and where its packed bytes are."""

    first: int
    rows: int
    start: int
    packed: int
    unpacked: int
    checksum: int | None


@lru_cache(maxsize=512)
def pages_of(path: str, size: int, column: str) -> tuple[Page, ...]:
    """The pages of a column in the order of rows. size: of the file, in bytes; it tells a replaced file.

    Raises UnusualLayoutError, and OSError for a file that can't be read or is damaged.
    """
    metadata = metadata_of(path, size)
    place = metadata.schema.names.index(column)
    is_optional = metadata.schema.column(place).max_definition_level == 1
    if not is_optional or metadata.schema.column(place).max_repetition_level:
        raise UnusualLayoutError(column)
    found: list[Page] = []
    with Path(path).open("rb") as file:
        for number in range(metadata.num_row_groups):
            chunk = metadata.row_group(number).column(place)
            if chunk.compression != "ZSTD" or chunk.has_dictionary_page:
                raise UnusualLayoutError(column)
            first = found[-1].first + found[-1].rows if found else 0
            found.extend(_pages_in(file.fileno(), chunk, first))
    return tuple(found)


def _pages_in(file: int, chunk: pq.ColumnChunkMetaData, first: int) -> Iterator[Page]:
    offset, end = chunk.data_page_offset, first + chunk.num_values
    while first < end:
        length, header = _header(file, offset)
        page, checksum = header.get(5), header.get(4)
        if header.get(1) != _DATA_PAGE or not isinstance(page, dict) or page.get(2) != _PLAIN:
            raise UnusualLayoutError(chunk.path_in_schema)
        sizes: list[Any] = [page.get(1), header.get(3), header.get(2)]
        if not all(isinstance(size, int) and 0 < size < 2**31 for size in sizes):
            raise OSError(f"The page at byte {offset} has no size.")
        found = Page(first, sizes[0], offset + length, sizes[1], sizes[2], checksum and checksum % 2**32)
        yield found
        first, offset = first + found.rows, found.start + found.packed


def values_at(path: str, size: int, column: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The values of some rows, ascending, each with its row. Raises as `pages_of`."""
    pages = pages_of(path, size, column)
    firsts = [page.first for page in pages]
    grouped = groupby(rows, key=lambda row: bisect_right(firsts, row) - 1)
    wanted = [(pages[number], list(held)) for number, held in grouped]
    with Path(path).open("rb") as file, ThreadPoolExecutor(THREADS) as pool:
        # What a page holds besides these rows is let go by the thread that unpacked it.
        for found in pool.map(partial(_found, file.fileno()), wanted):
            yield from found


def _found(file: int, wanted: tuple[Page, Sequence[int]]) -> list[tuple[int, bytes]]:
    page, rows = wanted
    try:
        return list(_values(_unpacked(file, page), page, rows))
    except (IndexError, ValueError, struct.error, SystemError, pa.ArrowException) as error:
        raise OSError(f"The page at byte {page.start} is damaged: {error!r}") from error


def _unpacked(file: int, page: Page) -> bytes:
    packed = os.pread(file, page.packed, page.start)
    if page.checksum is not None and zlib.crc32(packed) != page.checksum:
        raise OSError(f"The page at byte {page.start} is not what was written.")
    data: bytes = _CODEC.decompress(packed, decompressed_size=page.unpacked, asbytes=True)
    return data


def _values(data: bytes, page: Page, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Walk from value to value: each has its length before it."""
    (levels,) = struct.unpack_from("<I", data)
    if not _are_all_there(data[4 : 4 + levels], page.rows):
        raise UnusualLayoutError
    position, at = 4 + levels, page.first
    for row in rows:
        for _ in range(row - at):
            position += 4 + struct.unpack_from("<I", data, position)[0]
        start = position + 4
        yield row, data[start : start + struct.unpack_from("<I", data, position)[0]]
        at = row


def _are_all_there(levels: bytes, rows: int) -> bool:
    """Whether no value is null: runs of equal levels, and groups of eight levels as bits."""
    position = 0
    while rows > 0:
        header, position = _varint(levels, position)
        if header & 1:
            count = min(header >> 1 << 3, rows)
            bits = int.from_bytes(levels[position : position + (header >> 1)], "little")
            is_whole, position = bits & (1 << count) - 1 == (1 << count) - 1, position + (header >> 1)
        else:
            count, is_whole, position = header >> 1, levels[position] == 1, position + 1
        if not is_whole or not count:
            return False
        rows -= count
    return True


def _header(file: int, offset: int) -> tuple[int, dict[int, Any]]:
    """The length of the page header at an offset, and its fields by their number."""
    size = _HEADER
    while True:
        data = os.pread(file, size, offset)
        try:
            fields, length = _structure(data, 0)
            return length, fields
        except RecursionError:
            raise OSError(f"There is no page at byte {offset}.") from None
        except IndexError:
            if size >= _LARGEST_HEADER or len(data) < size:
                raise OSError(f"There is no page at byte {offset}.") from None
            size *= 16


def _structure(data: bytes, position: int) -> tuple[dict[int, Any], int]:
    """A structure of Thrift's compact protocol; texts, lists and the like are passed over as None."""
    fields: dict[int, Any] = {}
    number = 0
    while kind := (head := data[position]) & 15:
        position += 1
        if head >> 4:
            number += head >> 4
        else:
            number, position = _zigzag(data, position)
        fields[number], position = _field(data, position, kind)
    return fields, position + 1


def _field(data: bytes, position: int, kind: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:
            return kind == 1, position
        case 3:
            return data[position], position + 1
        case 4 | 5 | 6:
            return _zigzag(data, position)
        case 8:
            length, position = _varint(data, position)
            return None, position + length
        case 12:
            return _structure(data, position)
    raise UnusualLayoutError(f"a header's field of type {kind}")


def _zigzag(data: bytes, position: int) -> tuple[int, int]:
    value, position = _varint(data, position)
    return value >> 1 ^ -(value & 1), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
