"""What is in the store, and whether its files are what the manifest says."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are numbers

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from detections.stores.embedded.connection import RefusedError, UnreadableError
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader


@dataclass(frozen=True, slots=True)
class Inventory:
    """Figures of a store. levels: segments as they came, merged in time order, sorted."""

    segments: int
    levels: tuple[int, int, int]
    rows: int
    bytes: int
    columns: int
    oldest: datetime | None
    newest: datetime | None
    head: int
    unreadable: tuple[str, ...]


def inventory(reader: Reader) -> Inventory:
    """The figures, from the manifest alone."""
    segments = reader.manifest.segments()
    levels = [sum(one.level == level for one in segments) for level in range(3)]
    return Inventory(
        segments=len(segments),
        levels=(levels[0], levels[1], levels[2]),
        rows=sum(one.rows for one in segments),
        bytes=sum(one.bytes for one in segments),
        columns=len(frozenset[str]().union(*(one.columns for one in segments))),
        oldest=min((one.min_timestamp for one in segments), default=None),
        newest=max((one.max_timestamp for one in segments), default=None),
        head=reader.manifest.head(),
        unreadable=tuple(one.path for one in segments if not one.readable),
    )


def faults(reader: Reader) -> Iterator[tuple[str, str]]:
    """Each visible segment whose file is not what was written, with what is wrong: bytes, checksum, rows."""
    for segment in reader.manifest.segments():
        fault = reader.files.fault(segment) or _row_fault(reader, segment)
        if fault:
            yield segment.path, fault


def _row_fault(reader: Reader, segment: Segment) -> str:
    scan = reader.scan([segment])
    if not scan.segments:
        return ""
    try:
        [(rows, low, high)] = scan.run(
            f"SELECT count(*), min({scan.ingest}), max({scan.ingest}) FROM {scan.source}"
        )
    except (UnreadableError, RefusedError) as error:
        return f"it can't be read: {error}"
    if rows != segment.rows:
        return f"it has {rows} rows instead of {segment.rows}"
    if (low, high) != (segment.lowest_ingest, segment.ingest):
        return f"it holds the batches {low} to {high} instead of {segment.lowest_ingest} to {segment.ingest}"
    return ""
