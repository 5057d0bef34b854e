"""What must hold at any time, whatever was killed: a registry of checks that say in words what is broken.

Numbers are those of the product's reliability plan; a part that comes later registers its own.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, connection
from django.db.models import Count, Q
from django.utils import timezone

from detections import broker, heartbeat, integrity, journal, lease, memory, windows
from detections.alerts import alert_id
from detections.enums import OutboxState, RunStatus, RunTrigger
from detections.errors import CasewrightError
from detections.models import (
    Alert,
    CoverageGap,
    CoveredWindow,
    Heartbeat,
    JournalStream,
    Lease,
    OutboxRow,
    Rule,
    RuleRun,
)
from detections.run import ROUTE_ALERTS
from detections.wake import LEASE

log = logging.getLogger(__name__)

STUCK_AFTER = timedelta(hours=1)
# A burst of ten thousand alerts asks for about a thousand rows; beat sends twenty messages a minute.
MOST_ROWS_WAITING = 20_000
MOST_MESSAGES = 10_000
MOST_MEMORY = 2 * 1024**3
NAMED = 20

Check = Callable[[], Iterator[str]]
NAME = "invariants"
NIGHTLY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invariant:
    """number: I1 to I12. says: what holds, in a few words."""

    number: str
    says: str
    check: Check


@dataclass(frozen=True, slots=True)
class Result:
    """faults: what is broken, in words; empty where the invariant holds."""

    invariant: Invariant
    faults: tuple[str, ...]


_registered: dict[str, Invariant] = {}


def invariant(number: str, says: str) -> Callable[[Check], Check]:
    """Register a check. It reads only, and yields a sentence for each violation."""

    def register(check: Check) -> Check:
        name = f"{check.__module__}.{check.__qualname__}"
        _registered[name] = Invariant(number, says, check)
        return check

    return register


def registered() -> list[Invariant]:
    """Every invariant that this process knows, by number."""
    return sorted(_registered.values(), key=lambda one: (int(one.number[1:]), one.says))


def results() -> Iterator[Result]:
    """Check them one by one. A check that fails itself is a violation too."""
    for one in registered():
        try:
            faults = tuple(one.check())
        except (DatabaseError, CasewrightError) as error:
            faults = (f"It could not be checked: {error}",)
        yield Result(one, faults)


def broken() -> Iterator[str]:
    """Every violation, in words. Reads only."""
    for result in results():
        yield from result.faults


def check_nightly(*, now: datetime | None = None) -> list[Result]:
    """Check everything if the last check is a day old, and keep which numbers did not hold."""
    now = now or timezone.now()
    if Heartbeat.objects.filter(name=NAME, seen_at__gt=now - NIGHTLY).exists():
        return []
    with lease.hold(NAME) as held:
        if held is None:
            return []
        found = list(results())
        bad = sorted({result.invariant.number for result in found if result.faults})
        heartbeat.beat(NAME, " ".join(bad))
    for result in found:
        for fault in result.faults:
            log.error("%s is violated: %s", result.invariant.number, fault)
    return found


def newest_broken() -> list[str]:
    """The numbers that the newest nightly check found violated."""
    kept = Heartbeat.objects.filter(name=NAME).values_list("detail", flat=True).first()
    return kept.split() if kept else []


@invariant("I1", "an alert is on its way to a case until it has one")
def unrouted_alerts_are_on_their_way() -> Iterator[str]:
    """I1: an alert that is not routed has a row of the outbox that will route it."""
    waiting = list(Alert.objects.unrouted().values_list("pk", flat=True)[:NAMED])
    if not waiting or OutboxRow.objects.filter(kind=ROUTE_ALERTS, state=OutboxState.PENDING).exists():
        return
    # Routed meanwhile, by the row that is done now?
    for pk in Alert.objects.unrouted().filter(pk__in=waiting).values_list("pk", flat=True):
        yield f"Alert {pk} has no case, and nothing in the outbox will route it."


@invariant("I2", "a match is one alert")
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


@invariant("I4", "everything is searched or listed as a gap")
def coverage_has_no_hole() -> Iterator[str]:
    """I4: up to covered_until everything is covered or listed as a gap."""
    for rule in Rule.objects.filter(covered_until__isnull=False):
        assert rule.covered_until is not None
        covered = [windows.Covered(w.start, w.end) for w in CoveredWindow.objects.filter(rule=rule)]
        gaps = CoverageGap.objects.filter(rule=rule, filled_at__isnull=True)
        covered += [windows.Covered(gap.from_time, gap.to_time) for gap in gaps]
        for hole in windows.holes(covered, rule.covered_until):
            yield f"{rule.name}: {hole.start or 'the beginning'} to {hole.end} is neither covered nor a gap."


@invariant("I5", "cursors stand where good runs put them")
def cursors_follow_runs() -> Iterator[str]:
    """I5: a rule's cursors stand where its last good run put them, or where enabling did."""
    for rule in Rule.objects.filter(covered_until__isnull=False):
        assert rule.covered_until is not None
        bad = RuleRun.objects.filter(
            rule=rule, status__in=[RunStatus.FAILED, RunStatus.TRUNCATED], window_end=rule.covered_until
        ).exclude(Q(window_start=rule.covered_until) | Q(trigger__in=[RunTrigger.BACK, RunTrigger.TRUE_UP]))
        good = RuleRun.objects.filter(
            rule=rule, status__in=[RunStatus.SUCCEEDED, RunStatus.PARTIAL], window_end=rule.covered_until
        )
        if bad.exists() and not good.exists():
            yield f"{rule.name}: covered_until is the end of a run that failed."


@invariant("I7", "the journal is guarded and whole")
def journal_holds() -> Iterator[str]:
    """I7: the journal is guarded, and its chains are whole."""
    for name in integrity.missing_triggers(connection):
        yield f"The journal's trigger {name} is missing. Run manage.py migrate."
    for stream in JournalStream.objects.all():
        yield from journal.verify(stream)


@invariant("I10", "the outbox comes to rest")
def outbox_moves() -> Iterator[str]:
    """I10: nothing in the outbox is given up, or due for long."""
    now = timezone.now()
    for row in OutboxRow.objects.filter(state=OutboxState.FAILED):
        yield f"Outbox row {row.pk} ({row.kind}) was given up: {row.error}"
    for row in OutboxRow.objects.filter(state=OutboxState.PENDING, not_before__lt=now - STUCK_AFTER):
        yield f"Outbox row {row.pk} ({row.kind}) has been due since {row.not_before}."


@invariant("I11", "no run is called good that was not")
def runs_say_what_happened() -> Iterator[str]:
    """I11: no run is called good that was not, and none is left running while nobody is at it."""
    for run in RuleRun.objects.filter(status=RunStatus.SUCCEEDED).exclude(error=""):
        yield f"Run {run.pk} succeeded and has an error: {run.error}"
    held = Lease.objects.filter(name=LEASE, expires_at__gt=timezone.now())
    if not held.exists():
        for run in RuleRun.objects.unfinished().exclude(trigger=RunTrigger.BACK):
            yield f"Run {run.pk} of {run.rule.name} is left running; the next wake closes it."


@invariant("I12", "queues and memory are bounded")
def what_waits_is_bounded() -> Iterator[str]:
    """I12: outbox, broker and workers hold no more than they should. A broker that is silent is no news here:
    the signs of life tell."""
    rows = OutboxRow.objects.filter(state=OutboxState.PENDING).count()
    if rows > MOST_ROWS_WAITING:
        yield f"The outbox holds {rows} rows that wait, more than {MOST_ROWS_WAITING}."
    messages = broker.waiting() or 0
    if messages > MOST_MESSAGES:
        yield f"The broker holds {messages} messages, more than {MOST_MESSAGES}: no worker takes them."
    for name, size in memory.noted().items():
        if size > MOST_MEMORY:
            yield f"{name} holds {size >> 20} MiB, more than {MOST_MEMORY >> 20}."
