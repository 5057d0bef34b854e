"""How fields become columns: names, types, and values that fit.

A field has one type for the whole store: the catalogue's, else that of the first value ever seen. It can
have two physical columns: `s.NAME` for rows with one value, `l.NAME` for rows with several; ECS array fields
only ever use the second. A value that doesn't fit the type stays in the raw document alone, as in an
Elasticsearch index with `ignore_malformed`.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import pyarrow as pa

from detections.eql.fields import Field, FieldType
from detections.eql.values import moment_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIMESTAMP = pa.timestamp("us")

ARROW_TYPES = {
    FieldType.LONG: pa.int64(),
    FieldType.DOUBLE: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: TIMESTAMP,
}
SQL_TYPES = {
    FieldType.LONG: "BIGINT",
    FieldType.DOUBLE: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "TIMESTAMP",
}
_MIN_LONG, _MAX_LONG = -(2**63), 2**63 - 1
# What DuckDB can hold as a TIMESTAMP, less some room for arithmetic.
_MIN_MOMENT, _MAX_MOMENT = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def arrow_type(kind: FieldType) -> pa.DataType:
    return ARROW_TYPES.get(kind, pa.string())


def sql_type(kind: FieldType) -> str:
    return SQL_TYPES.get(kind, "VARCHAR")


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=100_000)
def physical(name: str, *, several: bool) -> str:
    """The column of a field. Upper-case letters are escaped: DuckDB's column names have no case."""
    escaped = re.sub(r"[A-Z^]", lambda found: "^" + found.group().lower(), name)
    return f"{'l' if several else 's'}.{escaped}"


def logical(column: str) -> str:
    """The field of a physical column; "" for the store's own columns."""
    kind, _, escaped = column.partition(".")
    return re.sub(r"\^(.)", lambda found: found[1].upper(), escaped) if kind in ("s", "l") else ""


def moment(value: Any) -> datetime | None:
    """A date as Elasticsearch reads it: ISO 8601 (without a zone it is UTC) or epoch milliseconds."""
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            found = EPOCH + timedelta(milliseconds=value)
        else:
            found = datetime.fromisoformat(value)
        if found.tzinfo is not UTC:
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if _MIN_MOMENT < found < _MAX_MOMENT else None


def micros(value: datetime) -> int:
    """Microseconds since 1970."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def naive(value: datetime) -> datetime:
    """A moment as DuckDB's TIMESTAMP wants it: UTC without saying so."""
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).replace(tzinfo=None)


def _keyword(value: Any) -> str | None:
    if isinstance(value, str) and value.isascii():
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    # A lone surrogate is valid in a JSON escape, but has no UTF-8.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _long(value: Any) -> int | None:
    number = _double(value) if not isinstance(value, int) else value
    if number is None or isinstance(value, bool):
        return None
    whole = int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value) else int(number)
    return whole if _MIN_LONG <= whole <= _MAX_LONG else None


def _double(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False, "": False}.get(value) if isinstance(value, str) else None


def _address(value: Any) -> str | None:
    """The one spelling of an address, so that equal addresses are equal text."""
    return _spelling(value) if isinstance(value, str) else None


@lru_cache(maxsize=50_000)
def _spelling(value: str) -> str | None:
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(value)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if address is None else str(address)


def _date(value: Any) -> datetime | None:
    if isinstance(value, str) and value[10:11] not in ("T", " "):
        # Without a time of day: a date, or epoch milliseconds as text.
        at = moment_of(value)
        found = None if at is None else from_micros(at)
    else:
        found = moment(value)
    return None if found is None else naive(found)


_FITTING: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.LONG: _long,
    FieldType.DOUBLE: _double,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.IP: _address,
}


def fitting(kind: FieldType) -> Callable[[Any], Any]:
    """What makes a value one that a column of this type holds, or None where it doesn't fit."""
    return _FITTING.get(kind, _keyword)


def fitted(value: Any, kind: FieldType) -> Any:
    """One value as a column of this type holds it, or None."""
    return fitting(kind)(value)


def inferred(name: str, values: Iterable[Any]) -> Field:
    """What a field that nobody declared is, by its first values."""
    held = list(values)
    kinds = {bool: FieldType.BOOLEAN, int: FieldType.LONG, float: FieldType.DOUBLE}
    return Field(name, kinds.get(type(held[0]), FieldType.KEYWORD), len(held) > 1)
