"""Health: every failure is there with its reason, and so is that all is well."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from detections import health, heartbeat, run, schedules, wake
from detections.actors import system
from detections.enums import ImportStatus, OutboxState, RunStatus, RunTrigger
from detections.errors import StoreError
from detections.models import Heartbeat, Import, OutboxRow, Rule, RuleRun, Segment
from detections.run_durations import Durations
from tests.factories.events import attack, mapped
from tests.factories.rules import rule as make_rule

ACTOR = system("test")
YEARS_AGO = datetime(2019, 7, 18, 20, 53, tzinfo=UTC)
batches = itertools.count()


def enabled(rule_id="mshta", **fields):
    return schedules.set_enabled(make_rule(rule_id, enabled=False, **fields), True, actor=ACTOR)


@pytest.fixture
def alive(db):
    for name in health.PROCESSES:
        heartbeat.beat(name)


@pytest.fixture
def broken_store(store, monkeypatch):
    class Broken:
        def head(self):
            return store.head()

        def search_eql(self, *_, **__):
            raise StoreError("The disk is full.")

    monkeypatch.setattr(run, "event_store", Broken)


def run_of(made, milliseconds, **changed):
    made.pk = None
    for name, value in {"trigger": RunTrigger.SCHEDULE, "status": RunStatus.SUCCEEDED, **changed}.items():
        setattr(made, name, value)
    made.duration_ms = milliseconds
    made.save(force_insert=True)


def strip(**options):
    return health.strip(actor=ACTOR, **options)


def said(found):
    return [(item.state, item.text) for item in found.items]


def test_all_is_well(store, alive):
    enabled()
    wake.wake()
    found = strip()
    assert (found.is_well, found.rules_on_time, found.rules_enabled, found.problems) == (True, 1, 1, ())
    assert said(found)[1:] == [("ok", "1 of 1 rule on time"), ("ok", "0 gaps")]


def test_no_rule_at_all_is_said(store, alive):
    assert said(strip())[0] == ("not_run", "No rule is enabled")


def test_a_failed_run_is_there_with_its_reason(broken_store, alive):
    enabled()
    wake.wake()
    found = strip()
    assert [made.error for made in found.failed] == ["The disk is full."]
    assert "Rule mshta: the last run failed. The disk is full." in found.problems
    assert ("failed", "1 failed run: The disk is full.") in said(found)
    (one,) = health.rule_health(actor=ACTOR)
    assert [(made.status, made.error) for made in one.troubles] == [("failed", "The disk is full.")]


def test_a_rule_that_fell_behind_is_not_on_time(store, alive):
    rule = enabled()
    wake.wake()
    assert health.is_on_time(Rule.objects.get(pk=rule.pk), timezone.now()) is True
    assert strip(now=timezone.now() + timedelta(minutes=10)).rules_on_time == 0


def test_a_gap_is_counted_and_listed_with_its_reason(store, alive):
    store.append(mapped(*attack(YEARS_AGO)), batch=f"health:{next(batches)}")
    enabled()
    assert strip().gaps == 1
    (one,) = health.rule_health(actor=ACTOR)
    assert [gap.reason for gap in one.gaps] == ["new_rule"]
    wake.wake()
    (one,) = health.rule_health(actor=ACTOR)
    assert (one.gaps, [gap.reason for gap in one.filled_gaps]) == ((), ["new_rule"])
    assert (one.lag_tolerance, one.counts) == (timedelta(minutes=3), {"succeeded": 2})


def test_a_process_without_a_sign_of_life_is_named(store):
    heartbeat.beat("beat")
    assert "No sign of life from worker. Is manage.py up running?" in strip().problems
    assert len(strip(now=timezone.now() + timedelta(minutes=5)).signs) == 2
    assert said(strip(now=timezone.now() + timedelta(minutes=5)))[-1] == (
        "failed",
        "No sign of life from beat and worker",
    )


def test_work_that_was_given_up_or_waits_too_long_is_shown(store, alive):
    now = timezone.now()
    OutboxRow.objects.create(
        kind="run_pivot", key="a", state=OutboxState.FAILED, attempts=8, not_before=now, error="no host"
    )
    OutboxRow.objects.create(kind="run_pivot", key="b", not_before=now)
    OutboxRow.objects.filter(key="b").update(created_at=now - timedelta(minutes=5))
    found = strip()
    assert "Given up after 8 attempts: run_pivot. no host" in found.problems
    assert ("failed", "2 pieces of work stuck") in said(found)


def test_a_running_import_is_shown(store, alive):
    Import.objects.create(status=ImportStatus.RUNNING)
    assert ("running", "1 import running") in said(strip())


def test_an_unreadable_segment_is_shown_with_its_reason(store, alive):
    store.append(mapped(*attack(YEARS_AGO)), batch=f"health:{next(batches)}")
    Segment.objects.update(state="unreadable", last_error="the file is missing")
    assert strip().problems[-1].endswith("is unreadable: the file is missing")


def test_an_outsider_sees_nothing(store, alive, outsider):
    enabled()
    wake.wake()
    found = health.strip(actor=outsider)
    assert (found.rules_enabled, found.last_run_at, found.gaps) == (0, None, 0)
    assert health.rule_health(actor=outsider) == []


def test_run_durations_are_the_nearest_ranks_of_what_ran_on_schedule(store, alive):
    enabled()
    wake.wake()
    made = RuleRun.objects.first()
    RuleRun.objects.all().delete()
    for milliseconds in range(1, 41):
        run_of(made, milliseconds)
    run_of(made, 90_000, trigger=RunTrigger.BACK)
    run_of(made, 99, status=RunStatus.TRUNCATED, error="full")
    (one,) = health.rule_health(actor=ACTOR)
    assert one.durations == Durations(timedelta(milliseconds=21), timedelta(milliseconds=39), 41)
    assert one.truncations == 1


def test_a_rule_without_a_finished_run_has_no_durations(store, alive):
    enabled()
    assert health.rule_health(actor=ACTOR)[0].durations is None


@pytest.mark.parametrize("number", [1, 3])
def test_rules_cost_the_same_queries_however_many(store, alive, number, django_assert_num_queries):
    for name in range(number):
        enabled(f"rule-{name}")
    wake.wake()
    with django_assert_num_queries(8):
        assert len(health.rule_health(actor=ACTOR)) == number


@pytest.mark.parametrize(
    ("seconds", "words"), [(4, "4 s ago"), (130, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert health.ago(timedelta(seconds=seconds)) == words


def test_for_a_minute_after_a_start_processes_are_starting_and_then_missed(store):
    heartbeat.beat(health.START)
    now = timezone.now()
    assert said(strip(now=now))[-1] == ("running", "Starting: beat and worker")
    assert not any("No sign of life" in problem for problem in strip(now=now).problems)
    later = now + health.STARTING + timedelta(seconds=1)
    assert said(strip(now=later))[-1] == ("failed", "No sign of life from beat and worker")


def test_after_a_restart_the_signs_of_before_do_not_alarm_at_once(store, alive):
    now = timezone.now() + timedelta(hours=3)
    assert all(sign.is_missed for sign in health.signs(now=now))
    Heartbeat.objects.create(name=health.START, seen_at=now - timedelta(seconds=5))
    assert all(sign.is_starting and not sign.is_missed for sign in health.signs(now=now))
    Heartbeat.objects.filter(name="worker").update(seen_at=now)
    assert [sign.is_starting for sign in health.signs(now=now)] == [True, False]
