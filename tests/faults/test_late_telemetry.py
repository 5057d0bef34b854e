"""F8: events that come late, out of order, at the same moment, on a run's edge or from the future."""

import random
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from detections.models import Alert, CoverageGap
from detections.stores.base import MappedEvent
from tests.factories.events import mshta_connection, mshta_start
from tests.faults import number
from tests.faults.histories import History

BEGIN = datetime(2026, 3, 18, 0, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=15)
DAYS_OF_EVENTS = timedelta(days=2)
LATEST = timedelta(hours=48)


def pairs(chance, total, every):
    """(arrival, event): two of a pair, or of several on one process, each late in its own way."""
    start = BEGIN
    for index in range(total):
        is_second = index % 10 == 9
        start = start + timedelta(seconds=20) if is_second else BEGIN + _moment(chance, every)
        # Every tenth pair is on the process of the one before, near it: a late one supersedes an early one.
        host, entity = f"host-{(index - is_second) % 7}", f"p-{index - is_second}"
        apart = chance.choice([0, 1, 999, 1000, 30_000, 59_999, 60_000, 60_001, chance.randrange(61_000)])
        end = start + timedelta(milliseconds=apart)
        for make, moment in ((mshta_start, start), (mshta_connection, end)):
            document = make(moment, host=host, entity=entity)
            identity = sha256(f"{index} {make.__name__}".encode()).hexdigest()
            yield max(moment + _lateness(chance), BEGIN), MappedEvent(identity, document, "fault")


def _moment(chance, every):
    """Somewhere in the days, or on the edge of a run's window, where a millisecond decides."""
    if chance.random() < 0.3:
        edge = every * chance.randrange(1, DAYS_OF_EVENTS // every) - SETTLE
        return edge + timedelta(milliseconds=chance.choice([-60_000, -1, 0, 1]))
    return timedelta(milliseconds=chance.randrange(int(DAYS_OF_EVENTS.total_seconds() * 1000)))


def _lateness(chance):
    kind = chance.random()
    if kind < 0.5:
        return timedelta(seconds=chance.random() * 30)
    if kind < 0.9:
        return LATEST * chance.random()
    return -LATEST * chance.random()  # a clock that runs ahead


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_an_evaluator_over_everything_finds_is_stored_once(store, monkeypatch, holds, figure):
    chance = random.Random(8)
    total, steps = number(300, 10_000), number(48, 384)
    every = (DAYS_OF_EVENTS + LATEST) / steps
    history = History(store, monkeypatch, BEGIN)
    waiting = sorted(pairs(chance, total, every), key=lambda one: one[0])
    arrivals = {event.identity: arrival for arrival, event in waiting}
    found_at, failed = {}, 0
    for step in range(1, steps + 1):
        history.now = BEGIN + every * step
        due = [event for arrival, event in waiting if arrival <= history.now]
        waiting = waiting[len(due) :]
        chance.shuffle(due)
        history.arrive(due)
        gives_up = chance.random() < 0.2
        if chance.random() < 0.9:
            history.run(failing=gives_up)
            failed += gives_up
        for key in history.stored():
            found_at.setdefault(key, history.now)
    assert not waiting
    history.finish()
    history.search_again()
    stored, expected = history.stored(), history.expected()
    assert len(expected) > total / 3
    assert expected - set(stored) == set()
    assert len(stored) == len(set(stored))
    assert CoverageGap.objects.filter(filled_at__isnull=True).count() == 0
    holds()
    latest = [
        found_at.get(alert.alert_id, history.now) - max(arrivals[event["identity"]] for event in alert.events)
        for alert in Alert.objects.filter(alert_id__in=expected).iterator()
    ]
    figure(
        "F8",
        pairs=total,
        matches=len(expected),
        lost=0,
        doubled=0,
        superseded_and_kept=len(set(stored) - expected),
        runs_failed=failed,
        run_every_minutes=every.total_seconds() / 60,
        share_found_by_the_second_run=round(sum(late <= 2 * every for late in latest) / len(latest), 4),
    )


@pytest.mark.django_db
def test_a_match_that_a_late_event_supersedes_stays(store, monkeypatch, holds):
    history = History(store, monkeypatch, BEGIN)
    first = mshta_start(BEGIN + timedelta(minutes=1))
    end = mshta_connection(BEGIN + timedelta(minutes=1, seconds=30))
    between = mshta_start(BEGIN + timedelta(minutes=1, seconds=20))
    events = [MappedEvent(str(index), one, "fault") for index, one in enumerate((first, end, between))]
    history.now += timedelta(minutes=5)
    history.arrive(events[:2])
    history.run()
    old = history.stored()
    history.now += timedelta(minutes=5)
    history.arrive(events[2:])
    history.run()
    assert history.expected() == set(history.stored()) - set(old)
    assert len(history.stored()) == 2
    holds()
