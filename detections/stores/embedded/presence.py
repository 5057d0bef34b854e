"""Was a host's telemetry of some kind there? "No hits" only means something where it was."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.stores.base import Clause, Coverage, Filters, Window
from detections.stores.embedded.columns import from_micros, micros, naive
from detections.stores.embedded.filters import FilterCompiler
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader, completeness
from detections.stores.embedded.scan import Row, Scan
from detections.stores.embedded.tallies import Held, Tallies, Tally
from detections.stores.embedded.windows import within

BEFORE = timedelta(days=1)
AFTER = timedelta(hours=1)
_COUNT = "count(*) FILTER (p._timestamp >= ? AND p._timestamp {less} ?)"


def coverage(
    reader: Reader,
    known: FieldCatalogue,
    tallies: Tallies,
    host_id: str,
    kinds: Sequence[TelemetryKind],
    window: Window,
) -> list[Coverage]:
    """As `EventStore.coverage`."""
    around = Window(window.start - BEFORE, window.end + AFTER)

    def work(segments: list[Segment]) -> tuple[list[Row], tuple[str, ...]]:
        held = tallies.of(reader, known, segments)
        missing = completeness(within(segments, around)).missing
        if held is None:
            return _counted(reader.scan(segments), known, host_id, kinds, window), missing
        zone = _zones(window)
        whole, cut = _sorted_out(held, host_id, set(map(str, kinds)), zone)
        counted = _counted(reader.scan(cut), known, host_id, kinds, window)
        return [*_rows(whole, zone), *counted], missing

    rows, missing = reader.read(work)
    return [
        replace(_coverage(kind, host_id, [row for row in rows if row[0] == str(kind)]), missing=missing)
        for kind in kinds
    ]


def _zones(window: Window) -> Callable[[int], int | None]:
    """Tells of a moment in microseconds whether it lies before, in or after a window, or too far away."""
    early, start, end, late = map(
        micros, (window.start - BEFORE, window.start, window.end, window.end + AFTER)
    )

    def zone(moment: int) -> int | None:
        if early <= moment < start:
            return 0
        if start <= moment <= end:
            return 1
        if end < moment <= late:
            return 2
        # Beyond either end the zones differ too: a tally from far before to far after is cut.
        return -1 if moment < early else 3

    return zone


def _sorted_out(
    held: Sequence[Held], host_id: str, kinds: set[str], zone: Callable[[int], int | None]
) -> tuple[list[Tally], list[Segment]]:
    """The host's tallies that lie in one zone, and the segments of which that is not so."""
    whole: list[Tally] = []
    cut: list[Segment] = []
    for segment, by_host in held:
        own = [tally for tally in by_host.get(host_id, ()) if tally.kind in kinds]
        if any(zone(tally.first) != zone(tally.last) for tally in own):
            cut.append(segment)
        else:
            whole += own
    return whole, cut


def _rows(tallies: Iterable[Tally], zone: Callable[[int], int | None]) -> list[Row]:
    """As `_counted` gives them, a row a tally."""
    return [
        (
            tally.kind,
            *(tally.events if zone(tally.first) == number else 0 for number in range(3)),
            tally.first,
            tally.last,
            [tally.source],
        )
        for tally in tallies
    ]


def _counted(
    scan: Scan, known: FieldCatalogue, host_id: str, kinds: Sequence[TelemetryKind], window: Window
) -> list[Row]:
    """A row a kind, counted event by event."""
    compiler = FilterCompiler(scan, known, distinct=lambda _: [])
    host = compiler.compile(Filters(((Clause("host.id", values=(host_id,)),),)))
    dataset = scan.leaf(known["event.dataset"])
    name = f"{dataset.sql}[1]" if dataset.is_list else dataset.sql
    return scan.run(
        f"SELECT p._kind, {_counts()}, epoch_us(min(p._timestamp)), epoch_us(max(p._timestamp)), "
        f"list_sort(list_distinct(list({name}))) "
        f"FROM {scan.source} WHERE {host} AND list_contains(?, p._kind) GROUP BY p._kind",
        [*_ends(window), *compiler.parameters, [str(kind) for kind in kinds]],
    )


def _counts() -> str:
    before, during, after = _COUNT.format(less="<"), _COUNT.format(less="<="), _COUNT.format(less="<=")
    return f"{before}, {during}, {after.replace('>=', '>')}"


def _ends(window: Window) -> list[Any]:
    start, end = naive(window.start), naive(window.end)
    return [start - BEFORE, start, start, end, end, end + AFTER]


def _coverage(kind: TelemetryKind, host_id: str, rows: Sequence[Row]) -> Coverage:
    """One answer out of the rows of its kind."""
    if not rows:
        return Coverage(kind, host_id, 0, 0, 0, None, None)
    before, during, after = (sum(row[number] for row in rows) for number in (1, 2, 3))
    first, last = min(row[4] for row in rows), max(row[5] for row in rows)
    sources = sorted({source for row in rows for source in row[6] or () if source})
    return Coverage(
        kind, host_id, before, during, after, from_micros(first), from_micros(last), tuple(sources)
    )
