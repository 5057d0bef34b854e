"""Answer many queries over one region together: columns read once, leaves decided on distinct values.

Each query's stages become plans (`detections.hunt.conditions`) over the rows of the region. A query none of
whose stages takes a row is answered by that, mostly by a look-up of one value. Sequences then get the rows
beside the region that lie within their reach, and are fed with what has a partner. What can't be planned, or
is ordered by a field of its own, is left to `eql_search`.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.ast import EventQuery, Query, SequenceQuery, all_stages, fields_used
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.verify import verify
from detections.errors import EqlError, StoreError
from detections.hunt.conditions import Plan, Planner
from detections.hunt.rows import Bits, rows_of
from detections.stores.base import EqlAnswer, EqlSearch, Match
from detections.stores.embedded.candidates import Found, clock_column
from detections.stores.embedded.connection import UnreadableError
from detections.stores.embedded.eql_search import Complete, EqlSearcher, matches, piped
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import completeness
from detections.stores.embedded.regions import Extent, Span, joined, meeting, neighbourhood
from detections.stores.embedded.window_loading import LoadedWindow, loaded, span_mask
from detections.stores.embedded.window_rows import WindowRows, bits_of_mask, mask_of

log = logging.getLogger(__name__)

# More rows than this are searched query by query, in a stream.
MOST_ROWS = 1_500_000
# Fewer queries than this gain nothing.
LEAST_QUERIES = 4
MOST_PLANS = 5_000
# A sequence that reaches further reads its own surroundings: it would make all others read them too.
MOST_REACH = timedelta(minutes=10)
# More candidates of one query than this are put together from a stream.
MOST_CANDIDATES = 100_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A verified query, the plans of its stages and its `until`, and the fields that it reads."""

    query: Query
    plans: tuple[Plan, ...]
    fields: tuple[Field, ...]


class Plans:
    """Plans of queries, kept as long as the fields that are known stay the same."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._planner: Planner | None = None
        self._known: dict[tuple[Any, str], Planned | EqlError] = {}

    def of(self, search: EqlSearch, known: FieldCatalogue) -> Planned:
        """The plans of a search. Raises EqlError for a query that can't run here."""
        with self._lock:
            found = self._found(search, known)
        if isinstance(found, EqlError):
            raise found
        return found

    def _found(self, search: EqlSearch, known: FieldCatalogue) -> Planned | EqlError:
        if self._planner is None or self._planner.catalogue is not known or len(self._known) > MOST_PLANS:
            self._planner, self._known = Planner(known), {}
        key = (search.query.text or search.query, search.event_category_field)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._planned(search, known)
        return found

    def _planned(self, search: EqlSearch, known: FieldCatalogue) -> Planned | EqlError:
        assert self._planner is not None
        category = search.event_category_field
        try:
            query = verify(search.query, known, event_category_field=category)
        except EqlError as error:
            return error
        plans = tuple(
            self._planner.stage(stage.category, stage.condition, category) for stage in all_stages(query)
        )
        names = {name for name, _ in fields_used(query)} | {category}
        fields = tuple(known[name] for name in sorted(names) if name in known)
        return Planned(query, plans, fields)


@dataclass
class _Going:
    """One query on its way: the rows its stages take, in the region and beside it."""

    number: int
    search: EqlSearch
    planned: Planned
    bits: list[list[Bits]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    complete: list[Complete] = field(default_factory=list)
    is_broken: bool = False


class SetSearcher:
    """Searches one region for many queries that are ordered by the same clock."""

    def __init__(self, searcher: EqlSearcher, plans: Plans) -> None:
        self.searcher, self.plans = searcher, plans
        self.extent = Extent.of(searcher.region)

    def answers(self, searches: Sequence[EqlSearch]) -> list[EqlAnswer]:
        """One answer a query, in their order. Raises as `EqlSearcher.answer`."""
        found: dict[int, EqlAnswer] = {}
        by_clock: dict[str, list[_Going]] = {}
        for number, search in enumerate(searches):
            clock = clock_column(search).removeprefix("p.")
            try:
                planned = self.plans.of(search, self.searcher.known)
            except EqlError as error:
                found[number] = EqlAnswer(search.key, error=str(error))
                continue
            except Exception as error:
                log.info("A query can't be planned and is searched alone: %r", error)
                continue
            if clock:
                checked = replace(search, query=planned.query)
                by_clock.setdefault(clock, []).append(_Going(number, checked, planned))
        for clock, going in by_clock.items():
            if len(going) >= LEAST_QUERIES:
                found.update(self.searcher.reader.read(partial(self._together, clock, going)))
        near = {one.number: one.spans for held in by_clock.values() for one in held}
        answer = self.searcher.answer
        return [found.get(n) or answer(search, near.get(n, ())) for n, search in enumerate(searches)]

    def _together(self, clock: str, going: Sequence[_Going], segments: list[Segment]) -> dict[int, EqlAnswer]:
        for one in going:
            one.bits, one.spans, one.complete, one.is_broken = [], [], [], False
        bounds = _bounds(segments, clock, self.extent.searched, ())
        if sum(one.rows for one in segments if one.path in bounds) > MOST_ROWS:
            return {}
        files = self.searcher.reader.files
        window = loaded(files, segments, bounds, self.extent, clock, searched=True)
        side = _Side(window, going)
        live = [one for one in going if self._takes(one, side)]
        side.keep(live)
        sequences = [one for one in live if not isinstance(one.planned.query, EventQuery)]
        for one in sequences:
            if one.search.reach > MOST_REACH and not self.extent.is_everything:
                one.spans, one.is_broken = _reached(one, side), True
        sequences = [one for one in sequences if not one.is_broken]
        sides = [side]
        if sequences and not self.extent.is_everything:
            beside, more = self._beside(segments, clock, sequences, side)
            if beside.window.rows + window.rows > MOST_ROWS:
                return {}
            bounds = {**bounds, **more}
            sides.append(beside)
        done = [one for one in live if self._completes(one, sides)]
        for used in sides:
            used.rows.close()
        read = [segment for segment in segments if segment.path in bounds]
        failed = {one.number for one in going if one.is_broken}
        found = self._answered(done, read)
        nothing = completeness(read)
        for one in going:
            if one.number not in failed and one.number not in found:
                found[one.number] = EqlAnswer(one.search.key, completeness=nothing)
        return found

    def _takes(self, one: _Going, side: "_Side") -> bool:
        """Whether some stage takes a row of the region."""
        self.searcher.remaining()
        try:
            one.bits.append([plan.rows(side.rows, side.rows.everything) for plan in one.planned.plans])
        except (StoreError, UnreadableError):
            raise
        except Exception:
            one.is_broken = True
            return False
        return any(one.bits[0][: len(one.planned.query.stages)])

    def _beside(
        self, segments: list[Segment], clock: str, going: Sequence[_Going], side: "_Side"
    ) -> tuple["_Side", dict[str, Span]]:
        """The rows that are not of the region, but within reach of what was found there."""
        for one in going:
            one.spans = _reached(one, side)
        near = joined(span for one in going for span in one.spans)
        bounds = _bounds(segments, clock, self.extent.allowed, near)
        window = loaded(
            self.searcher.reader.files, segments, bounds, self.extent, clock, searched=False, near=near
        )
        beside = _Side(window, going)
        for one in going:
            within = beside.within(one.spans)
            try:
                one.bits.append([plan.rows(beside.rows, within) for plan in one.planned.plans])
            except (StoreError, UnreadableError):
                raise
            except Exception:
                one.is_broken = True
        return beside, bounds

    def _completes(self, one: _Going, sides: Sequence["_Side"]) -> bool:
        """Put the matches together. False where there are none, or where they have to be found otherwise."""
        self.searcher.remaining()
        if one.is_broken:
            return False
        pairs = list(zip(one.bits, sides, strict=False))
        query = one.planned.query
        if isinstance(query, SequenceQuery) and not _has_partners(query, pairs, self.searcher.known):
            return False
        if sum(_union(bits).bit_count() for bits, _ in pairs) > MOST_CANDIDATES:
            one.is_broken = True
            return False
        found = [taken for bits, side in pairs for taken in side.found(one, bits, self.searcher.known)]
        found.sort(key=lambda taken: taken.order)
        one.complete = piped(
            one.search,
            [
                match
                for match in matches(one.search, found)
                if any(self.extent.holds(event.time, event.arrival, event.ingest) for event in match.events)
            ],
        )
        return bool(one.complete)

    def _answered(self, going: Sequence[_Going], read: Sequence[Segment]) -> dict[int, EqlAnswer]:
        """The answers of those that have matches, all their events fetched together."""
        limit = self.searcher.limit
        places = [event.place for one in going for match in one.complete[:limit] for event in match.events]
        if not places:
            return {}
        scan = self.searcher.reader.scan(read)
        events = scan.events(places, timeout=self.searcher.remaining())
        return {
            one.number: EqlAnswer(
                one.search.key,
                tuple(
                    Match(tuple(events[event.place] for event in match.events), match.keys, one.search.basis)
                    for match in one.complete[:limit]
                ),
                completeness(read, truncated=len(one.complete) > limit),
            )
            for one in going
        }


def _bounds(
    segments: Iterable[Segment],
    clock: str,
    span_of: Callable[[Segment], Span | None],
    near: Sequence[Span],
) -> dict[str, Span]:
    """What may be read of each segment that holds something of it."""
    held: dict[str, Span] = {}
    for segment in segments:
        span = span_of(segment)
        if span and meeting(segment, clock, [span]) and meeting(segment, clock, near or [span]):
            held[segment.path] = span
    return held


def _reached(one: _Going, side: "_Side") -> list[Span]:
    """The ranges of time within reach of what a query's stages take of the region."""
    return neighbourhood(side.times(one.bits[0][: len(one.planned.query.stages)]), one.search.reach)


def _union(bits: Iterable[Bits]) -> Bits:
    return reduce(or_, bits, 0)


class _Side:
    """The rows of a window, with what the queries ask of them."""

    def __init__(self, window: LoadedWindow, going: Iterable[_Going]) -> None:
        self.window = window
        fields = {one.name: one for going_ in going for one in going_.planned.fields}
        self.rows = WindowRows(window.rows, window.columns, fields.values())
        if window.rows:
            self.rows.load(fields.values())
        self._times: dict[Bits, list[int]] = {}
        self._within: dict[tuple[Span, ...], Bits] = {}

    def keep(self, going: Iterable[_Going]) -> None:
        """Let go of the columns that none of these queries reads."""
        self.rows.keep(field for one in going for field in one.planned.fields)
        pa.default_memory_pool().release_unused()

    def times(self, bits: Iterable[Bits]) -> list[int]:
        """The seconds in which some rows lie, by both their ends."""
        together = _union(bits)
        found = self._times.get(together)
        if found is None:
            found = []
            if self.window.places is not None and together:
                chosen = self.window.places.time.filter(mask_of(together, len(self.rows)))
                for second in pc.unique(pc.floor(pc.divide(chosen.cast(pa.float64()), 1e6))).to_pylist():
                    found += [int(second) * 1_000_000, int(second) * 1_000_000 + 999_999]
            self._times[together] = found
        return found

    def within(self, spans: Sequence[Span]) -> Bits:
        """The rows in some ranges of time."""
        key = tuple(spans)
        found = self._within.get(key)
        if found is None:
            found = 0
            if self.window.places is not None:
                for span in spans:
                    found |= bits_of_mask(span_mask(self.window.places.time, span))
            self._within[key] = found
        return found

    def found(self, one: _Going, bits: Sequence[Bits], known: FieldCatalogue) -> list[Found]:
        """The candidates among the rows."""
        together, places, query = _union(bits), self.window.places, one.planned.query
        if not together or places is None:
            return []
        rows = list(rows_of(together))
        chosen = pa.array(rows, pa.int64())
        columns = [
            column.take(chosen).to_pylist()
            for column in (places.segment, places.row, places.time, places.ingest, places.arrival, places.nth)
        ]
        names = sorted({key.name for stage in all_stages(query) for key in stage.keys})
        count = len(query.stages)
        return [
            Found(
                place=(self.window.segments[segment].path, place),
                time=time,
                tiebreaker=min(self._values(row, one.search.tiebreaker_field, known), default=None),
                ingest=ingest,
                arrival=arrival,
                nth=nth,
                stages=tuple(number for number in range(count) if bits[number] >> row & 1),
                keys={name: self._values(row, name, known) for name in names},
                ends=query.until is not None and bool(bits[-1] >> row & 1),
            )
            for row, segment, place, time, ingest, arrival, nth in zip(rows, *columns, strict=True)
        ]

    def _values(self, row: int, name: str, known: FieldCatalogue) -> list[Any]:
        """The values of a row as SQL would give them."""
        field = known.get(name)
        if field is None:
            return []
        values = self.rows.values(row, field)
        if field.type is FieldType.DATE:
            return [datetime.fromisoformat(value.removesuffix("Z")) for value in values]
        return values


def _has_partners(
    query: SequenceQuery, pairs: Sequence[tuple[list[Bits], _Side]], known: FieldCatalogue
) -> bool:
    """Leave of each stage only the rows whose join keys every other stage has; False where nothing is left.

    Missing stages, `until` and optional keys are left as they are: there, less would mean more.
    """
    positive = [number for number, stage in enumerate(query.stages) if not stage.missing]
    if not all(any(bits[number] for bits, _ in pairs) for number in positive):
        return False
    for nth in range(min((len(query.stages[number].keys) for number in positive), default=0)):
        keys = [query.stages[number].keys[nth] for number in positive]
        fields = [known.get(key.name) for key in keys]
        if any(key.optional for key in keys) or None in fields:
            continue
        shared = _shared(positive, fields, pairs)
        for number, known_as in zip(positive, fields, strict=True):
            for bits, side in pairs:
                if bits[number]:
                    assert known_as is not None
                    bits[number] &= side.rows.column(known_as).rows_with_any(shared)
    return all(any(bits[number] for bits, _ in pairs) for number in positive)


def _shared(
    positive: Sequence[int], fields: Sequence[Field | None], pairs: Sequence[tuple[list[Bits], _Side]]
) -> set[Any]:
    """The values of a join key that all stages have."""
    shared: set[Any] | None = None
    for number, known_as in zip(positive, fields, strict=True):
        assert known_as is not None
        values = set[Any]()
        for bits, side in pairs:
            if bits[number]:
                values |= side.rows.column(known_as).values_in(bits[number])
        shared = values if shared is None else shared & values
    return shared or set()
