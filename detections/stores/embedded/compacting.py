"""Merge segments: many small ones into one, and closed hours into the order that searches ask for.

A merged file is written whole under a new name; then the manifest shows it instead of its sources, in one
transaction. A kill between any two bytes leaves the sources visible and at most a file that no manifest row
names. The sources' files stay until readers that began before are through.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detections.errors import StoreError
from detections.stores.embedded.columns import TIMESTAMP, micros, physical
from detections.stores.embedded.connection import UnreadableError
from detections.stores.embedded.manifest import ManifestMovedError, Segment
from detections.stores.embedded.merge_plan import SORTED, Merge, merges
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.segment_files import digest, texts_in, write_tables

ROWS_IN_GROUP = 20_000
# Documents repeat each other, and zstd finds it within a page. Nine is where it begins to cost more than it
# gives; searches unpack as fast as before.
LEVEL, PAGE_SIZE = 9, 4 * 1024**2
# What the sources of one merge may take in memory: their raw documents above all.
MOST_UNPACKED = 512 * 1024**2
_OWN = ("_row", "_ingest", "_arrived", "_place")
_EXTENT = ("_timestamp", "_created", "_ingest", "_arrived")


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a round of merging did. failed: why a merge was given up; its sources stay as they are."""

    sources: int = 0
    files: int = 0
    rows: int = 0
    failed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Written:
    """What is learnt of the rows while they are written."""

    rows: int = 0
    lows: dict[str, Any] = field(default_factory=dict)
    highs: dict[str, Any] = field(default_factory=dict)

    def count(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        for name in _EXTENT:
            ends = pc.min_max(table[name]).as_py()
            if ends["min"] is not None:
                self.lows[name] = min(ends["min"], self.lows.get(name, ends["min"]))
                self.highs[name] = max(ends["max"], self.highs.get(name, ends["max"]))


def compacted(reader: Reader, now: datetime, *, more: Callable[[], bool] = lambda: True) -> Compacted:
    """Merge what is worth merging. `more` is asked before each merge and ends the round with False.

    Raises nothing for a merge that fails: it says so, and the next round tries again.
    """
    sources = files = rows = 0
    failed: list[str] = []
    found = list(merges(reader.manifest.segments(), now))
    for one in (part for plan in found for part in _fitting(reader, plan)):
        if not more():
            break
        try:
            merged = merge(reader, one)
        except ManifestMovedError:
            continue
        except StoreError as error:
            failed.append(str(error))
            continue
        sources, files, rows = sources + len(one.sources), files + 1, rows + merged.rows
    return Compacted(sources, files, rows, tuple(failed))


def merge(
    reader: Reader, plan: Merge, *, without: Collection[str] = (), expected_head: int | None = None
) -> Segment:
    """Write the merged file and show it instead of its sources.

    without: identities of the sources that stay out, as other segments have them up to `expected_head`.
    Raises ManifestMovedError if the sources or the head are not what they were, StoreError if the sources
    can't be read or the disk refuses; nothing has changed then.
    """
    seen = _Written()

    def fill(path: Path) -> None:
        table = _together([_read(reader, source) for source in plan.sources])
        if without:
            table = table.filter(pc.invert(pc.is_in(table["_identity"].cast(pa.string()), pa.array(without))))
        order = _order(table, plan.level)
        rows = _numbered(table, order, seen)
        schema = pa.schema([pa.field("_row", pa.int32()), *table.schema])
        write_tables(
            schema, rows, path, compression_level=LEVEL, rows_in_group=ROWS_IN_GROUP, page_size=PAGE_SIZE
        )

    def described(file: Path, path: str) -> Segment:
        if seen.rows != plan.rows - len(without):
            raise StoreError(f"A merge read {seen.rows} rows instead of {plan.rows}; it was given up.")
        return _segment(plan, seen, file, path)

    try:
        segment = reader.files.made(fill, described, f"A merge of {len(plan.sources)} segments")
    except UnreadableError as error:
        raise reader.failure(error) from error
    try:
        reader.manifest.swap(plan.sources, segment, expected_head=expected_head)
    except ManifestMovedError:
        reader.files.discard(segment)
        raise
    return segment


def _fitting(reader: Reader, plan: Merge) -> Iterator[Merge]:
    """The merge, or parts of it that fit in memory. What does not fit alone is left as it is."""
    size = sum(_unpacked(reader, source) for source in plan.sources)
    if size <= MOST_UNPACKED:
        if len(plan.sources) > 1 or plan.sources[0].level < plan.level:
            yield plan
    elif len(plan.sources) > 1:
        middle = len(plan.sources) // 2
        for part in (plan.sources[:middle], plan.sources[middle:]):
            yield from _fitting(reader, Merge(part, plan.level))


def _unpacked(reader: Reader, source: Segment) -> int:
    """How many bytes a segment takes in memory, or 0 for one that can't be read: its merge says why."""
    try:
        metadata = pq.read_metadata(reader.files.absolute(source.path))
    except (OSError, pa.ArrowException):
        return 0
    return sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))


def _read(reader: Reader, source: Segment) -> pa.Table:
    """All columns of a segment, with the number, arrival and place of each row."""
    try:
        path = reader.files.absolute(source.path)
        file = pq.ParquetFile(path, read_dictionary=texts_in(pq.read_metadata(path)))
        table = file.read()
    except (OSError, pa.ArrowException) as error:
        broken = UnreadableError(str(error))
        broken.segments = [source]
        raise broken from error
    if source.is_merged:
        return table.drop_columns(["_row"])
    rows = table.num_rows
    own = {
        "_ingest": pa.repeat(pa.scalar(source.ingest, pa.int64()), rows),
        "_arrived": pa.repeat(pa.scalar(micros(source.arrival), pa.int64()), rows).cast(TIMESTAMP),
        "_place": table["_row"],
    }
    table = table.drop_columns(["_row"])
    for name, values in own.items():
        table = table.append_column(name, values)
    return table


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of all columns; those that a source does not have are null there."""
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def _order(table: pa.Table, level: int) -> pa.Array:
    """The rows in the order in which they are written."""
    keys = {name: table[name] for name in ("_timestamp", "_ingest", "_place")}
    if level == SORTED:
        keys = {**dict(_sort_keys(table)), **keys}
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])


def _sort_keys(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """What the rules and pivots ask for first: their rows then lie in few row groups."""
    for name in ("process.name", "event.category", "host.id", "process.entity_id"):
        one, many = physical(name, several=False), physical(name, several=True)
        if one in table.column_names:
            values = table[one].cast(pa.string())
            yield name, pc.ascii_lower(values) if name == "process.name" else values
        elif many in table.column_names:
            yield name, pc.list_element(_filled(table[many]), 0)


def _filled(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """No list is empty or null, so that each has a first element."""
    kind = lists.type
    empty = pa.array([[None]], kind)[0]
    has_any = pc.greater(pc.fill_null(pc.list_value_length(lists), 0), 0)
    return pc.if_else(has_any, lists, empty)


def _numbered(table: pa.Table, order: pa.Array, seen: _Written) -> Iterator[pa.Table]:
    """The rows in row groups of full size, each with its place in the file."""
    for start in range(0, len(order), ROWS_IN_GROUP):
        group = _pruned(table.take(order.slice(start, ROWS_IN_GROUP)))
        places = pa.array(range(seen.rows, seen.rows + group.num_rows), pa.int32())
        seen.count(group)
        yield group.add_column(0, "_row", places)


def _pruned(group: pa.Table) -> pa.Table:
    """The group with dictionaries of its own texts: the whole ones would be written with each row group."""
    for number, column in enumerate(group.columns):
        if pa.types.is_dictionary(column.type):
            texts = column.unify_dictionaries().combine_chunks()
            used = texts.indices.dictionary_encode()
            own = pa.DictionaryArray.from_arrays(used.indices, texts.dictionary.take(used.dictionary))
            group = group.set_column(number, group.field(number), own)
    return group


def _segment(plan: Merge, seen: _Written, file: Path, path: str) -> Segment:
    def end(ends: dict[str, Any], name: str) -> datetime | None:
        found: datetime | None = ends.get(name)
        return found and found.replace(tzinfo=UTC)

    # A segment whose rows all stay out keeps the extent it had.
    sources = plan.sources
    return Segment(
        path=path,
        batch=f"merge:{uuid.uuid4().hex}",
        rows=seen.rows,
        bytes=file.stat().st_size,
        min_timestamp=end(seen.lows, "_timestamp") or min(one.min_timestamp for one in sources),
        max_timestamp=end(seen.highs, "_timestamp") or max(one.max_timestamp for one in sources),
        min_created=end(seen.lows, "_created"),
        max_created=end(seen.highs, "_created"),
        sha256=digest(file),
        columns=frozenset().union(*(source.columns for source in sources)) | set(_OWN),
        ingest=seen.highs.get("_ingest") or max(one.ingest for one in sources),
        arrived_at=end(seen.highs, "_arrived") or max(one.arrival for one in sources),
        level=plan.level,
        first_ingest=seen.lows.get("_ingest") or min(one.lowest_ingest for one in sources),
        first_arrived_at=end(seen.lows, "_arrived") or min(one.first_arrival for one in sources),
    )
