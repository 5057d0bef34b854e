"""Clean up after killed writers, and take repaired segments back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from detections.stores.embedded.compacting import merge
from detections.stores.embedded.identities import identities_in
from detections.stores.embedded.manifest import ManifestMovedError, Segment
from detections.stores.embedded.merge_plan import IN_TIME, Merge
from detections.stores.embedded.reader import Reader

# A search that began before a segment was replaced still reads its file.
GRACE = timedelta(minutes=15)
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: files deleted, segments that can be read again, segments that still can't."""

    deleted: tuple[str, ...]
    recovered: tuple[str, ...]
    unreadable: tuple[str, ...]


def swept(reader: Reader, now: datetime) -> Swept:
    """Delete files that no manifest row names, an hour after they were written, and those of segments that
    were replaced or have expired, after a grace; check unreadable segments.
    """
    # The folder is listed before the manifest is read: a file that becomes visible in between is spared.
    settled = list(reader.files.settled())
    known = {reader.files.absolute(path) for path in reader.manifest.paths()}
    deleted = [path for path in settled if path not in known]
    for path in deleted:
        path.unlink(missing_ok=True)
    deleted += _retired(reader, now)
    recovered, unreadable = [], []
    for segment in reader.manifest.segments():
        if segment.readable:
            continue
        if reader.files.fault(segment) or not _taken_back(reader, segment):
            unreadable.append(segment.path)
        else:
            recovered.append(segment.path)
    return Swept(tuple(path.name for path in deleted), tuple(recovered), tuple(unreadable))


def _taken_back(reader: Reader, segment: Segment) -> bool:
    """Show a segment again, without the events that were sent once more while it could not be read.

    False where writers kept coming in between; the next sweep tries again.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            _show(reader, segment)
        except ManifestMovedError:
            continue
        return True
    return False


def _show(reader: Reader, segment: Segment) -> None:
    # Before the look-up: what is committed after it makes the manifest refuse.
    head = reader.manifest.head()
    later = [one for one in reader.manifest.segments() if one.ingest > segment.lowest_ingest]
    others = reader.scan(one for one in later if one.path != segment.path)
    sent_again = identities_in(others, _identities(reader, segment))
    if sent_again:
        merge(reader, Merge((segment,), max(segment.level, IN_TIME)), without=sent_again, expected_head=head)
    else:
        reader.manifest.report_readable(segment.path, expected_head=head)


def _identities(reader: Reader, segment: Segment) -> list[str]:
    table = pq.read_table(reader.files.absolute(segment.path), columns=["_identity"])
    identities: list[str] = table["_identity"].to_pylist()
    return identities


def _retired(reader: Reader, now: datetime) -> list[Path]:
    """Delete the files first: a row without a file is met again, a file without a row would wait an hour."""
    deleted = []
    for path in reader.manifest.retired(before=now - GRACE):
        file = reader.files.absolute(path)
        file.unlink(missing_ok=True)
        reader.manifest.forget(path)
        deleted.append(file)
    return deleted
