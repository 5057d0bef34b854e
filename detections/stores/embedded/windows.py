"""Search by structured filters in a window of @timestamp."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from detections.eql.fields import FieldCatalogue
from detections.stores.base import (
    Bucket,
    Clause,
    Fetched,
    Filters,
    Histogram,
    HostSpread,
    Operator,
    Page,
    Spread,
    Window,
)
from detections.stores.embedded.columns import MICROSECOND, from_micros, naive
from detections.stores.embedded.encoding import identity_key
from detections.stores.embedded.filters import FilterCompiler
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader, completeness
from detections.stores.embedded.scan import Leaf, Scan

# More groups are searched in one pass: each branch is a pass of its own.
MOST_BRANCHES = 8
_IN_WINDOW = "p._timestamp BETWEEN ? AND ?"


def within(segments: list[Segment], window: Window, head: int | None = None) -> list[Segment]:
    """The segments that may hold events of a window."""
    return [
        segment
        for segment in segments
        if segment.min_timestamp <= window.end
        and segment.max_timestamp >= window.start
        and (head is None or segment.lowest_ingest <= head)
    ]


@dataclass(frozen=True, slots=True)
class _Condition:
    """The WHERE of one search over one scan, with its parameters."""

    sql: str
    parameters: list[Any]


def _condition(
    scan: Scan, known: FieldCatalogue, filters: Filters, window: Window, head: int | None = None
) -> _Condition:
    ends = [naive(window.start), naive(window.end)]

    def distinct(leaf: Leaf) -> list[str]:
        value = f"unnest({leaf.sql})" if leaf.is_list else leaf.sql
        sql = f"SELECT DISTINCT {value}::VARCHAR FROM {scan.source} WHERE {_IN_WINDOW}"
        return [text for (text,) in scan.run(sql, ends) if text is not None]

    compiler = FilterCompiler(scan, known, distinct)
    condition = compiler.compile(filters)
    if head is not None and scan.has_merged:
        condition = f"{scan.ingest} <= {head:d} AND {condition}"
    return _Condition(f"{_IN_WINDOW} AND {condition}", [*ends, *compiler.parameters])


def page(
    reader: Reader,
    known: FieldCatalogue,
    filters: Filters,
    window: Window,
    *,
    limit: int,
    head: int | None = None,
) -> Page:
    """As `EventStore.search`."""

    def work(segments: list[Segment]) -> Page:
        chosen = within(segments, window, head)
        scan = reader.scan(chosen)
        found_by = _found_by(scan, [_condition(scan, known, one, window, head) for one in _branches(filters)])
        rows = scan.run(
            f"SELECT found_file, found_row FROM ({found_by.sql}) ORDER BY moment, batch, place LIMIT ?",
            [*found_by.parameters, limit],
        )
        total = len(rows) if len(rows) < limit else _count(scan, found_by)
        places = scan.places(rows)
        events = scan.events(places)
        found = tuple(events[place] for place in places)
        return Page(found, total, completeness(chosen, truncated=total > len(found)))

    return reader.read(work)


def _branches(filters: Filters) -> list[Filters]:
    """The groups apart, where each asks for a value of its own.

    A comparison inside an OR is not taken to the statistics and dictionaries of the files; all rows of the
    window would be decoded for it.
    """
    groups = filters.groups
    if 1 < len(groups) <= MOST_BRANCHES and all(any(map(_asks, group)) for group in groups):
        return [Filters((group,)) for group in groups]
    return [filters]


def _asks(clause: Clause) -> bool:
    return clause.operator is Operator.IS and not clause.excluded and clause.field != "host.id"


def _found_by(scan: Scan, conditions: list[_Condition]) -> _Condition:
    """A statement that gives each row once that meets one of the conditions, with what orders it."""
    return _Condition(
        " UNION ".join(
            f"SELECT p.file_index AS found_file, p._row AS found_row, p._timestamp AS moment, "
            f"{scan.ingest} AS batch, {scan.order} AS place FROM {scan.source} WHERE {condition.sql}"
            for condition in conditions
        ),
        [parameter for condition in conditions for parameter in condition.parameters],
    )


def _count(scan: Scan, found_by: _Condition) -> int:
    rows = scan.run(f"SELECT count(*) FROM ({found_by.sql})", found_by.parameters)
    return sum(count for (count,) in rows)


def named(reader: Reader, identities: Sequence[str], window: Window) -> Fetched:
    """As `EventStore.fetch`."""
    wanted = pa.table(
        {
            "key": pa.array([identity_key(identity) for identity in identities], pa.int64()),
            "identity": pa.array(identities, pa.string()),
        }
    )

    def work(segments: list[Segment]) -> Fetched:
        chosen = within(segments, window)
        scan = reader.scan(chosen)
        rows = scan.run(
            f"SELECT p.file_index, p._row FROM {scan.source} "
            "JOIN wanted w ON p._key = w.key AND p._identity = w.identity "
            f"WHERE {_IN_WINDOW}",
            [naive(window.start), naive(window.end)],
            tables={"wanted": wanted},
        )
        found = Fetched((event.identity, event) for event in scan.events(scan.places(rows)).values())
        found.missing = completeness(chosen).missing
        return found

    return reader.read(work)


def histogram(
    reader: Reader, known: FieldCatalogue, filters: Filters, window: Window, interval: timedelta
) -> Histogram:
    """As `EventStore.histogram`; buckets start at multiples of the interval since 1970."""
    width = max(1, interval // MICROSECOND)

    def work(segments: list[Segment]) -> Histogram:
        chosen = within(segments, window)
        scan = reader.scan(chosen)
        where = _condition(scan, known, filters, window)
        rows = scan.run(
            f"SELECT floor(epoch_us(p._timestamp) / {width:d})::BIGINT AS bucket, count(*) "
            f"FROM {scan.source} WHERE {where.sql} GROUP BY bucket ORDER BY bucket",
            where.parameters,
        )
        found = Histogram(Bucket(from_micros(bucket * width), count) for bucket, count in rows)
        found.missing = completeness(chosen).missing
        return found

    return reader.read(work)


def spread(reader: Reader, known: FieldCatalogue, filters: Filters, window: Window) -> Spread:
    """As `EventStore.spread`."""

    def work(segments: list[Segment]) -> Spread:
        chosen = within(segments, window)
        scan = reader.scan(chosen)
        where = _condition(scan, known, filters, window)
        host = scan.leaf(known["host.id"])
        name = f"{host.sql}[1]" if host.is_list else host.sql
        rows = scan.run(
            f"SELECT coalesce({name}, '') AS host, count(*), epoch_us(min(p._timestamp)), "
            f"epoch_us(max(p._timestamp)) FROM {scan.source} WHERE {where.sql} "
            "GROUP BY host ORDER BY 2 DESC, 1",
            where.parameters,
        )
        return Spread(
            tuple(
                HostSpread(host_id, events, from_micros(last), from_micros(first))
                for host_id, events, first, last in rows
            ),
            from_micros(min(row[2] for row in rows)) if rows else None,
            from_micros(max(row[3] for row in rows)) if rows else None,
            completeness(chosen).missing,
        )

    return reader.read(work)
