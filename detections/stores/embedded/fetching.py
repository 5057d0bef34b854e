"""Whole events by their place: documents from their pages alone, what else belongs to an event with Arrow."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from detections.errors import StoreError
from detections.stores.base import StoredEvent
from detections.stores.embedded import columns
from detections.stores.embedded.connection import UnreadableError, too_long
from detections.stores.embedded.documents import parsed
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.pages import UnusualLayoutError, values_at
from detections.stores.embedded.segment_files import SegmentFiles, metadata_of

# The path of a segment and the row in it.
Place = tuple[str, int]


def fetched(
    files: SegmentFiles,
    segments: Iterable[Segment],
    places: Iterable[Place],
    timeout: timedelta | None = None,
) -> dict[Place, StoredEvent]:
    """The events at some places of these segments, in the order of places.

    Raises UnreadableError for a file, SearchTimeoutError after `timeout`, StoreError for rows that are not
    where they were found.
    """
    by_path = {segment.path: segment for segment in segments}
    in_time = _Deadline(timeout)
    found: dict[Place, StoredEvent] = {}
    for path, held in groupby(sorted(set(places)), key=lambda place: place[0]):
        rows = [row for _, row in held]
        try:
            found.update(_of_segment(files, by_path[path], rows, in_time))
        except (OSError, pa.ArrowException) as error:
            broken = UnreadableError(str(error))
            broken.segments = [by_path[path]]
            raise broken from error
    return found


class _Deadline:
    """Called between two pages; raises SearchTimeoutError once the time is up."""

    def __init__(self, timeout: timedelta | None) -> None:
        self.seconds = timeout.total_seconds() if timeout else None
        self.end = time.monotonic() + (self.seconds or 0)

    def __call__(self) -> None:
        if self.seconds is not None and time.monotonic() > self.end:
            raise too_long(self.seconds)


def _of_segment(
    files: SegmentFiles, segment: Segment, rows: Sequence[int], in_time: Callable[[], None]
) -> Iterator[tuple[Place, StoredEvent]]:
    path = str(files.absolute(segment.path))
    file = pq.ParquetFile(path, metadata=metadata_of(path, segment.bytes))
    own = ["_ingest", "_arrived"] if segment.is_merged else []
    others = _others(file, rows, ["_row", "_identity", "_timestamp", *own], in_time)
    if others["_row"].to_pylist() != list(rows):
        raise StoreError(f"Events of {segment.path} are not where they were found. Search again.")
    identities = others["_identity"].to_pylist()
    moments = others["_timestamp"].cast(pa.int64()).to_pylist()
    if segment.is_merged:
        numbers, arrivals = others["_ingest"].to_pylist(), others["_arrived"].cast(pa.int64()).to_pylist()
    else:
        numbers, arrivals = [segment.ingest] * len(rows), [columns.micros(segment.arrival)] * len(rows)
    documents = _documents(file, path, segment, rows, in_time)
    for row, identity, moment, number, arrival, document in zip(
        rows, identities, moments, numbers, arrivals, documents, strict=True
    ):
        yield (
            (segment.path, row),
            StoredEvent(
                identity=identity,
                document=partial(parsed, document),
                timestamp=columns.from_micros(moment),
                ingest=number,
                arrived_at=columns.from_micros(arrival),
            ),
        )


def _documents(
    file: pq.ParquetFile, path: str, segment: Segment, rows: Sequence[int], in_time: Callable[[], None]
) -> list[str]:
    found = []
    try:
        for _, document in values_at(path, segment.bytes, "_raw", rows):
            in_time()
            found.append(document.decode())
    except UnusualLayoutError:
        texts: list[str] = _others(file, rows, ["_raw"], in_time)["_raw"].to_pylist()
        return texts
    return found


def _others(
    file: pq.ParquetFile, rows: Sequence[int], names: list[str], in_time: Callable[[], None]
) -> pa.Table:
    """Some columns of some rows, ascending: of each row group only these rows are kept."""
    parts: list[pa.Table] = []
    start = at = 0
    for number in range(file.metadata.num_row_groups):
        end = start + file.metadata.row_group(number).num_rows
        inside = []
        while at < len(rows) and rows[at] < end:
            inside.append(rows[at] - start)
            at += 1
        if inside:
            in_time()
            parts.append(file.read_row_group(number, columns=names).take(inside))
        start = end
    if at < len(rows):
        raise StoreError(f"There is no row {rows[at]}, of which the event was found. Search again.")
    return pa.concat_tables(parts)
