"""The canary: a pair of events that the product sends itself by the front door, and finds again as an alert.

Its nonce and the identities of its events are stored before the events are. So an alert is a canary's only
if it consists of exactly the events that were sent; somebody else's events in that data stream make an alert
that goes to a case like any other. The canary's alert opens none.
"""

import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from detections import heartbeat, rule_loading, schedules
from detections.actors import Actor
from detections.enums import TimeBasis
from detections.errors import CasewrightError, RecordError
from detections.event_store import canary_store
from detections.ingest import ndjson
from detections.models import Alert, Canary, Heartbeat, Rule
from detections.stores.base import MappedEvent

RULE_ID = "1f0a5c0e-93a5-4f9b-8f57-2c1f6f3f4b6d"
RULE_FILE = Path(__file__).parent / "canary_rule" / "canary.toml"
DATASET = "casewright.canary"
BEGAN = "canary"
KEEP = timedelta(days=30)
APART = timedelta(seconds=1)


class CanaryError(CasewrightError):
    """The canary can't be sent; the message says why."""


def is_on() -> bool:
    return bool(settings.CANARY_SECONDS > 0)


def send_if_due(*, actor: Actor, now: datetime | None = None) -> Canary | None:
    """Send a pair if the last one is an interval old; finish one that a killed worker left half-sent.

    None: it is switched off or not due. Raises CanaryError if its rule does not load, and StoreError.
    """
    if not is_on():
        _set_rule(False, actor=actor)
        return None
    now = now or timezone.now()
    _set_rule(True, actor=actor)
    if not Heartbeat.objects.filter(name=BEGAN).exists():
        # Since when canaries are expected, whatever becomes of the first.
        heartbeat.beat(BEGAN, "switched on")
    waiting = Canary.objects.filter(sent_at__isnull=True).first()
    if waiting is not None:
        return _store(waiting)
    newest = Canary.objects.first()
    if newest is not None and now - newest.created_at < timedelta(seconds=settings.CANARY_SECONDS):
        return None
    return _store(_prepared(now))


def claim(alert: Alert, *, now: datetime | None = None) -> bool:
    """Whether the alert is the canary's, which it then is for good, in the caller's transaction.

    Only an alert of the canary's rule, in strict order, of exactly the events of a pair that was sent and not
    found yet. Anything else on that rule is somebody else's doing.
    """
    if alert.rule is None or not alert.rule.is_canary:
        return False
    if Canary.objects.filter(alert=alert).exists():
        return True
    if alert.time_basis != TimeBasis.STRICT:
        return False
    waiting = Canary.objects.select_for_update().filter(found_at__isnull=True)
    mine = next((one for one in waiting if one.identities == _identities(alert)), None)
    if mine is None:
        return False
    mine.alert, mine.found_at = alert, now or alert.detected_at
    mine.save(update_fields=["alert", "found_at"])
    return True


def missing(*, now: datetime | None = None) -> str:
    """Why the canary is missed, in a sentence; "" while all is well or it is switched off."""
    if not is_on():
        return ""
    now = now or timezone.now()
    overdue = now - patience()
    lost = Canary.objects.filter(found_at__isnull=True, created_at__lte=overdue).first()
    newer = Canary.objects.filter(found_at__isnull=False).first()
    if lost is not None and (newer is None or newer.created_at < lost.created_at):
        sent = f"{lost.created_at:%Y-%m-%d %H:%M:%S} UTC"
        if lost.sent_at is None:
            return f"The canary of {sent} could not be stored: the event store does not take events."
        return f"The canary of {sent} is in the event store, but no rule has found it."
    since = Canary.objects.values_list("created_at", flat=True).first()
    began = Heartbeat.objects.filter(name=BEGAN).values_list("seen_at", flat=True).first()
    last = since or began
    if last is not None and now - last > timedelta(seconds=settings.CANARY_SECONDS) + patience():
        return f"No canary has been sent since {last:%Y-%m-%d %H:%M:%S} UTC: no worker does that work."
    return ""


def patience() -> timedelta:
    """How long a canary may take: the interval of its rule, settle time, some wakes and two minutes."""
    rule = Rule.objects.filter(is_canary=True).first()
    own = rule.interval + rule.settle if rule else timedelta(minutes=1)
    return own + timedelta(seconds=4 * settings.WAKE_SECONDS) + timedelta(minutes=2)


def prune(*, before: datetime) -> int:
    """Forget canaries of long ago; their alerts stay."""
    return Canary.objects.filter(created_at__lt=before).delete()[0]


def _identities(alert: Alert) -> list[str]:
    return [event["identity"] for event in alert.events]


def _set_rule(enabled: bool, *, actor: Actor) -> None:
    """Load the canary's rule where it is not there yet, and switch it as the canary is."""
    rule = Rule.objects.filter(is_canary=True).first()
    if rule is None:
        if not enabled:
            return
        loaded = rule_loading.load_rules([RULE_FILE], actor=actor, shipped=True)
        if loaded.errors:
            raise CanaryError(f"The canary's rule does not load: {loaded.errors[0]}")
        rule = Rule.objects.get(rule_id=RULE_ID)
        Rule.objects.filter(pk=rule.pk).update(is_canary=True)
    if rule.enabled != enabled:
        schedules.set_enabled(rule, enabled, actor=actor)


def _prepared(now: datetime) -> Canary:
    """The row, before anything of it is in the store: who sees the events later knows the nonce too late."""
    nonce = secrets.token_hex(24)
    documents = [_document(nonce, "first", now - APART), _document(nonce, "second", now)]
    events = [_mapped(document) for document in documents]
    return Canary.objects.create(
        nonce=nonce,
        identities=[event.identity for event in events],
        events=documents,
        created_at=now,
    )


def _document(nonce: str, stage: str, at: datetime) -> dict[str, Any]:
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "@timestamp": moment,
        "ecs": {"version": "8.17.0"},
        "event": {
            "kind": "event",
            "category": ["host"],
            "type": ["info"],
            "created": moment,
            "dataset": DATASET,
            "action": f"canary-{stage}",
            "module": "casewright",
        },
        "data_stream": {"type": "logs", "dataset": DATASET, "namespace": "default"},
        "trace": {"id": nonce},
        "message": "Casewright sends this to itself, to see it come out as an alert.",
    }


def _mapped(document: dict[str, Any]) -> MappedEvent:
    """As a line of a file would be read, with an id of its own: any store gives it the same identity."""
    own_id = f"{document['trace']['id']}-{document['event']['action']}"
    try:
        return ndjson.sent_event(orjson.dumps(document), own_id, "canary", own_id)
    except RecordError as error:
        raise CanaryError(f"The canary's event is refused: {error}") from error


def _store(row: Canary) -> Canary:
    """Into the store as any batch; a second attempt adds nothing."""
    canary_store().append([_mapped(document) for document in row.events], batch=f"canary:{row.nonce}")
    # No rule is woken: like any live batch it waits for the schedule, which is what it is to prove.
    Canary.objects.filter(pk=row.pk, sent_at__isnull=True).update(sent_at=timezone.now())
    row.refresh_from_db()
    return row
