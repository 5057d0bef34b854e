"""Read rows of a list of segments: the FROM clause, its columns, and whole events by their place."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from itertools import groupby
from typing import Any

import pyarrow as pa

from detections.eql.fields import Field
from detections.errors import StoreError
from detections.stores.base import StoredEvent
from detections.stores.embedded import columns
from detections.stores.embedded.connection import Connection, UnreadableError
from detections.stores.embedded.documents import parsed
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.segment_files import SegmentFiles

Row = tuple[Any, ...]
# The path of a segment and the row in it.
Place = tuple[str, int]
# As many events are fetched one by one.
FEW = 100
# Rows so close to each other are read together: DuckDB takes as many at a time.
VECTOR = 2048
# A statement reads as many vectors at once: each takes megabytes for the pages that it unpacks.
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field in SQL over one scan. `sql` is NULL where no segment of the scan has a value."""

    sql: str
    field: Field
    is_list: bool


class Scan:
    """Some segments, read together. `file_index` in SQL is the number of a segment in `segments`."""

    def __init__(self, files: SegmentFiles, connection: Connection, segments: Sequence[Segment]) -> None:
        self.files, self.connection = files, connection
        self.segments = tuple(segments)

    @cached_property
    def present(self) -> frozenset[str]:
        return frozenset[str]().union(*{segment.columns for segment in self.segments})

    @property
    def has_merged(self) -> bool:
        """Whether some rows bear their number and arrival themselves."""
        return any(segment.is_merged for segment in self.segments)

    @property
    def ingest(self) -> str:
        """The number of a row's batch in SQL."""
        if not self.segments:
            return "NULL"
        numbers = _of_file(segment.ingest for segment in self.segments)
        return f"coalesce(p._ingest, {numbers})" if self.has_merged else numbers

    @property
    def arrived(self) -> str:
        """When a row's batch arrived, in SQL: microseconds since 1970."""
        if not self.segments:
            return "NULL"
        own = _of_file(columns.micros(segment.arrival) for segment in self.segments)
        return f"coalesce(epoch_us(p._arrived), {own})" if self.has_merged else own

    @property
    def order(self) -> str:
        """The place of a row in its batch, in SQL."""
        return "coalesce(p._place, p._row)" if self.has_merged else "p._row"

    @property
    def source(self) -> str:
        """The table function, as `p`."""
        paths = ", ".join(_literal(str(self.files.absolute(segment.path))) for segment in self.segments)
        return f"read_parquet([{paths}], union_by_name=true) p"

    def leaf(self, field: Field) -> Leaf:
        """The column expression of a field: one value, several, or either."""
        one, many = columns.physical(field.name, several=False), columns.physical(field.name, several=True)
        single, several = f"p.{columns.identifier(one)}", f"p.{columns.identifier(many)}"
        if one in self.present and many in self.present:
            both = f"coalesce({several}, CASE WHEN {single} IS NOT NULL THEN [{single}] END)"
            return Leaf(both, field, is_list=True)
        if many in self.present:
            return Leaf(several, field, is_list=True)
        if one in self.present:
            return Leaf(single, field, is_list=False)
        missing = f"CAST(NULL AS {columns.sql_type(field.type)}{'[]' if field.is_list else ''})"
        return Leaf(missing, field, field.is_list)

    def run(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        tables: Mapping[str, pa.Table] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Row]:
        """Execute SQL that reads `source`; no row where the scan has no segment.

        Raises UnreadableError with this scan's segments, and otherwise as `Connection.cursor` does.
        """
        if not self.segments:
            return []
        try:
            with self.connection.cursor(timeout) as cursor:
                for name, table in (tables or {}).items():
                    cursor.register(name, table)
                rows: list[Row] = cursor.execute(sql, list(parameters) or None).fetchall()
                return rows
        except UnreadableError as error:
            error.segments = self.segments
            raise

    def places(self, rows: Sequence[Row]) -> list[Place]:
        """Rows that begin with (file_index, _row), as places."""
        return [(self.segments[row[0]].path, row[1]) for row in rows]

    def events(
        self, places: Iterable[Place], *, timeout: timedelta | None = None
    ) -> dict[Place, StoredEvent]:
        """The whole events at some places of this scan."""
        wanted = sorted(set(places))
        paths = {path for path, _ in wanted}
        narrow = Scan(self.files, self.connection, [one for one in self.segments if one.path in paths])
        if len(wanted) <= FEW:
            near = _near(wanted)
            parts = (near[at : at + AT_ONCE] for at in range(0, len(near), AT_ONCE))
            rows = [row for part in parts for row in narrow._by_vector(part, timeout)]
        else:
            rows = narrow._joined(wanted, timeout)
        if len(rows) != len(wanted):
            raise StoreError(f"{len(wanted) - len(rows)} events are not where they were found. Search again.")
        return dict(zip(narrow.places(rows), (narrow.event(row) for row in rows), strict=True))

    def _joined(self, wanted: Sequence[Place], timeout: timedelta | None) -> list[Row]:
        """The rows of `event` at many places: one pass over the files."""
        index = {segment.path: number for number, segment in enumerate(self.segments)}
        table = pa.table(
            {
                "file": pa.array([index[path] for path, _ in wanted], pa.int64()),
                "row": pa.array([row for _, row in wanted], pa.int32()),
            }
        )
        return self.run(
            "SELECT w.file, w.row, p._identity, epoch_us(p._timestamp), p._raw, "
            f"{self.ingest}, {self.arrived} "
            f"FROM {self.source} JOIN wanted w ON p.file_index = w.file AND p._row = w.row",
            tables={"wanted": table},
            timeout=timeout,
        )

    def _by_vector(self, near: Sequence[Sequence[Place]], timeout: timedelta | None) -> list[Row]:
        """The rows of `event` at few places: of each file only the pages that hold them are unpacked."""
        index = {segment.path: number for number, segment in enumerate(self.segments)}
        parts = []
        for places in near:
            number = index[places[0][0]]
            one = Scan(self.files, self.connection, [self.segments[number]])
            rows = ", ".join(f"{row:d}" for _, row in places)
            parts.append(
                f"SELECT {number:d}, p._row, p._identity, epoch_us(p._timestamp), p._raw, "
                f"{one.ingest}, {one.arrived} FROM {one.source} "
                f"WHERE p._row BETWEEN {places[0][1]:d} AND {places[-1][1]:d} AND p._row IN ({rows})"
            )
        return self.run(" UNION ALL ".join(parts), timeout=timeout)

    def event(self, row: Row) -> StoredEvent:
        """A row (file_index, _row, identity, microseconds, raw, number, arrival) as an event."""
        return StoredEvent(
            identity=row[2],
            document=partial(parsed, row[4]),
            timestamp=columns.from_micros(row[3]),
            ingest=row[5],
            arrived_at=columns.from_micros(row[6]),
        )


def _near(places: Iterable[Place]) -> list[list[Place]]:
    """Places in their order, put together where they lie in one vector of a file."""
    grouped = groupby(places, key=lambda place: (place[0], place[1] // VECTOR))
    return [list(near) for _, near in grouped]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _of_file(numbers: Iterable[int]) -> str:
    """One number a segment, in SQL."""
    return f"([{', '.join(map(str, numbers))}]::BIGINT[])[p.file_index::BIGINT + 1]"
