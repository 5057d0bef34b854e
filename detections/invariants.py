"""What must hold at any time, whatever was killed: each check says in words what is broken."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from detections import integrity, journal, windows
from detections.alerts import alert_id
from detections.enums import OutboxState, RunStatus, RunTrigger
from detections.models import (
    Alert,
    CoverageGap,
    CoveredWindow,
    JournalStream,
    Lease,
    OutboxRow,
    Rule,
    RuleRun,
)
from detections.wake import LEASE

STUCK_AFTER = timedelta(hours=1)


def broken() -> Iterator[str]:
    """Every violation, in words. Reads only."""
    for check in CHECKS:
        yield from check()


def one_alert_a_match() -> Iterator[str]:
    """I2: an alert's id derives from its events, and is there once."""
    doubled = Alert.objects.values("alert_id").annotate(n=Count("pk")).filter(n__gt=1)
    for row in doubled:
        yield f"Alert {row['alert_id']} is stored {row['n']} times."
    for alert in Alert.objects.filter(rule__isnull=False).select_related("rule").iterator(chunk_size=500):
        assert alert.rule is not None
        expected = alert_id(alert.rule.rule_id, [event["identity"] for event in alert.events])
        if alert.origin == "run" and alert.alert_id != expected:
            yield f"Alert {alert.pk} does not have the id of its events."


def coverage_has_no_hole() -> Iterator[str]:
    """I4: up to covered_until everything is covered or listed as a gap."""
    for rule in Rule.objects.filter(covered_until__isnull=False):
        assert rule.covered_until is not None
        covered = [windows.Covered(w.start, w.end) for w in CoveredWindow.objects.filter(rule=rule)]
        gaps = CoverageGap.objects.filter(rule=rule, filled_at__isnull=True)
        covered += [windows.Covered(gap.from_time, gap.to_time) for gap in gaps]
        for hole in windows.holes(covered, rule.covered_until):
            yield f"{rule.name}: {hole.start or 'the beginning'} to {hole.end} is neither covered nor a gap."


def cursors_follow_runs() -> Iterator[str]:
    """I5: a rule's cursors stand where its last good run put them, or where enabling did."""
    for rule in Rule.objects.filter(covered_until__isnull=False):
        assert rule.covered_until is not None
        bad = RuleRun.objects.filter(
            rule=rule, status__in=[RunStatus.FAILED, RunStatus.TRUNCATED], window_end=rule.covered_until
        ).exclude(Q(window_start=rule.covered_until) | Q(trigger=RunTrigger.BACK))
        good = RuleRun.objects.filter(
            rule=rule, status__in=[RunStatus.SUCCEEDED, RunStatus.PARTIAL], window_end=rule.covered_until
        )
        if bad.exists() and not good.exists():
            yield f"{rule.name}: covered_until is the end of a run that failed."


def journal_holds() -> Iterator[str]:
    """I7: the journal is guarded, and its chains are whole."""
    for name in integrity.missing_triggers(connection):
        yield f"The journal's trigger {name} is missing. Run manage.py migrate."
    for stream in JournalStream.objects.all():
        yield from journal.verify(stream)


def outbox_moves() -> Iterator[str]:
    """I10: nothing in the outbox is given up, or due for long."""
    now = timezone.now()
    for row in OutboxRow.objects.filter(state=OutboxState.FAILED):
        yield f"Outbox row {row.pk} ({row.kind}) was given up: {row.error}"
    for row in OutboxRow.objects.filter(state=OutboxState.PENDING, not_before__lt=now - STUCK_AFTER):
        yield f"Outbox row {row.pk} ({row.kind}) has been due since {row.not_before}."


def runs_say_what_happened() -> Iterator[str]:
    """I11: no run is called good that was not, and none is left running while nobody is at it."""
    for run in RuleRun.objects.filter(status=RunStatus.SUCCEEDED).exclude(error=""):
        yield f"Run {run.pk} succeeded and has an error: {run.error}"
    lease = Lease.objects.filter(name=LEASE, expires_at__gt=timezone.now())
    if not lease.exists():
        for run in RuleRun.objects.unfinished().exclude(trigger=RunTrigger.BACK):
            yield f"Run {run.pk} of {run.rule.name} is left running; the next wake closes it."


CHECKS: tuple[Callable[[], Iterator[str]], ...] = (
    one_alert_a_match,
    coverage_has_no_hole,
    cursors_follow_runs,
    journal_holds,
    outbox_moves,
    runs_say_what_happened,
)
