"""Wake: compute which rules are due, claim them as one set under one lease, run them, commit rule by rule.

Two beats, two workers and twenty deliveries are harmless: who does not get the lease goes home.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from detections import broker, cluster_health, journal, lease, outbox, run, schedules, true_up
from detections.actors import Actor, system
from detections.enums import OutboxState, RunTrigger
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.models import OutboxRow, Rule, RuleRun

log = logging.getLogger(__name__)

WAKE_TASK = "detections.tasks.wake"
LEASE = "wake"
RUN_NOW = "run_now"


class BusyError(CasewrightError):
    """Somebody else is running rules. What was asked for is done afterwards."""


def wake(*, now: datetime | None = None, actor: Actor | None = None) -> list[RuleRun]:
    """Run every rule that is due. An empty list: none is, or somebody else is at it."""
    with lease.hold(LEASE) as held:
        if held is None:
            return []
        _after_lost_worker()
        found = _run_due(now, actor)
        cluster_health.note()
        return found


def _run_due(now: datetime | None, actor: Actor | None) -> list[RuleRun]:
    rules = due(now=now)
    announced = [rule for rule in rules if rule.due_since and rule.last_run_at]
    others = [rule for rule in rules if rule not in announced]
    actor = actor or system("scheduled run")
    return [
        *run.run_rules(announced, actor=actor, trigger=RunTrigger.IMPORT, now=now),
        *run.run_rules(others, actor=actor, trigger=RunTrigger.SCHEDULE, now=now),
        *true_up.run_due(actor=system("true-up"), now=now),
    ]


def run_now(rules: Iterable[Rule], *, actor: Actor, now: datetime | None = None) -> list[RuleRun] | None:
    """Run rules whether they are due or not. None while somebody else runs rules."""
    with lease.hold(LEASE) as held:
        if held is None:
            return None
        _after_lost_worker()
        return run.run_rules(rules, actor=actor, trigger=RunTrigger.MANUAL, now=now)


def request_run(rule: Rule, *, actor: Actor) -> bool:
    """Ask for a run of an enabled rule now; a worker does it. False: one that was asked for still waits.

    Raises NotPermittedError, and ScheduleError for a rule that is disabled or can't run here.
    """
    actor.require("detections.change_rule", "run a rule")
    schedules.refuse_unrunnable(rule)
    if not rule.enabled:
        raise schedules.ScheduleError(f"{rule.name} is disabled. Enable it, or search back with it.")
    with transaction.atomic():
        Rule.objects.select_for_update().get(pk=rule.pk)
        if OutboxRow.objects.filter(kind=RUN_NOW, subject=rule.pk, state=OutboxState.PENDING).exists():
            return False
        entry = journal.record(f"rule:{rule.pk}", "run_requested", actor=actor)
        outbox.put(RUN_NOW, f"{RUN_NOW}:{rule.pk}:{entry.number}", rule.pk)
    return True


@outbox.handler(RUN_NOW)
def deliver_run_now(rule_id: int | None) -> None:
    """Outbox: run a rule that somebody asked for. Raises BusyError while somebody else runs rules."""
    assert rule_id is not None
    rules = list(Rule.objects.runnable().filter(pk=rule_id, current__isnull=False))
    if rules and run_now(rules, actor=system("run that was asked for")) is None:
        raise BusyError("Rules are running; this run follows.")


def due(*, now: datetime | None = None, pause: timedelta | None = None) -> list[Rule]:
    """The enabled rules whose time has come: never run, by their schedule, or since new telemetry came.

    pause: how long new telemetry waits after a rule's last run; a wake's interval unless told, since a run
    that fails stays due.
    """
    now = now or timezone.now()
    pause = timedelta(seconds=settings.WAKE_SECONDS) if pause is None else pause
    entries = schedules.entries()
    rules = Rule.objects.runnable().filter(current__isnull=False)
    return [rule for rule in rules if _is_due(rule, entries.get(schedules.entry_name(rule)), now, pause)]


def request_wake(*, now: datetime | None = None) -> int:
    """Telemetry came that rules have not searched: they are due. Cheap; the nudge follows the commit.

    Returns how many rules it concerns. Each call counts, since a run clears only what was announced before
    the end of its window.
    """
    head = event_store().head()
    with transaction.atomic():
        behind = Rule.objects.runnable().filter(mark__lt=head)
        count = behind.update(due_since=now or timezone.now())
        if count:
            broker.nudge_on_commit(WAKE_TASK)
    return count


def _is_due(rule: Rule, entry: PeriodicTask | None, now: datetime, pause: timedelta) -> bool:
    if rule.last_run_at is None:
        return True
    if rule.due_since and now - rule.last_run_at >= pause:
        return True
    if entry is None or not schedules.fits(entry, rule):
        entry = schedules.sync_entry(rule)
    schedule = entry.schedule
    schedule.nowfun = lambda: now
    return bool(schedule.is_due(rule.last_run_at).is_due)


def _after_lost_worker() -> None:
    lost = run.fail_lost_runs()
    if lost:
        log.warning("%s runs were left behind by a worker that is gone.", lost)
