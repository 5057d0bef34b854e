"""How detection is: what was searched up to when, what was not and why, and whether everything is alive."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.db.models import Count, OuterRef, Q, Subquery
from django.utils import timezone

from detections import cluster_health, run_durations, silence, true_up
from detections.actors import Actor
from detections.cluster_health import ClusterState
from detections.enums import ImportStatus, OutboxState, RunStatus, RunTrigger, SegmentState
from detections.models import (
    CoverageGap,
    CoveredWindow,
    Heartbeat,
    Import,
    OutboxRow,
    Rule,
    RuleRun,
    Segment,
)
from detections.models.run import RuleRunQuerySet
from detections.outside_alerts import status as outside_status
from detections.outside_alerts.status import SourceStatus
from detections.run_durations import Durations
from detections.schedules import tolerance_of
from detections.silence import Silence

T = TypeVar("T", CoveredWindow, CoverageGap, RuleRun)

# What must be alive for detection to run, and how old its last sign of life may be.
PROCESSES = ("beat", "worker")
SIGN_OF_LIFE = timedelta(seconds=60)
# The heartbeat that `manage.py prepare` leaves at each start, and how long processes may then take.
START = "start"
STARTING = timedelta(seconds=60)
GRACE = timedelta(seconds=60)
OUTBOX_PATIENCE = timedelta(minutes=2)
RUNS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Sign:
    """A process's last sign of life; `seen_at` None if it never gave one. is_starting: it gave none since
    the product was started, and that is no more than STARTING ago."""

    name: str
    seen_at: datetime | None
    age: timedelta | None
    detail: str = ""
    is_starting: bool = False

    @property
    def is_alive(self) -> bool:
        return self.age is not None and self.age <= SIGN_OF_LIFE

    @property
    def is_missed(self) -> bool:
        """It should be alive by now and is not: a person has to look."""
        return not self.is_alive and not self.is_starting


@dataclass(frozen=True, slots=True)
class StripItem:
    """One statement of the strip; `state` names its icon and colour."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Detection's state in one line, so that an empty queue is never ambiguous.

    failed, partial: the newest run of each enabled rule that ended so, with its reason. importing: imports
    under way. cluster: None where there is none. late: rules whose late events are not looked for.
    problems: everything that needs a person, one sentence each.
    """

    last_run_at: datetime | None
    rules_enabled: int
    rules_on_time: int
    gaps: int
    failed: tuple[RuleRun, ...]
    partial: tuple[RuleRun, ...]
    importing: tuple[Import, ...]
    outbox_waiting: int
    outbox_failed: tuple[OutboxRow, ...]
    signs: tuple[Sign, ...]
    unreadable_segments: tuple[Segment, ...]
    silence: Silence = field(default_factory=Silence)
    cluster: ClusterState | None = None
    late: tuple[str, ...] = ()
    outside: SourceStatus | None = None
    problems: tuple[str, ...] = ()
    items: tuple[StripItem, ...] = ()

    @property
    def is_well(self) -> bool:
        return not self.problems and not self.gaps


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """One rule over a span of time. covered and gaps are its coverage ledger, for a time bar.

    lag_tolerance: None for a rule without a version. counts: its runs in the span by status. troubles: the
    newest runs in the span that did not succeed, with their reasons. durations: of the runs in the span that
    ended, None where none did.
    """

    rule: Rule
    last_run: RuleRun | None
    is_on_time: bool
    lag_tolerance: timedelta | None
    covered: tuple[CoveredWindow, ...]
    gaps: tuple[CoverageGap, ...]
    filled_gaps: tuple[CoverageGap, ...]
    counts: dict[str, int]
    troubles: tuple[RuleRun, ...]
    durations: Durations | None = None

    @property
    def truncations(self) -> int:
        return self.counts.get(RunStatus.TRUNCATED, 0)

    @property
    def covered_until(self) -> datetime | None:
        return self.rule.covered_until


def strip(*, actor: Actor, now: datetime | None = None) -> Strip:
    """The state of detection now. A part that the actor may not see is empty."""
    now = now or timezone.now()
    rules = list(Rule.objects.visible_to(actor).runnable().filter(is_canary=False))
    failed, partial = _newest_troubles(rules, actor)
    ended = RuleRun.objects.visible_to(actor).exclude(status=RunStatus.RUNNING)
    newest = ended.filter(rule__is_canary=False).first()
    gave_up = OutboxRow.objects.filter(state=OutboxState.FAILED)
    waiting = OutboxRow.objects.filter(
        state=OutboxState.PENDING, not_before__lte=now, created_at__lte=now - OUTBOX_PATIENCE
    )
    found = Strip(
        last_run_at=newest.started_at if newest else None,
        rules_enabled=len(rules),
        rules_on_time=sum(is_on_time(rule, now) for rule in rules),
        gaps=CoverageGap.objects.visible_to(actor).filter(rule__in=rules, filled_at__isnull=True).count(),
        failed=failed,
        partial=partial,
        importing=tuple(Import.objects.visible_to(actor).filter(status=ImportStatus.RUNNING)),
        outbox_waiting=waiting.count(),
        outbox_failed=tuple(gave_up[:RUNS_SHOWN]),
        signs=signs(now=now),
        unreadable_segments=tuple(Segment.objects.filter(state=SegmentState.UNREADABLE)),
        silence=silence.report(actor=actor, now=now),
        cluster=cluster_health.state(),
        late=tuple(true_up.troubles()) if settings.ELASTICSEARCH_URL else (),
        outside=outside_status.status(now=now),
    )
    found = replace(found, problems=(*_problems(found), *cluster_health.problems(found.cluster, now)))
    return replace(found, items=tuple(_items(found, now)))


def rule_health(
    *, actor: Actor, now: datetime | None = None, span: timedelta = timedelta(hours=24)
) -> list[RuleHealth]:
    """Every runnable rule that is enabled or has gaps, those with troubles first. The number of queries is
    the same for any number of rules."""
    now = now or timezone.now()
    since = now - span
    rules = list(
        Rule.objects.visible_to(actor)
        .select_related("current")
        .filter(Q(enabled=True) | Q(gaps__filled_at__isnull=True, gaps__isnull=False), is_canary=False)
        .distinct()
    )
    newest = {run.rule_id: run for run in newest_runs(rules, actor)}
    covered = _by_rule(CoveredWindow.objects.visible_to(actor).filter(rule__in=rules, end__gte=since))
    in_sight = Q(filled_at__isnull=True) | Q(filled_at__gte=since)
    gaps = _by_rule(CoverageGap.objects.visible_to(actor).filter(in_sight, rule__in=rules))
    runs = RuleRun.objects.visible_to(actor).filter(rule__in=rules, started_at__gte=since)
    troubles = _by_rule(runs.exclude(status__in=[RunStatus.SUCCEEDED, RunStatus.RUNNING])[:1000])
    counts = _counts(runs)
    durations = run_durations.of_runs(runs, rules)
    found = [
        RuleHealth(
            rule=rule,
            last_run=newest.get(rule.pk),
            is_on_time=is_on_time(rule, now),
            lag_tolerance=tolerance_of(rule),
            covered=tuple(covered.get(rule.pk, ())),
            gaps=tuple(gap for gap in gaps.get(rule.pk, ()) if gap.filled_at is None),
            filled_gaps=tuple(gap for gap in gaps.get(rule.pk, ()) if gap.filled_at is not None),
            counts=counts.get(rule.pk, {}),
            troubles=tuple(troubles.get(rule.pk, ())[:RUNS_SHOWN]),
            durations=durations.get(rule.pk),
        )
        for rule in rules
    ]
    return sorted(found, key=lambda one: (not one.gaps and not one.troubles, one.is_on_time, one.rule.name))


def is_on_time(rule: Rule, now: datetime) -> bool:
    """Whether an enabled rule has searched as far as its schedule promises."""
    if not rule.enabled or rule.covered_until is None or rule.last_run_at is None:
        return False
    return now - rule.covered_until <= allowance(rule)


def allowance(rule: Rule) -> timedelta:
    """How old the end of a rule's coverage may be: interval, settle time, two wakes and a grace."""
    return rule.interval + rule.settle + timedelta(seconds=2 * settings.WAKE_SECONDS) + GRACE


def is_behind(rule: Rule, now: datetime) -> bool:
    """Whether coverage ends further back than the schedule promises; a new rule's does until it has run."""
    return rule.covered_until is None or now - rule.covered_until > allowance(rule)


def signs(*, now: datetime | None = None) -> tuple[Sign, ...]:
    """The last sign of life of every process that must be alive."""
    now = now or timezone.now()
    rows = {row.name: row for row in Heartbeat.objects.all()}
    start = rows.get(START)
    is_fresh = start is not None and now - start.seen_at <= STARTING
    return tuple(_sign(name, rows.get(name), now, start if is_fresh else None) for name in PROCESSES)


def _sign(name: str, row: Heartbeat | None, now: datetime, start: Heartbeat | None) -> Sign:
    if row is None:
        return Sign(name, None, None, is_starting=start is not None)
    is_starting = start is not None and row.seen_at < start.seen_at
    return Sign(name, row.seen_at, now - row.seen_at, row.detail, is_starting)


def newest_runs(rules: Iterable[Rule], actor: Actor) -> list[RuleRun]:
    """The newest finished run of each rule."""
    # How a search of the past ended says nothing of the schedule.
    mine = RuleRun.objects.filter(rule=OuterRef("pk")).exclude(status=RunStatus.RUNNING)
    mine = mine.exclude(trigger__in=[RunTrigger.BACK, RunTrigger.TRUE_UP])
    ids = Rule.objects.filter(pk__in=[rule.pk for rule in rules]).values_list(
        Subquery(mine.order_by("-started_at", "-pk").values("pk")[:1]), flat=True
    )
    found = RuleRun.objects.visible_to(actor).filter(pk__in=[pk for pk in ids if pk])
    return list(found.select_related("rule"))


def _newest_troubles(rules: Iterable[Rule], actor: Actor) -> tuple[tuple[RuleRun, ...], tuple[RuleRun, ...]]:
    runs = newest_runs(rules, actor)
    failed = tuple(run for run in runs if run.status == RunStatus.FAILED)
    partial = tuple(run for run in runs if run.status in {RunStatus.PARTIAL, RunStatus.TRUNCATED})
    return failed, partial


def _by_rule(rows: Iterable[T]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = {}
    for row in rows:
        found.setdefault(row.rule_id, []).append(row)
    return found


def _counts(runs: RuleRunQuerySet) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    rows = runs.order_by().values_list("rule", "status").annotate(number=Count("pk"))
    for rule_id, status, number in rows:
        found.setdefault(rule_id, {})[status] = number
    return found


def _problems(found: Strip) -> Iterator[str]:
    for run in found.failed:
        yield f"{run.rule.name}: the last run failed. {run.error}"
    for run in found.partial:
        yield f"{run.rule.name}: the last run was {run.status}. {run.error}"
    late = found.rules_enabled - found.rules_on_time
    if late:
        yield f"{late} of {found.rules_enabled} enabled rules are not on time."
    for row in found.outbox_failed:
        yield f"Given up after {row.attempts} attempts: {row.kind}. {row.error}"
    if found.outbox_waiting:
        yield f"{found.outbox_waiting} pieces of work have been waiting for over two minutes."
    for sign in found.signs:
        if sign.is_missed:
            yield f"No sign of life from {sign.name}. Is manage.py up running?"
    for segment in found.unreadable_segments:
        yield f"Segment {segment.path} of the event store is unreadable: {segment.last_error}"
    if found.silence.error:
        yield f"Silent sources can't be told: {found.silence.error}"
    yield from found.late
    if found.outside is not None:
        yield from found.outside.problems()
    for source in found.silence.sources[:RUNS_SHOWN]:
        yield f"Silent: {source.name} ({source.affects}). Last event {source.last:%Y-%m-%d %H:%M} UTC."


def _items(found: Strip, now: datetime) -> Iterator[StripItem]:
    """The strip's statements: what is well is said too, so that silence never stands for it."""
    if found.last_run_at is None:
        yield StripItem("not_run", "No rule has run yet" if found.rules_enabled else "No rule is enabled")
    else:
        yield StripItem("ok", f"Last run {ago(now - found.last_run_at)}")
    on_time = found.rules_on_time == found.rules_enabled
    if found.rules_enabled:
        text = f"{found.rules_on_time} of {_counted(found.rules_enabled, 'rule')} on time"
        yield StripItem("ok" if on_time else "warn", text)
    yield StripItem("partial" if found.gaps else "ok", _counted(found.gaps, "gap"))
    if found.failed:
        yield StripItem(
            "failed", f"{_counted(len(found.failed), 'failed run')}: {found.failed[0].error}"[:160]
        )
    if found.partial:
        yield StripItem("partial", f"{len(found.partial)} partial or truncated")
    if found.importing:
        yield StripItem("running", f"{_counted(len(found.importing), 'import')} running")
    if found.outbox_failed or found.outbox_waiting:
        stuck = len(found.outbox_failed) + found.outbox_waiting
        yield StripItem("failed", f"{_counted(stuck, 'piece')} of work stuck")
    starting = [sign.name for sign in found.signs if not sign.is_alive and sign.is_starting]
    if starting:
        yield StripItem("running", f"Starting: {' and '.join(starting)}")
    dead = [sign.name for sign in found.signs if sign.is_missed]
    if dead:
        yield StripItem("failed", f"No sign of life from {' and '.join(dead)}")
    if found.unreadable_segments:
        yield StripItem("failed", f"{_counted(len(found.unreadable_segments), 'segment')} unreadable")
    yield from _source_items(found)


def _source_items(found: Strip) -> Iterator[StripItem]:
    if found.outside is not None and any(found.outside.problems()):
        yield StripItem("failed", "Alerts of Elastic Security")
    if found.silence.error:
        yield StripItem("failed", "Silent sources can't be told")
    if found.silence.sources:
        silent = _counted(len(found.silence.sources), "silent source")
        yield StripItem("no_telemetry", f"{silent}, {_counted(found.silence.hosts, 'host')}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ago(age: timedelta) -> str:
    """A span of time since something, as a person says it."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
