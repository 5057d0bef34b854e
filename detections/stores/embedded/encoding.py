"""A batch of events as an Arrow table: a column a field, and the raw document beside them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from detections import ecs
from detections.eql.fields import Field
from detections.errors import StoreError
from detections.stores.base import MappedEvent
from detections.stores.embedded import columns
from detections.stores.embedded.flattening import leaves
from detections.telemetry_kinds import kind_of

# Beyond this many fields in a batch the rarest stay in the raw documents alone.
MAX_COLUMNS = 2_000
# And beyond this many undeclared fields in the store no new one gets a column: keys are attacker's data.
MAX_SEEN_FIELDS = 20_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """A table ready to be written, the fields it introduces, and its ranges of time."""

    table: pa.Table
    new_fields: tuple[Field, ...]
    timestamps: tuple[datetime, datetime]
    created: tuple[datetime, datetime] | None


@dataclass(slots=True)
class _Column:
    """The values of one physical column with their rows; what is between is null."""

    rows: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def array(self, kind: pa.DataType, length: int) -> pa.Array:
        dense: list[Any] = [None] * length
        for row, value in zip(self.rows, self.values, strict=True):
            dense[row] = value
        return pa.array(dense, kind)


def encode(
    events: Sequence[MappedEvent], catalogue: Mapping[str, Field], seen: Mapping[str, Field]
) -> Encoded:
    """Lay a batch out in columns.

    catalogue: declared fields. seen: registered ones. Raises StoreError for an event without a time.
    """
    documents = [leaves(event.document) for event in events]
    fields, new = _fields(documents, catalogue, seen)
    times = [_event_time(event) for event in events]
    created = [columns.moment(ecs.get(event.document, "event.created")) for event in events]
    meta = _metadata(events, times, created)
    held = [moment for moment in created if moment is not None]
    return Encoded(
        pa.table({**meta, **_field_columns(documents, fields)}),
        new,
        (min(times), max(times)),
        (min(held), max(held)) if held else None,
    )


def _event_time(event: MappedEvent) -> datetime:
    value = ecs.get(event.document, "@timestamp")
    found = columns.moment(value)
    if found is None:
        raise StoreError(
            f"Event {event.identity} of {event.source or 'an unnamed source'} has the @timestamp {value!r}, "
            "no date. Nothing of its batch was stored; quarantine the event and send the rest."
        )
    return found


def _metadata(
    events: Sequence[MappedEvent], times: list[datetime], created: list[datetime | None]
) -> dict[str, pa.Array]:
    return {
        "_row": pa.array(range(len(events)), pa.int32()),
        "_key": pa.array([identity_key(event.identity) for event in events], pa.int64()),
        "_identity": pa.array([event.identity for event in events], pa.string()),
        "_timestamp": pa.array([columns.naive(time) for time in times], columns.TIMESTAMP),
        "_created": pa.array([time and columns.naive(time) for time in created], columns.TIMESTAMP),
        "_kind": pa.array([kind_of(event.document) for event in events], pa.string()),
        "_source": pa.array([_clean(event.source) for event in events], pa.string()),
        "_raw": pa.array([raw(event.document) for event in events], pa.string()),
    }


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def identity_key(identity: str) -> int:
    """Eight bytes of an identity: what most look-ups have to read of it."""
    digits = identity[:16] if len(identity) >= 16 else ""
    try:
        return int.from_bytes(bytes.fromhex(digits), "big", signed=True)
    except ValueError:
        return 0


def raw(document: ecs.Document) -> str:
    """The document as JSON. Integers past 64 bits and lone surrogates survive too."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:
        return json.dumps(document, default=str)


def parsed(text: str) -> ecs.Document:
    """The inverse of `raw`. Not orjson: it turns integers past 64 bits into floats."""
    document: ecs.Document = json.loads(text)
    return document


def _fields(
    documents: list[dict[str, list[Any]]], catalogue: Mapping[str, Field], seen: Mapping[str, Field]
) -> tuple[dict[str, Field], tuple[Field, ...]]:
    """The fields that get a column, and those of them that are new to the store."""
    counts = Counter(name for document in documents for name in document)
    kept = {name for name, _ in counts.most_common(MAX_COLUMNS)}
    known: dict[str, Field] = {}
    new: dict[str, Field] = {}
    for document in documents:
        for name in document.keys() & kept - known.keys():
            known[name] = catalogue.get(name) or seen.get(name) or columns.inferred(name, document[name])
            if name not in catalogue and name not in seen:
                new[name] = known[name]
    for name in list(new)[max(0, MAX_SEEN_FIELDS - len(seen)) :]:
        del known[name], new[name]
    return known, tuple(new.values())


def _field_columns(documents: list[dict[str, list[Any]]], fields: Mapping[str, Field]) -> dict[str, pa.Array]:
    held: dict[tuple[str, bool], _Column] = {}
    for row, document in enumerate(documents):
        for name, values in document.items():
            known = fields.get(name)
            fitted = _fitted(values, known) if known else []
            if known and fitted:
                several = known.is_list or len(fitted) > 1
                column = held.setdefault((name, several), _Column())
                column.rows.append(row)
                column.values.append(fitted if several else fitted[0])
    return {
        columns.physical(name, several=several): column.array(
            _array_type(fields[name], several=several), len(documents)
        )
        for (name, several), column in held.items()
    }


def _fitted(values: list[Any], known: Field) -> list[Any]:
    fitted = (columns.fitted(value, known.type) for value in values)
    return [value for value in fitted if value is not None]


def _array_type(known: Field, *, several: bool) -> pa.DataType:
    kind = columns.arrow_type(known.type)
    return pa.list_(kind) if several else kind
