"""Nudge the workers. What is to be done stands in the database; a lost nudge costs time, never work."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import redis
from celery import current_app, shared_task
from django.db import transaction

P = ParamSpec("P")
log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
PAUSE_AFTER_FAILURE_SECONDS = 10.0
EXPIRES_SECONDS = 60
# A worker takes a message in milliseconds. When so many wait, more of them would say nothing new.
MOST_WAITING = 200
COUNTED_FOR_SECONDS = 5.0
SOCKET = "redis+socket://"

_lock = threading.Lock()
_silent_until = 0.0
_counted_until, _crowded = 0.0, False


def task(name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function a Celery task of this name."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        return cast("Callable[P, None]", shared_task(name=name)(function))

    return register


def nudge_on_commit(name: str) -> None:
    """Send a task without arguments once the surrounding transaction is committed."""
    transaction.on_commit(lambda: nudge(name), robust=True)


def nudge(name: str) -> None:
    """Send a task without arguments. Never raises and never keeps the caller for more than a second.

    A broker that is gone is logged and left alone for ten seconds: the sweeps of beat do the work then.
    Nothing is sent while messages pile up because no worker runs.
    """
    if time.monotonic() < _silent_until or not _lock.acquire(blocking=False):
        return
    # The client tries a dead socket for seconds; a page must not wait for that.
    thread = threading.Thread(target=_send, args=(name, _lock), name="nudge", daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)


def waiting() -> int | None:
    """How many messages wait in the broker; None where it does not say so within two seconds."""
    url = str(current_app.conf.broker_url or "")
    if not url.startswith("redis"):
        return None
    patience: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}
    client = (
        redis.Redis(unix_socket_path=url.removeprefix(SOCKET), **patience)
        if url.startswith(SOCKET)
        else redis.Redis.from_url(url, **patience)
    )
    try:
        return int(client.llen(current_app.conf.task_default_queue))
    except redis.RedisError:
        return None
    finally:
        client.close()


def is_crowded() -> bool:
    """Whether no worker takes messages any more, so that another one would only pile up. Counted at most
    every five seconds; a broker that does not answer is not crowded."""
    global _counted_until, _crowded  # noqa: PLW0603 -- one count a process
    if time.monotonic() >= _counted_until:
        _crowded = (waiting() or 0) >= MOST_WAITING
        _counted_until = time.monotonic() + COUNTED_FOR_SECONDS
    return _crowded


def _send(name: str, held: threading.Lock) -> None:
    global _silent_until  # noqa: PLW0603 -- one breaker a process
    try:
        if is_crowded():
            return
        current_app.send_task(name, retry=False, ignore_result=True, expires=EXPIRES_SECONDS)
    except Exception as error:
        _silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_SECONDS
        log.warning("The broker does not take %s (%s). The next sweep does the work.", name, error)
    finally:
        held.release()
