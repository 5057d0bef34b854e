"""Move events in time, all by the same amount, so that the newest lands at a given moment.

Made for demonstrations and exercises: an attack of last year happens now. Intervals stay exact to the
nanosecond; what events say about time in other ways (file versions, ids that encode a clock) stays as it was.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detections import ecs
from detections.errors import RecordError
from detections.ingest import identity, moments
from detections.stores.base import MappedEvent

# Fields that ECS types as dates, as far as events carry them.
TIME_FIELDS = (
    "@timestamp",
    "event.created",
    "event.ingested",
    "event.start",
    "event.end",
    "process.start",
    "process.end",
    "process.parent.start",
    "process.parent.end",
    "file.created",
    "file.mtime",
    "file.ctime",
    "file.accessed",
    "dll.code_signature.timestamp",
    "file.code_signature.timestamp",
    "process.code_signature.timestamp",
    "winlog.time_created",
)
# Sysmon's own times, which stay in the data as text without a zone and are UTC.
_SYSMON_TIMES = tuple(
    f"winlog.event_data.{name}" for name in ("UtcTime", "CreationUtcTime", "PreviousCreationUtcTime")
)


@dataclass(frozen=True, slots=True)
class Shift:
    """An amount of time in nanoseconds by which events are moved; whole seconds keep every digit."""

    nanoseconds: int

    def applied(self, event: MappedEvent) -> MappedEvent:
        """The event, moved. It has an identity of its own, which the same shift gives again.

        Raises RecordError for a time that would fall out of the calendar.
        """
        document = deepcopy(event.document)
        try:
            for field in TIME_FIELDS:
                _change(document, field, self._moved)
            for field in _SYSMON_TIMES:
                _change(document, field, self._moved_sysmon)
        except RecordError as error:
            raise RecordError(str(error), position=event.source) from None
        known_as = identity.of_retimed(event.identity, self.nanoseconds)
        return MappedEvent(known_as, document, event.source, event.record_id)

    def _moved(self, value: Any) -> Any:
        try:
            instant = moments.nanoseconds(value) + self.nanoseconds
        except (moments.TimeError, TypeError):
            return value
        try:
            moved = moments.text_of(instant, moments.digits_of(value))
            moments.nanoseconds(moved)
        except (moments.TimeError, OverflowError):
            raise RecordError(f"{value} is too far from the newest event to be moved with it.") from None
        return moved

    def _moved_sysmon(self, value: Any) -> Any:
        if not isinstance(value, str) or " " not in value:
            return value
        zoned = value.replace(" ", "T", 1) + "Z"
        moved = self._moved(zoned)
        return value if moved == zoned else moved.removesuffix("Z").replace("T", " ", 1)


def shift_to(newest: int, now: datetime) -> Shift:
    """The shift by whole seconds that moves the newest event into the second before `now`.

    Whole seconds, since some times of an event are written with seven digits and others with none: by any
    other amount the shorter ones would lose their distance to the longer ones. newest: in nanoseconds
    since 1970.
    """
    return Shift((moments.of_datetime(now) - newest) // moments.NANOSECONDS * moments.NANOSECONDS)


def time_of(event: MappedEvent) -> int:
    """@timestamp as nanoseconds since 1970."""
    return moments.nanoseconds(ecs.text(event.document, "@timestamp"))


def retimed(events: Iterable[MappedEvent], now: datetime) -> list[MappedEvent]:
    """A set of events, moved so that the newest of them lands in the second before `now`."""
    held = list(events)
    if not held:
        return []
    shift = shift_to(max(time_of(event) for event in held), now)
    return [shift.applied(event) for event in held]


def _change(node: Any, path: str, change: Any) -> None:
    """Replace the values of a dotted field in place, however its keys are nested or dotted."""
    if isinstance(node, list):
        for item in node:
            _change(item, path, change)
        return
    if not isinstance(node, dict):
        return
    if path in node:
        value = node[path]
        node[path] = [change(item) for item in value] if isinstance(value, list) else change(value)
    for key, below in node.items():
        if path.startswith(f"{key}."):
            _change(below, path[len(key) + 1 :], change)
