"""Typed values: what Elasticsearch's index would hold for what a document says."""

import ipaddress
import math
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from detections.ecs import Document, values
from detections.eql.fields import Field, FieldType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"\s*(?P<zone>Z|[+-]\d\d:?\d\d|[+-]\d\d)?)?)?)?"
)
LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def typed_values(document: Document, field: Field) -> list[Any]:
    """The document's values of a field as its type has them; what does not fit the type is left out.

    Dates are microseconds since 1970, addresses their canonical text, versions text.
    """
    convert = conversion(field.type)
    found = (convert(value) for value in values(document, field.name))
    return [value for value in found if value is not None]


def conversion(kind: FieldType) -> Callable[[Any], Any]:
    """What makes a document's value one of this type, or None where it does not fit. Twice is as once."""
    return _CONVERSIONS[kind]


def text_of(value: Any) -> str:
    """A scalar as `string()` and keyword fields write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number_of(value: Any) -> int | float | None:
    """A number, or the number that a text spells, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text) or len(text) > 400:
            return None
        value = float(text) if any(mark in text for mark in ".eE") else int(text)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float) else None


def long_of(value: Any) -> int | None:
    number = number_of(value)
    whole = None if number is None else int(number)
    return whole if whole is not None and SMALLEST <= whole <= LARGEST else None


def double_of(value: Any) -> float | None:
    number = number_of(value)
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


def boolean_of(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"true": True, "false": False, "": False}.get(value)


def address_of(value: Any) -> str | None:
    """The canonical text of an address; an IPv4 address inside IPv6 is that IPv4 address."""
    try:
        address = ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if address is None or getattr(address, "scope_id", None):
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def version_of(value: Any) -> str | None:
    return text_of(value)


def moment_of(value: Any) -> int | None:
    """Microseconds since 1970 of a date in a document: ISO text, epoch milliseconds, or a datetime."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).__sub__(_EPOCH) // _MICROSECOND
    span = moment_range(value)
    return None if span is None else span[0]


def datetime_of(moment: int) -> datetime:
    """The aware datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=moment)


def moment_range(value: Any) -> tuple[int, int] | None:
    """First and last microsecond of what a date says, None if it is no date.

    `"2017-08-30T20:47"` is the whole minute and 1516116808349 the whole millisecond, as in Elasticsearch's
    range queries: `==` matches anywhere inside, `>` starts after its end.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"-?\d{1,3}|-?\d{5,18}", value)
    ):
        start = int(float(value) * 1000) if isinstance(value, float) else int(value) * 1000
        return (start, start + 999) if abs(start) < 10**17 else None
    match = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        return None if match is None else _span(match)
    except (ValueError, OverflowError):
        return None


def _span(match: re.Match[str]) -> tuple[int, int]:
    found = match.groupdict()
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    start = datetime(
        int(found["year"]),
        int(found["month"] or 1),
        int(found["day"] or 1),
        int(found["hour"] or 0),
        int(found["minute"] or 0),
        int(found["second"] or 0),
        int(fraction),
        tzinfo=UTC,
    )
    moment = (start - _offset(found["zone"]) - _EPOCH) // _MICROSECOND
    return moment, moment + _width(found, start) // _MICROSECOND - 1


def _offset(zone: str | None) -> timedelta:
    if not zone or zone == "Z":
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)


def _width(found: dict[str, str | None], start: datetime) -> timedelta:
    """How long the smallest named part lasts; Elasticsearch rounds up hours and below, never days."""
    if fraction := found["fraction"]:
        return timedelta(milliseconds=1) if len(fraction) <= 3 else _MICROSECOND
    for part, width in (("second", 1), ("minute", 60), ("hour", 3600)):
        if found[part]:
            return timedelta(seconds=width)
    return timedelta(days=1)


def address_key(text: str) -> str:
    """32 hex digits that order addresses as Elasticsearch does; IPv4 is mapped into IPv6."""
    try:
        return _MAPPED + socket.inet_pton(socket.AF_INET, text).hex()
    except (OSError, ValueError):
        return _hex(ipaddress.ip_address(text))


def address_range(value: Any) -> tuple[str, str] | None:
    """First and last key of an address or a CIDR block (host bits ignored), None if it is neither."""
    return _range_of(value) if isinstance(value, str) else None


# A rule's blocks are looked up for every address that it meets.
@lru_cache(maxsize=4096)
def _range_of(value: str) -> tuple[str, str] | None:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    return _hex(network.network_address), _hex(network.broadcast_address)


_MAPPED = f"{0xFFFF:024x}"


def _hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = 0xFFFF << 32 if isinstance(address, ipaddress.IPv4Address) else 0
    return f"{int(address) | mapped:032x}"


_VERSION = re.compile(r"(\d{1,18}(?:\.\d{1,18})*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def version_key(text: str) -> str:
    """A text that orders versions: by numbers, a pre-release before its release, no version after all."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return f"w{text}"
    numbers = "/".join(part.rjust(20, "0") for part in match[1].split("."))
    if match[2] is None:
        return f"v{numbers}."
    marks = (f"0{part.rjust(40, '0')}" if part.isdigit() else f"1{part}" for part in match[2].split("."))
    return f"v{numbers}-{'/'.join(marks)}"


_CONVERSIONS: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.KEYWORD: text_of,
    FieldType.TEXT: text_of,
    FieldType.LONG: long_of,
    FieldType.DOUBLE: double_of,
    FieldType.BOOLEAN: boolean_of,
    FieldType.DATE: moment_of,
    FieldType.IP: address_of,
    FieldType.VERSION: version_of,
}
