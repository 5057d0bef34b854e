"""An alert that was raised elsewhere is here once, whoever takes it in at the same time."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from detections.actors import system
from detections.models import Alert, OutboxRow, OutsideAlert, OutsideSource
from detections.outside_alerts import taking
from detections.outside_alerts.index import Listed, Resolved
from detections.outside_alerts.reading import read
from detections.stores.base import StoredEvent
from tests.factories import elastic_alerts as elastic
from tests.factories.events import mshta_start

pytestmark = pytest.mark.django_db
ACTOR = system("test")


@pytest.fixture
def source():
    return OutsideSource.objects.create(pattern=".alerts-*", from_time=timezone.now() - timedelta(days=1))


def batch(uuid="u-1"):
    """What a poll read: one alert over one event."""
    at = timezone.now() - timedelta(minutes=1)
    event = mshta_start(at)
    ancestors = [{"id": "e-1", "index": "logs", "depth": 0, "type": "event"}]
    key, document = elastic.alert(
        at, elastic.rule_fields("one", "query"), ancestors, event=event, uuid=uuid, **{"host.id": "host-1"}
    )
    raised = read({"_id": key, "_index": ".alerts-1", "_source": document})
    found = StoredEvent(identity="e-1", document=event, timestamp=at, arrived_at=at, ingest=0)
    return taking._Batch([Listed(at, raised.uuid, key)], [Resolved(raised, (found,))], [])


def test_what_is_read_again_is_taken_once(source):
    for fence in (1, 2):
        taking._store(source, fence, batch(), actor=ACTOR, now=timezone.now())
    assert (Alert.objects.count(), OutsideAlert.objects.count(), OutboxRow.objects.count()) == (1, 1, 1)


def test_of_two_polls_that_both_saw_it_as_new_the_database_takes_one(source, monkeypatch):
    monkeypatch.setattr(taking, "_known", lambda _uuids: set())
    taking._store(source, 1, batch(), actor=ACTOR, now=timezone.now())
    with pytest.raises(IntegrityError):
        taking._store(source, 2, batch(), actor=ACTOR, now=timezone.now())
    assert (Alert.objects.count(), OutsideAlert.objects.count()) == (1, 1)


def test_the_database_takes_no_uuid_twice_even_for_another_alert(source):
    for fence, uuid in enumerate(("u-1", "u-2"), start=1):
        taking._store(source, fence, batch(uuid), actor=ACTOR, now=timezone.now())
    first, second = OutsideAlert.objects.order_by("uuid")
    with pytest.raises(IntegrityError), transaction.atomic():
        OutsideAlert.objects.filter(pk=second.pk).update(uuid=first.uuid)
