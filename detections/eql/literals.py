"""What a constant means beside a value of some type."""

from dataclasses import dataclass
from typing import Any

from detections.eql.fields import FieldType
from detections.eql.values import address_range, boolean_of, moment_range, number_of, text_of, version_key

_HUGE = 2.0**126  # what DuckDB's widest integer holds

EXAMPLES = {
    FieldType.LONG: "a number",
    FieldType.DOUBLE: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: 'a date such as "2026-01-31T00:00:00Z", or epoch milliseconds',
    FieldType.IP: 'an address or a block such as "10.0.0.0/8"',
}


@dataclass(frozen=True, slots=True)
class Span:
    """The first and last value that equal a constant, in the type's own order."""

    first: Any
    last: Any


def span_of(value: Any, type_: FieldType) -> Span | None:
    """What a constant covers beside a type: one value, or for dates and addresses a whole stretch.

    Dates are microseconds, addresses and versions their keys. None if the constant does not fit.
    """
    if type_ is FieldType.DATE or type_ is FieldType.IP:
        found = moment_range(value) if type_ is FieldType.DATE else address_range(value)
        return Span(*found) if found else None
    single = _single(value, type_)
    return None if single is None else Span(single, single)


def _single(value: Any, type_: FieldType) -> Any:
    if type_ is FieldType.LONG:
        return _exact(number_of(value))
    if type_ is FieldType.DOUBLE:
        return number_of(value)
    if type_ is FieldType.BOOLEAN:
        return boolean_of(value)
    return version_key(text_of(value)) if type_ is FieldType.VERSION else text_of(value)


def _exact(number: float | None) -> float | None:
    """A whole number as an integer, since a database compares integers with doubles inexactly."""
    is_whole = isinstance(number, float) and number.is_integer() and abs(number) < _HUGE
    return int(number) if is_whole and number is not None else number
