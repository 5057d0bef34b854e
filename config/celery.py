"""The Celery app. Tasks only wake work; what is to be done stands in the database."""

import logging
import os
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("casewright")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

log = logging.getLogger(__name__)
WATCH_SECONDS = 30
stop_watching = threading.Event()


@worker_ready.connect  # type: ignore[untyped-decorator]  # celery is untyped
def watch_beat(**_: Any) -> None:
    """A dead beat sends nothing, so a worker looks by itself whether it must raise the notifications."""
    threading.Thread(target=_watch, name="watch", daemon=True).start()


def _watch() -> None:
    from django.db import DatabaseError, connection

    from detections import health
    from detections.actors import system
    from triage import notifications

    while not stop_watching.wait(WATCH_SECONDS):
        try:
            beat = next(sign for sign in health.signs() if sign.name == "beat")
            if beat.is_missed:
                notifications.check(actor=system("worker, without beat"))
        except DatabaseError as error:
            log.warning("A worker could not look for beat: %s", error)
        finally:
            connection.close()
