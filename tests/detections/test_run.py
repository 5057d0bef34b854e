"""Runs: no match is lost, none is doubled, and only a stored run moves what is covered."""

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection

from detections import alerts, invariants, journal, rule_search, run, schedules
from detections.actors import NotPermittedError, system
from detections.enums import GapReason, RunStatus, RunTrigger, TimeBasis
from detections.errors import SearchTimeoutError, StoreError
from detections.models import Alert, CoverageGap, CoveredWindow, JournalEntry, OutboxRow, Rule, RuleRun
from tests.factories.events import attack, mapped, mshta_connection, mshta_start
from tests.factories.rules import rule as make_rule

ACTOR = system("test")
NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
YEARS_AGO = datetime(2019, 7, 18, 20, 53, tzinfo=UTC)
batches = itertools.count()


def append(store, *documents):
    store.append(mapped(*documents), batch=f"test:{next(batches)}")


def enabled(rule_id="mshta", **fields):
    rule = make_rule(rule_id, enabled=False, **fields)
    return schedules.set_enabled(rule, True, actor=ACTOR)


def go(*rules, trigger=RunTrigger.SCHEDULE, **options):
    return run.run_rules(rules, actor=ACTOR, trigger=trigger, **options)


def state(rule):
    rule.refresh_from_db()
    return rule.covered_until, rule.mark


class Failing:
    """The event store as the product asks it, failing where told to."""

    def __init__(self, store, error, *, times=10**6, queries=None):
        self.store, self.error, self.times, self.queries = store, error, times, queries

    def head(self):
        return self.store.head()

    def search_eql(self, searches, region, **options):
        if self.times > 0 and (self.queries is None or {s.key for s in searches} & self.queries):
            self.times -= 1
            raise self.error
        return self.store.search_eql(searches, region, **options)


@pytest.fixture
def failing(store, monkeypatch):
    def install(error, **options):
        failing = Failing(store, error, **options)
        monkeypatch.setattr(run, "event_store", lambda: failing)

    return install


@pytest.fixture(autouse=True)
def everything_holds(db):
    """The invariants, after each test."""
    yield
    assert list(invariants.broken()) == []


def test_a_capture_from_years_ago_is_found_by_a_rule_that_was_enabled_before(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    (made,) = go(rule)
    assert (made.status, made.alerts_new, made.matches_found) == ("succeeded", 1, 1)
    alert = Alert.objects.get()
    assert (alert.host_id, alert.first_event_at, alert.time_basis) == ("host-1", YEARS_AGO, "strict")
    assert alert.join_keys == [["host.id", "host-1"], ["process.entity_id", "p-1"]]
    assert [event["document"]["event"]["category"] for event in alert.events] == [["process"], ["network"]]


def test_a_capture_that_was_there_before_is_found_through_the_gap(store):
    append(store, *attack(YEARS_AGO))
    rule = enabled()
    assert CoverageGap.objects.get().reason == GapReason.NEW_RULE
    own, fill = go(rule)
    assert (own.alerts_new, fill.alerts_new) == (0, 1)
    assert CoverageGap.objects.get().filled_by == fill
    assert go(rule)[-1].alerts_new == 0


def test_the_same_match_twice_is_one_alert(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    go(rule)
    Rule.objects.update(mark=0)
    rule.refresh_from_db()
    (again,) = go(rule)
    assert (again.matches_found, again.alerts_new, again.alerts_known) == (1, 0, 1)
    assert Alert.objects.count() == 1


def test_an_alert_s_id_is_the_hash_of_rule_and_events_in_order():
    assert alerts.alert_id("r", ["a", "b"]) != alerts.alert_id("r", ["b", "a"])
    assert alerts.alert_id("r", ["ab"]) != alerts.alert_id("ra", ["b"])
    assert len(alerts.alert_id("r", ["a"])) == 64


def test_a_run_moves_the_cursors_and_covers_its_window(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    (made,) = go(rule)
    assert state(rule) == (made.window_end, 1)
    assert [(w.start, w.end) for w in CoveredWindow.objects.all()] == [(None, made.window_end)]
    assert rule.last_run_at == made.started_at


def test_new_alerts_ask_for_their_routing_and_are_journaled(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    (made,) = go(rule)
    assert [(row.kind, row.subject) for row in OutboxRow.objects.all()] == [("route_alerts", made.pk)]
    assert JournalEntry.objects.last().verb == "alerts_stored"
    go(rule)
    assert OutboxRow.objects.count() == 1


def test_a_search_that_fails_is_a_failed_run_and_advances_nothing(store, failing):
    rule = enabled()
    before = state(rule)
    append(store, *attack(YEARS_AGO))
    failing(StoreError("segment 4 is gone"))
    (made,) = go(rule)
    assert (made.status, made.error) == ("failed", "segment 4 is gone")
    assert (state(rule), Alert.objects.count()) == (before, 0)


def test_the_run_after_a_failed_one_covers_the_window_again(store, failing):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    failing(StoreError("disk full"), times=1)
    assert [go(rule)[0].status, go(rule)[0].alerts_new] == ["failed", 1]


def test_a_rule_that_is_slow_alone_does_not_fail_the_others(store, failing):
    good, slow = enabled(), enabled("slow")
    append(store, *attack(YEARS_AGO))
    failing(SearchTimeoutError("more than 120 s"), queries={"slow"})
    found = {made.rule.rule_id: (made.status, made.alerts_new) for made in go(good, slow)}
    assert found == {"mshta": ("succeeded", 1), "slow": ("failed", 0)}


@pytest.mark.parametrize(
    ("query", "said"),
    [("process where", "line 1"), ("process where no_such.field == 1", "no_such.field")],
)
def test_a_query_that_can_not_run_fails_its_rule_alone(store, query, said):
    good, bad = enabled(), enabled("bad", query=query, maxspan=None)
    append(store, *attack(YEARS_AGO))
    found = {made.rule.rule_id: made for made in go(good, bad)}
    assert (found["mshta"].status, found["bad"].status) == ("succeeded", "failed")
    assert said in found["bad"].error


def test_killed_after_the_search_nothing_is_half_written(store, monkeypatch):
    rule = enabled()
    before = state(rule)
    append(store, *attack(YEARS_AGO))
    with monkeypatch.context() as killed:
        killed.setattr(alerts, "store", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go(rule)
    assert (state(rule), Alert.objects.count()) == (before, 0)
    assert RuleRun.objects.get().status == RunStatus.RUNNING
    assert run.fail_lost_runs() == 1
    assert RuleRun.objects.get().error == run.WORKER_LOST
    assert go(rule)[0].alerts_new == 1


def test_a_database_that_fails_while_storing_is_a_failed_run(store, monkeypatch):
    rule = enabled()
    before = state(rule)

    def refuse(*_, **__):
        raise DatabaseError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(alerts, "store", refuse)
        (made,) = go(rule)
    assert (made.status, made.error) == ("failed", "Storing what was found failed: disk I/O error")
    assert state(rule) == before


def test_a_run_that_lost_its_rule_meanwhile_stores_nothing(store, monkeypatch):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    search = rule_search.search

    def overtaken(*args, **options):
        search(*args, **options)
        Rule.objects.update(fence=99)

    with monkeypatch.context() as other:
        other.setattr(rule_search, "search", overtaken)
        (made,) = go(rule)
    assert made.status == "failed"
    assert made.error.startswith("Another run took this rule over")
    assert (Alert.objects.count(), state(rule)[1]) == (0, 0)


def test_more_matches_than_the_limit_are_found_in_parts(store, monkeypatch):
    monkeypatch.setattr(rule_search, "LIMIT", 3)
    monkeypatch.setattr(rule_search.search, "__kwdefaults__", {"limit": 3})
    rule = enabled()
    times = [YEARS_AGO + timedelta(minutes=minute) for minute in range(17)]
    append(store, *(document for n, t in enumerate(times) for document in attack(t, entity=f"p-{n}")))
    (made,) = go(rule)
    assert (made.status, made.alerts_new) == ("succeeded", 17)


def test_more_matches_at_one_moment_than_any_limit_is_truncated_and_advances_nothing(store, monkeypatch):
    monkeypatch.setattr(rule_search, "LARGEST_LIMIT", 4)
    monkeypatch.setattr(rule_search.search, "__kwdefaults__", {"limit": 4})
    rule = enabled()
    before = state(rule)
    append(store, *(d for n in range(9) for d in attack(YEARS_AGO, entity=f"p-{n}")))
    (made,) = go(rule)
    assert made.status == "truncated"
    assert made.error.startswith("More than 4 matches at one moment")
    assert (state(rule), Alert.objects.count()) == (before, 0)


def test_a_capture_whose_clocks_disagree_is_found_in_the_order_of_event_created(store):
    rule = enabled()
    start = mshta_start(YEARS_AGO, created=YEARS_AGO)
    early = YEARS_AGO - timedelta(seconds=30)
    append(store, start, mshta_connection(early, created=YEARS_AGO + timedelta(seconds=2)))
    (made,) = go(rule)
    assert (made.alerts_new, made.alerts_repaired) == (1, 1)
    assert Alert.objects.get().time_basis == TimeBasis.CLOCK_REPAIRED


def test_a_strict_match_upgrades_the_repaired_alert_of_the_same_events(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    go(rule)
    Alert.objects.update(time_basis=TimeBasis.CLOCK_REPAIRED)
    Rule.objects.update(mark=0)
    rule.refresh_from_db()
    (made,) = go(rule)
    assert (made.alerts_new, Alert.objects.get().time_basis) == (0, TimeBasis.STRICT)
    assert JournalEntry.objects.last().verb == "alerts_upgraded"
    assert OutboxRow.objects.filter(kind="route_alerts", subject=made.pk).count() == 1


def test_a_sequence_that_straddles_two_runs_is_found(store):
    first, second = attack(YEARS_AGO)
    rule = enabled()
    append(store, first)
    assert go(rule)[0].alerts_new == 0
    append(store, second)
    assert go(rule)[0].alerts_new == 1


def test_two_workers_at_one_rule_make_one_alert(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    first = run._claim([rule])
    assert go(rule)[0].alerts_new == 1
    job = run._begin(first[0], RunTrigger.SCHEDULE, datetime.now(UTC), store.head(), "")
    run._work(store, [job], actor=ACTOR, now=datetime.now(UTC))
    assert (job.run.status, Alert.objects.count()) == ("failed", 1)


@pytest.mark.django_db(transaction=True)
def test_two_threads_at_one_rule_make_one_alert(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    start = threading.Barrier(2)

    def work():
        start.wait()
        go(rule)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alert.objects.count() == 1
    assert "succeeded" in set(RuleRun.objects.values_list("status", flat=True))


def test_only_who_may_change_rules_may_run_them(store, analyst):
    with pytest.raises(NotPermittedError):
        run.run_rules([], actor=analyst, trigger=RunTrigger.MANUAL)


def test_old_empty_runs_are_forgotten_and_those_with_matches_kept(store):
    rule = enabled()
    go(rule)
    append(store, *attack(YEARS_AGO))
    go(rule)
    assert run.prune_runs(before=datetime.now(UTC) + timedelta(days=31)) == 1
    assert [made.matches_found for made in RuleRun.objects.all()] == [1]


def test_telemetry_of_the_last_seconds_is_left_to_the_next_run(store):
    rule = enabled()
    now = datetime.now(UTC)
    append(store, *attack(now - timedelta(seconds=5)))
    first = go(rule)[0]
    assert (first.alerts_new, first.window_end) == (0, first.started_at - timedelta(seconds=15))
    assert go(rule, now=now + timedelta(seconds=60))[0].alerts_new == 1


def test_journal_of_a_rule_holds(store):
    rule = enabled()
    append(store, *attack(YEARS_AGO))
    go(rule)
    entry = JournalEntry.objects.filter(stream__name=f"rule:{rule.pk}").last()
    assert journal.verify(entry.stream) == []


def test_a_set_of_rules_gives_up_in_time_and_goes_on_with_the_next(store, monkeypatch):
    made = [enabled("a"), enabled("b")]
    monkeypatch.setattr(run, "LONGEST", -run.LONGEST)
    runs = run.run_rules(made, actor=ACTOR, trigger=RunTrigger.SCHEDULE)
    assert {(one.status, one.error) for one in runs} == {("failed", rule_search.OUT_OF_TIME)}
    monkeypatch.undo()
    runs = run.run_rules(made, actor=ACTOR, trigger=RunTrigger.SCHEDULE)
    assert {one.status for one in runs} == {"succeeded"}
