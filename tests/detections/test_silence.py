"""Silent sources: who used to report and doesn't, and when that can't be told."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from detections import alarms, canary, health, silence
from detections.actors import system
from detections.errors import StoreError
from detections.models import SenderToken
from detections.stores.base import Arrivals, SourceReport

ACTOR = system("test")
NOW = timezone.now()
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def source(silent_for, *, dataset="sysmon", host="ws-1", hours=12, gap=MINUTE):
    counts = (*range(22), 0, 0)
    return SourceReport(dataset, host, NOW - silent_for, hours, gap, counts)


@pytest.fixture
def arrived(db, monkeypatch):
    """Makes the store answer with some sources; counts how often it was asked."""
    SenderToken.objects.create(name="fleet", key_id="k", token_sha256="s")
    cache.clear()
    asked = []

    def answer(*reports, missing=(), error=""):
        class Store:
            def arrivals(self, senders, window):
                asked.append((senders, window.end - window.start))
                if error:
                    raise StoreError(error)
                found = Arrivals(reports)
                found.missing = missing
                return found

        monkeypatch.setattr(silence, "event_store", Store)

    answer.asked = asked
    yield answer
    cache.clear()


def report(now=NOW, actor=ACTOR):
    return silence.report(actor=actor, now=now)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (source(61 * MINUTE), True),
        (source(60 * MINUTE), False),
        (source(61 * MINUTE, gap=21 * MINUTE), False),
        (source(64 * MINUTE, gap=21 * MINUTE), True),
        (source(2 * HOUR, hours=silence.REPORTED_HOURS), True),
        (source(2 * HOUR, hours=silence.REPORTED_HOURS - 1), False),
    ],
)
def test_silent_is_longer_than_an_hour_and_three_usual_gaps_after_three_hours(one, expected):
    assert silence.is_silent(one, NOW) is expected


def test_hosts_of_a_dataset_are_one_line_and_a_single_one_is_named(arrived):
    arrived(
        source(5 * HOUR, dataset="dns", host="ws-9"),
        source(3 * HOUR, host="ws-2"),
        source(2 * HOUR),
        source(MINUTE, host="ws-3"),
    )
    found = report()
    assert [(one.name, one.affects, one.of_hosts, one.last) for one in found.sources] == [
        ("sysmon", "2 hosts", 3, NOW - 2 * HOUR),
        ("dns, ws-9", "1 host", 1, NOW - 5 * HOUR),
    ]
    assert (found.sources[0].hosts, found.sources[0].hours[:3], found.hosts) == (
        ("ws-1", "ws-2"),
        (0, 2, 4),
        3,
    )


def test_the_canary_is_no_source(arrived):
    arrived(source(5 * HOUR, dataset=canary.DATASET, host=""))
    assert report() == silence.Silence()


def test_what_reports_is_counted(arrived):
    arrived(source(MINUTE), source(30 * HOUR, hours=1))
    assert (report().sources, report().reporting) == ((), 1)


def test_the_store_is_asked_once_in_three_minutes(arrived):
    arrived(source(2 * HOUR))
    for later in (0 * MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE):
        assert len(report(NOW + later).sources) == 1
    assert arrived.asked == [(["fleet"], silence.MEMORY)] * 2


def test_without_a_sender_the_store_is_not_asked(arrived):
    SenderToken.objects.all().delete()
    arrived(source(2 * HOUR))
    assert (report(), arrived.asked) == (silence.Silence(), [])


def test_a_cached_answer_costs_no_query(arrived, django_assert_num_queries):
    arrived(*(source(2 * HOUR, host=f"ws-{number}") for number in range(50)))
    with django_assert_num_queries(1):
        report()
    with django_assert_num_queries(0):
        report()


def test_that_it_can_not_be_told_is_said(arrived):
    arrived(error="The disk is gone.")
    found = health.strip(actor=ACTOR, now=NOW)
    assert (found.silence.error, found.silence.sources) == ("The disk is gone.", ())
    assert "Silent sources can't be told: The disk is gone." in found.problems
    assert ("failed", "Silent sources can't be told") in [(one.state, one.text) for one in found.items]


def test_the_strip_and_its_problems_name_them(arrived):
    arrived(source(2 * HOUR), source(2 * HOUR, host="ws-2"))
    found = health.strip(actor=ACTOR, now=NOW)
    last = f"{NOW - 2 * HOUR:%Y-%m-%d %H:%M} UTC"
    assert f"Silent: sysmon (2 hosts). Last event {last}." in found.problems
    assert ("no_telemetry", "1 silent source, 2 hosts") in [(one.state, one.text) for one in found.items]


def test_who_may_not_see_runs_is_told_nothing(arrived, outsider):
    arrived(source(2 * HOUR))
    assert report(actor=outsider) == silence.Silence()


def test_the_alarm_stays_the_same_while_hosts_join(arrived):
    keys = set()
    for number in (1, 2, 7):
        cache.clear()
        arrived(*(source(2 * HOUR, host=f"ws-{one}") for one in range(number)))
        found = [one for one in alarms.current(now=NOW) if one.kind == "source_silent"]
        keys.add(found[0].key)
    assert keys == {"source_silent:sysmon"}
    assert found[0].title == "Silent source: sysmon, 7 hosts"
    assert found[0].detail.endswith("Hosts: ws-0, ws-1, ws-2, ws-3, ws-4 and 2 more.")
