"""The outbox: work is a row of its commit and is done until it succeeds."""

from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.enums import OutboxState
from detections.models import OutboxRow


@pytest.fixture
def work(monkeypatch):
    """A handler that notes its subjects, and fails as long as `broken` is set."""

    class Work(list):
        broken = ""

        def __call__(self, subject):
            if self.broken:
                raise ValueError(self.broken)
            self.append(subject)

    made = Work()
    monkeypatch.setitem(outbox._handlers, "test", made)
    return made


def put(key="k", subject=7, **options):
    with transaction.atomic():
        return outbox.put("test", key, subject, **options)


def later(**span):
    return time_machine.travel(timezone.now() + timedelta(**span), tick=False)


def test_the_same_key_is_the_same_row(db):
    assert put().pk == put().pk
    assert OutboxRow.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_asks_for_nothing():
    def change():
        outbox.put("test", "k", 1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        transaction.atomic(change)()
    assert OutboxRow.objects.count() == 0


def test_twenty_deliveries_do_the_work_once(db, work):
    row = put()
    assert [outbox.deliver(row.pk) for _ in range(20)] == [True] + [False] * 19
    assert work == [7]


def test_a_row_that_somebody_claimed_is_left_alone_until_the_claim_expires(db, work):
    row = put()
    outbox._claim(row.pk)
    assert (outbox.deliver(row.pk), work) == (False, [])
    with later(seconds=31):
        assert (outbox.deliver(row.pk), work) == (True, [7])


def test_a_worker_that_lost_its_claim_does_not_finish_the_row(db, work):
    row = put()
    stale = outbox._claim(row.pk)
    with later(seconds=31):
        outbox._claim(row.pk)
        assert outbox._mine(stale).update(state=OutboxState.DONE) == 0


def test_a_failure_keeps_its_reason_and_is_tried_again_later(db, work):
    row, work.broken = put(), "the disk is full"
    assert outbox.deliver_ready() == 0
    row.refresh_from_db()
    assert (row.state, row.attempts, row.error) == ("pending", 1, "ValueError: the disk is full")
    work.broken = ""
    assert outbox.deliver_ready() == 0
    with later(seconds=6):
        assert outbox.deliver_ready() == 1
    row.refresh_from_db()
    assert (row.state, row.error) == ("done", "")


def test_a_row_is_given_up_after_its_attempts_and_can_be_asked_for_again(db, work):
    row, work.broken = put(), "no"
    for hours in range(outbox.MAX_ATTEMPTS):
        with later(hours=hours):
            outbox.deliver_ready()
    row.refresh_from_db()
    assert (row.state, row.attempts) == (OutboxState.FAILED, outbox.MAX_ATTEMPTS)
    work.broken = ""
    assert outbox.retry(row.pk) is True
    assert outbox.deliver_ready() == 1


def test_a_row_that_kills_its_workers_is_given_up(db, work):
    row = put()
    OutboxRow.objects.update(attempts=outbox.MAX_ATTEMPTS)
    assert outbox.deliver(row.pk) is False
    row.refresh_from_db()
    assert (row.state, work) == (OutboxState.FAILED, [])
    assert "each worker was lost" in row.error


def test_a_row_waits_for_its_time(db, work):
    put(not_before=timezone.now() + timedelta(hours=1))
    assert outbox.drain() == 0
    with later(hours=2):
        assert outbox.drain() == 1


def test_a_kind_without_a_handler_is_a_failure_with_a_reason(db):
    with transaction.atomic():
        row = outbox.put("nobody", "k")
    outbox.deliver(row.pk)
    row.refresh_from_db()
    assert row.error == "NoHandlerError: nothing here handles nobody; is the process older than the row?"


def test_draining_does_what_deliveries_ask_for(db, monkeypatch):
    done = []
    monkeypatch.setitem(outbox._handlers, "test", lambda n: (done.append(n), n < 3 and put(f"k{n}", n + 1)))
    put("start", 1)
    assert (outbox.drain(), done) == (3, [1, 2, 3])


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (8, 600), (1000, 600)])
def test_pauses_double_up_to_ten_minutes(attempts, seconds):
    assert outbox.pause_after(attempts) == timedelta(seconds=seconds)


def test_two_handlers_for_one_kind_are_refused(work):
    with pytest.raises(ValueError, match="Two handlers"):
        outbox.handler("test")(lambda subject: None)


def test_deliveries_leave_a_thread_of_the_worker_free(db, work):
    put()
    for _ in range(outbox.DELIVERING_THREADS):
        assert outbox._delivering.acquire(blocking=False)
    assert outbox.drain_in_worker() == 0
    for _ in range(outbox.DELIVERING_THREADS):
        outbox._delivering.release()
    assert outbox.drain_in_worker() == 1
