"""The event store over a cluster. What it can't do as the embedded one does, it says in words."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import FieldCatalogue
from detections.errors import StoreError
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
    Searched,
    Spread,
    Window,
)
from detections.stores.elasticsearch import aggregations, clock, examining, paging
from detections.stores.elasticsearch.answers import INGEST, require_whole
from detections.stores.elasticsearch.connection import Access, Cluster, Connection
from detections.stores.elasticsearch.eql_search import EqlSearcher
from detections.stores.elasticsearch.mapping import Mappings
from detections.stores.elasticsearch.refusals import DocumentRefusedError
from detections.stores.elasticsearch.requests import INGESTED, TIMESTAMP, in_window, query
from detections.stores.elasticsearch.streams import CANARY_STREAM


class ElasticsearchStore:
    """Implements `EventStore`. One instance a process; threads may share it.

    It has no batches: `head` is always the same, and late events are found by searching covered time again
    (`late`), not by their number. It can't look an event up by its identity, which is a hash.
    """

    finds_late = False

    def __init__(self, cluster: Cluster, catalogue: FieldCatalogue) -> None:
        self.connection = Connection(cluster)
        self._version: str | None = None
        self.mappings = Mappings(self.connection, cluster.patterns, catalogue)

    def head(self) -> int:
        """Always the same number. Raises StoreError if the cluster does not answer or its clock is off."""
        client = self.connection.client(Access.DETECT, "clock")
        self.connection.ask("be reached", client.security.authenticate)
        if (theirs := clock.time_of(self.connection, self.connection.cluster.patterns)) is not None:
            self.connection.note_clock(theirs)
        self.connection.require_one_clock()
        return INGEST

    def search_eql(
        self,
        searches: Sequence[EqlSearch],
        region: Region,
        *,
        limit: int,
        timeout: timedelta | None = None,
    ) -> list[EqlAnswer]:
        patterns = self.connection.cluster.patterns
        searcher = EqlSearcher(self.connection, patterns, region, limit, timeout, self.mappings.existing)
        return searcher.answers(searches)

    def search(self, filters: Filters, window: Window, *, limit: int, head: int | None = None) -> Page:
        asked = query(filters, self.mappings.mapped(), in_window(window))
        return paging.page(self.connection, self._indices(), asked, limit)

    def fetch(self, identities: Iterable[str], window: Window) -> Fetched:
        raise StoreError(
            "Events of a cluster can't be looked up by identity, which is a hash over data set and _id."
        )

    def coverage(self, host_id: str, kinds: Iterable[TelemetryKind], window: Window) -> list[Coverage]:
        return aggregations.coverage(self._ask, self.mappings.mapped(), host_id, list(kinds), window)

    def histogram(self, filters: Filters, window: Window, interval: timedelta) -> Histogram:
        return Histogram(aggregations.histogram(self._ask, self.mappings.mapped(), filters, window, interval))

    def spread(self, filters: Filters, window: Window) -> Spread:
        return aggregations.spread(self._ask, self.mappings.mapped(), filters, window)

    def arrivals(self, senders: Sequence[str], window: Window) -> Arrivals:
        """Of every source: in a cluster, whoever sends counts, so `senders` is not read."""
        return Arrivals(aggregations.arrivals(self._ask, self.mappings.mapped(), window))

    def late(
        self, stretches: Sequence[Searched], *, indices: Sequence[str] = (), clock: str = TIMESTAMP
    ) -> list[bool]:
        """Which stretches may have received documents since they were searched, in one request.

        indices: those of a rule, none for all telemetry. clock: the field that orders its events.
        """
        if INGESTED not in self.mappings.mapped():
            return [True] * len(stretches)
        patterns = self.mappings.existing(list(indices) or self.connection.cluster.patterns)
        if not patterns:
            return [True] * len(stretches)
        return aggregations.late(partial(self._ask, indices=patterns), stretches, clock)

    def known_fields(self) -> FieldCatalogue:
        return self.mappings.known()

    def append(self, events: Sequence[MappedEvent], *, batch: str) -> Appended:
        """Only for the canary: into a data stream of its own, with the credential that may create there."""
        if not events:
            return Appended(0, 0, None)
        lines: list[dict[str, Any]] = []
        for event in events:
            lines += [{"create": {"_id": event.record_id or event.identity}}, event.document]
        created, known = self.create(CANARY_STREAM, lines, access=Access.CANARY)
        return Appended(created, known, INGEST if created else None)

    def create(
        self, stream: str, lines: Sequence[Mapping[str, Any]], *, access: Access = Access.WRITE
    ) -> tuple[int, int]:
        """Create documents (bulk lines) in one of our own data streams; how many were new, and known already.

        Raises StoreError for every document that was refused, with the first reason.
        """
        client = self.connection.client(access, "copies")
        answer = self.connection.ask(
            f"create documents in {stream}",
            lambda: client.bulk(index=stream, operations=list(lines), require_data_stream=True),
        ).body
        results = [item["create"] for item in answer["items"]]
        refused = [one for one in results if one["status"] not in (200, 201, 409)]
        if refused:
            error = refused[0].get("error") or {}
            raise DocumentRefusedError(
                f"{len(refused)} of {len(results)} documents were refused by {stream}: {error.get('type')}: "
                f"{error.get('reason')}"
            )
        known = sum(one["status"] == 409 for one in results)
        return len(results) - known, known

    def statistics(self) -> Mapping[str, Any]:
        ends = {"oldest": {"min": {"field": "@timestamp"}}, "newest": {"max": {"field": "@timestamp"}}}
        answer = self._ask({"size": 0, "track_total_hits": True, "aggs": ends})
        found = answer.get("aggregations") or {}
        return {
            "segments": len(self._indices()),
            "unreadable": 0,
            "rows": answer["hits"]["total"]["value"],
            "bytes": None,
            "oldest": aggregations.moment(found.get("oldest", {}).get("value")),
            "newest": aggregations.moment(found.get("newest", {}).get("value")),
            "head": INGEST,
        }

    def version(self) -> str:
        """The cluster's version, asked once; "" where it does not say."""
        if self._version is None and self.connection.breaker.state == "closed":
            self._version = examining.version(self.connection)
        return self._version or ""

    def _indices(self) -> list[str]:
        """The patterns that have an index. Raises StoreError if none has: nothing could be searched."""
        patterns = self.connection.cluster.patterns
        found = self.mappings.existing(patterns)
        if not found:
            raise StoreError(
                f"No index matches {', '.join(patterns)}. Send telemetry there, or correct "
                "ELASTICSEARCH_INDICES."
            )
        return found

    def _ask(self, body: Mapping[str, Any], indices: Sequence[str] | None = None) -> Mapping[str, Any]:
        """A search with aggregations over all telemetry, or these indices; only a whole answer comes back."""
        access = Access.PIVOT if indices is None else Access.DETECT
        client = self.connection.client(access, "counts")
        named = ",".join(self._indices() if indices is None else indices)
        answer = self.connection.ask(
            "count events",
            lambda: client.search(index=named, allow_partial_search_results=False, **body),
        ).body
        require_whole(answer)
        whole: Mapping[str, Any] = answer
        return whole
