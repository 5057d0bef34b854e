"""Wake: who is due, and that one worker at a time is at it."""

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.schedulers import CasewrightScheduler, entries
from detections import lease, outbox, schedules, wake
from detections.actors import NotPermittedError, system
from detections.enums import RunTrigger
from detections.models import Alert, OutboxRow, Rule, RuleRun
from tests.factories.events import attack, mapped
from tests.factories.rules import rule as make_rule

ACTOR = system("test")
YEARS_AGO = datetime(2019, 7, 18, 20, 53, tzinfo=UTC)
batches = itertools.count()


def append(store, *documents):
    store.append(mapped(*documents), batch=f"test:{next(batches)}")


def enabled(rule_id="mshta", **fields):
    return schedules.set_enabled(make_rule(rule_id, enabled=False, **fields), True, actor=ACTOR)


def ran(rule, ago):
    """A rule that ran some time ago and is due for nothing else."""
    Rule.objects.filter(pk=rule.pk).update(last_run_at=timezone.now() - ago, due_since=None)
    return rule


def due_ids():
    return [rule.rule_id for rule in wake.due()]


def test_a_rule_that_never_ran_is_due(store):
    enabled()
    assert due_ids() == ["mshta"]


@pytest.mark.parametrize(("minutes", "is_due"), [(4, False), (6, True), (6000, True)])
def test_a_rule_is_due_by_its_schedule(store, minutes, is_due):
    ran(enabled(), timedelta(minutes=minutes))
    assert (due_ids() == ["mshta"]) is is_due


def test_a_disabled_rule_is_never_due(store):
    schedules.set_enabled(enabled(), False, actor=ACTOR)
    assert due_ids() == []


def test_a_rule_of_a_type_that_does_not_run_here_is_never_due(store):
    make_rule("ml", type="machine_learning")
    assert due_ids() == []


def test_new_telemetry_makes_rules_due(store):
    ran(enabled(), timedelta(minutes=1))
    assert (wake.request_wake(), due_ids()) == (0, [])
    append(store, *attack(YEARS_AGO))
    assert (wake.request_wake(), due_ids()) == (1, ["mshta"])


def test_rules_that_new_telemetry_keeps_due_do_not_run_without_pause(store):
    rule = ran(enabled(), timedelta(seconds=3))
    Rule.objects.filter(pk=rule.pk).update(due_since=timezone.now())
    assert due_ids() == []


def test_telemetry_stays_announced_until_a_run_has_passed_its_moment(store):
    rule = ran(enabled(), timedelta(minutes=1))
    append(store, *attack(YEARS_AGO))
    wake.request_wake()
    (made,) = wake.wake()
    rule.refresh_from_db()
    assert (made.trigger, made.alerts_new, rule.due_since is None) == (RunTrigger.IMPORT, 1, False)
    wake.wake(now=timezone.now() + timedelta(seconds=40))
    rule.refresh_from_db()
    assert rule.due_since is None


def test_an_import_that_ends_during_a_run_keeps_its_rules_due(store, monkeypatch):
    rule = ran(enabled(), timedelta(minutes=10))
    search = wake.run.rule_search.search

    def meanwhile(*args, **options):
        search(*args, **options)
        append(store, *attack(YEARS_AGO))
        wake.request_wake()

    monkeypatch.setattr(wake.run.rule_search, "search", meanwhile)
    assert wake.wake()[0].alerts_new == 0
    rule.refresh_from_db()
    assert rule.due_since is not None


def test_twenty_wakes_run_a_due_rule_once(store):
    enabled()
    append(store, *attack(YEARS_AGO))
    counts = [len(wake.wake()) for _ in range(20)]
    assert (sum(counts), counts[0], Alert.objects.count()) == (1, 1, 1)


def test_nobody_runs_while_another_holds_the_lease(store):
    enabled()
    with lease.hold(wake.LEASE):
        assert (wake.wake(), wake.run_now(wake.due(), actor=ACTOR)) == ([], None)


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_that_wake_together_one_runs(store):
    enabled()
    start, made = threading.Barrier(2), []

    def work():
        start.wait()
        made.append(len(wake.wake()))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == RuleRun.objects.count() == 1


def test_runs_of_a_killed_worker_are_closed_by_the_next_wake(store):
    rule = enabled()
    wake.wake()
    RuleRun.objects.update(status="running", finished_at=None)
    Rule.objects.update(last_run_at=None)
    wake.wake()
    assert sorted(RuleRun.objects.values_list("status", flat=True)) == ["failed", "succeeded"]
    assert "worker was lost" in RuleRun.objects.get(status="failed").error
    assert rule.rule_id == "mshta"


def entry(rule):
    return PeriodicTask.objects.get(name=schedules.entry_name(rule))


def test_a_rule_s_beat_entry_says_what_the_rule_says(store):
    rule = enabled()
    assert (entry(rule).interval.every, entry(rule).enabled, entry(rule).task) == (
        300,
        True,
        schedules.RULE_TASK,
    )
    schedules.change_schedule(rule, actor=ACTOR, interval_seconds=120)
    assert entry(rule).interval.every == 120
    schedules.set_enabled(rule, False, actor=ACTOR)
    assert entry(rule).enabled is False


def test_an_entry_that_somebody_changed_past_its_rule_is_put_right(store):
    rule = ran(enabled(), timedelta(minutes=6))
    hourly = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.update(interval=hourly)
    assert due_ids() == ["mshta"]
    assert entry(rule).interval.every == 300


def test_an_entry_that_somebody_deleted_comes_back(store):
    rule = ran(enabled(), timedelta(minutes=6))
    PeriodicTask.objects.all().delete()
    assert due_ids() == ["mshta"]
    assert entry(rule).enabled is True


@pytest.mark.django_db(transaction=True)
def test_beat_dispatches_the_product_s_entries_and_no_rule(store):
    enabled()
    scheduler = CasewrightScheduler(app=wake.broker.current_app, lazy=True)
    scheduler.setup_schedule()
    assert {found.task for found in scheduler.enabled_models()} == {
        "detections.tasks.wake",
        "detections.tasks.deliver_outbox",
        "detections.tasks.worker_heartbeat",
        "triage.tasks.check_alarms",
        "triage.tasks.send_canary",
        "triage.tasks.heal",
        "triage.tasks.check_invariants",
        "detections.tasks.take_outside_alerts",
        "detections.tasks.compact_store",
        "detections.tasks.sweep_store",
        "detections.tasks.prune",
    }


def test_every_beat_message_expires_before_the_next():
    for about in entries().values():
        assert about["options"]["expire_seconds"] <= about["schedule"].run_every.total_seconds()


def test_a_look_back_shorter_than_the_interval_is_refused_in_words(store):
    rule = enabled()
    with pytest.raises(schedules.ScheduleError, match="shorter than the interval of 600 s"):
        schedules.change_schedule(rule, actor=ACTOR, interval_seconds=600)
    rule.refresh_from_db()
    assert rule.interval_seconds == 300


def test_an_edit_makes_a_run_that_began_before_it_stale(store):
    rule = enabled()
    fence = rule.fence
    assert schedules.change_schedule(rule, actor=ACTOR, max_cases=5).fence == fence + 1


def test_only_who_may_change_rules_may_change_a_schedule(store, analyst, admin):
    rule = enabled()
    with pytest.raises(NotPermittedError):
        schedules.change_schedule(rule, actor=analyst, max_cases=5)
    with pytest.raises(NotPermittedError):
        schedules.set_enabled(rule, False, actor=analyst)
    assert schedules.change_schedule(rule, actor=admin, max_cases=5).max_cases == 5


def test_a_rule_enabled_again_lists_what_it_slept_through(store):
    rule = enabled()
    wake.wake()
    schedules.set_enabled(rule, False, actor=ACTOR)
    append(store, *attack(YEARS_AGO))
    later = timezone.now() + timedelta(hours=2)
    schedules.set_enabled(rule, True, actor=ACTOR, now=later)
    assert [gap.reason for gap in rule.gaps.all()] == ["rule_disabled", "rule_disabled"]
    made = wake.wake(now=later + timedelta(seconds=60))
    assert sum(one.alerts_new for one in made) == 1
    assert rule.gaps.filter(filled_at=None).count() == 0


def test_a_run_that_was_asked_for_is_done_by_the_outbox_once(store, admin):
    rule = ran(enabled(), timedelta(seconds=5))
    append(store, *attack(YEARS_AGO))
    assert wake.request_run(rule, actor=admin) is True
    assert wake.request_run(rule, actor=admin) is False
    row = OutboxRow.objects.get(kind=wake.RUN_NOW)
    assert outbox.deliver(row.pk) is True
    assert [run.trigger for run in RuleRun.objects.all()] == [RunTrigger.MANUAL]
    assert wake.request_run(rule, actor=admin) is True


def test_a_run_that_was_asked_for_waits_for_the_lease(store, admin):
    rule = enabled()
    wake.request_run(rule, actor=admin)
    row = OutboxRow.objects.get(kind=wake.RUN_NOW)
    with lease.hold(wake.LEASE):
        assert outbox.deliver(row.pk) is False
    row.refresh_from_db()
    assert (row.state, row.error) == ("pending", "BusyError: Rules are running; this run follows.")


def test_a_disabled_rule_is_not_run_by_hand(store, admin, analyst):
    rule = make_rule(enabled=False)
    with pytest.raises(schedules.ScheduleError, match="is disabled"):
        wake.request_run(rule, actor=admin)
    with pytest.raises(NotPermittedError):
        wake.request_run(rule, actor=analyst)
