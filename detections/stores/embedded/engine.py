"""The embedded event store: DuckDB over immutable Parquet segments."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.stores.base import (
    Appended,
    Arrivals,
    Coverage,
    EqlAnswer,
    EqlSearch,
    Fetched,
    Filters,
    Histogram,
    MappedEvent,
    Page,
    Region,
    Spread,
    Window,
)
from detections.stores.embedded import arrivals, presence, reporting, windows
from detections.stores.embedded.appending import Appender
from detections.stores.embedded.compacting import Compacted, compacted
from detections.stores.embedded.connection import Connection
from detections.stores.embedded.eql_search import EqlSearcher
from detections.stores.embedded.inventory import Inventory, faults, inventory
from detections.stores.embedded.manifest import Manifest
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.rule_set import LEAST_QUERIES, Plans, SetSearcher
from detections.stores.embedded.segment_files import SegmentFiles
from detections.stores.embedded.sweeping import Swept, swept
from detections.stores.embedded.tallies import Tallies


def _now() -> datetime:
    return datetime.now(UTC)


class EmbeddedStore:
    """Implements `EventStore` over a folder and a manifest. One instance a process; threads may share it."""

    finds_late = True

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        catalogue: FieldCatalogue,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.catalogue, self.clock = catalogue, clock
        self.reader = Reader(SegmentFiles(folder), manifest, Connection())
        self.plans = Plans()
        self.tallies = Tallies()
        self._known: tuple[int, FieldCatalogue] | None = None
        self.appender = Appender(self.reader, catalogue, clock)

    def head(self) -> int:
        return self.reader.manifest.head()

    def search_eql(
        self,
        searches: Sequence[EqlSearch],
        region: Region,
        *,
        limit: int,
        timeout: timedelta | None = None,
    ) -> list[EqlAnswer]:
        searcher = EqlSearcher(self.reader, self.known_fields(), region, limit, timeout)
        if len(searches) >= LEAST_QUERIES:
            return SetSearcher(searcher, self.plans).answers(searches)
        return [searcher.answer(search) for search in searches]

    def search(self, filters: Filters, window: Window, *, limit: int, head: int | None = None) -> Page:
        return windows.page(self.reader, self.known_fields(), filters, window, limit=limit, head=head)

    def fetch(self, identities: Iterable[str], window: Window) -> Fetched:
        return windows.named(self.reader, list(identities), window)

    def coverage(self, host_id: str, kinds: Iterable[TelemetryKind], window: Window) -> list[Coverage]:
        return presence.coverage(self.reader, self.known_fields(), self.tallies, host_id, list(kinds), window)

    def histogram(self, filters: Filters, window: Window, interval: timedelta) -> Histogram:
        return windows.histogram(self.reader, self.known_fields(), filters, window, interval)

    def spread(self, filters: Filters, window: Window) -> Spread:
        known = self.known_fields()
        if asked := reporting.asked_kind(filters):
            counted = reporting.reporting(self.reader, known, self.tallies, *asked, window)
            if counted is not None:
                return counted
        return windows.spread(self.reader, known, filters, window)

    def arrivals(self, senders: Sequence[str], window: Window) -> Arrivals:
        return arrivals.arrivals(self.reader, self.known_fields(), senders, window)

    def known_fields(self) -> FieldCatalogue:
        seen = self.reader.manifest.fields()
        # Fields are only ever added, and keep their type.
        if self._known is None or self._known[0] != len(seen):
            self._known = len(seen), self.catalogue.merged(seen.values())
        return self._known[1]

    def append(self, events: Sequence[MappedEvent], *, batch: str) -> Appended:
        return self.appender.append(events, batch)

    def statistics(self) -> Mapping[str, Any]:
        segments = self.reader.manifest.segments()
        return {
            "segments": len(segments),
            "unreadable": sum(not segment.readable for segment in segments),
            "rows": sum(segment.rows for segment in segments),
            "bytes": sum(segment.bytes for segment in segments),
            "oldest": min((segment.min_timestamp for segment in segments), default=None),
            "newest": max((segment.max_timestamp for segment in segments), default=None),
            "head": self.head(),
        }

    def inventory(self) -> Inventory:
        """Figures of what is in the store."""
        return inventory(self.reader)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Read every file: each that is not what was written, with what is wrong with it."""
        return faults(self.reader)

    def sweep(self) -> Swept:
        """Delete what killed writers left, and see whether unreadable segments are whole again."""
        return swept(self.reader, self.clock())

    def compact(self, *, more: Callable[[], bool] = lambda: True) -> Compacted:
        """Merge segments into fewer, closed hours into sorted ones. `more` is asked before each merge."""
        return compacted(self.reader, self.clock(), more=more)
