"""Which sources reported, and when: counted by arrival, as event times may say anything."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Sequence
from datetime import timedelta

from detections.eql.fields import FieldCatalogue
from detections.stores.base import Arrivals, SourceReport, Window
from detections.stores.embedded.columns import from_micros, micros
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.scan import Row, Scan

HOURS = 24
TIMEOUT = timedelta(seconds=20)
_DATASETS = ("data_stream.dataset", "event.dataset", "event.module")
_HOSTS = ("host.name", "host.hostname", "host.id")
_HOUR = 3_600_000_000
_MINUTE = 60_000_000
_DAY_IN_MINUTES = 1440


def arrivals(reader: Reader, known: FieldCatalogue, senders: Sequence[str], window: Window) -> Arrivals:
    """As `EventStore.arrivals`."""
    missing: list[str] = []

    def work(segments: list[Segment]) -> list[Row]:
        inside = [one for one in segments if one.arrival > window.start and one.first_arrival <= window.end]
        missing[:] = [one.path for one in inside if not one.readable]
        scan = reader.scan(inside)
        ends = [micros(window.start), micros(window.end), list(senders)]
        return scan.run(_sql(scan, known, micros(window.end)), ends, timeout=TIMEOUT)

    found = Arrivals(_report(row) for row in reader.read(work))
    found.missing = tuple(missing)
    return found


def _sql(scan: Scan, known: FieldCatalogue, end: int) -> str:
    """By source and minute first: what follows then works on few rows.

    A pause that began before the last day of a source counts with a day at most: a weekend is no usual gap.
    """
    hours = ", ".join(
        f"coalesce(sum(n) FILTER (({end} - last) // {_HOUR} = {HOURS - 1 - hour}), 0)::BIGINT"
        for hour in range(HOURS)
    )
    return f"""
        WITH minutes AS (
            SELECT {_first(scan, known, _DATASETS)} AS dataset, {_first(scan, known, _HOSTS)} AS host,
                {scan.arrived} // {_MINUTE} AS minute, max({scan.arrived}) AS last, count(*) AS n
            FROM {scan.source}
            WHERE {scan.arrived} > ? AND {scan.arrived} <= ?
                AND list_contains(?, regexp_extract(p._source, '^(.*): [^ ]*$', 1))
            GROUP BY ALL
        ), paced AS (
            SELECT *, max(minute) OVER (PARTITION BY dataset, host) - {_DAY_IN_MINUTES} AS day_before,
                minute - greatest(lag(minute) OVER earlier, CASE WHEN lag(minute) OVER earlier IS NOT NULL
                    THEN minute - {_DAY_IN_MINUTES} END) AS gap
            FROM minutes WINDOW earlier AS (PARTITION BY dataset, host ORDER BY minute)
        )
        SELECT dataset, host, max(last), count(DISTINCT minute // 60) FILTER (minute > day_before),
            coalesce(sum(gap * gap) FILTER (minute > day_before)
                / sum(gap) FILTER (minute > day_before), 0)::DOUBLE,
            [{hours}]
        FROM paced GROUP BY dataset, host ORDER BY dataset, host"""


def _first(scan: Scan, known: FieldCatalogue, names: Sequence[str]) -> str:
    """The first of some fields that has a value, in SQL, else ''."""
    leaves = [scan.leaf(known[name]) for name in names if name in known]
    values = [f"{leaf.sql}[1]" if leaf.is_list else leaf.sql for leaf in leaves]
    return f"coalesce({', '.join([*values, chr(39) * 2])})"


def _report(row: Row) -> SourceReport:
    dataset, host, last, reported, gap, hours = row
    return SourceReport(dataset, host, from_micros(last), reported, timedelta(minutes=gap), tuple(hours))
