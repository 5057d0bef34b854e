"""The interface of an event store. Two engines implement it; nobody else knows which one answers.

All datetimes are aware and in UTC. Every answer says how complete it is; an engine raises `StoreError`
rather than return less than it was asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

import orjson

from detections.ecs import Document, storable
from detections.enums import TelemetryKind, TimeBasis
from detections.eql.ast import Query
from detections.eql.fields import FieldCatalogue

# What names of indices and origins of events begin with, so that nobody takes them for segments.
CLUSTER = "elasticsearch:"


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, both included, on @timestamp."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Region:
    """What one run of a rule has to search.

    A row's *position* is the earlier of its event time and its arrival. The region holds the window rows
    (after < position <= until, ingest number <= head) and the late rows (mark < ingest number <= head,
    position <= after). `after` None means from the beginning of time.
    """

    after: datetime | None
    until: datetime
    mark: int
    head: int


@dataclass(frozen=True, slots=True)
class Searched:
    """A stretch of event time, start excluded, and when it was searched; `at` None: nobody knows."""

    after: datetime
    until: datetime
    at: datetime | None


class MappedEvent:
    """An ECS document on its way into the store, with its identity. Made anew, never changed.

    identity: SHA-256 hex, see `detections.ingest.identity`. source: what it came from, for people.
    record_id: what its capture calls it: the document's `_id`, a Windows event's record number, else `L` and
    the line. text: the document as JSON, where it came as just that or was packed.
    """

    # No dataclass: a frozen one takes three times as long to make, and this is made once an event.
    __slots__ = ("_document", "identity", "record_id", "source", "text")

    def __init__(
        self, identity: str, document: Document, source: str = "", record_id: str = "", text: str = ""
    ) -> None:
        self.identity, self.source, self.record_id, self.text = identity, source, record_id, text
        self._document: Document | None = document

    @property
    def document(self) -> Document:
        return orjson.loads(self.text) if self._document is None else self._document

    def packed(self) -> "MappedEvent":
        """Itself, for whoever holds many: as text, which takes less memory and time than a document."""
        if not self.text:
            try:
                self.text = orjson.dumps(self._document).decode()
            except TypeError:
                return self  # numbers beyond 64 bits are no JSON to this writer
        self._document = None
        return self

    def known_as(self, identity: str) -> "MappedEvent":
        """The same event by another identity."""
        found = MappedEvent(identity, {}, self.source, self.record_id, self.text)
        found._document = self._document
        return found


class StoredEvent:
    """An event that the store returned. `ingest` is the number of the batch that brought it.

    document: as it is, or how to read it, which is done when it is first asked for: of a thousand matches
    most are known already. origin: `elasticsearch:` and the data stream that holds it, "" for what was
    imported or sent here. Never changed.
    """

    __slots__ = ("_document", "arrived_at", "identity", "ingest", "origin", "timestamp")

    def __init__(
        self,
        identity: str,
        document: Document | Callable[[], Document],
        timestamp: datetime,
        ingest: int,
        arrived_at: datetime,
        origin: str = "",
    ) -> None:
        self.identity, self.timestamp, self.ingest = identity, timestamp, ingest
        self.arrived_at, self.origin = arrived_at, origin
        self._document = document

    @property
    def document(self) -> Document:
        if not isinstance(self._document, dict):
            self._document = self._document()
        return self._document

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredEvent) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.identity, self.ingest))

    def __repr__(self) -> str:
        return f"StoredEvent({', '.join(map(repr, self._all()))})"

    def _all(self) -> tuple[Any, ...]:
        return self.identity, self.document, self.timestamp, self.ingest, self.arrived_at, self.origin

    def storable(self) -> "StoredEvent":
        """Itself without what no database takes: see `ecs.storable`."""
        document = storable(self.document)
        return StoredEvent(self.identity, document, self.timestamp, self.ingest, self.arrived_at, self.origin)


@dataclass(frozen=True, slots=True)
class EqlSearch:
    """One query to run. `key` names it in the answer (a rule id).

    reach: how far to read on both sides of the region, so that a sequence that straddles its edge is found
    (maxspan, or the look-back where there is none). basis: which clock orders the events. text: the query as
    it was written; indices: the patterns it reads, none for all telemetry. The embedded store, which has
    one universe, needs neither. local_only: a pass that a cluster leaves out.
    """

    key: str
    query: Query
    reach: timedelta
    basis: TimeBasis = TimeBasis.STRICT
    timestamp_field: str = "@timestamp"
    tiebreaker_field: str = ""
    event_category_field: str = "event.category"
    text: str = ""
    indices: tuple[str, ...] = ()
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What EQL returned: one event, or those of a sequence in stage order; missing stages are left out."""

    events: tuple[StoredEvent, ...]
    join_keys: tuple[Any, ...] = ()
    basis: TimeBasis = TimeBasis.STRICT


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what was asked was searched. `truncated`: there is more than the limit."""

    segments: tuple[str, ...] = ()
    rows: int = 0
    truncated: bool = False
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.truncated and not self.missing


@dataclass(frozen=True, slots=True)
class EqlAnswer:
    """Matches of one search, ordered by their last event. `error` is set when this query alone failed."""

    key: str
    matches: tuple[Match, ...] = ()
    completeness: Completeness = field(default_factory=Completeness)
    error: str = ""


class Operator(Enum):
    """How a filter clause compares. Values are data: no wildcard, query string or script is ever built."""

    IS = "is"
    IS_ONE_OF = "is_one_of"
    EXISTS = "exists"
    IN_NETWORK = "in_network"


@dataclass(frozen=True, slots=True)
class Clause:
    """One structured filter: `field operator values`, exact and case-sensitive; `excluded` negates it."""

    field: str
    operator: Operator = Operator.IS
    values: tuple[Any, ...] = ()
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Filters:
    """Clauses AND inside a group, groups OR: the shape of the guides' `providers`."""

    groups: tuple[tuple[Clause, ...], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Events of a search in time order. `total` counts all that match, also past the limit."""

    events: tuple[StoredEvent, ...]
    total: int
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class Coverage:
    """Was this host's telemetry of one kind there? Counts of events before, during and after the window.

    Present means: at least one event of the kind from the host within a day before to an hour after.
    first_seen and last_seen speak of the host's whole past in the store, None where it never reported.
    missing: segments around the window that can't be read: what is absent may be in them.
    """

    kind: TelemetryKind
    host_id: str
    before: int
    during: int
    after: int
    first_seen: datetime | None
    last_seen: datetime | None
    sources: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_present(self) -> bool:
        return self.before + self.during + self.after > 0


@dataclass(frozen=True, slots=True)
class HostSpread:
    """What one host sent of something; host_id "" gathers the events that name no host."""

    host_id: str
    events: int
    last_seen: datetime
    first_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How widely something was seen, host by host, most events first. missing: segments left unread."""

    hosts: tuple[HostSpread, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    missing: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        return sum(host.events for host in self.hosts)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did. `ingest` is the batch's number, None where every event was a duplicate."""

    new: int
    duplicates: int
    ingest: int | None


@dataclass(frozen=True, slots=True)
class Bucket:
    start: datetime
    count: int


class Fetched(dict[str, StoredEvent]):
    """Events by their identity. `missing`: segments in the window that can't be read and may hold others."""

    missing: tuple[str, ...] = ()


class Histogram(list[Bucket]):
    """Counts by bucket. `missing`: segments in the window that can't be read and are not counted."""

    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceReport:
    """When events of one dataset came from one host, by their arrival. Both are "" where events name none.

    reported_hours: how many clock hours of the day that ends with `last` had an arrival. usual_gap: how long
    the pause is, on average, that a moment of that day falls into: its regular interval where a source has
    one, and its long pauses where it comes in bursts. hours: events that arrived in each of the 24 hours
    before the end of what was asked for, oldest first.
    """

    dataset: str
    host: str
    last: datetime
    reported_hours: int
    usual_gap: timedelta
    hours: tuple[int, ...]


class Arrivals(list[SourceReport]):
    """Reports by dataset and host. `missing`: segments that can't be read and may hold others."""

    missing: tuple[str, ...] = ()


class EventStore(Protocol):
    """What detection, ingest and pivots ask of a store.

    finds_late: whether a region's late rows are found by their number; else covered time is searched again.
    """

    finds_late: bool

    def head(self) -> int:
        """The highest ingest number that readers can see."""
        ...

    def search_eql(
        self, searches: Sequence[EqlSearch], region: Region, *, limit: int, timeout: timedelta | None = None
    ) -> list[EqlAnswer]:
        """Run a set of queries over one region. One answer a search, in their order.

        A match counts only if at least one of its events lies in the region. More than `limit` matches:
        the first `limit` by last event, and `truncated`.
        """
        ...

    def search(self, filters: Filters, window: Window, *, limit: int, head: int | None = None) -> Page:
        """Events that satisfy the filters in the window, in time order."""
        ...

    def fetch(self, identities: Iterable[str], window: Window) -> Fetched:
        """The events with these identities; those not found are left out."""
        ...

    def coverage(self, host_id: str, kinds: Iterable[TelemetryKind], window: Window) -> list[Coverage]:
        """Presence of each kind of telemetry from a host around the window, one answer a kind."""
        ...

    def histogram(self, filters: Filters, window: Window, interval: timedelta) -> Histogram:
        """Counts of matching events a bucket; empty buckets are left out."""
        ...

    def spread(self, filters: Filters, window: Window) -> Spread:
        """On which hosts matching events happened in the window, and when first and last."""
        ...

    def arrivals(self, senders: Sequence[str], window: Window) -> Arrivals:
        """What each source sent, by the time of its arrival in the window, start excluded.

        senders: whose events count, as in `<sender>: <index>` of `MappedEvent.source`; imports have no
        sender.
        """
        ...

    def known_fields(self) -> FieldCatalogue:
        """ECS, the declared integration fields, and what was seen."""
        ...

    def append(self, events: Sequence[MappedEvent], *, batch: str) -> Appended:
        """Make a batch durable and searchable, once.

        batch: an id of the batch's own; appending the same batch again adds nothing. Events whose identity
        the store has already are dropped one by one.
        """
        ...

    def statistics(self) -> Mapping[str, Any]:
        """For pages: segments, rows, bytes, oldest, newest, head."""
        ...
