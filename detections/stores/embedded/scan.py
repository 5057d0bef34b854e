"""Read rows of a list of segments: the FROM clause, its columns, and whole events by their place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa

from detections.eql.fields import Field
from detections.stores.base import StoredEvent
from detections.stores.embedded import columns
from detections.stores.embedded.connection import Connection, UnreadableError
from detections.stores.embedded.fetching import Place, fetched
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.segment_files import SegmentFiles

Row = tuple[Any, ...]


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
        """The whole events at some places of this scan. Raises as `fetched`."""
        return fetched(self.files, self.segments, places, timeout)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _of_file(numbers: Iterable[int]) -> str:
    """One number a segment, in SQL."""
    return f"([{', '.join(map(str, numbers))}]::BIGINT[])[p.file_index::BIGINT + 1]"
