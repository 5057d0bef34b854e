"""Two stores as one: a cluster with the events of a deployment, and the embedded store for what is imported.

Whatever is asked is asked of both, and the answers are put together; what one of them can't answer, the
whole can't. Captures go into the embedded store. A sequence with events in both is not found.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.stores.base import (
    Appended,
    Arrivals,
    Bucket,
    Completeness,
    Coverage,
    EqlAnswer,
    EqlSearch,
    EventStore,
    Fetched,
    Filters,
    Histogram,
    HostSpread,
    MappedEvent,
    Page,
    Region,
    Spread,
    Window,
)


class BothStores:
    """Implements `EventStore`. cluster: searched first; local: takes what is appended."""

    finds_late = False

    def __init__(self, cluster: EventStore, local: EventStore) -> None:
        self.cluster, self.local = cluster, local

    def head(self) -> int:
        """The local number, at least the cluster's constant. Raises StoreError if one does not answer."""
        return max(self.cluster.head(), self.local.head())

    def search_eql(
        self,
        searches: Sequence[EqlSearch],
        region: Region,
        *,
        limit: int,
        timeout: timedelta | None = None,
    ) -> list[EqlAnswer]:
        theirs = self.cluster.search_eql(searches, region, limit=limit, timeout=timeout)
        if self.local.head() == 0:
            return theirs
        ours = self.local.search_eql(searches, region, limit=limit, timeout=timeout)
        return [_together(one, other, limit) for one, other in zip(theirs, ours, strict=True)]

    def search(self, filters: Filters, window: Window, *, limit: int, head: int | None = None) -> Page:
        theirs = self.cluster.search(filters, window, limit=limit)
        ours = self.local.search(filters, window, limit=limit, head=head)
        events = sorted((*theirs.events, *ours.events), key=lambda event: event.timestamp)[:limit]
        total = theirs.total + ours.total
        whole = _whole(theirs.completeness, ours.completeness, truncated=total > len(events))
        return Page(tuple(events), total, whole)

    def fetch(self, identities: Iterable[str], window: Window) -> Fetched:
        """Of the local store alone: a cluster's events can't be looked up by identity."""
        return self.local.fetch(identities, window)

    def coverage(self, host_id: str, kinds: Iterable[TelemetryKind], window: Window) -> list[Coverage]:
        kinds = list(kinds)
        theirs = self.cluster.coverage(host_id, kinds, window)
        ours = self.local.coverage(host_id, kinds, window)
        return [_covered(one, other) for one, other in zip(theirs, ours, strict=True)]

    def histogram(self, filters: Filters, window: Window, interval: timedelta) -> Histogram:
        counts: dict[datetime, int] = {}
        ours = self.local.histogram(filters, window, interval)
        for bucket in (*self.cluster.histogram(filters, window, interval), *ours):
            counts[bucket.start] = counts.get(bucket.start, 0) + bucket.count
        found = Histogram(Bucket(start, counts[start]) for start in sorted(counts))
        found.missing = ours.missing
        return found

    def spread(self, filters: Filters, window: Window) -> Spread:
        theirs, ours = self.cluster.spread(filters, window), self.local.spread(filters, window)
        hosts: dict[str, HostSpread] = {}
        for host in (*theirs.hosts, *ours.hosts):
            other = hosts.get(host.host_id, HostSpread(host.host_id, 0, host.last_seen))
            hosts[host.host_id] = HostSpread(
                host.host_id,
                host.events + other.events,
                max(host.last_seen, other.last_seen),
                min(filter(None, (host.first_seen, other.first_seen)), default=None),
            )
        return Spread(
            tuple(sorted(hosts.values(), key=lambda host: (-host.events, host.host_id))),
            min(filter(None, (theirs.first_seen, ours.first_seen)), default=None),
            max(filter(None, (theirs.last_seen, ours.last_seen)), default=None),
            (*theirs.missing, *ours.missing),
        )

    def arrivals(self, senders: Sequence[str], window: Window) -> Arrivals:
        ours = self.local.arrivals(senders, window)
        found = Arrivals([*self.cluster.arrivals(senders, window), *ours])
        found.missing = ours.missing
        return found

    def known_fields(self) -> FieldCatalogue:
        return self.local.known_fields().merged(self.cluster.known_fields().values())

    def append(self, events: Sequence[MappedEvent], *, batch: str) -> Appended:
        return self.local.append(events, batch=batch)

    def statistics(self) -> Mapping[str, Any]:
        """The local store's figures: those of the cluster stand on the health page by themselves."""
        return self.local.statistics()


def _together(theirs: EqlAnswer, ours: EqlAnswer, limit: int) -> EqlAnswer:
    """One answer of both; the same match in both counts once."""
    if theirs.error or ours.error:
        return EqlAnswer(theirs.key, error=theirs.error or ours.error)
    seen = {
        tuple(event.identity for event in match.events): match for match in (*theirs.matches, *ours.matches)
    }
    matches = sorted(seen.values(), key=lambda match: match.events[-1].timestamp)
    truncated = len(matches) > limit
    whole = _whole(theirs.completeness, ours.completeness, truncated=truncated)
    return EqlAnswer(theirs.key, tuple(matches[:limit]), whole)


def _whole(theirs: Completeness, ours: Completeness, *, truncated: bool) -> Completeness:
    return Completeness(
        (*theirs.segments, *ours.segments),
        theirs.rows + ours.rows,
        truncated or theirs.truncated or ours.truncated,
        (*theirs.missing, *ours.missing),
    )


def _covered(theirs: Coverage, ours: Coverage) -> Coverage:
    return Coverage(
        theirs.kind,
        theirs.host_id,
        theirs.before + ours.before,
        theirs.during + ours.during,
        theirs.after + ours.after,
        min(filter(None, (theirs.first_seen, ours.first_seen)), default=None),
        max(filter(None, (theirs.last_seen, ours.last_seen)), default=None),
        tuple(dict.fromkeys((*theirs.sources, *ours.sources))),
        (*theirs.missing, *ours.missing),
    )
