"""How rare a value is here: on how many hosts, in how many events, since when, over which stretch."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Window

USUAL_DAYS = 30


@dataclass(frozen=True, slots=True)
class Rarity:
    """hosts: that sent an event with the value. since, until: the stretch that the store holds of what was
    asked. is_whole: the store reaches back over all the days asked for, and nothing in them is unreadable."""

    field: str
    value: str
    days: int
    hosts: int
    events: int
    first_seen: datetime | None
    last_seen: datetime | None
    since: datetime | None
    until: datetime
    is_whole: bool
    missing: int = 0

    @property
    def held_days(self) -> int:
        return (self.until - self.since).days if self.since else 0

    def sentence(self) -> str:
        """'1 host, 3 events in the 12 days that the store holds, first seen 2026-03-18 09:41 UTC'."""
        stretch = f"the last {self.days} days" if self.is_whole else f"{self._held}, all that the store holds"
        if not self.events:
            return f"not seen in {stretch}"
        hosts = f"{self.hosts:,} {'host' if self.hosts == 1 else 'hosts'}"
        events = f"{self.events:,} {'event' if self.events == 1 else 'events'}"
        unread = f"; {self.missing} parts of the store can't be read" if self.missing else ""
        return f"{hosts}, {events} in {stretch}, first seen {self.first_seen:%Y-%m-%d %H:%M} UTC{unread}"

    @property
    def _held(self) -> str:
        if self.since is None:
            return "nothing"
        hours = int((self.until - self.since).total_seconds() // 3600)
        return f"{self.held_days} days" if hours >= 72 else f"{hours} hours"

    def data(self) -> dict[str, Any]:
        """As it is kept with a look-up; `of_data` reads it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }


def of_data(data: dict[str, Any]) -> Rarity:
    """A rarity from `Rarity.data`."""
    read: dict[str, Any] = dict(data)
    for name in ("first_seen", "last_seen", "since", "until"):
        read[name] = parse_datetime(read[name]) if read[name] else None
    return Rarity(**read)


def rarity(field: str, value: str, *, days: int = USUAL_DAYS, until: datetime) -> Rarity:
    """Look the value of one field up over the days before a moment.

    Searches the store: never inside a transaction. Raises StoreError.
    """
    store = event_store()
    start = until - timedelta(days=days)
    spread = store.spread(Filters(((Clause(field, values=(value,)),),)), Window(start, until))
    oldest = store.statistics()["oldest"]
    since = None if oldest is None else max(start, min(oldest, until))
    return Rarity(
        field=field,
        value=value,
        days=days,
        hosts=sum(bool(host.host_id) for host in spread.hosts),
        events=spread.events,
        first_seen=spread.first_seen,
        last_seen=spread.last_seen,
        since=since,
        until=until,
        is_whole=since == start and not spread.missing,
        missing=len(spread.missing),
    )
