"""Answer EQL queries over a region.

First the candidates among the region's own rows: a match needs at least one of them. Only where there are
any, the rows within reach of them are read too, and the events put together in order.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from detections.eql.ast import EventQuery, PipeKind, Query, SampleQuery, SequenceQuery, Stage
from detections.eql.fields import FieldCatalogue
from detections.eql.joins import Key, joined_keys
from detections.eql.samples import Sampled, find_samples
from detections.eql.sequences import Candidate, find_sequences
from detections.eql.verify import verify
from detections.errors import EqlError, SearchTimeoutError
from detections.stores.base import Completeness, EqlAnswer, EqlSearch, Match, Region
from detections.stores.embedded.candidates import CandidateSql, Found, clock_column, found_rows
from detections.stores.embedded.columns import from_micros
from detections.stores.embedded.connection import RefusedError
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.narrowing import narrowing
from detections.stores.embedded.reader import Reader, completeness
from detections.stores.embedded.regions import Extent, Span, meeting, neighbourhood


@dataclass(frozen=True, slots=True)
class Complete:
    """The events of one match, before they are fetched."""

    events: tuple[Found, ...]
    keys: Key = ()


@dataclass(slots=True)
class EqlSearcher:
    """Searches one region for a set of queries within one time limit."""

    reader: Reader
    known: FieldCatalogue
    region: Region
    limit: int
    timeout: timedelta | None = None
    started: float = field(default_factory=time.monotonic)

    def answer(self, search: EqlSearch, near: Sequence[Span] = ()) -> EqlAnswer:
        """One query's matches. What is wrong with the query itself becomes `error`: the others go on.

        near: the ranges within reach of the region's own candidates, where these are known already.
        """
        try:
            query = verify(search.query, self.known, event_category_field=search.event_category_field)
            checked = replace(search, query=query)
            return self.reader.read(lambda segments: _Pass(self, checked, segments, near).answer())
        except (EqlError, RefusedError) as error:
            return EqlAnswer(search.key, error=str(error))

    def remaining(self) -> timedelta | None:
        if self.timeout is None:
            return None
        left = self.timeout - timedelta(seconds=time.monotonic() - self.started)
        if left <= timedelta(0):
            raise SearchTimeoutError(
                f"The set of rules took longer than {self.timeout.total_seconds():g} s and was stopped. "
                "Narrow its window or allow more."
            )
        return left


@dataclass(slots=True)
class _Pass:
    """One query over one list of segments."""

    searcher: EqlSearcher
    search: EqlSearch
    segments: list[Segment]
    near: Sequence[Span] = ()
    read: dict[str, Segment] = field(default_factory=dict)

    def answer(self) -> EqlAnswer:
        extent, spans, candidates = Extent.of(self.searcher.region), self.near, list[Found]()
        searched = self._bounds({one.path: extent.searched(one) for one in self.segments}, ())
        if not spans:
            candidates = self._candidates(searched, (), searched=True)
            if not extent.is_everything and not isinstance(self.search.query, EventQuery):
                spans = neighbourhood((one.time for one in candidates if one.stages), self.search.reach)
        if spans:
            allowed = self._bounds({one.path: extent.allowed(one) for one in self.segments}, spans)
            candidates = self._candidates(allowed, spans, searched=False)
        complete = [
            match
            for match in matches(self.search, candidates)
            if any(extent.holds(found.time, found.arrival, found.ingest) for found in match.events)
        ]
        return self._answered(piped(self.search, complete))

    def _bounds(self, spans: dict[str, Span | None], near: Sequence[Span]) -> dict[str, Span]:
        """Leave out the segments that hold nothing of their span, nor of the ranges to stay in."""
        clock = clock_column(self.search).removeprefix("p.")
        held: dict[str, Span] = {}
        for segment in self.segments:
            span = spans[segment.path]
            if (
                span is not None
                and meeting(segment, clock, [span])
                and meeting(segment, clock, near or [span])
            ):
                held[segment.path] = span
                self.read[segment.path] = segment
        return held

    def _candidates(self, bounds: dict[str, Span], near: Sequence[Span], *, searched: bool) -> list[Found]:
        scan = self.searcher.reader.scan(one for one in self.segments if one.path in bounds)
        extent = Extent.of(self.searcher.region)
        narrowed = narrowing(
            scan.files,
            scan.segments,
            self.search.query,
            self.searcher.known,
            self.search.event_category_field,
        )
        if narrowed is not None:
            is_whole = extent.is_everything or not searched
            if not narrowed.parts or (is_whole and not _required(self.search.query) <= narrowed.stages):
                return []
            scan = self.searcher.reader.scan(narrowed.segments)
        sql = CandidateSql(self.search, scan, self.searcher.known, parts=narrowed.parts if narrowed else ())
        numbered = {number: bounds[segment.path] for number, segment in enumerate(scan.segments)}
        statement = sql.statement(numbered, near, extent, searched=searched)
        return found_rows(sql, scan.run(statement, sql.parameters, timeout=self.searcher.remaining()))

    def _answered(self, complete: list[Complete]) -> EqlAnswer:
        kept = complete[: self.searcher.limit]
        scan = self.searcher.reader.scan(self.read.values())
        places = [found.place for match in kept for found in match.events]
        events = scan.events(places, timeout=self.searcher.remaining())
        matches = tuple(
            Match(tuple(events[found.place] for found in match.events), match.keys, self.search.basis)
            for match in kept
        )
        return EqlAnswer(self.search.key, matches, self._completeness(truncated=len(complete) > len(kept)))

    def _completeness(self, *, truncated: bool) -> Completeness:
        return completeness(self.read.values(), truncated=truncated)


def _required(query: Query) -> set[int]:
    """The stages without a row of which there is no match."""
    return {number for number, stage in enumerate(query.stages) if not stage.missing}


def matches(search: EqlSearch, candidates: list[Found]) -> list[Complete]:
    """The matches among candidates in order, ordered by their last event."""
    query = search.query
    if isinstance(query, SequenceQuery):
        rows = find_sequences(query, (_candidate(query, found) for found in candidates))
        return [Complete(tuple(event for event in row.events if event), row.keys) for row in rows]
    if isinstance(query, SampleQuery):
        sampled = (
            Sampled(found, {n: keys for n in found.stages if (keys := _keys(query.stages[n], found))})
            for found in candidates
        )
        return [Complete(sample.events, sample.keys) for sample in find_samples(query, sampled)]
    return [Complete((found,)) for found in candidates]


def _candidate(query: SequenceQuery, found: Found) -> Candidate[Found]:
    stages = {n: keys for n in found.stages if (keys := _keys(query.stages[n], found))}
    until = _keys(query.until, found) if query.until is not None and found.ends else ()
    return Candidate(found, from_micros(found.milliseconds * 1_000), stages, until)


def _keys(stage: Stage, found: Found) -> tuple[Key, ...]:
    return joined_keys([found.keys[key.name] for key in stage.keys], [key.optional for key in stage.keys])


def piped(search: EqlSearch, found: list[Complete]) -> list[Complete]:
    """What the query's pipes leave of its matches."""
    for pipe in search.query.pipes:
        found = found[: pipe.count] if pipe.kind is PipeKind.HEAD else found[-pipe.count :]
    return found
