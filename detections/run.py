"""Run rules: search them as a set, then commit rule by rule.

Only the transaction that stores a run's alerts moves the rule's cursors. A run that fails moves nothing, so
that its region is searched again; a run whose rule somebody else took meanwhile stores nothing.
"""

import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Case, F, When
from django.utils import timezone

from detections import (
    alert_copies,
    alerts,
    coverage,
    journal,
    outbox,
    rule_search,
    schedules,
    superseding,
    windows,
)
from detections.actors import Actor
from detections.enums import RunStatus, RunTrigger
from detections.eql.parser import parse
from detections.errors import EqlError, StaleLeaseError, StoreError
from detections.event_store import event_store
from detections.models import CoverageGap, Rule, RuleRun
from detections.rule_search import RuleSearch
from detections.stores.base import EventStore, Region

log = logging.getLogger(__name__)

ROUTE_ALERTS = "route_alerts"
WORKER_LOST = "The worker was lost while it ran. The next run searches the same region again."
GAPS_A_RUN = 20
# Threads can't be killed, so a set of rules gives up by itself: what is left by then is searched next time.
# A single search has to end well before (CASEWRIGHT_SEARCH_TIMEOUT).
LONGEST = timedelta(minutes=15)


@dataclass
class _Job:
    """One rule's run on its way: over the next region, or over a gap."""

    rule: Rule
    run: RuleRun
    region: Region
    search: RuleSearch | None
    error: str
    clock: float
    gap: CoverageGap | None = None


def run_rules(
    rules: Iterable[Rule], *, actor: Actor, trigger: RunTrigger, now: datetime | None = None
) -> list[RuleRun]:
    """Search what each rule has not searched yet, its gaps included, and store what it finds.

    Returns the finished runs, those over gaps last. Every failure is a run with its reason; raises only
    NotPermittedError and what the database raises before anything began.
    """
    actor.require("detections.change_rule", "run rules")
    now = now or timezone.now()
    store = event_store()
    claimed = _claim(rules)
    try:
        head, refusal = store.head(), ""
    except StoreError as error:
        head, refusal = None, str(error)
    deadline = time.monotonic() + LONGEST.total_seconds()
    jobs = [_begin(rule, trigger, now, head, refusal) for rule in claimed]
    _work(store, jobs, actor=actor, now=now, deadline=deadline)
    fills = [] if head is None or time.monotonic() > deadline else _gap_jobs(jobs, trigger, now, head)
    _work(store, fills, actor=actor, now=now, deadline=deadline)
    return [job.run for job in (*jobs, *fills)]


def fail_lost_runs() -> int:
    """Mark runs that a killed worker left behind. The caller holds the lease, so nobody is at them.

    A back-search runs beside the lease, slice by slice; it has an end of its own.
    """
    return (
        RuleRun.objects.unfinished()
        .exclude(trigger=RunTrigger.BACK)
        .update(status=RunStatus.FAILED, error=WORKER_LOST, finished_at=timezone.now())
    )


def prune_runs(*, before: datetime, of_canary: bool = False) -> int:
    """Delete succeeded runs without matches that began before a time. Returns how many.

    of_canary: those of the canary's rule alone, which runs each minute.
    """
    empty = RuleRun.objects.filter(
        status=RunStatus.SUCCEEDED,
        matches_found=0,
        started_at__lt=before,
        alerts__isnull=True,
        back_search__isnull=True,
    )
    if of_canary:
        empty = empty.filter(rule__is_canary=True)
    return empty.delete()[1].get("detections.RuleRun", 0)


def _claim(rules: Iterable[Rule]) -> list[Rule]:
    """Raise each rule's fence: a run that began before has lost the rule to this one."""
    ids = [rule.pk for rule in rules]
    with transaction.atomic():
        Rule.objects.filter(pk__in=ids).update(fence=F("fence") + 1)
        return list(Rule.objects.filter(pk__in=ids, current__isnull=False).select_related("current"))


def _begin(rule: Rule, trigger: RunTrigger, now: datetime, head: int | None, refusal: str) -> _Job:
    """Write the run down as running, before anything is searched."""
    with transaction.atomic():
        if rule.covered_until is None and head is not None:
            schedules.begin(rule, now=now, head=head)
            rule.save(update_fields=["covered_until", "mark", "due_since"])
        region = windows.next_region(
            rule.covered_until or now,
            rule.mark,
            now=now,
            settle=rule.settle,
            head=rule.mark if head is None else head,
        )
        return _job(rule, trigger, now, region, refusal)


def _job(
    rule: Rule,
    trigger: RunTrigger,
    now: datetime,
    region: Region,
    refusal: str = "",
    gap: CoverageGap | None = None,
) -> _Job:
    version = rule.current
    assert version is not None
    run = RuleRun.objects.create(
        rule=rule,
        rule_version=version,
        trigger=trigger,
        fence=rule.fence,
        window_start=region.after,
        window_end=region.until,
        mark_from=region.mark,
        mark_to=region.head,
        started_at=now,
    )
    search = None
    if not refusal:
        try:
            search = rule_search.of_version(rule, version, parse(version.query))
        except EqlError as error:
            refusal = str(error)
    return _Job(rule, run, region, search, refusal, time.monotonic(), gap)


def _gap_jobs(jobs: Sequence[_Job], trigger: RunTrigger, now: datetime, head: int) -> list[_Job]:
    """Runs over the gaps of rules whose own run went well, newest gap first."""
    fills = []
    for job in jobs:
        if job.run.status != RunStatus.SUCCEEDED:
            continue
        job.rule.refresh_from_db()
        for gap in coverage.fillable(job.rule)[:GAPS_A_RUN]:
            region = windows.gap_region(coverage.gap_of(gap), head=head)
            fills.append(_job(job.rule, trigger, now, region, gap=gap))
    return fills


def _work(
    store: EventStore, jobs: Sequence[_Job], *, actor: Actor, now: datetime, deadline: float = math.inf
) -> None:
    """Search rules that have the same region as one set; commit each rule for itself."""
    by_region: dict[Region, list[_Job]] = {}
    for job in jobs:
        by_region.setdefault(job.region, []).append(job)
    for region, group in by_region.items():
        searches = [job.search for job in group if job.search]
        rule_search.search(store, searches, region, deadline=deadline)
        for job in group:
            _finish(job, actor=actor, now=now)


def _finish(job: _Job, *, actor: Actor, now: datetime) -> None:
    if job.search is None:
        _fail(job, RunStatus.FAILED, job.error, now=now)
        return
    findings = job.search.findings
    if findings.error:
        _fail(job, findings.status, findings.error, now=now)
        return
    if findings.missing and (job.gap or not coverage.are_given_up(findings.missing)):
        lost = ", ".join(sorted(findings.missing))
        _fail(job, RunStatus.PARTIAL, f"The event store can't read {lost}. Nothing was advanced.", now=now)
        return
    try:
        _commit(job, job.search, actor=actor, now=now)
    except StaleLeaseError as error:
        _fail(job, RunStatus.FAILED, str(error), now=now)
    except DatabaseError as error:
        log.exception("Storing the run of %s failed.", job.rule)
        _fail(job, RunStatus.FAILED, f"Storing what was found failed: {error}", now=now)


@transaction.atomic
def _commit(job: _Job, search: RuleSearch, *, actor: Actor, now: datetime) -> None:
    """One transaction a rule: cursors, alerts, coverage, the run, and what has to follow."""
    findings, rule, run = search.findings, job.rule, job.run
    if job.gap is None:
        _advance(job, now)
        coverage.pass_unreadable(rule, job.region, findings.missing)
        coverage.cover(rule, windows.Covered(job.region.after, job.region.until))
    else:
        _hold(job)
        coverage.fill(job.gap, run, now=now)
    matches = alerts.by_id(rule.rule_id, findings.matches)
    stored = alerts.store(run, search.query, matches, actor=actor, now=now)
    run.matches_found, run.alerts_new, run.alerts_known = len(matches), stored.new, stored.known
    run.alerts_repaired = stored.repaired
    run.rows_searched, run.segments = findings.rows, len(findings.segments)
    lost = ", ".join(sorted(findings.missing))
    if lost:
        _end(job, RunStatus.PARTIAL, f"Unreadable for good, passed and listed as a gap: {lost}.")
    else:
        _end(job, RunStatus.SUCCEEDED)
    run.save()
    if stored.new or stored.upgraded:
        outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:run:{run.pk}", run.pk)
    superseding.ask(run, search.query)
    if stored.new:
        alert_copies.ask(run)
        journal.record(
            f"rule:{rule.pk}", "alerts_stored", actor=actor, data={"run": run.pk, "alerts": stored.new}
        )


def _advance(job: _Job, now: datetime) -> None:
    """Move the cursors, if they are where this run found them and nobody took the rule."""
    region, rule = job.region, job.rule
    # Telemetry is settled only once the run's end has passed the moment at which it was announced.
    settled = Case(When(due_since__lte=region.until, then=None), default=F("due_since"))
    moved = Rule.objects.filter(
        pk=rule.pk, fence=job.run.fence, covered_until=rule.covered_until, mark=rule.mark
    ).update(covered_until=region.until, mark=max(rule.mark, region.head), last_run_at=now, due_since=settled)
    if not moved:
        raise _stale()


def _hold(job: _Job) -> None:
    if Rule.objects.select_for_update().filter(pk=job.rule.pk, fence=job.run.fence).first() is None:
        raise _stale()


def _stale() -> StaleLeaseError:
    return StaleLeaseError("Another run took this rule over, or it was edited; that run searches the region.")


def _fail(job: _Job, status: RunStatus, error: str, *, now: datetime) -> None:
    """Write the reason down. The cursors stay; the next attempt comes with the schedule."""
    try:
        with transaction.atomic():
            Rule.objects.filter(pk=job.rule.pk, fence=job.run.fence).update(last_run_at=now)
            _end(job, status, error)
            job.run.save(update_fields=["status", "error", "finished_at", "duration_ms"])
    except DatabaseError:
        # The run stays `running`; whoever wakes next marks it lost.
        log.exception("The failure of %s could not be stored: %s", job.run.pk, error)


def _end(job: _Job, status: RunStatus, error: str = "") -> None:
    job.run.status, job.run.error, job.run.finished_at = status, error, timezone.now()
    job.run.duration_ms = int((time.monotonic() - job.clock) * 1000)
