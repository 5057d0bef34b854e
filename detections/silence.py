"""Sources that used to report and now don't, since "no hits" on a host that sends nothing means nothing.

A source is a dataset of a host, as far as senders sent it: the sender's name stands in each event. An import
is none, as nobody expects a capture to go on; nor is the canary, whose absence is an alarm of its own. All
times are arrivals, so a wrong clock makes nobody silent.

The rule: in the 24 hours up to its last arrival the source reported in at least REPORTED_HOURS different
hours, and since then nothing came for longer than three times its usual pause (`SourceReport.usual_gap`),
and longer than an hour. What has been silent for longer than MEMORY is no source any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import add

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from detections import canary
from detections.actors import Actor
from detections.errors import StoreError
from detections.event_store import event_store
from detections.models import SenderToken
from detections.stores.base import Arrivals, SourceReport, Window

MEMORY = timedelta(days=7)
DAY = timedelta(hours=24)
REPORTED_HOURS = 3
USUAL_GAPS = 3
LEAST_SILENCE = timedelta(hours=1)
FRESH = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class SilentSource:
    """A dataset that some hosts sent and send no more.

    hosts: those, in order; "" where its events name none. of_hosts: all that sent it within MEMORY. last: the
    newest arrival from the silent ones. hours: their arrivals in each of the last 24 hours, oldest first.
    """

    dataset: str
    hosts: tuple[str, ...]
    of_hosts: int
    last: datetime
    hours: tuple[int, ...]

    @property
    def name(self) -> str:
        """The dataset, with its host where it is a single one."""
        named = self.dataset or "events without a dataset"
        return f"{named}, {self.hosts[0]}" if len(self.hosts) == 1 and self.hosts[0] else named

    @property
    def affects(self) -> str:
        if self.hosts == ("",):
            return "no host named"
        return "1 host" if len(self.hosts) == 1 else f"{len(self.hosts)} hosts"


@dataclass(frozen=True, slots=True)
class Silence:
    """What is silent, longest last. reporting: sources that sent something within a day.

    error: why it could not be told; nothing else is known then. missing: segments that can't be read, in
    which a source may have reported after all.
    """

    sources: tuple[SilentSource, ...] = ()
    reporting: int = 0
    missing: tuple[str, ...] = ()
    error: str = ""

    @property
    def hosts(self) -> int:
        return len({host for source in self.sources for host in source.hosts if host})


def report(*, actor: Actor, now: datetime | None = None) -> Silence:
    """The silent sources, as of at most FRESH ago. Nothing, for who may not see runs; raises nothing."""
    if not actor.can("detections.view_rulerun"):
        return Silence()
    now = now or timezone.now()
    key = f"silence:{settings.EVENTS_DIR}"
    known: tuple[datetime, Silence] | None = cache.get(key)
    if known is not None and abs(now - known[0]) < FRESH:
        return known[1]
    found = _read(now)
    cache.set(key, (now, found), FRESH.total_seconds())
    return found


def is_silent(one: SourceReport, now: datetime) -> bool:
    """The rule of this module."""
    patience = max(USUAL_GAPS * one.usual_gap, LEAST_SILENCE)
    return one.reported_hours >= REPORTED_HOURS and now - one.last > patience


def _read(now: datetime) -> Silence:
    senders = list(SenderToken.objects.order_by("name").values_list("name", flat=True).distinct())
    if not senders:
        return Silence()
    try:
        found = event_store().arrivals(senders, Window(now - MEMORY, now))
    except StoreError as error:
        return Silence(error=str(error))
    return _judged(found, now)


def _judged(found: Arrivals, now: datetime) -> Silence:
    reports = [one for one in found if one.dataset != canary.DATASET]
    hosts: dict[str, int] = {}
    for one in reports:
        hosts[one.dataset] = hosts.get(one.dataset, 0) + 1
    silent: dict[str, list[SourceReport]] = {}
    for one in reports:
        if is_silent(one, now):
            silent.setdefault(one.dataset, []).append(one)
    sources = [_source(dataset, group, hosts[dataset]) for dataset, group in silent.items()]
    return Silence(
        sources=tuple(sorted(sources, key=lambda one: one.last, reverse=True)),
        reporting=sum(now - one.last <= DAY for one in reports),
        missing=found.missing,
    )


def _source(dataset: str, group: list[SourceReport], of_hosts: int) -> SilentSource:
    return SilentSource(
        dataset=dataset,
        hosts=tuple(sorted(one.host for one in group)),
        of_hosts=of_hosts,
        last=max(one.last for one in group),
        hours=_together(one.hours for one in group),
    )


def _together(hours: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    total = (0,) * 24
    for one in hours:
        total = tuple(map(add, total, one))
    return total
