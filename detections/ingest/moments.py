"""Times in telemetry: read exactly (to the nanosecond), written back in the digits they came with."""

import re
from datetime import UTC, datetime, timedelta

_SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
# Windows counts time from 1601; years near 9999 can't be moved between zones.
_YEARS = range(1601, 9999)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- both sides of the difference are UTC
NANOSECONDS = 1_000_000_000


class TimeError(ValueError):
    """A text that is no time, or a time without a zone; the message says which."""


def nanoseconds(text: str) -> int:
    """The time as nanoseconds since 1970 in UTC.

    Takes ISO 8601 with date, `T`, time and zone, with up to nine digits of a second. Raises TimeError for
    anything else: a time without a zone is never guessed.
    """
    if is_plain(text):
        since = datetime.fromisoformat(text[:19]) - _PLAIN_EPOCH
        return (since.days * 86400 + since.seconds) * NANOSECONDS + int(text[20:-1].ljust(9, "0"))
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise TimeError(f"{text[:60]!r} is not an ISO 8601 date and time")
    *parts, fraction, zone = found.groups(default="")
    if not zone:
        raise TimeError(f"{text!r} has no time zone; write a Z or an offset such as +02:00 at its end")
    if int(parts[0]) not in _YEARS:
        raise TimeError(f"{text!r} lies outside of the years {_YEARS.start} to {_YEARS.stop - 1}")
    try:
        moment = datetime(*(int(part or 0) for part in parts), tzinfo=UTC) - _offset(zone)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError) as error:
        raise TimeError(f"{text!r} is no valid time: {error}") from None
    return _whole_seconds(moment) * NANOSECONDS + int(fraction.ljust(9, "0"))


def is_plain(text: str) -> bool:
    """Whether it is a time in the usual form: a `T`, seconds, a `Z` at the end. False says nothing."""
    if _PLAIN.fullmatch(text) is None or not "1601" <= text[:4] < "9999":
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def moment(text: str) -> datetime:
    """The time as an aware datetime in UTC, cut to microseconds. Raises TimeError like `nanoseconds`."""
    return _EPOCH + timedelta(microseconds=nanoseconds(text) // 1000)


def text_of(instant: int, digits: int = 6) -> str:
    """ISO 8601 in UTC, ending in Z, with so many digits of a second, for nanoseconds since 1970."""
    seconds, fraction = divmod(instant, NANOSECONDS)
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole.rjust(19, '0')}{'.' if digits else ''}{f'{fraction:09d}'[:digits]}Z"


def of_datetime(instant: datetime) -> int:
    """Nanoseconds since 1970 of an aware datetime."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


def digits_of(text: str) -> int:
    """How many digits of a second a time is written with."""
    found = _SHAPE.fullmatch(text)
    return len(found.group(7) or "") if found else 0


def _whole_seconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(seconds=1)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"the offset {zone} is out of range")
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
