"""Was a host's telemetry of some kind there? "No hits" only means something where it was."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.stores.base import Clause, Coverage, Filters, Window
from detections.stores.embedded.columns import from_micros, naive
from detections.stores.embedded.filters import FilterCompiler
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader, completeness
from detections.stores.embedded.scan import Row
from detections.stores.embedded.windows import within

BEFORE = timedelta(days=1)
AFTER = timedelta(hours=1)
_COUNT = "count(*) FILTER (p._timestamp >= ? AND p._timestamp {less} ?)"


def coverage(
    reader: Reader, known: FieldCatalogue, host_id: str, kinds: Sequence[TelemetryKind], window: Window
) -> list[Coverage]:
    """As `EventStore.coverage`."""

    around = Window(window.start - BEFORE, window.end + AFTER)

    def work(segments: list[Segment]) -> tuple[list[Row], tuple[str, ...]]:
        scan = reader.scan(segments)
        compiler = FilterCompiler(scan, known, distinct=lambda _: [])
        host = compiler.compile(Filters(((Clause("host.id", values=(host_id,)),),)))
        dataset = scan.leaf(known["event.dataset"])
        name = f"{dataset.sql}[1]" if dataset.is_list else dataset.sql
        rows = scan.run(
            f"SELECT p._kind, {_counts()}, epoch_us(min(p._timestamp)), epoch_us(max(p._timestamp)), "
            f"list_sort(list_distinct(list({name}))) "
            f"FROM {scan.source} WHERE {host} AND list_contains(?, p._kind) GROUP BY p._kind",
            [*_ends(window), *compiler.parameters, [str(kind) for kind in kinds]],
        )
        return rows, completeness(within(segments, around)).missing

    rows, missing = reader.read(work)
    found = {row[0]: row for row in rows}
    return [replace(_coverage(kind, host_id, found.get(str(kind))), missing=missing) for kind in kinds]


def _counts() -> str:
    before, during, after = _COUNT.format(less="<"), _COUNT.format(less="<="), _COUNT.format(less="<=")
    return f"{before}, {during}, {after.replace('>=', '>')}"


def _ends(window: Window) -> list[Any]:
    start, end = naive(window.start), naive(window.end)
    return [start - BEFORE, start, start, end, end, end + AFTER]


def _coverage(kind: TelemetryKind, host_id: str, row: Row | None) -> Coverage:
    if row is None:
        return Coverage(kind, host_id, 0, 0, 0, None, None)
    _, before, during, after, first, last, sources = row
    return Coverage(
        kind, host_id, before, during, after, from_micros(first), from_micros(last), tuple(sources or ())
    )
