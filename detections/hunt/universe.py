"""Search one universe: events that may form sequences with each other, in the order of their capture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from detections.ecs import Document
from detections.enums import TimeBasis
from detections.eql.ast import PipeKind, SampleQuery, SequenceQuery, Stage
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.joins import Key, joined_keys
from detections.eql.samples import Sampled, find_samples
from detections.eql.sequences import Candidate, find_sequences
from detections.eql.values import datetime_of, moment_of
from detections.hunt.rows import Rows, rows_of
from detections.hunt.rules import CREATED, TIMESTAMP, HuntRule, PlannedRule, PlannedRules

CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class HuntEvent:
    """An event by the name its capture gives it. number: its place among all events of the universe.

    time and created: microseconds since 1970, of @timestamp and event.created.
    """

    file: str
    id: str
    number: int
    time: int | None
    created: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A match of a rule: its events in stage order, missing stages left out."""

    rule: HuntRule
    events: tuple[HuntEvent, ...]
    basis: TimeBasis = TimeBasis.STRICT
    keys: Key = ()

    @property
    def is_repaired(self) -> bool:
        """Whether only the order of event.created gives this match."""
        return self.basis is TimeBasis.CLOCK_REPAIRED

    @property
    def order(self) -> tuple[Any, ...]:
        """By the time and place of the last event, then by rule: the same on every run."""
        last = self.events[-1]
        return last.time or 0, last.number, self.rule.rule_id, self.basis, [one.number for one in self.events]


@dataclass(frozen=True, slots=True)
class _Taken:
    """An event that some stage of a rule may take, with what orders it."""

    event: HuntEvent
    time: int | None
    tiebreaker: tuple[Any, ...]
    stages: dict[int, tuple[Key, ...]]
    ends: tuple[Key, ...]

    def clock(self, basis: TimeBasis) -> int | None:
        return self.time if basis is TimeBasis.STRICT else self.event.created


@dataclass
class _Chunk:
    """Some rows with the names of their events. before: how many events of the universe came earlier."""

    rows: Rows
    names: Sequence[tuple[str, str]]
    before: int
    known: FieldCatalogue
    events: dict[int, HuntEvent] = field(default_factory=dict)

    def candidates(self, planned: PlannedRule) -> list[_Taken]:
        """The events that some stage of the rule, or its `until`, takes."""
        bits = [plan.rows(self.rows, self.rows.everything) for plan in planned.plans]
        together = 0
        for one in bits:
            together |= one
        return [found for row in rows_of(together) if (found := self._taken(planned, bits, row))]

    def _taken(self, planned: PlannedRule, bits: Sequence[int], row: int) -> _Taken | None:
        query, rule = planned.query, planned.rule
        stages = {
            number: keys
            for number, stage in enumerate(query.stages)
            if bits[number] >> row & 1 and (keys := self._keys(stage, row))
        }
        ends: tuple[Key, ...] = ()
        if query.until is not None and bits[-1] >> row & 1:
            ends = self._keys(query.until, row)
        if not stages and not ends:
            return None
        event = self._event(row)
        time = event.time if rule.timestamp_field == TIMESTAMP else self._moment(row, rule.timestamp_field)
        return _Taken(event, time, self._tie(rule, row), stages, ends)

    def _event(self, row: int) -> HuntEvent:
        found = self.events.get(row)
        if found is None:
            file, record_id = self.names[row]
            time, created = self._moment(row, TIMESTAMP), self._moment(row, CREATED)
            found = self.events[row] = HuntEvent(file, record_id, self.before + row, time, created)
        return found

    def _keys(self, stage: Stage, row: int) -> tuple[Key, ...]:
        """The join keys of a row in a stage; `((),)` where the stage joins by nothing."""
        fields = [self.known.get(key.name) for key in stage.keys]
        values = [self.rows.typed(row, one) if one else [] for one in fields]
        return joined_keys(values, [key.optional for key in stage.keys])

    def _tie(self, rule: HuntRule, row: int) -> tuple[Any, ...]:
        """The tiebreaker of a row, an absent one last."""
        held = self.known.get(rule.tiebreaker_field)
        values = self.rows.typed(row, held) if held else []
        return (0, values[0]) if values else (1, 0)

    def _moment(self, row: int, name: str) -> int | None:
        value = self.rows.taken[row].get(name)
        first = value[0] if isinstance(value, list) else value
        return None if first is None else moment_of(first)


@dataclass
class Universe:
    """Feed events, then ask for what was found. Memory holds a chunk of events and the rules' candidates.

    failed: rule id -> why a rule broke off here; the others went on. explained: the chunks, kept for
    whoever wants to look at the plans afterwards; None where nobody does. unordered: candidates without a
    time on their rule's clock, which have no place in any order.
    """

    planned: PlannedRules
    chunk: int = CHUNK
    failed: dict[str, str] = field(default_factory=dict)
    explained: list[Rows] | None = None
    count: int = 0
    unordered: int = 0
    _events: list[tuple[str, str]] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _taken: dict[str, list[_Taken]] = field(default_factory=dict)

    def feed(self, document: Document, *, file: str, record_id: str) -> None:
        """Take the next event of a capture."""
        self._events.append((file, record_id))
        self._rows.append(self.planned.tree.taken(document))
        self.count += 1
        if len(self._rows) >= self.chunk:
            self._search()

    def found(self) -> list[Found]:
        """Every match, in a stable order."""
        self._search()
        matches: list[Found] = []
        for planned in self.planned.rules:
            taken = self._taken.get(planned.rule.rule_id)
            if taken:
                try:
                    self.unordered += sum(one.time is None for one in taken)
                    matches.extend(list(_matches(planned, taken)))
                except Exception as error:  # whatever breaks one rule must not break the others
                    self._fail(planned.rule, error)
        return sorted(matches, key=lambda match: match.order)

    def _search(self) -> None:
        """Take the candidates of every rule out of the chunk."""
        if not self._rows:
            return
        rows = _Chunk(Rows(self._rows), self._events, self.count - len(self._rows), self.planned.catalogue)
        self._rows, self._events = [], []
        if self.explained is not None:
            self.explained.append(rows.rows)
        for planned in self.planned.rules:
            if planned.rule.rule_id in self.failed:
                continue
            try:
                found = rows.candidates(planned)
                if found:
                    self._taken.setdefault(planned.rule.rule_id, []).extend(found)
            except Exception as error:  # whatever breaks one rule must not break the others
                self._fail(planned.rule, error)

    def _fail(self, rule: HuntRule, error: Exception) -> None:
        self.failed[rule.rule_id] = f"{type(error).__name__}: {error}"
        self._taken.pop(rule.rule_id, None)


def _matches(planned: PlannedRule, taken: list[_Taken]) -> Iterator[Found]:
    """The matches in the order of the rule's clock, and those that only the repaired order gives."""
    query, rule = planned.query, planned.rule
    needed = {number for number, stage in enumerate(query.stages) if not stage.missing}
    if not needed <= set[int]().union(*(one.stages for one in taken)):
        return
    strict = _in_order(taken, TimeBasis.STRICT)
    if isinstance(query, SampleQuery):
        # As in Elasticsearch the first of a capture count, whatever their times.
        offered = (Sampled(one.event, one.stages) for one in taken)
        rows = [(found.events, found.keys) for found in find_samples(query, offered)]
    elif isinstance(query, SequenceQuery):
        rows = _sequences(query, strict, TimeBasis.STRICT)
    else:
        rows = [((one.event,), ()) for one in strict]
    yield from (Found(rule, events, keys=keys) for events, keys in _piped(planned, rows))
    # As in a rule's ordinary run: without maxspan, order alone would join whatever is in the capture.
    if isinstance(query, SequenceQuery) and query.maxspan is not None:
        known = {tuple(event.number for event in events) for events, _ in rows}
        repaired = _sequences(query, _in_order(taken, TimeBasis.CLOCK_REPAIRED), TimeBasis.CLOCK_REPAIRED)
        for events, keys in _piped(planned, repaired):
            if tuple(event.number for event in events) not in known:
                yield Found(rule, events, TimeBasis.CLOCK_REPAIRED, keys)


_Row = tuple[tuple[HuntEvent, ...], Key]


def _in_order(taken: list[_Taken], basis: TimeBasis) -> list[_Taken]:
    """Candidates by time; those without one on this clock have no place in it.

    Elasticsearch's dates are milliseconds; the finer digits decide only what the tiebreaker leaves open.
    """
    timed = [(clock, one) for one in taken if (clock := one.clock(basis)) is not None]
    timed.sort(key=lambda pair: (pair[0] // 1000, pair[1].tiebreaker, pair[0], pair[1].event.number))
    return [one for _, one in timed]


def _sequences(query: SequenceQuery, ordered: list[_Taken], basis: TimeBasis) -> list[_Row]:
    candidates = (
        Candidate(one.event, datetime_of((one.clock(basis) or 0) // 1000 * 1000), one.stages, one.ends)
        for one in ordered
    )
    return [
        (tuple(event for event in found.events if event is not None), found.keys)
        for found in find_sequences(query, candidates)
    ]


def _piped(planned: PlannedRule, rows: list[_Row]) -> list[_Row]:
    for pipe in planned.query.pipes:
        rows = rows[: pipe.count] if pipe.kind is PipeKind.HEAD else rows[max(len(rows) - pipe.count, 0) :]
    return rows


def inferred(name: str, value: Any) -> Field:
    """What a field that nobody declared is, by its first value."""
    first = value[0] if isinstance(value, list) else value
    kinds = {bool: FieldType.BOOLEAN, int: FieldType.LONG, float: FieldType.DOUBLE}
    return Field(name, kinds.get(type(first), FieldType.KEYWORD))
