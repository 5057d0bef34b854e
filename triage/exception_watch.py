"""What exceptions need of the clock: begin, end, look again, and try what could not be told."""

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from detections import outbox
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.models import Alert
from triage import exception_routing, exception_states

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
    if Alert.objects.unrouted().filter(detected_at__lt=now - PATIENCE).exists():
        outbox.put("route_alerts", f"route_alerts:waiting:{now:%Y-%m-%dT%H:%M}")
