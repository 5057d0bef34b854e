"""Run a query over documents in memory: tests, samples of rules, small universes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

from detections.ecs import Document
from detections.eql.ast import (
    ANY_CATEGORY,
    EventQuery,
    PipeKind,
    Query,
    SampleQuery,
    SequenceQuery,
    Stage,
)
from detections.eql.evaluate import compile_condition
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.joins import Key, joined_keys, key_order
from detections.eql.samples import Sampled, find_samples
from detections.eql.sequences import Candidate, SequenceMachine
from detections.eql.types import Fields
from detections.eql.values import datetime_of, typed_values
from detections.eql.verify import verify


class ResultPosition(Enum):
    """Which rows are kept when there are more than `size`: the first or the last ones."""

    HEAD = "head"
    TAIL = "tail"


@dataclass(frozen=True, slots=True)
class Row:
    """One result: its events in stage order, None for a missing one, and the join keys."""

    events: tuple[Document | None, ...]
    keys: Key = ()


@dataclass(frozen=True, slots=True)
class _Dated:
    """A document with what orders it: time, tiebreaker (null last), place."""

    document: Document
    moment: int
    order: tuple[Any, ...]


def execute(
    query: Query,
    documents: Iterable[Document],
    catalogue: FieldCatalogue,
    *,
    timestamp_field: str = "@timestamp",
    tiebreaker_field: str = "",
    event_category_field: str = "event.category",
    size: int = 10,
    result_position: ResultPosition = ResultPosition.TAIL,
) -> list[Row]:
    """The rows of a query as Elasticsearch answers it, oldest first.

    Documents come in ingest order. Raises EqlVerificationError.
    """
    query = verify(query, catalogue, event_category_field=event_category_field)
    found = list(documents)
    if isinstance(query, SampleQuery):
        return _samples(query, found, catalogue, event_category_field)[:size]
    ordered = _ordered(found, timestamp_field, tiebreaker_field, catalogue)
    if isinstance(query, SequenceQuery):
        rows = _sequences(query, ordered, catalogue, event_category_field)
    else:
        test = stage_test(query.stages[0], catalogue, event_category_field)
        rows = [Row((entry.document,)) for entry in ordered if test(entry.document)]
    return _limited(query, rows, size, result_position)


def stage_test(stage: Stage, catalogue: Fields, event_category_field: str) -> Callable[[Document], bool]:
    """Whether a document matches a verified stage, category included."""
    condition = compile_condition(stage.condition, catalogue)
    if stage.category == ANY_CATEGORY:
        return condition
    category = Field(event_category_field, FieldType.KEYWORD)
    wanted = stage.category
    return lambda document: wanted in typed_values(document, category) and condition(document)


def stage_keys(stage: Stage, document: Document, catalogue: Fields) -> tuple[Key, ...]:
    """The join keys that a document has in a stage; none if a mandatory one is null."""
    known = [catalogue.get(key.name) for key in stage.keys]
    values = [typed_values(document, field) if field else [] for field in known]
    return joined_keys(values, [key.optional for key in stage.keys])


def _ordered(
    documents: Sequence[Document], timestamp_field: str, tiebreaker_field: str, catalogue: Fields
) -> list[_Dated]:
    timestamp = Field(timestamp_field, FieldType.DATE)
    tiebreaker = catalogue.get(tiebreaker_field)
    dated = []
    for place, document in enumerate(documents):
        if moments := typed_values(document, timestamp):
            ties = typed_values(document, tiebreaker)[:1] if tiebreaker else []
            dated.append(_Dated(document, moments[0], (moments[0], *key_last(ties), place)))
    return sorted(dated, key=attrgetter("order"))


def key_last(ties: Sequence[Any]) -> tuple[Any, ...]:
    """Sorts a tiebreaker; an absent one comes last."""
    return (0, ties[0]) if ties else (1, 0)


def _staged(
    stages: Sequence[Stage], catalogue: Fields, event_category_field: str
) -> Callable[[Document], dict[int, tuple[Key, ...]]]:
    tests = [stage_test(stage, catalogue, event_category_field) for stage in stages]

    def staged(document: Document) -> dict[int, tuple[Key, ...]]:
        return {
            index: keys
            for index, test in enumerate(tests)
            if test(document) and (keys := stage_keys(stages[index], document, catalogue))
        }

    return staged


def _sequences(
    query: SequenceQuery, ordered: Iterable[_Dated], catalogue: Fields, event_category_field: str
) -> list[Row]:
    machine: SequenceMachine[Document] = SequenceMachine(query)
    staged = _staged(query.stages, catalogue, event_category_field)
    ended = _staged((query.until,) if query.until else (), catalogue, event_category_field)
    for entry in ordered:
        stages, until = staged(entry.document), ended(entry.document).get(0, ())
        if stages or until:
            machine.feed(Candidate(entry.document, datetime_of(entry.moment), stages, until))
    return [Row(found.events, found.keys) for found in machine.sequences()]


def _samples(
    query: SampleQuery, documents: Sequence[Document], catalogue: Fields, event_category_field: str
) -> list[Row]:
    staged = _staged(query.stages, catalogue, event_category_field)
    offered = (Sampled(document, staged(document)) for document in documents)
    rows = [Row(found.events, found.keys) for found in find_samples(query, offered)]
    return sorted(rows, key=lambda row: key_order(row.keys))


def _limited(
    query: EventQuery | SequenceQuery, rows: list[Row], size: int, result_position: ResultPosition
) -> list[Row]:
    """Pipes combine from left to right and can't exceed the size."""
    pipes = [(pipe.kind is PipeKind.HEAD, min(pipe.count, size)) for pipe in query.pipes]
    for from_start, count in pipes or [(result_position is ResultPosition.HEAD, size)]:
        rows = rows[:count] if from_start else rows[max(len(rows) - count, 0) :]
    return rows
