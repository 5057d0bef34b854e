"""Notifications: each alarm state is told once, is over by itself, and acknowledged by a person."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from detections import alarms, journal
from detections.actors import Actor
from detections.alarms import Alarm
from triage.models import Notification
from triage.response import alarms as response_alarms

STREAM = "notifications"
TITLE_LENGTH = 255
DETAIL_LENGTH = 4000


def check(*, actor: Actor, now: datetime | None = None) -> int:
    """Raise what stands and is not told yet, end what is over. Returns how many are open then.

    Idempotent: two checks at the same moment make one notification, since the database decides.
    """
    now = now or timezone.now()
    found = [*alarms.current(now=now), *response_alarms.standing()]
    standing = {alarm.key[:200]: alarm for alarm in found}
    known = {one.key: one for one in Notification.objects.unresolved()}
    for key, alarm in standing.items():
        if key in known:
            _seen(known[key], alarm, now)
        else:
            _raise(key, alarm, now, actor)
    for key in known.keys() - standing.keys():
        _resolve(known[key], now, actor)
    return len(standing)


def acknowledge(notification: Notification, *, actor: Actor) -> bool:
    """Say that somebody knows. False if somebody said so already. Raises NotPermittedError."""
    actor.require("triage.acknowledge_notification", "acknowledge notifications")
    with transaction.atomic():
        row = Notification.objects.select_for_update().get(pk=notification.pk)
        if row.acknowledged_at is not None or actor.user is None:
            return False
        row.acknowledged_at, row.acknowledged_by = timezone.now(), actor.user
        row.save(update_fields=["acknowledged_at", "acknowledged_by"])
        journal.record(STREAM, "notification_acknowledged", actor=actor, data=_data(row))
    return True


def _raise(key: str, alarm: Alarm, now: datetime, actor: Actor) -> None:
    try:
        with transaction.atomic():
            row = Notification.objects.create(
                key=key,
                kind=alarm.kind,
                title=alarm.title[:TITLE_LENGTH],
                detail=alarm.detail[:DETAIL_LENGTH],
                raised_at=now,
                seen_at=now,
            )
            journal.record(STREAM, "notification_raised", actor=actor, data=_data(row))
    except IntegrityError:
        # Another check raised it in the same moment.
        return


def _seen(row: Notification, alarm: Alarm, now: datetime) -> None:
    Notification.objects.filter(pk=row.pk).update(
        seen_at=now, title=alarm.title[:TITLE_LENGTH], detail=alarm.detail[:DETAIL_LENGTH]
    )


def _resolve(row: Notification, now: datetime, actor: Actor) -> None:
    with transaction.atomic():
        if Notification.objects.filter(pk=row.pk, resolved_at__isnull=True).update(resolved_at=now):
            journal.record(STREAM, "notification_resolved", actor=actor, data=_data(row))


def _data(row: Notification) -> dict[str, object]:
    return {"notification": row.pk, "key": row.key, "title": row.title}
