"""What is asked of the cluster about the alerts of Elastic Security: always whole answers, or an error."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings

from detections.eql.known import catalogue
from detections.errors import StoreError
from detections.event_store import cluster_store
from detections.outside_alerts.reading import (
    Raised,
    Reference,
    UnreadableAlertError,
    copied_event,
    read,
)
from detections.stores.base import Completeness, Filters, Page, StoredEvent, Window
from detections.stores.elasticsearch import Access
from detections.stores.elasticsearch.answers import require_whole, stored_event
from detections.stores.elasticsearch.connection import Connection
from detections.stores.elasticsearch.mapping import Mappings
from detections.stores.elasticsearch.requests import between, query

UUID = "kibana.alert.uuid"
BUILDING_BLOCK = "kibana.alert.building_block_type"
GROUP = "kibana.alert.group.id"
STATUS = "kibana.alert.workflow_status"
ORIGINAL_TIME = "kibana.alert.original_time"
PURPOSE = "alerts"
LISTED_A_REQUEST = 1000
IDS_A_REQUEST = 500
MOST_STREAMS = 20
# Names of indices come from documents: what could mean a pattern, an exclusion or a path is no name.
_NAME = re.compile(r"(?![-_+])[^\s,<>|?\"\\/#*]{1,255}")
_OLDEST_FIRST = [
    {"@timestamp": {"order": "asc", "format": "strict_date_optional_time_nanos"}},
    {UUID: {"order": "asc", "unmapped_type": "keyword"}},
]


@dataclass(frozen=True, slots=True)
class Listed:
    """One alert of a listing, in order of time and then of its uuid."""

    at: datetime
    uuid: str
    document_id: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """An alert with its events in order. copied: how many of them are the alert's own copies, since the
    originals are gone or may not be read."""

    raised: Raised
    events: tuple[StoredEvent, ...]
    copied: int = 0


@dataclass(slots=True)
class AlertsIndex:
    """The alert index behind a pattern. telemetry: patterns in which events are looked for that are not
    where their alert says."""

    connection: Connection
    pattern: str
    telemetry: Sequence[str]
    _mappings: Mappings | None = field(default=None, repr=False)

    def require_index(self) -> None:
        """Raise StoreError if nothing matches the pattern: no alerts at all is another statement."""
        if not self._mapped().existing([self.pattern]):
            raise StoreError(
                f"No index matches {self.pattern}. Elastic Security makes it with its first rule; else "
                "correct ELASTICSEARCH_ALERTS_INDEX."
            )

    def _mapped(self) -> Mappings:
        if self._mappings is None:
            self._mappings = Mappings(self.connection, [self.pattern], catalogue())
        return self._mappings

    def listing(self, since: datetime) -> Iterator[Listed]:
        """Alerts raised from `since` on, oldest first: no building blocks, which an alert that is made of
        them speaks for, and none that was closed there. Raises StoreError."""
        wanted = {
            "bool": {
                "filter": [between(since=since)],
                "must_not": [{"exists": {"field": BUILDING_BLOCK}}, {"term": {STATUS: "closed"}}],
            }
        }
        # No point in time: searching one asks for rights on the index behind the alias. By time and uuid
        # no alert is passed over; one that becomes visible meanwhile is found when the end is read again.
        client, last = self.connection.client(Access.PIVOT, PURPOSE), None
        while True:
            asked = _page(self.pattern, wanted, last)
            answer = self.connection.ask("read the alerts", partial(client.search, **asked)).body
            require_whole(answer)
            hits = answer["hits"]["hits"]
            yield from (_listed(hit) for hit in hits)
            if len(hits) < LISTED_A_REQUEST:
                return
            last = hits[-1]["sort"]

    def documents(self, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """The alert documents with these ids, in no order. Raises StoreError."""
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(ids), IDS_A_REQUEST):
            found += self._by_id([self.pattern], ids[start : start + IDS_A_REQUEST], "read the alerts")
        return found

    def resolve(self, raised: Sequence[Raised]) -> list[Resolved]:
        """Each alert with its events: the originals, else as the alert copied them. Raises StoreError if
        the cluster does not answer in full."""
        found = self._events({reference for one in raised for reference in one.events})
        lacking = [one for one in raised if any(reference not in found for reference in one.events)]
        copies = self._copies(lacking)
        return [_resolved(one, found, copies.get(one.uuid, {})) for one in raised]

    def search(self, filters: Filters, window: Window, *, limit: int, without: Iterable[str] = ()) -> Page:
        """Alerts that satisfy the filters and were raised, or happened, in the window, oldest first.

        without: uuids that are known otherwise. Building blocks of sequences are left out.
        """
        self.require_index()
        when = [
            between(field=name, since=window.start, until=window.end)
            for name in ("@timestamp", ORIGINAL_TIME)
        ]
        parts = [{"exists": {"field": BUILDING_BLOCK}}, {"exists": {"field": GROUP}}]
        also = {
            "bool": {
                "should": when,
                "minimum_should_match": 1,
                "must_not": [{"bool": {"filter": parts}}, {"terms": {UUID: sorted(without)}}],
            }
        }
        client = self.connection.client(Access.PIVOT, PURPOSE)
        answer = self.connection.ask(
            "search the alerts",
            lambda: client.search(
                index=self.pattern,
                query=query(filters, self._mapped().mapped(), also),
                size=limit,
                sort=_OLDEST_FIRST,
                track_total_hits=True,
                source_excludes=["kibana.alert.rule.parameters"],
                allow_partial_search_results=False,
            ),
        ).body
        require_whole(answer)
        events = tuple(stored_event(hit) for hit in answer["hits"]["hits"])
        total = answer["hits"]["total"]["value"]
        return Page(events, total, Completeness((self.pattern,), rows=total, truncated=total > len(events)))

    # -- events of alerts

    def _events(self, wanted: set[Reference]) -> dict[Reference, StoredEvent]:
        """The originals that can be found: where the alerts say, then in all telemetry."""
        found: dict[Reference, StoredEvent] = {}
        named = [one for one in wanted if _NAME.fullmatch(one.stream)]
        streams = sorted({one.stream for one in named})
        for start in range(0, len(streams), MOST_STREAMS):
            some = set(streams[start : start + MOST_STREAMS])
            found |= self._look(sorted(some), [one for one in named if one.stream in some])
        rest = [one for one in wanted if one not in found]
        return found | (self._look(list(self.telemetry), rest, anywhere=True) if rest else {})

    def _look(
        self, indices: Sequence[str], wanted: Sequence[Reference], *, anywhere: bool = False
    ) -> dict[Reference, StoredEvent]:
        found: dict[Reference, StoredEvent] = {}
        for start in range(0, len(wanted), IDS_A_REQUEST):
            some = wanted[start : start + IDS_A_REQUEST]
            ids = sorted({one.document_id for one in some})
            hits: dict[str, list[Mapping[str, Any]]] = {}
            for hit in self._by_id(indices, ids, "read the events of alerts"):
                hits.setdefault(str(hit["_id"]), []).append(hit)
            for one in some:
                if event := _pick(one, hits.get(one.document_id, []), anywhere):
                    found[one] = event
        return found

    def _copies(self, lacking: Sequence[Raised]) -> dict[str, dict[Reference, StoredEvent]]:
        """For alerts whose originals are gone: what they, or their building blocks, copied of them."""
        ids = sorted({block for one in lacking for block in one.blocks})
        blocks: dict[str, Raised] = {}
        for hit in self.documents(ids):
            with suppress(UnreadableAlertError):
                block = read(hit)
                blocks[block.document_id] = block
        return {
            one.uuid: {
                block.events[0]: copied_event(block, block.events[0])
                for block in (one, *(blocks[key] for key in one.blocks if key in blocks))
                if len(block.events) == 1
            }
            for one in lacking
        }

    def _by_id(self, indices: Sequence[str], ids: Sequence[str], what: str) -> list[Mapping[str, Any]]:
        client = self.connection.client(Access.PIVOT, PURPOSE)
        answer = self.connection.ask(
            what,
            lambda: client.search(
                index=",".join(indices),
                query={"ids": {"values": list(ids)}},
                size=min(4 * len(ids), 10_000),
                ignore_unavailable=True,
                allow_partial_search_results=False,
            ),
        ).body
        require_whole(answer)
        hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
        return hits


def alerts_index() -> AlertsIndex | None:
    """The index that the settings name, None where they name none. Raises StoreError for a refused
    address."""
    store = cluster_store() if settings.ELASTICSEARCH_ALERTS_INDEX else None
    if store is None:
        return None
    cluster = store.connection.cluster
    return AlertsIndex(store.connection, settings.ELASTICSEARCH_ALERTS_INDEX, cluster.patterns)


def _page(pattern: str, wanted: Mapping[str, Any], last: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "index": pattern,
        "query": wanted,
        "size": LISTED_A_REQUEST,
        "sort": _OLDEST_FIRST,
        "source": False,
        "allow_partial_search_results": False,
        "track_total_hits": False,
    }
    return asked if last is None else {**asked, "search_after": last}


def _listed(hit: Mapping[str, Any]) -> Listed:
    at, uuid, document_id = hit["sort"][0], hit["sort"][1], str(hit["_id"])
    return Listed(_moment(at), str(uuid or document_id), document_id)


def _moment(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).astimezone(UTC)


def _pick(wanted: Reference, hits: Sequence[Mapping[str, Any]], anywhere: bool) -> StoredEvent | None:
    """The hit that the alert means. Elsewhere than it says only where the id occurs once."""
    same = [hit for hit in hits if Reference(str(hit["_index"]), "").stream == wanted.stream]
    meant = same[:1] or (hits if anywhere and len(hits) == 1 else [])
    for hit in meant:
        with suppress(StoreError):
            return stored_event(hit)
    return None


def _resolved(
    raised: Raised, found: Mapping[Reference, StoredEvent], copies: Mapping[Reference, StoredEvent]
) -> Resolved:
    events = [found.get(one) or copies.get(one) for one in raised.events]
    whole = [event for event in events if event is not None]
    if not whole:
        return Resolved(raised, (copied_event(raised),), 1)
    # A repeated event would be a stage twice; two stages of a sequence are never one event.
    unique = tuple({event.identity: event for event in whole}.values())
    originals = sum(one in found for one in raised.events)
    return Resolved(raised, unique, len(raised.events) - originals)
