"""Beat's scheduler: the product's own few entries from code, the rules' entries left to `wake`."""

import logging
import time
from datetime import timedelta
from typing import Any

from celery.schedules import schedule
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from detections import broker, health, heartbeat
from detections.actors import system
from detections.outbox import DELIVER_TASK
from detections.schedules import RULE_TASK
from detections.wake import WAKE_TASK
from triage import notifications, tasks

log = logging.getLogger(__name__)

SWEEP_SECONDS = 10
HEARTBEAT_SECONDS = 10.0
WATCH_SECONDS = 30
PATIENCE_SECONDS = 60.0


def entries() -> dict[str, dict[str, Any]]:
    """The product's beat entries. Each message expires before the next one, so that none pile up."""
    return {
        "wake": _every(settings.WAKE_SECONDS, WAKE_TASK),
        "outbox sweep": _every(min(SWEEP_SECONDS, settings.WAKE_SECONDS), DELIVER_TASK),
        "worker heartbeat": _every(HEARTBEAT_SECONDS, "detections.tasks.worker_heartbeat"),
        # A daily entry would be lost to restarts; pruning is cheap and idempotent.
        "prune runs": _every(3600, "detections.tasks.prune"),
        "check alarms": _every(WATCH_SECONDS, tasks.CHECK_ALARMS),
        "send canary": _every(60, tasks.SEND_CANARY),
        "heal": _every(60, tasks.HEAL),
        "check invariants": _every(3600, tasks.CHECK_INVARIANTS),
        "take outside alerts": _every(settings.WAKE_SECONDS, "detections.tasks.take_outside_alerts"),
        "compact store": _every(60, "detections.tasks.compact_store"),
        "sweep store": _every(3600, "detections.tasks.sweep_store"),
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    expires = max(int(seconds) - 1, 1)
    return {
        "task": task,
        "schedule": schedule(timedelta(seconds=seconds)),
        "options": {"expire_seconds": expires},
    }


class CasewrightScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat is untyped
    """Dispatches everything but the rules: `wake` computes which of them are due, as one set."""

    _beaten_at = float("-inf")
    _began = float("-inf")

    def enabled_models_qs(self) -> "QuerySet[PeriodicTask]":
        entries: QuerySet[PeriodicTask] = super().enabled_models_qs()
        return entries.exclude(task=RULE_TASK)

    def setup_schedule(self) -> None:
        """Write the product's entries; what was left of others of ours is overwritten."""
        self._began = time.monotonic()
        self.update_from_dict(entries())

    def _watch(self) -> None:
        """A dead worker can't tell of itself: as long as none works, beat raises the notifications."""
        if time.monotonic() - self._began < PATIENCE_SECONDS:
            return  # the worker starts beside it
        worker = next(sign for sign in health.signs() if sign.name == "worker")
        if not worker.is_alive:
            notifications.check(actor=system("beat, without a worker"))

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send an entry's message, unless messages pile up: the next one that is sent does the work."""
        if broker.is_crowded():
            return None
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() - self._beaten_at >= HEARTBEAT_SECONDS:
            self._beaten_at = time.monotonic()
            try:
                close_old_connections()
                heartbeat.beat("beat")
                self._watch()
            except DatabaseError as error:
                log.warning("Beat could not leave its heartbeat: %s", error)
        return super().tick(*args, **kwargs)
