"""What exceptions need of the clock: begin, end, look again, try what could not be told, ask their owners."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone

from detections import alarms, outbox
from detections.actors import Actor
from detections.alarms import Alarm
from detections.enums import OutboxState
from detections.errors import CasewrightError
from detections.models import Alert, OutboxRow
from detections.run import ROUTE_ALERTS
from triage.exception_items import backtests as exception_backtests
from triage.exception_items import drift as exception_drift
from triage.exception_items import renewal as exception_renewal
from triage.exception_items import routing as exception_routing
from triage.exception_items import states as exception_states
from triage.exception_items.matching import active_matcher
from triage.models import ExceptionItem

log = logging.getLogger(__name__)
# An alert that waits longer than this for its case is routed once more.
PATIENCE = timedelta(minutes=2)
# Longer than this, and a person has to know.
LONG_WAIT = timedelta(minutes=10)


def watch(*, actor: Actor, now: datetime | None = None) -> None:
    """Once a minute. Idempotent."""
    now = now or timezone.now()
    exception_states.let_time_pass(actor=actor, now=now)
    try:
        exception_routing.recheck(actor=actor, now=now)
    except CasewrightError as error:
        log.warning("Hidden alerts could not be looked at again.", exc_info=error)
    exception_backtests.fail_lost()
    exception_drift.look(actor=actor, now=now)
    exception_renewal.ask_owners(actor=actor, now=now)
    _route_again(now)


def _route_again(now: datetime) -> None:
    """Alerts that wait are tried again for as long as they wait, also when the outbox has given up."""
    waiting = OutboxRow.objects.filter(kind=ROUTE_ALERTS, state=OutboxState.PENDING)
    if waiting.exists() or not Alert.objects.unrouted().filter(detected_at__lt=now - PATIENCE).exists():
        return
    outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:waiting:{now:%Y-%m-%dT%H:%M}")


# -- what people are alarmed of


@alarms.contribute("exception_drift", "exceptions no longer look as they did when they were approved")
def _drifted(_now: datetime) -> Iterator[Alarm]:
    for item in ExceptionItem.objects.filter(versions__state="active").exclude(drift=[]):
        owner = item.owner.get_full_name() or item.owner.get_username()
        title = f"{item.number} has changed, {owner} is asked: {item.name}"
        yield Alarm(f"exception_drift:{item.pk}", "exception_drift", title, "\n".join(item.drift))


@alarms.contribute("exceptions_unreadable", "rules have exceptions that can't be read")
def _unreadable(now: datetime) -> Iterator[Alarm]:
    for rule, why in active_matcher(now=now).unreadable.items():
        title = f"Alerts of a rule wait: {why}"
        detail = (
            "Neither hidden nor made into cases until the exception is revoked, or reads as approved again."
        )
        yield Alarm(f"exceptions_unreadable:{rule}", "exceptions_unreadable", title, detail)


@alarms.contribute("routing_waits", "alerts wait")
def _waiting(now: datetime) -> Iterator[Alarm]:
    late = Alert.objects.unrouted().filter(detected_at__lt=now - LONG_WAIT)
    number = late.count()
    if number:
        words = "alert has" if number == 1 else "alerts have"
        tried = OutboxRow.objects.filter(kind=ROUTE_ALERTS).exclude(error="").order_by("-pk").first()
        detail = tried.error if tried else "The worker has not come to them yet."
        yield Alarm("routing_waits", "routing_waits", f"{number} {words} no case yet", detail)
