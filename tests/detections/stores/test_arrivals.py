"""Which sources reported, and when: by arrival, from senders alone, before and after merges."""

import hashlib
from datetime import timedelta

import pytest

from detections.eql.fields import Field, FieldType
from detections.stores.base import MappedEvent, Window
from tests.detections.stores.conftest import CATALOGUE
from tests.detections.stores.events import T0

HOUR = timedelta(hours=1)
WEEK = Window(T0 - timedelta(days=7), T0)


class Clock:
    now = T0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def live(new_store, clock):
    """Sends one event of a dataset and host that arrives so long before T0."""
    known = CATALOGUE.merged([Field("data_stream.dataset", FieldType.KEYWORD)])
    store = new_store(clock=clock)
    store.catalogue = store.appender.catalogue = known.merged([Field("host.name", FieldType.KEYWORD)])

    def send(before, dataset="sysmon", host="ws-1", source="fleet: logs-sysmon-default"):
        clock.now = T0 - before
        name = f"{before}{dataset}{host}{source}"
        document = {
            "@timestamp": "2019-01-01T00:00:00Z",
            "data_stream": {"dataset": dataset},
            "host": {"name": host},
        }
        event = MappedEvent(hashlib.sha256(name.encode()).hexdigest(), document, source)
        store.append([event], batch=name)

    send.store = store
    return send


def reports(live, senders=("fleet",)):
    return list(live.store.arrivals(list(senders), WEEK))


def test_a_source_is_a_dataset_of_a_host_with_its_last_arrival_and_its_hours(live):
    for hours in (30, 5, 4, 3):
        live(hours * HOUR)
    live(2 * HOUR, host="ws-2")
    first, second = reports(live)
    assert (first.dataset, first.host, first.last, first.reported_hours) == (
        "sysmon",
        "ws-1",
        T0 - 3 * HOUR,
        3,
    )
    assert [24 - at for at, number in enumerate(first.hours) if number] == [6, 5, 4]
    assert (second.host, second.last, second.reported_hours) == ("ws-2", T0 - 2 * HOUR, 1)


def test_the_usual_gap_is_the_interval_of_a_regular_source(live):
    for minutes in range(0, 300, 10):
        live(timedelta(minutes=100 + minutes))
    assert reports(live)[0].usual_gap == timedelta(minutes=10)


def test_the_usual_gap_of_bursts_is_the_pause_between_them(live):
    for burst in range(3):
        for minute in range(5):
            live(burst * 6 * HOUR + timedelta(minutes=10 + minute))
    assert 5.5 * HOUR < reports(live)[0].usual_gap < 6 * HOUR


def test_only_what_senders_sent_counts(live):
    live(HOUR, source="capture.ndjson")
    live(HOUR, host="ws-2", source="other: logs-sysmon-default")
    assert reports(live) == []
    assert [one.host for one in reports(live, ["a: b", "other"])] == ["ws-2"]


def test_nothing_changes_when_segments_are_merged(live, clock):
    for hours in (30, 6, 5, 4, 3):
        live(hours * HOUR)
        live(hours * HOUR, dataset="dns", host="ws-2")
    before = reports(live)
    clock.now = T0
    assert live.store.compact().files > 0
    assert reports(live) == before


def test_an_empty_store_has_no_source(live):
    assert reports(live) == []


def test_a_segment_that_can_not_be_read_is_named(live):
    live(HOUR)
    [segment] = live.store.reader.manifest.segments()
    for _ in range(3):
        live.store.reader.manifest.report_unreadable(segment.path, "gone")
    found = live.store.arrivals(["fleet"], WEEK)
    assert (list(found), found.missing) == ([], (segment.path,))
