"""Leases in the database: one holder at a time, and a fencing number that tells a stale one."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.models import F, Q
from django.utils import timezone

from detections.models import Lease

log = logging.getLogger(__name__)

# A killed holder is replaced after this time; a living one renews three times as often.
TERM = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is ours until it expires. A later holder's `fence` is higher."""

    name: str
    holder: str
    fence: int


def claim(name: str, *, term: timedelta = TERM) -> Held | None:
    """Take the lease, or None while somebody else holds it."""
    Lease.objects.get_or_create(name=name)
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
    now = timezone.now()
    is_free = Q(expires_at__isnull=True) | Q(expires_at__lte=now)
    taken = Lease.objects.filter(is_free, name=name).update(
        holder=holder, fence=F("fence") + 1, expires_at=now + term
    )
    if not taken:
        return None
    held = Lease.objects.filter(name=name, holder=holder).first()
    return Held(name, holder, held.fence) if held else None


def renew(held: Held, *, term: timedelta = TERM) -> bool:
    """Hold on for another term. False if the lease was lost."""
    mine = Lease.objects.filter(name=held.name, holder=held.holder)
    return mine.update(expires_at=timezone.now() + term) == 1


def release(held: Held) -> None:
    """Give the lease back; one that was lost is left alone."""
    Lease.objects.filter(name=held.name, holder=held.holder).update(holder="", expires_at=None)


@contextmanager
def hold(name: str, *, term: timedelta = TERM) -> Iterator[Held | None]:
    """Hold the lease for the block, renewing it; None while somebody else has it."""
    held = claim(name, term=term)
    if held is None:
        yield None
        return
    try:
        with renewing(lambda: renew(held, term=term), every=term / 3):
            yield held
    finally:
        release(held)


@contextmanager
def renewing(renewal: Callable[[], bool], *, every: timedelta) -> Iterator[None]:
    """Call `renewal` again and again, in a thread of its own, until the block ends or it says False."""
    over = threading.Event()
    thread = threading.Thread(
        target=_renew_until, args=(over, renewal, every.total_seconds()), name="renewal", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renew_until(over: threading.Event, renewal: Callable[[], bool], seconds: float) -> None:
    opened = False
    while not over.wait(seconds):
        opened = True
        try:
            if not renewal():
                break
        except DatabaseError as error:
            log.warning("A lease could not be renewed and is tried again: %s", error)
    if opened:
        connection.close()
