"""Read through the manifest: a list of segments, scans of them, and the name of one that can't be read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from detections.errors import SegmentUnreadableError, StoreError
from detections.stores.base import Completeness
from detections.stores.embedded.connection import Connection, RefusedError, UnreadableError
from detections.stores.embedded.manifest import Manifest, Segment
from detections.stores.embedded.scan import Scan
from detections.stores.embedded.segment_files import SegmentFiles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reader:
    """One store's segments, as readers see them now."""

    files: SegmentFiles
    manifest: Manifest
    connection: Connection

    def read(self, work: Callable[[list[Segment]], T]) -> T:
        """Do some work over the visible segments.

        A file that vanished is looked for once more through a fresh manifest: it may have been replaced.
        Raises SegmentUnreadableError naming the file, after counting it in the manifest.
        """
        try:
            return work(self.manifest.segments())
        except UnreadableError:
            try:
                return work(self.manifest.segments())
            except UnreadableError as error:
                raise self.failure(error) from error

    def scan(self, segments: Iterable[Segment]) -> Scan:
        """Those of the segments that can be read."""
        readable = [segment for segment in segments if segment.readable]
        return Scan(self.files, self.connection, readable)

    def failure(self, error: UnreadableError) -> StoreError:
        """What to raise for files that could not be read; the broken ones are counted in the manifest."""
        faults = {segment.path: self.files.fault(segment) for segment in error.segments}
        broken = {path: fault for path, fault in faults.items() if fault}
        for path, fault in broken.items():
            self.manifest.report_unreadable(path, fault)
        for path, fault in broken.items():
            return SegmentUnreadableError(
                f"Segment {path} of the event store is unreadable: {fault}. Restore it from a backup; "
                "until then searches over its time are incomplete.",
                path=path,
            )
        return RefusedError(f"The event store could not read its segments: {error}. Run the search again.")


def completeness(segments: Iterable[Segment], *, truncated: bool = False) -> Completeness:
    """What a search over these segments has searched, and which of them it could not."""
    chosen = list(segments)
    readable = [segment for segment in chosen if segment.readable]
    return Completeness(
        segments=tuple(segment.path for segment in readable),
        rows=sum(segment.rows for segment in readable),
        truncated=truncated,
        missing=tuple(segment.path for segment in chosen if not segment.readable),
    )
