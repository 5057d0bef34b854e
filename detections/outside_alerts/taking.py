"""One poll: what was raised since the last one becomes alerts here, each once, whatever is killed when.

The cursor moves in the transaction that stores what it passes. What is read again after a kill, or on
purpose, is known by its uuid. Alerts that become visible late (they were written after others with a later
time) are found since each poll reads the last quarter of an hour again, and each hour the last day.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from detections import ecs, journal, lease, outbox
from detections.actors import Actor
from detections.alerts import alert_id, event_columns
from detections.enums import AlertOrigin
from detections.errors import StaleLeaseError, StoreError
from detections.models import Alert, OutsideAlert, OutsideSource, Rule
from detections.outside_alerts.index import AlertsIndex, Listed, Resolved, alerts_index
from detections.outside_alerts.reading import Raised, UnreadableAlertError, join_keys, read
from detections.run import ROUTE_ALERTS

log = logging.getLogger(__name__)

LEASE = "outside alerts"
STREAM = "outside alerts"
ORIGIN = "elastic"
FIRST_LOOK = timedelta(hours=24)
OVERLAP = timedelta(minutes=15)
DEEP = timedelta(hours=24)
DEEP_EVERY = timedelta(hours=1)
BATCH = 100
MOST_UNREADABLE = 100


@dataclass(slots=True)
class Taken:
    """What a poll came to. known: read again and there already."""

    new: int = 0
    known: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """listed: what the cursor passes with it; resolved: what of it is new and can be read."""

    listed: Sequence[Listed]
    resolved: Sequence[Resolved]
    unreadable: Sequence[tuple[str, str]]


def take(*, actor: Actor, now: datetime | None = None) -> Taken | None:
    """Take in what was raised; None where no index is set or somebody else is at it.

    A poll that fails keeps what it had stored, leaves the cursor there, and writes down why.
    """
    actor.require("detections.add_alert", "take in alerts")
    if not settings.ELASTICSEARCH_ALERTS_INDEX:
        return None
    now = now or timezone.now()
    with lease.hold(LEASE) as held:
        if held is None:
            return None
        source = _source(now)
        try:
            taken = _poll(source, held.fence, actor=actor, now=now)
        except (StoreError, StaleLeaseError) as error:
            log.warning("Alerts of Elastic Security could not be read: %s", error)
            _failed(source, str(error), now)
            return None
    return taken


def _source(now: datetime) -> OutsideSource:
    source, _made = OutsideSource.objects.get_or_create(
        pattern=settings.ELASTICSEARCH_ALERTS_INDEX, defaults={"from_time": now - FIRST_LOOK}
    )
    return source


def _failed(source: OutsideSource, error: str, now: datetime) -> None:
    since = source.failing_since or now
    OutsideSource.objects.filter(pk=source.pk).update(polled_at=now, failing_since=since, error=error)


def _poll(source: OutsideSource, fence: int, *, actor: Actor, now: datetime) -> Taken:
    index = alerts_index()
    if index is None:
        raise StoreError("ELASTICSEARCH_ALERTS_INDEX is set, but ELASTICSEARCH_URL names no cluster.")
    index.require_index()
    is_deep = source.deep_at is None or now - source.deep_at >= DEEP_EVERY
    taken = Taken()
    for batch in _batches(index, source, _since(source, is_deep=is_deep), taken):
        _store(source, fence, batch, actor=actor, now=now)
        taken.new += len(batch.resolved)
    _succeeded(source, fence, is_deep=is_deep, now=now)
    return taken


def _since(source: OutsideSource, *, is_deep: bool) -> datetime:
    if source.cursor_at is None:
        return source.from_time
    return max(source.from_time, source.cursor_at - (DEEP if is_deep else OVERLAP))


def _batches(index: AlertsIndex, source: OutsideSource, since: datetime, taken: Taken) -> Iterable[_Batch]:
    """The listing in order, piece by piece; those that are known are passed over without a look."""
    # Listed before anything is stored, so that a slow database lengthens no search.
    listed = list(index.listing(since))
    for start in range(0, len(listed), BATCH):
        some = listed[start : start + BATCH]
        known = _known(one.uuid for one in some)
        new = [one for one in some if one.uuid not in known]
        taken.known += len(some) - len(new)
        if new or _moves(source, some):
            yield _batch(index, some, new, taken)


def _known(uuids: Iterable[str]) -> set[str]:
    return set(OutsideAlert.objects.filter(uuid__in=list(uuids)).values_list("uuid", flat=True))


def _moves(source: OutsideSource, some: Sequence[Listed]) -> bool:
    return source.cursor_at is None or some[-1].at > source.cursor_at


def _batch(index: AlertsIndex, some: Sequence[Listed], new: Sequence[Listed], taken: Taken) -> _Batch:
    raised: dict[str, Raised] = {}
    unreadable: list[tuple[str, str]] = []
    for hit in index.documents([one.document_id for one in new]) if new else ():
        try:
            one = read(hit)
            raised[one.uuid] = one
        except UnreadableAlertError as error:
            unreadable.append((error.uuid, str(error)))
    taken.unreadable += len(unreadable)
    # An alert may be deleted between listing and reading: then it is in neither, and no alert is owed.
    in_order = [raised[one.uuid] for one in new if one.uuid in raised]
    return _Batch(some, index.resolve(in_order), unreadable)


@transaction.atomic
def _store(source: OutsideSource, fence: int, batch: _Batch, *, actor: Actor, now: datetime) -> None:
    """One transaction: the cursor, the alerts, and what has to follow."""
    _advance(source, fence, batch, now)
    there = _known(one.raised.uuid for one in batch.resolved)
    new = [one for one in batch.resolved if one.raised.uuid not in there]
    if not new:
        return
    rules = _rules({one.raised.rule_id for one in new})
    made = Alert.objects.bulk_create(_alert(one, rules.get(one.raised.rule_id)) for one in new)
    OutsideAlert.objects.bulk_create(_outside(source, one, row) for one, row in zip(new, made, strict=True))
    outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:{ORIGIN}:{made[-1].alert_id}")
    data = {"alerts": [row.alert_id for row in made]}
    journal.record(STREAM, "outside_alerts_taken", actor=actor, data=data)


def _advance(source: OutsideSource, fence: int, batch: _Batch, now: datetime) -> None:
    """Move the cursor forward, if no later holder of the lease has been here. Raises StaleLeaseError."""
    row = OutsideSource.objects.select_for_update().get(pk=source.pk)
    if row.fence > fence:
        raise StaleLeaseError("Another poll took over; it reads the same alerts.")
    last = batch.listed[-1]
    row.fence = fence
    row.taken = F("taken") + len(batch.resolved)
    if row.cursor_at is None or (last.at, last.uuid) > (row.cursor_at, row.cursor_uuid):
        row.cursor_at, row.cursor_uuid = last.at, last.uuid
        if batch.resolved:
            row.lag_seconds = (now - last.at).total_seconds()
    readable = {one.raised.uuid for one in batch.resolved}
    faults = {uuid: why for uuid, why in (*row.unreadable, *batch.unreadable) if uuid not in readable}
    row.unreadable = list(islice(([uuid, why] for uuid, why in faults.items()), MOST_UNREADABLE))
    row.save()
    source.refresh_from_db()


def _succeeded(source: OutsideSource, fence: int, *, is_deep: bool, now: datetime) -> None:
    changed: dict[str, Any] = {"polled_at": now, "succeeded_at": now, "failing_since": None, "error": ""}
    if is_deep:
        changed["deep_at"] = now
    OutsideSource.objects.filter(pk=source.pk, fence__lte=fence).update(fence=fence, **changed)


def _rules(rule_ids: set[str]) -> dict[str, Rule]:
    """The installed rule for each: the same one, else the one that replaces it."""
    found: dict[str, Rule] = {}
    installed = Rule.objects.select_related("current").exclude(current=None)
    for rule in installed.exclude(replaces=[]):
        found |= {str(one): rule for one in rule.replaces if str(one) in rule_ids}
    return found | {rule.rule_id: rule for rule in installed.filter(rule_id__in=rule_ids)}


def _alert(one: Resolved, rule: Rule | None) -> Alert:
    raised = one.raised
    return Alert(
        alert_id=alert_id(ORIGIN, [raised.uuid]),
        origin=AlertOrigin.ELASTIC,
        rule=rule,
        rule_version=rule.current if rule else None,
        external_rule_id=_text(raised.rule_id, 64),
        title=_text(raised.rule_name, 255),
        severity=raised.severity,
        risk_score=raised.risk_score,
        join_keys=join_keys(raised, one.events),
        detected_at=raised.raised_at,
        **event_columns(one.events),
    )


def _outside(source: OutsideSource, one: Resolved, alert: Alert) -> OutsideAlert:
    raised = one.raised
    return OutsideAlert(
        alert=alert,
        source=source,
        uuid=_text(raised.uuid, 255),
        index=_text(raised.index, 255),
        document_id=_text(raised.document_id, 512),
        raised_at=raised.raised_at,
        rule_name=_text(raised.rule_name, 255),
        rule_type=_text(raised.rule_type, 30),
        note=str(ecs.storable(raised.note)),
        about=raised.about,
        copied_events=one.copied,
    )


def _text(value: str, length: int) -> str:
    return str(ecs.storable(value))[:length]
