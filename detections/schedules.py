"""A rule's schedule: its beat entry, whether it is enabled, and what an edit of either leaves unsearched.

The beat entry mirrors the rule and is written here alone, in the transaction of the change.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from detections import coverage, journal, windows
from detections.actors import Actor
from detections.enums import GapReason
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.models import Rule

RULE_TASK = "detections.tasks.run_rule"
MIN_INTERVAL_SECONDS = 30


class ScheduleError(CasewrightError):
    """A schedule that would leave time unsearched, or can't be."""


def set_enabled(rule: Rule, enabled: bool, *, actor: Actor, now: datetime | None = None) -> Rule:
    """Switch a rule on or off; nothing happens if it is so already.

    On enabling, its search begins a look-back before now, or where it stopped if that is later. What lies
    before becomes a gap that later runs fill. Raises ScheduleError for a rule that can't run here.
    """
    actor.require("detections.change_rule", "enable or disable a rule")
    now = now or timezone.now()
    head = event_store().head() if enabled else 0
    with transaction.atomic():
        rule = Rule.objects.select_for_update().get(pk=rule.pk)
        if rule.enabled == enabled:
            return rule
        if enabled:
            refuse_unrunnable(rule)
            begin(rule, now=now, head=head)
            rule.due_since = now
        rule.enabled = enabled
        _save(rule, "enabled", "covered_until", "mark", "due_since")
        journal.record(
            f"rule:{rule.pk}",
            "rule_enabled" if enabled else "rule_disabled",
            actor=actor,
            before="disabled" if enabled else "enabled",
            after="enabled" if enabled else "disabled",
            data={"covered_until": rule.covered_until, "mark": rule.mark},
        )
    return rule


def begin(rule: Rule, *, now: datetime, head: int) -> None:
    """Set where the rule's search begins, and store what that leaves unsearched. Does not save the rule."""
    start = windows.on_enabling(rule.covered_until, rule.mark, now=now, lookback=rule.lookback, head=head)
    reason = GapReason.RULE_DISABLED if rule.covered_until else GapReason.NEW_RULE
    for gap in start.gaps:
        coverage.open_gap(rule, gap, reason)
    if not start.gaps and rule.covered_until is None:
        coverage.cover(rule, windows.Covered(None, start.covered_until))
    elif not start.gaps and rule.covered_until and rule.covered_until < start.covered_until:
        coverage.cover(rule, windows.Covered(rule.covered_until, start.covered_until))
    rule.covered_until, rule.mark = start.covered_until, head


def change_schedule(
    rule: Rule,
    *,
    actor: Actor,
    interval_seconds: int | None = None,
    lookback_seconds: int | None = None,
    max_cases: int | None = None,
    settle_seconds: int | None = None,
    true_up: bool | None = None,
    clock_repaired: bool | None = None,
) -> Rule:
    """Change a rule's schedule, its cap, or how it searches a cluster; what is None stays.

    Raises ScheduleError if the look-back would be shorter than the interval, or the interval too short.
    """
    actor.require("detections.change_rule", "change a rule's schedule")
    wanted = {
        "interval_seconds": interval_seconds,
        "lookback_seconds": lookback_seconds,
        "max_cases": max_cases,
        "settle_seconds": settle_seconds,
        "true_up": true_up,
        "clock_repaired": clock_repaired,
    }
    with transaction.atomic():
        rule = Rule.objects.select_for_update().get(pk=rule.pk)
        _change(rule, {name: value for name, value in wanted.items() if value is not None}, actor)
    return rule


def _change(rule: Rule, wanted: dict[str, Any], actor: Actor) -> None:
    changed = {name: value for name, value in wanted.items() if value != getattr(rule, name)}
    before = {name: getattr(rule, name) for name in changed}
    for name, value in changed.items():
        setattr(rule, name, value)
    refuse_schedule(rule.interval_seconds, rule.lookback_seconds)
    if not changed:
        return
    _save(rule, *changed)
    journal.record(
        f"rule:{rule.pk}",
        "schedule_changed",
        actor=actor,
        before=_said(before),
        after=_said(changed),
        data={"before": before, "after": changed},
    )


def refuse_schedule(interval_seconds: int, lookback_seconds: int) -> None:
    """Raise ScheduleError for a schedule that would leave time unsearched where runs look back from now.

    Here they begin where the last one ended, so a file with such a schedule is widened; a person is told.
    """
    if interval_seconds < MIN_INTERVAL_SECONDS:
        raise ScheduleError(
            f"An interval of {interval_seconds} s is too short. Set it to {MIN_INTERVAL_SECONDS} s or more."
        )
    if lookback_seconds < interval_seconds:
        raise ScheduleError(
            f"A look-back of {lookback_seconds} s is shorter than the interval of {interval_seconds} s: the "
            "first run, and a sequence without maxspan, would see less than lies between two runs. Set it "
            f"to {interval_seconds} s or more."
        )


def sync_entry(rule: Rule) -> PeriodicTask:
    """Write the rule's beat entry as the rule says."""
    entry, _created = PeriodicTask.objects.update_or_create(
        name=entry_name(rule),
        defaults={
            "task": RULE_TASK,
            "interval": _interval(rule),
            "crontab": None,
            "solar": None,
            "clocked": None,
            "args": json.dumps([rule.pk]),
            "enabled": rule.enabled,
            "description": f"{rule.name}. Edit the rule, not this entry.",
        },
    )
    return entry


def _interval(rule: Rule) -> IntervalSchedule:
    wanted = {"every": rule.interval_seconds, "period": IntervalSchedule.SECONDS}
    return IntervalSchedule.objects.filter(**wanted).first() or IntervalSchedule.objects.create(**wanted)


def entries() -> dict[str, PeriodicTask]:
    """The rules' beat entries by name."""
    found = PeriodicTask.objects.filter(task=RULE_TASK).select_related("interval")
    return {entry.name: entry for entry in found}


def fits(entry: PeriodicTask, rule: Rule) -> bool:
    """Whether a beat entry says what its rule says. Somebody may have changed it past the rule."""
    interval = entry.interval
    return (
        interval is not None
        and (interval.every, interval.period) == (rule.interval_seconds, IntervalSchedule.SECONDS)
        and entry.enabled == rule.enabled
    )


def entry_name(rule: Rule) -> str:
    """The name of a rule's beat entry."""
    return f"rule {rule.rule_id}"


def tolerance_of(rule: Rule) -> timedelta | None:
    """How late an event may arrive and still surely be found on schedule; None for a rule without version."""
    if rule.current is None:
        return None
    seconds = rule.current.maxspan_seconds
    maxspan = None if seconds is None else timedelta(seconds=seconds)
    return windows.lag_tolerance(rule.interval, rule.lookback, maxspan)


# Telemetry that comes through a network and a queue is seldom quicker than this.
SHORT_TOLERANCE = timedelta(minutes=1)


def tolerance_sentence(tolerance: timedelta | None) -> str:
    """What a lag tolerance means, in one sentence; the form says the same while somebody types."""
    if tolerance is None:
        return "Unknown: the rule has no version."
    if tolerance < timedelta():
        return (
            f"Negative by {said(-tolerance)}: two events that arrive in time can still be missed together. "
            "Lengthen the look-back."
        )
    if tolerance < SHORT_TOLERANCE:
        return (
            f"Only {said(tolerance)}: events are often later than that. Lengthen the look-back or shorten "
            "the interval."
        )
    return f"An event that arrives up to {said(tolerance)} late is surely found on schedule."


def tolerance_warnings(rule: Rule) -> list[str]:
    """What an admin should know about a rule's schedule."""
    tolerance = tolerance_of(rule)
    if tolerance is None or tolerance >= SHORT_TOLERANCE:
        return []
    return [f"{rule.name}, lag tolerance: {tolerance_sentence(tolerance)}"]


def said(span: timedelta) -> str:
    """`3 min`, `2 min 30 s`, `45 s`."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    parts = [f"{minutes} min"] * bool(minutes) + [f"{seconds} s"] * bool(seconds or not minutes)
    return " ".join(parts)


def replaced_twins(rule: Rule) -> list[Rule]:
    """Enabled rules that this one stands in for, or that stand in for it: each match would count twice."""
    others = Rule.objects.enabled().exclude(pk=rule.pk)
    return [other for other in others if other.rule_id in rule.replaces or rule.rule_id in other.replaces]


def refuse_unrunnable(rule: Rule) -> None:
    """Raise ScheduleError for a rule that this version can not run."""
    if not rule.is_runnable:
        raise ScheduleError(
            f"{rule.name} is of type {rule.type}, which does not run here. Only EQL rules do."
        )
    if rule.current is None:
        raise ScheduleError(f"{rule.name} has no version. Load its rule file again.")


def _save(rule: Rule, *fields: str) -> None:
    """Save an edit. A run that began before it is stale by then: its fence is too low."""
    rule.version += 1
    rule.save(update_fields=[*fields, "version"])
    Rule.objects.filter(pk=rule.pk).update(fence=F("fence") + 1)
    rule.refresh_from_db(fields=["fence"])
    sync_entry(rule)


def _said(values: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
