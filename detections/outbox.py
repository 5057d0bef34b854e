"""The outbox: work that must happen after a commit is a row of that commit, and is done until it succeeds.

Handlers are idempotent: a row may be delivered again when a worker dies between its work and its mark.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from detections import broker, journal, lease
from detections.actors import Actor
from detections.enums import OutboxState
from detections.models import OutboxRow
from detections.models.operation import OutboxQuerySet

log = logging.getLogger(__name__)

Handler = Callable[[int | None], None]

DELIVER_TASK = "detections.tasks.deliver_outbox"
# A killed worker's row is somebody else's after this time; a living one renews in time.
CLAIM = timedelta(seconds=30)
# Of a worker's four threads one is left for waking rules, however long deliveries take.
DELIVERING_THREADS = 3
MAX_ATTEMPTS = 8
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=10)
ERROR_LENGTH = 2000

_handlers: dict[str, Handler] = {}
_delivering = threading.BoundedSemaphore(DELIVERING_THREADS)


class NoHandlerError(LookupError):
    """No code is registered for a row's kind in this process."""


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Register the function that does the work of a kind. It gets the subject and must be idempotent.

    It runs outside of any transaction. What it raises is kept on the row, which is tried again later.
    """

    def register(function: Handler) -> Handler:
        if _handlers.setdefault(kind, function) is not function:
            raise ValueError(f"Two handlers for outbox rows of kind {kind}.")
        return function

    return register


def kinds() -> frozenset[str]:
    """Every kind that has a handler in this process."""
    return frozenset(_handlers)


def put(kind: str, key: str, subject: int | None = None, *, not_before: datetime | None = None) -> OutboxRow:
    """Ask for work, in the caller's transaction. The same key again is the same row: nothing is added."""
    row, created = OutboxRow.objects.get_or_create(
        key=key, defaults={"kind": kind, "subject": subject, "not_before": not_before or timezone.now()}
    )
    if created and not_before is None:
        broker.nudge_on_commit(DELIVER_TASK)
    return row


def hurry(kind: str, subject: int) -> bool:
    """Make due now what was asked for later, in the caller's transaction. False if nothing is waiting."""
    waiting = OutboxRow.objects.filter(kind=kind, subject=subject, state=OutboxState.PENDING)
    if not waiting.update(not_before=timezone.now()):
        return False
    broker.nudge_on_commit(DELIVER_TASK)
    return True


def put_many(kind: str, subjects: Iterable[int]) -> None:
    """Ask for the same work for each of many subjects, in the caller's transaction; twice is once."""
    now = timezone.now()
    rows = [OutboxRow(kind=kind, key=f"{kind}:{one}", subject=one, not_before=now) for one in subjects]
    if rows:
        OutboxRow.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
        broker.nudge_on_commit(DELIVER_TASK)


def deliver(row_id: int) -> bool:
    """Claim one row and do its work. True if it is done by this call.

    Somebody else's claim, a row that is not due or that is finished: False, and nothing happens.
    """
    row = _claim(row_id)
    if row is None:
        return False
    try:
        with lease.renewing(lambda: _hold_on(row), every=CLAIM / 3):
            _run(row)
    except Exception as error:
        log.exception("Outbox row %s (%s) failed, attempt %s.", row.pk, row.kind, row.attempts)
        _put_back(row, f"{type(error).__name__}: {error}")
        return False
    # The number of the attempt fences: a claim that expired meanwhile is somebody else's to finish.
    done = _mine(row).update(state=OutboxState.DONE, done_at=timezone.now(), claimed_until=None, error="")
    return done == 1


def deliver_ready(limit: int = 100) -> int:
    """Deliver up to `limit` rows that are due and unclaimed, oldest first. Returns how many got done."""
    ready = _unclaimed(timezone.now()).order_by("pk").values_list("pk", flat=True)[:limit]
    return sum(deliver(row_id) for row_id in list(ready))


def drain(*, rounds: int = 1000) -> int:
    """Deliver until nothing that is due now is left, work that deliveries ask for included."""
    total = 0
    for _ in range(rounds):
        done = deliver_ready()
        total += done
        if not done:
            break
    return total


def drain_in_worker() -> int:
    """The same, unless enough threads of this process are at it already."""
    total = 0
    while _delivering.acquire(blocking=False):
        try:
            total += drain()
        finally:
            _delivering.release()
        # Whoever was told of a row while this thread still held the last place went home.
        if not _unclaimed(timezone.now()).exists():
            break
    return total


def retry(row_id: int) -> bool:
    """Give a row that was given up another round of attempts. False if it was not given up."""
    failed = OutboxRow.objects.filter(pk=row_id, state=OutboxState.FAILED)
    with transaction.atomic():
        again = failed.update(state=OutboxState.PENDING, attempts=0, not_before=timezone.now())
        broker.nudge_on_commit(DELIVER_TASK)
    return again == 1


def retry_rows(row_ids: Iterable[int], *, actor: Actor) -> int:
    """An admin asks for given-up rows again. Returns how many there were; raises NotPermittedError."""
    actor.require("detections.change_rule", "ask for given-up work again")
    with transaction.atomic():
        again = [row_id for row_id in row_ids if retry(row_id)]
        if again:
            journal.record("outbox", "outbox_retried", actor=actor, data={"rows": again})
    return len(again)


def pause_after(attempts: int) -> timedelta:
    """How long a row waits after its n-th failure: doubling, ten minutes at most."""
    return min(FIRST_PAUSE * (1 << min(max(attempts - 1, 0), 20)), LONGEST_PAUSE)


def _unclaimed(now: datetime) -> OutboxQuerySet:
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    return OutboxRow.objects.filter(free, state=OutboxState.PENDING, not_before__lte=now)


def _claim(row_id: int) -> OutboxRow | None:
    """Take the row by a conditional update. A row whose worker died too often is given up here."""
    now = timezone.now()
    due = _unclaimed(now).filter(pk=row_id)
    exhausted = f"Given up after {MAX_ATTEMPTS} attempts; each worker was lost while at it."
    if due.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=OutboxState.FAILED, claimed_until=None, error=exhausted
    ):
        return None
    if not due.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1):
        return None
    return OutboxRow.objects.get(pk=row_id)


def _run(row: OutboxRow) -> None:
    work = _handlers.get(row.kind)
    if work is None:
        raise NoHandlerError(f"nothing here handles {row.kind}; is the process older than the row?")
    work(row.subject)


def _mine(row: OutboxRow) -> OutboxQuerySet:
    return OutboxRow.objects.filter(pk=row.pk, state=OutboxState.PENDING, attempts=row.attempts)


def _hold_on(row: OutboxRow) -> bool:
    return _mine(row).update(claimed_until=timezone.now() + CLAIM) == 1


def _put_back(row: OutboxRow, error: str) -> None:
    given_up = row.attempts >= MAX_ATTEMPTS
    _mine(row).update(
        state=OutboxState.FAILED if given_up else OutboxState.PENDING,
        claimed_until=None,
        not_before=timezone.now() + pause_after(row.attempts),
        error=error[:ERROR_LENGTH],
    )
