"""Searching the past: slice by slice, stopped and killed anywhere, each match once."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from detections import back_search, invariants, outbox, run, schedules
from detections.actors import NotPermittedError, system
from detections.back_search import BackSearchError
from detections.enums import OutboxState, RunStatus
from detections.errors import StoreError
from detections.models import Alert, BackSearch, CoverageGap, JournalEntry, OutboxRow, RuleRun
from tests.factories.events import attack, mapped
from tests.factories.rules import rule as make_rule

ACTOR = system("test")
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(hours=10)
batches = itertools.count()


@pytest.fixture
def rule(store):
    return schedules.set_enabled(make_rule(enabled=False), True, actor=ACTOR)


def append(store, *moments):
    for moment in moments:
        documents = attack(moment, entity=f"p-{moment:%H%M%S}")
        store.append(mapped(*documents), batch=f"test:{next(batches)}")


def asked(rule, start=START, end=END, **options):
    return back_search.request(rule, start=start, end=end, actor=options.pop("actor", ACTOR), **options)


def work(search):
    """Deliver this search's rows alone, until none is left."""
    while row := OutboxRow.objects.filter(kind=back_search.KIND, state=OutboxState.PENDING).first():
        OutboxRow.objects.filter(pk=row.pk).update(not_before=timezone.now())
        outbox.deliver(row.pk)
    search.refresh_from_db()
    return search


def test_everything_in_the_stretch_is_found_once(store, rule):
    """A match every half hour, so that some straddle the seams of slices."""
    moments = [START + timedelta(minutes=30 * number, seconds=-1) for number in range(1, 20)]
    append(store, *moments, START - timedelta(hours=1), END + timedelta(hours=1))
    search = work(asked(rule))
    assert (search.state, search.percent, search.searched_until) == ("succeeded", 100, END)
    assert Alert.objects.count() == 19
    assert (search.run.status, search.run.alerts_new, search.run.alerts_known) == ("succeeded", 19, 0)
    assert search.slices_done == 67  # 36,000 s in look-backs of 540 s


def test_a_second_search_knows_everything(store, rule):
    append(store, START + timedelta(hours=1))
    work(asked(rule))
    again = work(asked(rule))
    assert (again.run.alerts_new, again.run.alerts_known, Alert.objects.count()) == (0, 1, 1)


def test_what_is_found_goes_to_cases(store, rule):
    append(store, START + timedelta(hours=1))
    work(asked(rule))
    assert OutboxRow.objects.filter(kind=run.ROUTE_ALERTS).count() == 1


def test_a_slice_that_two_workers_search_is_stored_once(store, rule, monkeypatch):
    append(store, START + timedelta(minutes=3))
    search = asked(rule)
    original, calls = back_search.rule_search.search, []

    def twice(*arguments, **options):
        calls.append(arguments)
        original(*arguments, **options)
        if len(calls) == 1:
            back_search.deliver_slice(search.pk)

    monkeypatch.setattr(back_search.rule_search, "search", twice)
    back_search.deliver_slice(search.pk)
    search.refresh_from_db()
    assert (len(calls), search.slices_done, search.run.alerts_new, Alert.objects.count()) == (2, 1, 1, 1)


def test_a_worker_killed_before_the_commit_leaves_the_slice_to_the_next(store, rule, monkeypatch):
    append(store, START + timedelta(minutes=3))
    search = asked(rule)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(back_search, "_commit", killed)
    with pytest.raises(KeyboardInterrupt):
        back_search.deliver_slice(search.pk)
    monkeypatch.undo()
    assert Alert.objects.count() == 0
    assert (work(search).state, Alert.objects.count()) == ("succeeded", 1)


def test_a_cancelled_search_stops_and_says_how_far_it_came(store, rule, lead, admin):
    append(store, START + timedelta(minutes=3), END - timedelta(minutes=3))
    search = asked(rule, actor=admin)
    outbox.deliver(OutboxRow.objects.get(kind=back_search.KIND).pk)
    with pytest.raises(NotPermittedError):
        back_search.cancel(search, actor=lead)
    assert back_search.cancel(search, actor=admin) is True
    assert back_search.cancel(search, actor=admin) is False
    work(search)
    assert (search.state, search.slices_done, Alert.objects.count()) == ("cancelled", 1, 1)
    assert search.error == "Cancelled by Adi. Searched up to: 2026-01-01 00:09:00 UTC."
    assert RuleRun.objects.get(pk=search.run_id).status == RunStatus.PARTIAL
    verbs = JournalEntry.objects.filter(verb__startswith="back_search").values_list("verb", "actor")
    assert list(verbs.order_by("pk")) == [("back_search_requested", "Adi"), ("back_search_ended", "Adi")]


def test_a_slice_at_hand_when_it_is_cancelled_is_discarded(store, rule, monkeypatch):
    append(store, START + timedelta(minutes=3))
    search = asked(rule)
    original = back_search.rule_search.search

    def cancelled_meanwhile(*arguments, **options):
        original(*arguments, **options)
        back_search.cancel(search, actor=ACTOR)

    monkeypatch.setattr(back_search.rule_search, "search", cancelled_meanwhile)
    assert (work(search).state, search.slices_done, Alert.objects.count()) == ("cancelled", 0, 0)


def test_a_store_that_fails_is_tried_again_and_in_the_end_told(store, rule, monkeypatch):
    class Broken:
        def head(self):
            return 0

        def search_eql(self, *_, **__):
            raise StoreError("The disk is gone.")

    search = asked(rule)
    monkeypatch.setattr(back_search, "event_store", Broken)
    work(search)
    assert (search.state, search.error, search.attempts_failed) == ("failed", "The disk is gone.", 5)
    assert RuleRun.objects.get(pk=search.run_id).status == RunStatus.FAILED


def test_a_search_whose_work_was_given_up_is_ended(store, rule):
    search = asked(rule)
    assert back_search.fail_lost() == 0
    OutboxRow.objects.update(state=OutboxState.FAILED)
    assert back_search.fail_lost() == 1
    search.refresh_from_db()
    assert (search.state, search.error) == ("failed", back_search.LOST)


def test_waking_leaves_a_search_alone(store, rule):
    search = asked(rule)
    run.fail_lost_runs()
    assert RuleRun.objects.get(pk=search.run_id).status == RunStatus.RUNNING


def test_gaps_inside_are_filled(store, rule):
    gap = {"rule": rule, "mark_from": 0, "mark_to": 0, "reason": "did_not_run"}
    inside = CoverageGap.objects.create(
        from_time=START + timedelta(hours=1), to_time=START + timedelta(hours=2), **gap
    )
    across = CoverageGap.objects.create(
        from_time=END - timedelta(hours=1), to_time=END + timedelta(hours=1), **gap
    )
    search = work(asked(rule))
    inside.refresh_from_db()
    across.refresh_from_db()
    assert (inside.filled_by, across.filled_by) == (search.run, None)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (END, START, "ends before it begins"),
        (START, START, "ends before it begins"),
        (START, datetime(2199, 1, 1, tzinfo=UTC), "which is not over yet"),
    ],
)
def test_a_stretch_that_is_none_is_refused(store, rule, start, end, why):
    with pytest.raises(BackSearchError, match=why):
        asked(rule, start, end)
    assert (BackSearch.objects.count(), RuleRun.objects.count()) == (0, 0)


def test_one_search_of_a_rule_at_a_time(store, rule):
    asked(rule)
    with pytest.raises(BackSearchError, match="under way"):
        asked(rule)
    assert RuleRun.objects.count() == 1


def test_analysts_do_not_search_back(store, rule, analyst):
    with pytest.raises(NotPermittedError):
        asked(rule, actor=analyst)


def test_the_invariants_hold_while_it_is_under_way(store, rule):
    asked(rule)
    assert [line for line in invariants.broken() if "left running" in line] == []


def test_a_run_of_a_back_search_is_not_pruned(store, rule):
    search = work(asked(rule))
    run.prune_runs(before=timezone.now() + timedelta(days=1))
    assert RuleRun.objects.filter(pk=search.run_id).exists()
