"""Merge segments: many small ones into one, and closed hours into the order that searches ask for.

A merged file is written whole under a new name; then the manifest shows it instead of its sources, in one
transaction. A kill between any two bytes leaves the sources visible and at most a file that no manifest row
names. The sources' files stay until readers that began before are through.
"""
# ruff: noqa: S608 -- identifiers are quoted by us, values are numbers

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detections.errors import StoreError
from detections.stores.embedded.columns import TIMESTAMP, identifier, physical
from detections.stores.embedded.connection import Connection, UnreadableError
from detections.stores.embedded.manifest import ManifestMovedError, Segment
from detections.stores.embedded.merge_plan import SORTED, Merge, merges
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.scan import Scan
from detections.stores.embedded.segment_files import digest, write_tables

ROWS_IN_GROUP = 20_000
# Beside what the searches of the process may take.
MEMORY = "600MB"
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
    for one in list(merges(reader.manifest.segments(), now)):
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


def merge(reader: Reader, plan: Merge) -> Segment:
    """Write the merged file and show it instead of its sources.

    Raises ManifestMovedError if these are not what they were, StoreError if they can't be read or the disk
    refuses; nothing has changed then.
    """
    seen = _Written()

    def fill(path: Path) -> None:
        with _engine(reader).cursor() as cursor:
            relation = cursor.sql(_statement(reader.scan(plan.sources), plan.level))
            rows = relation.to_arrow_reader(ROWS_IN_GROUP)
            schema = _schema(rows.schema)
            tables = _numbered(rows, schema, seen)
            write_tables(schema, tables, path, compression_level=3, rows_in_group=ROWS_IN_GROUP)

    def described(file: Path, path: str) -> Segment:
        if seen.rows != plan.rows:
            raise StoreError(f"A merge read {seen.rows} rows instead of {plan.rows}; it was given up.")
        return _segment(plan, seen, file, path)

    try:
        segment = reader.files.made(fill, described, f"A merge of {len(plan.sources)} segments")
    except UnreadableError as error:
        error.segments = plan.sources
        raise reader.failure(error) from error
    try:
        reader.manifest.swap(plan.sources, segment)
    except ManifestMovedError:
        reader.files.discard(segment)
        raise
    return segment


def _engine(reader: Reader) -> Connection:
    """A database of the merge's own, which may put on disk what does not fit in its memory."""
    folder = reader.files.spill / uuid.uuid4().hex
    reader.files.spill.mkdir(parents=True, exist_ok=True)
    return Connection(memory_limit=MEMORY, temp_directory=str(folder))


def _statement(scan: Scan, level: int) -> str:
    kept = sorted(scan.present - set(_OWN))
    names = ", ".join(f"p.{identifier(name)}" for name in kept)
    arrived = f"make_timestamp({scan.arrived}) AS _arrived"
    own = f"{scan.ingest} AS _ingest, {arrived}, {scan.order} AS _place"
    order = ", ".join([*(_sort_keys(scan) if level == SORTED else ()), "p._timestamp", "_ingest", "_place"])
    return f"SELECT {own}, {names} FROM {scan.source} ORDER BY {order}"


def _sort_keys(scan: Scan) -> Iterator[str]:
    """What the rules and pivots ask for first: their rows then lie in few row groups."""
    for name, template in (
        ("process.name", "lower({0})"),
        ("event.category", "{0}"),
        ("host.id", "{0}"),
        ("process.entity_id", "{0}"),
    ):
        one, many = physical(name, several=False), physical(name, several=True)
        if one in scan.present:
            yield template.format(f"p.{identifier(one)}")
        elif many in scan.present:
            yield template.format(f"p.{identifier(many)}[1]")


def _schema(found: pa.Schema) -> pa.Schema:
    """The file's columns: those that were read, and the place in the file."""
    plain = {pa.timestamp("us"): TIMESTAMP}
    return pa.schema(
        [pa.field("_row", pa.int32()), *(pa.field(one.name, plain.get(one.type, one.type)) for one in found)]
    )


def _numbered(rows: Iterable[pa.RecordBatch], schema: pa.Schema, seen: _Written) -> Iterator[pa.Table]:
    """The rows in row groups of full size, each with its place in the file."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in rows:
        held.append(batch)
        count += batch.num_rows
        if count >= ROWS_IN_GROUP:
            full = pa.Table.from_batches(held)
            cut = count - count % ROWS_IN_GROUP
            yield _placed(full.slice(0, cut), schema, seen)
            held, count = full.slice(cut).to_batches(), count - cut
    if count:
        yield _placed(pa.Table.from_batches(held), schema, seen)


def _placed(table: pa.Table, schema: pa.Schema, seen: _Written) -> pa.Table:
    places = pa.array(range(seen.rows, seen.rows + table.num_rows), pa.int32())
    seen.count(table)
    return pa.table([places, *table.columns], schema=schema)


def _segment(plan: Merge, seen: _Written, file: Path, path: str) -> Segment:
    def end(ends: dict[str, Any], name: str) -> datetime | None:
        found: datetime | None = ends.get(name)
        return found and found.replace(tzinfo=UTC)

    first, last = end(seen.lows, "_timestamp"), end(seen.highs, "_timestamp")
    if first is None or last is None:
        raise StoreError("A merge read no time at all; it was given up.")
    return Segment(
        path=path,
        batch=f"merge:{uuid.uuid4().hex}",
        rows=seen.rows,
        bytes=file.stat().st_size,
        min_timestamp=first,
        max_timestamp=last,
        min_created=end(seen.lows, "_created"),
        max_created=end(seen.highs, "_created"),
        sha256=digest(file),
        columns=frozenset().union(*(source.columns for source in plan.sources)) | set(_OWN),
        ingest=seen.highs["_ingest"],
        arrived_at=end(seen.highs, "_arrived"),
        level=plan.level,
        first_ingest=seen.lows["_ingest"],
        first_arrived_at=end(seen.lows, "_arrived"),
    )
