"""Matches that late telemetry supersedes stay and are marked: all of them, and no other."""

import random
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from detections import outbox, superseding
from detections.enums import OutboxState, SegmentState
from detections.errors import StoreError
from detections.models import Alert, JournalEntry, OutboxRow, RuleVersion, Segment
from detections.stores.base import MappedEvent
from tests.factories.events import mshta_connection, mshta_start
from tests.factories.rules import SEQUENCE
from tests.faults import number
from tests.faults.histories import History

pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 3, 18, tzinfo=UTC)

WITHOUT_MAXSPAN = {
    "query": SEQUENCE.replace(" with maxspan=1m", ""),
    "maxspan": None,
    "lookback_seconds": 6 * 3_600,
}


def event(name, document):
    return MappedEvent(sha256(name.encode()).hexdigest(), document, "test")


def started(seconds, name="start", **options):
    return event(name, mshta_start(BEGIN + timedelta(seconds=seconds), **options))


def connected(seconds, name="connection", **options):
    return event(name, mshta_connection(BEGIN + timedelta(seconds=seconds), **options))


@pytest.fixture
def history(store, monkeypatch):
    return History(store, monkeypatch, BEGIN)


def step(history, *events, minutes=5):
    history.now += timedelta(minutes=minutes)
    history.arrive(list(events))
    history.run()


def mark():
    for row in OutboxRow.objects.filter(kind=superseding.KIND, state=OutboxState.PENDING):
        outbox.deliver(row.pk)


def marked():
    return set(Alert.objects.filter(superseded_at__isnull=False).values_list("alert_id", flat=True))


def test_a_match_whose_partner_came_late_is_marked_and_stays(history):
    step(history, started(60, "first"), connected(90))
    [old] = history.stored()
    step(history, started(80, "second"))
    mark()
    assert marked() == {old}
    assert len(history.stored()) == 2
    entry = JournalEntry.objects.get(verb="alerts_superseded")
    assert (entry.actor, entry.data["alerts"]) == ("System (late telemetry)", [old])


def test_late_telemetry_of_another_process_marks_nothing(history):
    step(history, started(60), connected(90))
    step(history, started(80, "second", entity="p-2"), connected(95, "more", host="host-2"))
    assert OutboxRow.objects.filter(kind=superseding.KIND).count() == 1
    mark()
    assert marked() == set()


def test_telemetry_far_away_asks_for_no_look(history):
    step(history, started(60), connected(90))
    step(history, started(280, "second"))
    assert OutboxRow.objects.filter(kind=superseding.KIND).count() == 0


def test_looking_twice_marks_once(history):
    step(history, started(60, "first"), connected(90))
    step(history, started(80, "second"))
    mark()
    before = marked()
    OutboxRow.objects.filter(kind=superseding.KIND).update(state=OutboxState.PENDING)
    mark()
    assert marked() == before
    assert JournalEntry.objects.filter(verb="alerts_superseded").count() == 1


def test_events_that_the_store_no_longer_has_prove_nothing(history, store, monkeypatch):
    step(history, started(60, "first"), connected(90))
    step(history, started(80, "second"))
    monkeypatch.setattr(type(store), "fetch", lambda *_: {})
    mark()
    assert marked() == set()


def test_an_alert_of_an_earlier_version_is_not_judged_by_this_one(history):
    step(history, started(60, "first"), connected(90))
    old = history.rule.current
    history.rule.refresh_from_db()
    history.rule.current = RuleVersion.objects.create(
        rule=history.rule,
        number=2,
        query=old.query.replace("1m", "30s"),
        maxspan_seconds=30,
        source="",
        sha256="",
    )
    history.rule.save()
    step(history, started(80, "second"))
    mark()
    assert marked() == set()


def test_a_store_that_can_not_tell_is_asked_again(history, store, monkeypatch):
    step(history, started(60, "first"), connected(90))
    step(history, started(80, "second"))

    def broken(*_, **__):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(type(store), "search_eql", broken)
    mark()
    row = OutboxRow.objects.get(kind=superseding.KIND)
    assert (row.state, row.error) == ("pending", "SupersedingError: The disk is full.")
    monkeypatch.undo()
    outbox.OutboxRow.objects.update(not_before=BEGIN)
    mark()
    assert len(marked()) == 1


def test_a_match_that_is_found_again_stands_again(history):
    step(history, started(60), connected(90))
    Alert.objects.update(superseded_at=BEGIN)
    history.rule.refresh_from_db()
    history.rule.mark, history.rule.covered_until = 0, BEGIN
    history.rule.save()
    history.run()
    assert marked() == set()
    assert JournalEntry.objects.filter(verb="alerts_restored").count() == 1


@pytest.mark.parametrize("seed", range(number(2, 30)))
def test_marked_is_exactly_what_an_evaluator_over_everything_does_not_find(history, seed):
    same_as_an_evaluator(history, seed)


@pytest.mark.parametrize("seed", range(number(1, 30)))
def test_without_a_maxspan_too_as_far_as_the_look_back_reaches(store, monkeypatch, seed):
    """Everything lies within the look-back, so that every match of the evaluator is found."""
    same_as_an_evaluator(History(store, monkeypatch, BEGIN, **WITHOUT_MAXSPAN), seed)


def same_as_an_evaluator(history, seed):
    """Few processes, many events, up to two hours late, clocks ahead, the same moments."""
    chance = random.Random(seed)
    waiting = []
    for index in range(160):
        seconds = chance.randrange(0, 3_600, 5)
        make = chance.choice([started, connected])
        late = chance.choice([0, 20, 600, 7_200]) * chance.random() - chance.choice([0, 0, 0, 900])
        arrival = max(BEGIN + timedelta(seconds=seconds + late), BEGIN)
        waiting.append((arrival, make(seconds, f"e{index}", entity=f"p-{chance.randrange(4)}")))
    for _ in range(36):
        until = history.now + timedelta(minutes=5)
        step(
            history,
            *(
                one
                for arrival, one in waiting
                if history.now < arrival <= until or (arrival == BEGIN and history.now == BEGIN)
            ),
        )
        if chance.random() < 0.5:
            mark()
    history.finish()
    mark()
    stored, expected = set(history.stored()), history.expected()
    assert expected <= stored
    assert marked() == stored - expected


def test_a_match_without_maxspan_is_marked_whose_partner_came_late(store, monkeypatch):
    history = History(store, monkeypatch, BEGIN, **WITHOUT_MAXSPAN)
    step(history, started(0, "first"), connected(1_500), minutes=30)
    [old] = history.stored()
    step(history, started(1_600, "after"))
    assert OutboxRow.objects.filter(kind=superseding.KIND).count() == 0
    step(history, started(900, "second"))
    mark()
    assert marked() == {old}
    assert set(history.stored()) - {old} == history.expected()


def test_what_an_unreadable_segment_holds_is_unknown_until_it_can_be_read_again(history, settings):
    """The segment of the match itself is torn; its events are not found, and may be in it."""
    step(history, started(60, "first"), connected(90))
    [old] = history.stored()
    [segment] = Segment.objects.all()
    file = settings.EVENTS_DIR / segment.path
    whole = file.read_bytes()
    step(history, started(80, "second"))
    file.write_bytes(b"torn")
    Segment.objects.filter(pk=segment.pk).update(state=SegmentState.UNREADABLE)
    mark()
    assert marked() == set()
    file.write_bytes(whole)
    Segment.objects.filter(pk=segment.pk).update(state=SegmentState.ACTIVE)
    OutboxRow.objects.filter(kind=superseding.KIND).update(state=OutboxState.PENDING)
    mark()
    assert marked() == {old}


def test_what_a_segment_held_supersedes_once_its_gap_is_filled(history):
    step(history, started(60, "first"), connected(90))
    [old] = history.stored()
    history.now += timedelta(minutes=5)
    history.arrive([started(80, "second")])
    late = Segment.objects.latest("ingest")
    Segment.objects.filter(pk=late.pk).update(state=SegmentState.UNREADABLE)
    history.run()
    mark()
    assert (history.rule.gaps.get().reason, marked()) == ("store_unavailable", set())
    Segment.objects.filter(pk=late.pk).update(state=SegmentState.ACTIVE)
    step(history)
    mark()
    assert history.rule.gaps.filter(filled_at__isnull=True).count() == 0
    assert marked() == {old}
    assert set(history.stored()) - {old} == history.expected()
