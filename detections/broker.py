"""Nudge the workers. What is to be done stands in the database; a lost nudge costs time, never work."""

import logging
import threading
import time

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
PAUSE_AFTER_FAILURE_SECONDS = 10.0
EXPIRES_SECONDS = 60

_lock = threading.Lock()
_silent_until = 0.0


def nudge_on_commit(task: str) -> None:
    """Send a task without arguments once the surrounding transaction is committed."""
    transaction.on_commit(lambda: nudge(task), robust=True)


def nudge(task: str) -> None:
    """Send a task without arguments. Never raises and never keeps the caller for more than a second.

    A broker that is gone is logged and left alone for ten seconds: the sweeps of beat do the work then.
    """
    if time.monotonic() < _silent_until or not _lock.acquire(blocking=False):
        return
    # The client tries a dead socket for seconds; a page must not wait for that.
    thread = threading.Thread(target=_send, args=(task,), name="nudge", daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)


def _send(task: str) -> None:
    global _silent_until  # noqa: PLW0603 -- one breaker a process
    try:
        current_app.send_task(task, retry=False, ignore_result=True, expires=EXPIRES_SECONDS)
    except Exception as error:
        _silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_SECONDS
        log.warning("The broker does not take %s (%s). The next sweep does the work.", task, error)
    finally:
        _lock.release()
