"""True-up: search covered time of a cluster again, for events that came after their time was searched.

Passes follow an hour, eight hours and two days behind. Where events say when they were taken in
(`event.ingested`), one request tells which stretches received something since, and only those are searched.
Ids make it safe: what was found before is known. The embedded store needs none of this, since it knows each
batch by its number.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, transaction
from django.utils import timezone

from detections import alert_copies, alerts, journal, outbox, rule_search
from detections.actors import Actor
from detections.enums import RunStatus, RunTrigger
from detections.eql.parser import parse
from detections.errors import EqlError, StaleLeaseError, StoreError
from detections.event_store import cluster_store
from detections.models import Rule, RuleRun, TrueUp
from detections.rule_search import RuleSearch
from detections.run import ROUTE_ALERTS
from detections.stores.base import Region, Searched
from detections.true_up_windows import DELAYS, next_stretch, since_pass, since_runs, to_search
from detections.windows import Covered

if TYPE_CHECKING:
    from detections.stores.elasticsearch import ElasticsearchStore

log = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE = timedelta(minutes=5)
# Runs on schedule come first: a wake gives true-ups no more than this, and the next one goes on.
MOST_A_WAKE = 100
LONGEST = timedelta(minutes=5)


@dataclass
class _Job:
    """One pass of one rule on its way. regions: what is searched of its stretch."""

    true_up: TrueUp
    run: RuleRun
    stretch: Covered
    search: RuleSearch
    clock: float
    regions: list[Region] = field(default_factory=list)
    error: str = ""


def run_due(*, actor: Actor, now: datetime | None = None) -> list[RuleRun]:
    """Search again what each pass owes. The caller holds the lease of waking.

    Nothing where no cluster is named. Every failure is a run with its reason; nothing is raised for it.
    """
    try:
        store = cluster_store()
    except StoreError:
        return []  # the runs themselves say so
    if store is None or store.finds_late:
        return []
    now = now or timezone.now()
    due = _due(now)[:MOST_A_WAKE]
    jobs = [job for true_up, stretch in due if (job := _begin(true_up, stretch, now)) is not None]
    deadline = time.monotonic() + LONGEST.total_seconds()
    for job in jobs:
        _narrow(store, job)
    _search(store, jobs, deadline)
    for job in jobs:
        _finish(job, actor=actor, now=now)
    return [job.run for job in jobs]


def troubles() -> list[str]:
    """A sentence for each rule whose newest pass failed, for people."""
    rows = TrueUp.objects.filter(rule__enabled=True, rule__true_up=True).exclude(error="")
    found = {row.rule_id: row for row in rows.select_related("rule")}
    return [
        f"{row.rule.name}: events up to {row.delay_seconds // 3600} h late are not looked for. {row.error}"
        for row in found.values()
    ]


def _due(now: datetime) -> list[tuple[TrueUp, Covered]]:
    rules = Rule.objects.runnable().filter(true_up=True, current__isnull=False, covered_until__isnull=False)
    found = []
    for true_up in _passes(list(rules.filter(is_canary=False))):
        covered_until = true_up.rule.covered_until
        if true_up.error and true_up.tried_at and now - true_up.tried_at < PAUSE_AFTER_FAILURE:
            continue
        assert covered_until is not None
        stretch = next_stretch(true_up.searched_until, covered_until, now=now, delay=true_up.delay)
        if stretch is not None:
            found.append((true_up, stretch))
    return sorted(found, key=lambda one: one[1].end)


def _passes(rules: Sequence[Rule]) -> list[TrueUp]:
    """The passes of these rules; those of a rule that has none yet begin a delay before what it covered."""
    rows = TrueUp.objects.filter(rule__in=rules)
    known = set(rows.values_list("rule_id", flat=True))
    TrueUp.objects.bulk_create(
        [
            TrueUp(
                rule=rule,
                delay_seconds=int(delay.total_seconds()),
                searched_until=rule.covered_until - delay,
            )
            for rule in rules
            for delay in DELAYS
            if rule.pk not in known and rule.covered_until is not None
        ],
        ignore_conflicts=True,
    )
    return list(rows.select_related("rule__current"))


def _begin(true_up: TrueUp, stretch: Covered, now: datetime) -> _Job | None:
    """Write the run down before anything is searched; None for a query that can't be read, which runs say."""
    rule, version = true_up.rule, true_up.rule.current
    assert version is not None
    try:
        search = rule_search.of_version(rule, version, parse(version.query))
    except EqlError:
        return None
    run = RuleRun.objects.create(
        rule=rule,
        rule_version=version,
        trigger=RunTrigger.TRUE_UP,
        fence=rule.fence,
        window_start=stretch.start,
        window_end=stretch.end,
        mark_from=rule.mark,
        mark_to=rule.mark,
        started_at=now,
    )
    return _Job(true_up, run, stretch, search, time.monotonic())


def _narrow(store: "ElasticsearchStore", job: _Job) -> None:
    """Only what received something since it was searched is searched again."""
    pieces = _pieces(job)
    # A stretch of very many pieces is searched as far as they reach; the next wake goes on.
    job.stretch = Covered(job.stretch.start, pieces[-1].until)
    version = job.run.rule_version
    try:
        late = store.late(pieces, indices=version.indices, clock=version.timestamp_field)
        head = store.head()
    except StoreError as error:
        job.error = str(error)
        return
    job.regions = [Region(one.start, one.end, head, head) for one in to_search(pieces, late)]


def _pieces(job: _Job) -> list[Searched]:
    earlier = [delay for delay in DELAYS if delay < job.true_up.delay]
    if earlier:
        return since_pass(job.stretch, max(earlier))
    runs = RuleRun.objects.filter(
        rule=job.run.rule_id,
        rule_version=job.run.rule_version_id,
        status=RunStatus.SUCCEEDED,
        window_end__gt=job.stretch.start,
        window_start__lt=job.stretch.end,
    ).exclude(trigger=RunTrigger.TRUE_UP)
    searched = runs.values_list("window_start", "window_end", "started_at")
    return since_runs(job.stretch, [Searched(after, until, at) for after, until, at in searched if after])


def _search(store: "ElasticsearchStore", jobs: Sequence[_Job], deadline: float) -> None:
    """Rules that owe the same region are searched as one set."""
    by_region: dict[Region, list[RuleSearch]] = {}
    for job in jobs:
        for region in job.regions:
            by_region.setdefault(region, []).append(job.search)
    for region, searches in by_region.items():
        rule_search.search(store, searches, region, deadline=deadline)


def _finish(job: _Job, *, actor: Actor, now: datetime) -> None:
    findings = job.search.findings
    error, status = job.error or findings.error, RunStatus.FAILED
    if findings.error:
        status = findings.status
    if error:
        _fail(job, status, error, now=now)
        return
    try:
        _commit(job, actor=actor, now=now)
    except StaleLeaseError as stale:
        _fail(job, RunStatus.FAILED, str(stale), now=now)
    except DatabaseError as failure:
        log.exception("Storing the true-up of %s failed.", job.true_up)
        _fail(job, RunStatus.FAILED, f"Storing what was found failed: {failure}", now=now)


@transaction.atomic
def _commit(job: _Job, *, actor: Actor, now: datetime) -> None:
    """The pass's alerts and its cursor, or neither."""
    rule, run, findings = job.true_up.rule, job.run, job.search.findings
    if not Rule.objects.select_for_update().filter(pk=rule.pk, fence=run.fence).exists():
        raise StaleLeaseError("The rule was edited meanwhile; the next pass searches the same time.")
    here = TrueUp.objects.filter(pk=job.true_up.pk, searched_until=job.true_up.searched_until)
    if not here.update(searched_until=job.stretch.end, tried_at=now, error=""):
        raise StaleLeaseError("Another worker searched this already.")
    matches = alerts.by_id(rule.rule_id, findings.matches)
    stored = alerts.store(run, job.search.query, matches, actor=actor, now=now)
    run.window_end = job.stretch.end
    run.matches_found, run.alerts_new, run.alerts_known = len(matches), stored.new, stored.known
    run.alerts_repaired, run.segments = stored.repaired, len(findings.segments)
    _end(job, RunStatus.SUCCEEDED)
    run.save()
    if stored.new or stored.upgraded:
        outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:run:{run.pk}", run.pk)
    if stored.new:
        alert_copies.ask(run)
        data = {"run": run.pk, "alerts": stored.new, "true_up": job.true_up.delay_seconds}
        journal.record(f"rule:{rule.pk}", "alerts_stored", actor=actor, data=data)


def _fail(job: _Job, status: RunStatus, error: str, *, now: datetime) -> None:
    """Write the reason down; the pass stays where it is."""
    try:
        with transaction.atomic():
            TrueUp.objects.filter(pk=job.true_up.pk).update(error=error, tried_at=now)
            _end(job, status, error)
            job.run.save(update_fields=["status", "error", "finished_at", "duration_ms"])
    except DatabaseError:
        log.exception("The failure of %s could not be stored: %s", job.run.pk, error)


def _end(job: _Job, status: RunStatus, error: str = "") -> None:
    job.run.status, job.run.error, job.run.finished_at = status, error, timezone.now()
    job.run.duration_ms = int((time.monotonic() - job.clock) * 1000)
