"""Times of Windows events in JSON, and the clocks of data sets that stamp local time as if it were UTC.

Public data sets carry TimeCreated or EventTime in local time, without a zone or with a Z. Sysmon's UtcTime
is UTC, so a file tells its own error: the median of UtcTime - TimeCreated over its Sysmon events, in whole
hours. Connections and DNS queries don't count, since their UtcTime is not reliable.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detections.errors import RecordError
from detections.ingest import moments

_HOUR = 3600 * moments.NANOSECONDS
_FIELDS = ("TimeCreated", "EventTime", "@timestamp")
_UNRELIABLE = frozenset({"3", "22"})
# Farther away than this is another kind of error than a time zone; bounds the counting too.
_HOURS = 48


class Clock:
    """The error of a file's clock, found by a pass over the file when the first event asks for it."""

    def __init__(self, values: Callable[[], Iterable[dict[str, Any]]] | None = None) -> None:
        self._values = values

    @cached_property
    def hours(self) -> int | None:
        """Hours to add to logged times; None where no event tells."""
        return None if self._values is None else median_hours(self._values())


def median_hours(values: Iterable[dict[str, Any]]) -> int | None:
    """The median of UtcTime - TimeCreated over flattened Sysmon events, in whole hours. Constant memory."""
    found: Counter[int] = Counter()
    for value in values:
        if str(value.get("EventID")) in _UNRELIABLE:
            continue
        logged, utc = _logged(value)[0], value.get("UtcTime")
        if not logged or not isinstance(utc, str):
            continue
        try:
            error = moments.nanoseconds(_zoned(utc)) - moments.nanoseconds(_zoned(logged))
        except moments.TimeError:
            continue
        hours = (error + _HOUR // 2) // _HOUR
        if abs(hours) <= _HOURS:
            found[hours] += 1
    return _median(found)


def _median(counts: Counter[int]) -> int | None:
    left = (counts.total() + 1) // 2
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return None


@dataclass(frozen=True, slots=True)
class EventTime:
    """The time of a flattened event: as logged, in UTC, the hours that were added, and whether it is only the
    moment at which a collector received the event."""

    logged: str
    utc: str
    correction: int | None = None
    is_received: bool = False


def corrected(value: dict[str, Any], clock: Clock) -> EventTime:
    """The time of a flattened event in UTC.

    A logged time without a zone counts as UTC, or as so many hours off, only where the file's Sysmon events
    prove it; otherwise the collector's @timestamp counts. Raises RecordError where nothing tells.
    """
    logged, field = _logged(value)
    hours = clock.hours
    try:
        instant = moments.nanoseconds(_zoned(logged))
        if hours:
            moved = moments.text_of(instant + hours * _HOUR, moments.digits_of(_zoned(logged)))
            return EventTime(logged, _checked(moved), hours)
        if hours == 0:
            return EventTime(logged, _zoned(logged))
        received = value.get("@timestamp")
        if _zoned(logged) != text_of(logged) and field != "@timestamp" and isinstance(received, str):
            return EventTime(logged, _checked(received), is_received=True)
        return EventTime(logged, _checked(text_of(logged)))
    except (moments.TimeError, OverflowError) as error:
        raise RecordError(f"{field or '@timestamp'}: {error}.") from None


def offset_text(hours: int) -> str:
    """`+04:00`"""
    return f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"


def text_of(logged: str) -> str:
    """A time with a blank instead of the T, as some writers have it, in the form that the product reads."""
    return logged.replace(" ", "T", 1) if logged[10:11] == " " else logged


def _logged(value: dict[str, Any]) -> tuple[str, str]:
    for field in _FIELDS:
        if isinstance(value.get(field), str) and value[field]:
            return value[field], field
    return "", ""


def _zoned(text: str) -> str:
    text = text_of(text)
    return text if text[-1:] == "Z" or "+" in text[10:] or "-" in text[10:] else text + "Z"


def _checked(text: str) -> str:
    moments.nanoseconds(text)
    return text
