"""Which hosts sent a kind of telemetry, from what segments are known to hold."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Iterable

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.stores.base import Filters, HostSpread, Spread, Window
from detections.stores.embedded.columns import from_micros, micros, naive
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader, completeness
from detections.stores.embedded.scan import Row, Scan
from detections.stores.embedded.tallies import Tallies, Tally
from detections.stores.embedded.windows import within
from detections.telemetry_kinds import KIND_FILTERS


def asked_kind(filters: Filters) -> tuple[TelemetryKind, str] | None:
    """The kind whose events the filters find, and the host that they leave out ("": none); None: others."""
    without = ""
    ends = {group[-1] for group in filters.groups if group}
    if len(ends) == 1:
        [end] = ends
        if end.field == "host.id" and end.excluded and len(end.values) == 1:
            without = str(end.values[0])
            filters = Filters(tuple(group[:-1] for group in filters.groups))
    return next(((kind, without) for kind, found in KIND_FILTERS.items() if found == filters), None)


def reporting(
    reader: Reader, known: FieldCatalogue, tallies: Tallies, kind: TelemetryKind, without: str, window: Window
) -> Spread | None:
    """As `EventStore.spread` for all events of a kind but those of one host; None: count it the long way."""
    start, end = micros(window.start), micros(window.end)

    def work(segments: list[Segment]) -> Spread | None:
        chosen = within(segments, window)
        held = tallies.of(reader, known, segments)
        if held is None:
            return None
        whole: list[Row] = []
        cut: list[Segment] = []
        for segment, by_host in held:
            own = [
                tally
                for host, found in by_host.items()
                if not without or host != without
                for tally in found
                if tally.kind == kind and tally.last >= start and tally.first <= end
            ]
            if any(tally.first < start or tally.last > end for tally in own):
                cut.append(segment)
            else:
                whole += map(_row, own)
        counted = _counted(reader.scan(cut), known, kind, without, window)
        return _spread([*whole, *counted], completeness(chosen).missing)

    return reader.read(work)


def _row(tally: Tally) -> Row:
    return tally.host, tally.events, tally.first, tally.last


def _counted(
    scan: Scan, known: FieldCatalogue, kind: TelemetryKind, without: str, window: Window
) -> list[Row]:
    """A row a host, counted event by event."""
    host = scan.leaf(known["host.id"])
    name = f"coalesce({f'{host.sql}[1]' if host.is_list else host.sql}, '')"
    return scan.run(
        f"SELECT {name} AS host, count(*), epoch_us(min(p._timestamp)), epoch_us(max(p._timestamp)) "
        f"FROM {scan.source} WHERE p._kind = ? AND p._timestamp BETWEEN ? AND ? "
        f"AND (? = '' OR {name} <> ?) GROUP BY host",
        [str(kind), naive(window.start), naive(window.end), without, without],
    )


def _spread(rows: Iterable[Row], missing: tuple[str, ...]) -> Spread:
    found: dict[str, Row] = {}
    for host, events, first, last in rows:
        _host, counted, began, ended = found.get(host, (host, 0, first, last))
        found[host] = host, counted + events, min(began, first), max(ended, last)
    hosts = tuple(
        HostSpread(host, events, from_micros(last), from_micros(first))
        for host, events, first, last in sorted(found.values(), key=lambda row: (-row[1], row[0]))
    )
    return Spread(
        hosts,
        min((host.first_seen for host in hosts if host.first_seen), default=None),
        max((host.last_seen for host in hosts), default=None),
        missing,
    )
