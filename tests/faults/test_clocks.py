"""F3, F9: nobody woke the rules for days; clocks that jump, go back, change to summer or meet a leap day."""

import random
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest

from detections.models import CoverageGap
from detections.stores.base import MappedEvent
from tests.factories.events import attack
from tests.faults import number
from tests.faults.histories import History

DOWN = {"30 min": timedelta(minutes=30), "6 h": timedelta(hours=6), "3 d": timedelta(days=3)}
BERLIN = ZoneInfo("Europe/Berlin")
BEGINNINGS = [
    datetime(2026, 3, 29, 0, 50, tzinfo=UTC),  # an hour is left out in Berlin
    datetime(2026, 10, 25, 0, 50, tzinfo=UTC),  # an hour comes twice
    datetime(2028, 2, 28, 23, 50, tzinfo=UTC),  # a leap day
    datetime(2026, 12, 31, 23, 50, tzinfo=UTC),
]


def match(moment, name):
    """The two events of one match; half of them state their time with Berlin's offset."""
    documents = attack(moment, entity=name)
    if len(name) % 2:
        for document in documents:
            text = datetime.fromisoformat(document["@timestamp"]).astimezone(BERLIN).isoformat()
            document["@timestamp"] = text
    return [
        MappedEvent(sha256(f"{name} {index}".encode()).hexdigest(), document, "fault")
        for index, document in enumerate(documents)
    ]


@pytest.mark.django_db
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("down", DOWN)
@pytest.mark.parametrize("seed", range(number(1, 10)))
def test_after_beat_was_down_one_run_covers_all_of_it(store, monkeypatch, holds, down, seed):
    chance, begin = random.Random(seed), datetime(2026, 3, 18, tzinfo=UTC)
    history = History(store, monkeypatch, begin)
    history.now += timedelta(minutes=5)
    history.run()
    moments = sorted(chance.random() * DOWN[down] for _ in range(20))
    for index, offset in enumerate(moments):
        history.now = begin + timedelta(minutes=5) + offset
        history.arrive(match(history.now - timedelta(seconds=30), f"p-{index}"))
    history.now = begin + timedelta(minutes=6) + DOWN[down]
    runs = history.run()
    assert [(made.status, made.alerts_new) for made in runs] == [("succeeded", 20)]
    assert set(history.stored()) == history.expected()
    assert history.rule.runs.count() == 2
    assert not CoverageGap.objects.exists()
    holds()


@pytest.mark.django_db
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(number(4, 30)))
def test_a_clock_that_jumps_leaves_no_hole(store, monkeypatch, holds, seed):
    chance = random.Random(seed)
    history = History(store, monkeypatch, BEGINNINGS[seed % len(BEGINNINGS)])
    true_time = history.now
    for step in range(20):
        true_time += timedelta(minutes=chance.choice([1, 5, 5, 20]))
        jump = timedelta(minutes=chance.choice([0, 0, 0, 5, -5, -60]))
        history.now = true_time + jump
        history.arrive(match(true_time - timedelta(seconds=chance.randrange(300)), f"p-{step}"))
        if chance.random() < 0.8:
            history.run()
            holds()
    history.now = true_time + timedelta(hours=2)
    history.run()
    assert history.expected() <= set(history.stored())
    assert len(history.stored()) == len(set(history.stored()))
    assert not CoverageGap.objects.filter(filled_at__isnull=True).exists()
    holds()
