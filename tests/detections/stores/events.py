"""Small events for tests of the event stores."""

import hashlib
from datetime import UTC, datetime, timedelta

from detections.stores.base import MappedEvent, Region, Window

T0 = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
ALWAYS = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
EVERYTHING = Region(after=None, until=ALWAYS.end, mark=0, head=2**40)


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def identity(name):
    return hashlib.sha256(name.encode()).hexdigest()


def event(name, seconds=0, **fields):
    """An event named `name`, so many seconds after T0. Field names are written with `__` for the dot."""
    document = {"@timestamp": at(seconds).isoformat(), "event": {"id": name, "category": ["process"]}}
    for field, value in fields.items():
        document[field.replace("__", ".")] = value
    return MappedEvent(identity(name), document, source="test")


def names(found):
    """The names of stored events, in their order."""
    return [one.document["event"]["id"] for one in found]
