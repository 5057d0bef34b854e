"""Native EQL: the cluster searches, this says whether its answer is whole and which matches count."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from detections import ecs
from detections.enums import TimeBasis
from detections.eql.ast import SampleQuery
from detections.errors import SearchTimeoutError, StoreError
from detections.ingest.moments import TimeError, moment
from detections.stores.base import Completeness, EqlAnswer, EqlSearch, Match, Region, StoredEvent
from detections.stores.elasticsearch.answers import require_whole, searched_names, stored_event
from detections.stores.elasticsearch.connection import Access, Connection
from detections.stores.elasticsearch.refusals import QueryRefusedError, TooMuchAtOnceError
from detections.stores.elasticsearch.requests import between

AT_ONCE = 4
# The cluster's own limit of one EQL answer (index.max_result_window).
LARGEST_SIZE = 10_000
CREATED = "event.created"
# A search that needs too much memory is halved this often, to a sixteenth of its window.
MOST_HALVINGS = 4
# Telemetry of the last moments is still arriving; the partner of a match may be among it.
SETTLE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class EqlSearcher:
    """Searches of one region. patterns: what a search without indices of its own reads."""

    connection: Connection
    patterns: Sequence[str]
    region: Region
    limit: int
    timeout: timedelta | None
    resolve: Callable[[Sequence[str]], list[str]]

    def answers(self, searches: Sequence[EqlSearch]) -> list[EqlAnswer]:
        """One answer a search, in their order; a few are asked at once. A query that is refused, or that the
        cluster can't answer, fails alone; a cluster that can't be reached fails them all.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._answer, searches))

    def _answer(self, search: EqlSearch) -> EqlAnswer:
        if search.local_only:
            return EqlAnswer(search.key)
        try:
            indices = self._indices(search)
            return self._in_parts(search, indices, self.region, MOST_HALVINGS)
        except (QueryRefusedError, TooMuchAtOnceError) as refused:
            return EqlAnswer(search.key, error=str(refused))
        except SearchTimeoutError:
            raise
        except StoreError as error:
            return EqlAnswer(search.key, error=str(error))

    def _indices(self, search: EqlSearch) -> list[str]:
        """The patterns that have an index. Raises QueryRefusedError if none has."""
        patterns = search.indices or self.patterns
        found = self.resolve(patterns)
        if not found:
            raise QueryRefusedError(
                f"No index matches {', '.join(patterns)}, so nothing was searched. Send such telemetry, or "
                "correct the rule's index patterns."
            )
        return found

    def _in_parts(
        self, search: EqlSearch, indices: Sequence[str], region: Region, halvings: int
    ) -> EqlAnswer:
        try:
            return self._once(search, indices, region)
        except TooMuchAtOnceError:
            start = region.after or region.until - timedelta(days=1)
            middle = start + (region.until - start) / 2
            if not halvings or region.after is None or middle in (start, region.until):
                raise
        early = Region(region.after, middle, region.mark, region.head)
        late = Region(middle, region.until, region.mark, region.head)
        found = [self._in_parts(search, indices, part, halvings - 1) for part in (early, late)]
        return _joined(search.key, found)

    def _once(self, search: EqlSearch, indices: Sequence[str], region: Region) -> EqlAnswer:
        clock = CREATED if search.basis is TimeBasis.CLOCK_REPAIRED else search.timestamp_field
        size = min(self.limit + 1, LARGEST_SIZE)
        asked = _parameters(search, region, clock, size, self.connection.cluster.tiers_left_out)
        client = self.connection.client(Access.DETECT, f"rule {search.key}")
        if self.timeout is not None:
            client = client.options(request_timeout=self.timeout.total_seconds())
        answer = self.connection.ask(
            "run EQL searches",
            lambda: client.eql.search(
                index=",".join(indices),
                allow_partial_search_results=False,
                allow_partial_sequence_results=False,
                ignore_unavailable=False,
                **asked,
            ),
        ).body
        require_whole(answer)
        matches = _matches(answer.get("hits") or {}, search)
        counted = tuple(match for match in matches if _counts(match, region, clock))
        return EqlAnswer(
            search.key,
            counted[: self.limit],
            Completeness(searched_names(indices), truncated=len(matches) >= size),
        )


def _parameters(
    search: EqlSearch, region: Region, clock: str, size: int, tiers_left_out: Sequence[str]
) -> dict[str, Any]:
    settled = max(region.until, datetime.now(UTC) - SETTLE)
    after = None if region.after is None else region.after - search.reach
    window = between(field=clock, after=after, until=min(region.until + search.reach, settled))
    if tiers_left_out:
        frozen = {"terms": {"_tier": list(tiers_left_out)}}
        window = {"bool": {"filter": [window], "must_not": [frozen]}}
    asked: dict[str, Any] = {
        "query": search.text,
        "filter": window,
        "size": size,
        "timestamp_field": clock,
        "event_category_field": search.event_category_field,
    }
    if not isinstance(search.query, SampleQuery):
        asked["result_position"] = "head"
    if search.tiebreaker_field:
        asked["tiebreaker_field"] = search.tiebreaker_field
    return asked


def _matches(hits: dict[str, Any], search: EqlSearch) -> list[Match]:
    if "sequences" in hits:
        return [
            Match(
                tuple(stored_event(hit) for hit in found["events"] if not hit.get("missing")),
                tuple(found.get("join_keys") or ()),
                search.basis,
            )
            for found in hits["sequences"]
        ]
    return [Match((stored_event(hit),), (), search.basis) for hit in hits.get("events") or ()]


def _counts(match: Match, region: Region, clock: str) -> bool:
    """A match counts if one of its events lies in the region; the others may lie beside it."""
    return any(
        (region.after is None or moment > region.after) and moment <= region.until
        for moment in (_moment(event, clock) for event in match.events)
    )


def _moment(event: StoredEvent, clock: str) -> datetime:
    if clock == "@timestamp":
        return event.timestamp
    try:
        return moment(ecs.text(event.document, clock))
    except TimeError:
        return event.timestamp


def _joined(key: str, answers: Sequence[EqlAnswer]) -> EqlAnswer:
    """Answers of neighbouring windows as one; a match on their seam is in both, and counts once."""
    seen: dict[tuple[str, ...], Match] = {}
    for answer in answers:
        for match in answer.matches:
            seen.setdefault(tuple(event.identity for event in match.events), match)
    whole = answers[0].completeness
    return EqlAnswer(
        key,
        tuple(seen.values()),
        Completeness(whole.segments, truncated=any(answer.completeness.truncated for answer in answers)),
    )
