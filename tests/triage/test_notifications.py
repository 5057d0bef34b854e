"""Notifications: one for each alarm state, over by itself, acknowledged by a person."""

import threading
import time
from datetime import timedelta

import pytest
from celery.signals import worker_ready
from django.db import IntegrityError, transaction
from django.utils import timezone

from config import celery
from config.schedulers import CasewrightScheduler
from detections import alarms, health, heartbeat, schedules, wake
from detections.actors import NotPermittedError
from detections.models import (
    Heartbeat,
    Import,
    JournalEntry,
    OutboxRow,
    QuarantinedRecord,
    Rule,
    RuleRun,
    Segment,
)
from tests.factories.rules import rule as make_rule
from triage import notifications
from triage.models import Notification

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_canary(settings):
    settings.CANARY_SECONDS = 0


@pytest.fixture
def well(store, product):
    """A rule that ran, and every process alive."""
    for name in health.PROCESSES:
        heartbeat.beat(name)
    made = schedules.set_enabled(make_rule(enabled=False), True, actor=product)
    wake.wake()
    return made


def check(product, **options):
    notifications.check(actor=product, **options)
    return [one.key for one in Notification.objects.unresolved().order_by("key")]


def segment(**fields):
    now = timezone.now()
    return Segment.objects.create(
        path="a.parquet",
        batch="b",
        ingest=1,
        rows=3,
        bytes=1,
        min_timestamp=now,
        max_timestamp=now,
        arrived_at=now,
        sha256="",
        **fields,
    )


def test_nothing_is_told_while_all_is_well(well, product):
    assert check(product) == []


def test_every_alarm_state_is_told(well, product):
    Heartbeat.objects.all().delete()
    Rule.objects.update(covered_until=timezone.now() - timedelta(hours=1))
    RuleRun.objects.update(status="failed", error="The disk is full.")
    OutboxRow.objects.create(kind="run_pivot", key="k", state="failed", not_before=timezone.now(), error="x")
    row = segment(state="unreadable", last_error="torn")
    capture = Import.objects.create(status="partial")
    QuarantinedRecord.objects.create(capture=capture, file="f", reason="no time")
    heartbeat.beat("invariants", "I4 I6")
    assert check(product) == [
        "invariants",
        "no_sign:beat",
        "no_sign:worker",
        "outbox_failed:run_pivot",
        f"quarantine_grew:{capture.pk}",
        f"rule_behind:{well.pk}",
        f"run_failed:{well.pk}",
        f"segment_unreadable:{row.pk}",
    ]
    told = Notification.objects.get(kind="run_failed")
    assert (told.title, told.detail) == ("Last run failed: Rule mshta", "The disk is full.")


def test_a_state_is_told_once_however_often_it_is_checked(well, product):
    Heartbeat.objects.filter(name="worker").delete()
    for _ in range(3):
        check(product)
    assert Notification.objects.count() == 1
    assert JournalEntry.objects.filter(verb="notification_raised").count() == 1


def test_two_checks_at_once_make_one(well, product):
    Heartbeat.objects.filter(name="worker").delete()
    check(product)
    known = Notification.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Notification.objects.create(
            key=known.key, kind="x", title="x", raised_at=timezone.now(), seen_at=timezone.now()
        )


def test_it_is_over_when_the_state_is_and_told_anew_when_it_comes_again(well, product):
    Heartbeat.objects.filter(name="worker").delete()
    check(product)
    heartbeat.beat("worker")
    assert check(product) == []
    Heartbeat.objects.filter(name="worker").delete()
    check(product)
    assert [one.resolved_at is None for one in Notification.objects.order_by("pk")] == [False, True]


def test_many_of_a_kind_are_told_as_one(well, product):
    for number in range(alarms.MOST_OF_A_KIND + 1):
        schedules.set_enabled(make_rule(f"r{number}", enabled=False), True, actor=product)
    long_ago = timezone.now() - timedelta(hours=1)
    Rule.objects.update(covered_until=long_ago, last_run_at=long_ago)
    assert check(product) == ["rule_behind:many"]
    assert Notification.objects.get().title == "12 rules are behind their schedule"


def test_a_rule_that_was_just_enabled_is_not_behind_yet(well, product):
    schedules.set_enabled(make_rule("new", enabled=False), True, actor=product)
    assert check(product) == []
    assert check(product, now=timezone.now() + timedelta(minutes=8))[-1].startswith("rule_behind")


def test_quarantine_is_news_for_a_day(well, product):
    capture = Import.objects.create(status="partial")
    QuarantinedRecord.objects.create(capture=capture, file="f", reason="no time")
    assert len(check(product)) == 1
    QuarantinedRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert check(product) == []


def test_a_person_acknowledges_and_it_stays_until_it_is_over(well, product, analyst, ana, outsider):
    Heartbeat.objects.filter(name="worker").delete()
    check(product)
    told = Notification.objects.get()
    with pytest.raises(NotPermittedError):
        notifications.acknowledge(told, actor=outsider)
    assert notifications.acknowledge(told, actor=analyst) is True
    assert notifications.acknowledge(told, actor=analyst) is False
    check(product)
    told.refresh_from_db()
    assert (told.acknowledged_by, told.resolved_at) == (ana, None)
    assert Notification.objects.waiting().count() == 0


def test_beat_tells_of_a_dead_worker(well):
    scheduler = CasewrightScheduler.__new__(CasewrightScheduler)
    scheduler._watch()
    assert Notification.objects.count() == 0
    Heartbeat.objects.filter(name="worker").update(seen_at=timezone.now() - timedelta(minutes=5))
    scheduler._watch()
    assert Notification.objects.get().key == "no_sign:worker"


def test_the_page_lists_and_the_rail_counts(well, product, client, ana, otto):
    Heartbeat.objects.filter(name="worker").delete()
    check(product)
    client.force_login(ana)
    shown = client.get("/notifications/").text
    assert "No sign of life from worker" in shown
    assert '<span class="rail-count" aria-hidden="true">1</span>' in shown
    client.post(f"/notifications/{Notification.objects.get().pk}/acknowledge/")
    shown = client.get("/notifications/").text
    assert "rail-count" not in shown
    assert "Ana" in shown
    client.force_login(otto)
    assert "No sign of life" not in client.get("/notifications/").text


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_of_a_dead_beat_from_a_thread_of_its_own(well, monkeypatch):
    assert celery.watch_beat in [receiver() for _, receiver in worker_ready.receivers]
    monkeypatch.setattr(celery, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(celery, "stop_watching", threading.Event())
    Heartbeat.objects.filter(name="beat").update(seen_at=timezone.now() - timedelta(minutes=5))
    celery.watch_beat()
    thread = next(one for one in threading.enumerate() if one.name == "watch")
    deadline = time.monotonic() + 10
    while not Notification.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    celery.stop_watching.set()
    thread.join(timeout=10)
    assert Notification.objects.get().key == "no_sign:beat"
