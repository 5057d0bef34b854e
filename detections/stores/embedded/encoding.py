"""A batch of events as an Arrow table: a column a field, and the raw document beside them."""

import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.fields import Field, FieldType
from detections.errors import StoreError
from detections.stores.base import MappedEvent
from detections.stores.embedded import columns, fitting
from detections.stores.embedded.documents import raw
from detections.stores.embedded.json_leaves import ArrowLeaf, Leaf, Shape
from detections.telemetry_kinds import kind_of

# Beyond this many fields in a batch the rarest stay in the raw documents alone.
MAX_COLUMNS = 2_000
# And beyond this many undeclared fields in the store no new one gets a column: keys are attacker's data.
MAX_SEEN_FIELDS = 20_000
MAX_NAME = 500
# What `kind_of` looks at. Of the last one only whether it is there.
KIND_FIELDS = ("event.category", "event.kind", "event.code", "event.provider", "dns.question.name")
_PLAIN = {FieldType.KEYWORD: str, FieldType.LONG: int, FieldType.BOOLEAN: bool}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A table ready to be written, the fields it introduces, and its ranges of time."""

    table: pa.Table
    new_fields: tuple[Field, ...]
    timestamps: tuple[datetime, datetime]
    created: tuple[datetime, datetime] | None


def encode(
    events: Sequence[MappedEvent],
    catalogue: Mapping[str, Field],
    seen: Mapping[str, Field],
    shape: Shape | None = None,
) -> Encoded:
    """Lay a batch out in columns.

    catalogue: declared fields. seen: registered ones. shape: of earlier batches; it learns. Raises StoreError
    for an event without a time.
    """
    texts = [event.text or raw(event.document) for event in events]
    gathered = (shape or Shape()).leaves(texts, _doubles(catalogue, seen))
    fields, new = _fields(gathered, catalogue, seen)
    times, created = _times(events, gathered), _created(gathered, len(events))
    table = _metadata(events, _kinds(events, gathered))
    table |= {"_timestamp": times, "_created": created, "_raw": pa.array(texts, pa.string())}
    for field in fields.values():
        table.update(_field_columns(field, gathered[field.name], len(events)))
    is_created = created.null_count < len(created)
    return Encoded(pa.table(table), new, _ends(times), _ends(created) if is_created else None)


def _doubles(*known: Mapping[str, Field]) -> set[str]:
    return {field.name for fields in known for field in fields.values() if field.type is FieldType.DOUBLE}


def _times(events: Sequence[MappedEvent], gathered: Mapping[str, Leaf]) -> pa.ChunkedArray:
    """When each event happened. Raises StoreError for one without a time."""
    found = _plain_times(gathered, "@timestamp", len(events))
    if found is not None and not found.null_count:
        return found
    firsts = _firsts(gathered, "@timestamp", len(events))
    times = [
        columns.moment(value) or _no_time(event, value) for event, value in zip(events, firsts, strict=True)
    ]
    return pa.chunked_array([pa.array(map(columns.naive, times), columns.TIMESTAMP)])


def _created(gathered: Mapping[str, Leaf], length: int) -> pa.ChunkedArray:
    found = _plain_times(gathered, "event.created", length)
    if found is not None:
        return found
    moments = map(columns.moment, _firsts(gathered, "event.created", length))
    return pa.chunked_array([pa.array([one and columns.naive(one) for one in moments], columns.TIMESTAMP)])


def _plain_times(gathered: Mapping[str, Leaf], name: str, length: int) -> pa.ChunkedArray | None:
    held = gathered.get(name)
    is_text = isinstance(held, ArrowLeaf) and held.kind == pa.string()
    return fitting.times(held.column(length)) if isinstance(held, ArrowLeaf) and is_text else None


def _ends(times: pa.ChunkedArray) -> tuple[datetime, datetime]:
    """The first and the last moment."""
    ends = pc.min_max(times).as_py()
    return ends["min"].replace(tzinfo=UTC), ends["max"].replace(tzinfo=UTC)


def _no_time(event: MappedEvent, value: Any) -> NoReturn:
    raise StoreError(
        f"Event {event.identity} of {event.source or 'an unnamed source'} has the @timestamp {value!r}, "
        "no date. Nothing of its batch was stored; quarantine the event and send the rest."
    )


def _firsts(gathered: Mapping[str, Leaf], name: str, length: int) -> list[Any]:
    """The first value of a field in each document, or None."""
    held = gathered.get(name)
    if held is None:
        return [None] * length
    found = held.spread(length)
    return found if list not in held.types else [one[0] if isinstance(one, list) else one for one in found]


def _kinds(events: Sequence[MappedEvent], gathered: Mapping[str, Leaf]) -> list[str | None]:
    """The kind of telemetry of each event: told once for all that agree in what it depends on."""
    told: dict[tuple[Any, ...], str | None] = {}
    found = []
    signs = [_signs(gathered, name, len(events)) for name in KIND_FIELDS]
    for event, *sign in zip(events, *signs, strict=True):
        key = (*sign[:-1], sign[-1] is None)
        if key not in told:
            told[key] = kind_of(event.document)
        found.append(told[key])
    return found


def _signs(gathered: Mapping[str, Leaf], name: str, length: int) -> list[Any]:
    held = gathered.get(name)
    if held is None:
        return [None] * length
    found = held.spread(length)
    if held.types == {str}:
        return found
    # 1, 1.0 and True are one key, but not one text.
    return [one if one is None or type(one) is str else repr(one) for one in found]


def _metadata(events: Sequence[MappedEvent], kinds: list[str | None]) -> dict[str, pa.Array]:
    return {
        "_row": pa.array(range(len(events)), pa.int32()),
        "_key": _keys([event.identity for event in events]),
        "_identity": pa.array([event.identity for event in events], pa.string()),
        "_kind": pa.array(kinds, pa.string()),
        "_source": pa.array([_clean(event.source) for event in events], pa.string()),
    }


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _keys(identities: Sequence[str]) -> pa.Array:
    """`identity_key` of each."""
    try:
        # At most 16 digits each, so that only 16 hexadecimal ones of all of them give so many bytes.
        held = array("q", bytes.fromhex("".join([one[:16] for one in identities])))
    except ValueError:
        held = array("q")
    if len(held) != len(identities):
        return pa.array([identity_key(one) for one in identities], pa.int64())
    if sys.byteorder == "little":
        held.byteswap()
    return pa.Array.from_buffers(pa.int64(), len(held), [None, pa.py_buffer(held)])


def identity_key(identity: str) -> int:
    """Eight bytes of an identity: what most look-ups have to read of it."""
    digits = identity[:16] if len(identity) >= 16 else ""
    try:
        return int.from_bytes(bytes.fromhex(digits), "big", signed=True)
    except ValueError:
        return 0


def _fields(
    gathered: Mapping[str, Leaf], catalogue: Mapping[str, Field], seen: Mapping[str, Field]
) -> tuple[dict[str, Field], tuple[Field, ...]]:
    """The fields that get a column, and those of them that are new to the store."""
    counts = Counter({name: len(held) for name, held in gathered.items() if len(name) <= MAX_NAME})
    room = max(0, MAX_SEEN_FIELDS - len(seen))
    known: dict[str, Field] = {}
    new: list[Field] = []
    for name, _ in counts.most_common(MAX_COLUMNS):
        declared = catalogue.get(name) or seen.get(name)
        if declared is None and len(new) < room:
            declared = columns.inferred(name, gathered[name].first)
            new.append(declared)
        if declared is not None:
            known[name] = declared
    return known, tuple(new)


def _field_columns(field: Field, held: Leaf, length: int) -> Iterator[tuple[str, pa.Array]]:
    """The physical columns of a field: one for rows with one value, one for rows with several."""
    if isinstance(held, ArrowLeaf):
        found = fitting.physical(field, held.column(length))
        if found is not None:
            yield from found
            return
    plain = _plain_column(field, held, length)
    if plain is not None:
        yield columns.physical(field.name, several=field.is_list), plain
        return
    one: list[Any] = [None] * length
    many: list[Any] = [None] * length
    has_one = has_many = False
    fit = columns.fitting(field.type)
    for row, value in held:
        if not isinstance(value, list) and not field.is_list:
            one[row] = fit(value)
            has_one = has_one or one[row] is not None
            continue
        fitted = [fit(part) for part in (value if isinstance(value, list) else [value])]
        kept = [part for part in fitted if part is not None]
        if field.is_list or len(kept) > 1:
            many[row] = kept or None
            has_many = has_many or bool(kept)
        elif kept:
            one[row], has_one = kept[0], True
    kind = columns.arrow_type(field.type)
    if has_one:
        yield columns.physical(field.name, several=False), pa.array(one, kind)
    if has_many:
        yield columns.physical(field.name, several=True), pa.array(many, pa.list_(kind))


def _plain_column(field: Field, held: Leaf, length: int) -> pa.Array | None:
    """The column of a field whose values all are of its type: nothing has to be fitted one by one.

    None for any other, which includes lone surrogates and numbers past 64 bits.
    """
    wanted = _PLAIN.get(field.type)
    kinds = held.types
    try:
        if not field.is_list:
            return _singles(field, held, length) if kinds == {wanted} else None
        if wanted is str and kinds <= {str, list}:
            return _lists(held, length)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError):
        return None
    return None


def _singles(field: Field, held: Leaf, length: int) -> pa.Array:
    return pa.array(held.spread(length), columns.arrow_type(field.type))


def _lists(held: Leaf, length: int) -> pa.Array:
    flat: list[Any] = []
    offsets: list[int | None] = [None] * length
    for row, value in enumerate(held.spread(length)):
        if value is None:
            continue
        offsets[row] = len(flat)
        if type(value) is list:
            flat.extend(value)
        else:
            flat.append(value)
    return pa.ListArray.from_arrays(pa.array([*offsets, len(flat)], pa.int32()), pa.array(flat, pa.string()))
