"""Imports that a page asks for and a worker does."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from detections import import_jobs, outbox, schedules, wake
from detections.actors import NotPermittedError, system
from detections.models import Alert, Import, OutboxRow
from tests.factories.events import attack
from tests.factories.rules import rule as make_rule

YEARS_AGO = datetime(2019, 7, 18, 20, 53, tzinfo=UTC)


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "capture.ndjson"
    path.write_text("".join(json.dumps(document) + "\n" for document in attack(YEARS_AGO)))
    return path


def test_an_import_is_asked_for_and_done_later(store, capture, analyst):
    row = import_jobs.request_import([capture], actor=analyst)
    assert (row.status, OutboxRow.objects.get().subject, store.head()) == ("running", row.pk, 0)
    assert outbox.drain() == 1
    row.refresh_from_db()
    assert (row.status, row.events_new, row.records_bad) == ("succeeded", 2, 0)
    assert Import.objects.count() == 1


def test_doing_it_twice_adds_nothing(store, capture, analyst):
    row = import_jobs.request_import([capture], actor=analyst)
    import_jobs.run_import(row.pk)
    import_jobs.run_import(row.pk)
    assert (store.statistics()["rows"], Import.objects.get().events_new) == (2, 2)


def test_a_retimed_import_that_is_tried_again_moves_events_to_the_same_time(store, capture, analyst):
    row = import_jobs.request_import([capture], actor=analyst, retime=True)
    import_jobs.run_import(row.pk)
    Import.objects.update(status="running")
    import_jobs.run_import(row.pk)
    assert store.statistics()["rows"] == 2
    assert timezone.now() - store.statistics()["newest"] < timedelta(minutes=1)


def test_a_file_that_is_gone_ends_the_import_with_its_reason(store, capture, analyst):
    row = import_jobs.request_import([capture], actor=analyst)
    capture.unlink()
    assert outbox.drain() == 1
    row.refresh_from_db()
    assert row.status == "failed"
    assert "capture.ndjson" in row.error


def test_an_outsider_may_not_import(store, capture, outsider):
    with pytest.raises(NotPermittedError):
        import_jobs.request_import([capture], actor=outsider)
    assert Import.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_imported_is_searched_by_every_enabled_rule(store, capture, lead):
    schedules.set_enabled(make_rule(enabled=False), True, actor=system("test"))
    wake.wake()
    import_jobs.request_import([capture], actor=lead)
    outbox.drain()
    later = timezone.now() + timedelta(seconds=40)
    assert [made.alerts_new for made in wake.wake(now=later)] == [1]
    assert Alert.objects.get().first_event_at == YEARS_AGO
