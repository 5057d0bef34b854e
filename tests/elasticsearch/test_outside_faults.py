"""Taking alerts of Elastic Security in is killed, overtaken and refused: still each is taken once."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from detections import alarms, lease
from detections.models import Alert, JournalEntry, OutsideAlert, OutsideSource
from detections.outside_alerts import index as outside_index
from detections.outside_alerts import taking
from detections.outside_alerts.status import status
from tests.elasticsearch.front import Fault, error
from tests.elasticsearch.security import all_types, take, uuids

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.django_db]


class Killed(BaseException):
    """As kill -9: nothing handles it."""


@pytest.mark.parametrize(
    "where",
    [
        "detections.outside_alerts.taking._batch",
        "detections.outside_alerts.taking._store",
        "detections.outside_alerts.taking._advance",
        "detections.outside_alerts.taking._outside",
        "detections.outside_alerts.taking.outbox.put",
        "detections.outside_alerts.taking.journal.record",
        "detections.outside_alerts.taking._succeeded",
    ],
)
@pytest.mark.django_db(transaction=True)
def test_killed_anywhere_each_is_taken_once(security, product, monkeypatch, where):
    monkeypatch.setattr(taking, "BATCH", 2)
    keys, _pair = all_types(security)
    for times in range(3):
        with monkeypatch.context() as patch:
            true, left = _resolve(where), [times]

            def dies(*arguments, true=true, left=left, **named):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return true(*arguments, **named)

            patch.setattr(where, dies)
            with suppress(Killed):
                take(product)
        assert Alert.objects.count() == OutsideAlert.objects.count() == _journalled()
        assert lease.claim(taking.LEASE) is not None  # dead, and its lease over
        lease.Lease.objects.update(expires_at=None)
    take(product)
    assert sorted(uuids()) == sorted(keys)
    assert _journalled() == 6
    source = OutsideSource.objects.get()
    assert (source.taken, source.cursor_uuid, source.error) == (6, keys[-1], "")


def _resolve(path):
    from importlib import import_module

    module = import_module("detections.outside_alerts.taking")
    found = module
    for name in path.removeprefix("detections.outside_alerts.taking.").split("."):
        found = getattr(found, name)
    return found


def _journalled():
    entries = JournalEntry.objects.filter(verb="outside_alerts_taken")
    return sum(len(entry.data["alerts"]) for entry in entries)


def test_a_poll_that_was_overtaken_stores_nothing(security, product):
    security.raises(security.simple())
    OutsideSource.objects.create(
        pattern=outside_index.settings.ELASTICSEARCH_ALERTS_INDEX,
        from_time=timezone.now() - timedelta(hours=1),
        fence=10**6,
    )
    assert take(product) is None
    assert (Alert.objects.count(), OutsideSource.objects.get().cursor_at) == (0, None)
    assert "Another poll took over" in OutsideSource.objects.get().error


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("_search", 403, error(403, "security_exception", "unauthorized for user [pivot]"), times=9),
         "The credential may not read the alerts"),
        (Fault("_search", 401, error(401, "security_exception", "unable to authenticate"), times=9),
         "does not accept the credential"),
        (Fault("_search", changes={"_shards": {"failed": 1, "failures": []}}, times=9), "1 shard failed"),
        (Fault("_search", changes={"timed_out": True}, times=9), "timed_out"),
        (Fault("_search", garbage=True, times=9), "is no JSON"),
    ],
)  # fmt: skip
def test_a_failure_is_told_and_nothing_is_passed(security, product, front, fault, said):
    first, second = security.simple(), security.simple()
    security.raises(first)
    take(product)
    security.raises(second)
    cursor = OutsideSource.objects.get().cursor_uuid
    front.inject(fault)
    assert take(product) is None
    source = OutsideSource.objects.get()
    assert source.cursor_uuid == cursor
    assert said in source.error
    assert [one.kind for one in alarms.current() if one.kind == "outside_alerts"] == ["outside_alerts"]
    fault.times = 0
    assert take(product).new == 1
    assert (uuids(), list(status().problems())) == ([first[0], second[0]], [])


def test_no_index_is_not_no_alerts(security, product, settings):
    settings.ELASTICSEARCH_ALERTS_INDEX = ".alerts-security.alerts-nobody*"
    assert take(product) is None
    assert "No index matches .alerts-security.alerts-nobody*" in OutsideSource.objects.get().error
