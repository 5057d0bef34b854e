"""What exceptions need of the clock: begin, end, look again, and try what could not be told."""

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from detections import outbox
from detections.actors import Actor
from detections.enums import OutboxState
from detections.errors import CasewrightError
from detections.models import Alert, OutboxRow
from detections.run import ROUTE_ALERTS
from triage import exception_backtests, exception_routing, exception_states

log = logging.getLogger(__name__)
# An alert that waits longer than this for its case is routed once more.
PATIENCE = timedelta(minutes=2)


def watch(*, actor: Actor, now: datetime | None = None) -> None:
    """Once a minute. Idempotent."""
    now = now or timezone.now()
    exception_states.let_time_pass(actor=actor, now=now)
    try:
        exception_routing.recheck(actor=actor, now=now)
    except CasewrightError as error:
        log.warning("Hidden alerts could not be looked at again.", exc_info=error)
    exception_backtests.fail_lost()
    _route_again(now)


def _route_again(now: datetime) -> None:
    """Alerts that wait are tried again for as long as they wait, also when the outbox has given up."""
    waiting = OutboxRow.objects.filter(kind=ROUTE_ALERTS, state=OutboxState.PENDING)
    if waiting.exists() or not Alert.objects.unrouted().filter(detected_at__lt=now - PATIENCE).exists():
        return
    outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:waiting:{now:%Y-%m-%dT%H:%M}")
