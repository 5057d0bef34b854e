"""Search a rule's past because somebody asked: in slices, each committed for itself, until the end or a stop.

Killed at any point, the slice at hand is searched again; ids keep its alerts single.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from detections import alert_copies, alerts, coverage, journal, outbox, rule_search
from detections.actors import Actor, system
from detections.enums import BackSearchState, GapReason, OutboxState, RunStatus, RunTrigger
from detections.eql.parser import parse
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.models import Alert, BackSearch, OutboxRow, Rule, RuleRun
from detections.rule_search import RuleSearch
from detections.run import ROUTE_ALERTS
from detections.schedules import refuse_unrunnable
from detections.stores.base import Match, Region

KIND = "back_search"
MOST_SLICES = 100
LONGEST_SLICE = timedelta(days=1)
ATTEMPTS = 5
OPEN = (BackSearchState.WAITING, BackSearchState.RUNNING)
LOST = "The worker was lost at the same slice again and again. What was found before stays."


class BackSearchError(CasewrightError):
    """A back-search that can't be, or a slice that failed and is tried again."""


def request(
    rule: Rule, *, start: datetime, end: datetime, actor: Actor, now: datetime | None = None
) -> BackSearch:
    """Ask for a search of (start, end], with the rule as it reads now.

    Raises NotPermittedError; BackSearchError for a stretch that is none or not over yet, or while another
    back-search of the rule is under way; ScheduleError for a rule that does not run here.
    """
    actor.require("detections.change_rule", "search back")
    now = now or timezone.now()
    refuse_unrunnable(rule)
    _refuse_stretch(rule, start, end, now)
    head = event_store().head()
    try:
        with transaction.atomic():
            return _requested(rule, start, end, head, actor, now)
    except IntegrityError as error:
        raise BackSearchError(
            f"A back-search of {rule.name} is under way. Wait for its end, or cancel it."
        ) from error


def cancel(search: BackSearch, *, actor: Actor) -> bool:
    """Stop a back-search; a slice at hand is discarded, what was stored stays. False if it was over."""
    actor.require("detections.change_rule", "cancel a back-search")
    with transaction.atomic():
        row = BackSearch.objects.select_for_update().get(pk=search.pk)
        if not row.is_open:
            return False
        row.cancelled_by = actor.label[:200]
        reach = f"{row.searched_until:%Y-%m-%d %H:%M:%S} UTC" if row.searched_until else "nothing"
        reason = f"Cancelled by {actor.label}. Searched up to: {reach}."
        _end(row, BackSearchState.CANCELLED, reason, actor=actor)
    return True


@outbox.handler(KIND)
def deliver_slice(back_search_id: int | None) -> None:
    """Outbox: search the next slice. Raises BackSearchError, to be tried again, if it could not be."""
    assert back_search_id is not None
    row = BackSearch.objects.select_related("rule", "run__rule_version").filter(pk=back_search_id).first()
    if row is None or not row.is_open:
        return
    region = next_slice(row, head=event_store().head())
    search = rule_search.of_version(row.rule, row.run.rule_version, parse(row.run.rule_version.query))
    rule_search.search(event_store(), [search], region)
    findings = search.findings
    error = findings.error
    if findings.missing and not error and not coverage.are_given_up(findings.missing):
        error = f"The event store can't read {', '.join(sorted(findings.missing))}."
    if error:
        _failed(row, error)
        return
    with transaction.atomic():
        _commit(row, region, search, actor=system("back-search"))


def fail_lost() -> int:
    """End back-searches whose work the outbox has given up. Returns how many."""
    return sum(_end_lost(pk) for pk in _without_work().values_list("pk", flat=True))


def _without_work() -> "QuerySet[BackSearch]":
    pending = OutboxRow.objects.filter(kind=KIND, state=OutboxState.PENDING).values("subject")
    return BackSearch.objects.filter(state__in=OPEN).exclude(pk__in=pending)


def _end_lost(pk: int) -> bool:
    with transaction.atomic():
        row = BackSearch.objects.select_for_update().get(pk=pk)
        # Between the two looks a slice may have been committed with the row for the next.
        if not _without_work().filter(pk=pk).exists():
            return False
        _end(row, BackSearchState.FAILED, LOST, actor=system("lost back-search"))
    return True


def next_slice(row: BackSearch, *, head: int) -> Region:
    """The window rows of the next slice, everything that has arrived by now included."""
    after = row.searched_until or row.from_time
    until = min(after + timedelta(seconds=row.slice_seconds), row.to_time)
    return Region(after=after, until=until, mark=head, head=head)


def slice_length(rule: Rule, start: datetime, end: datetime) -> timedelta:
    """A hundredth of the stretch, but a look-back at least and a day at most."""
    return min(max(rule.lookback, (end - start) / MOST_SLICES), LONGEST_SLICE)


def _refuse_stretch(rule: Rule, start: datetime, end: datetime, now: datetime) -> None:
    if start >= end:
        raise BackSearchError("The stretch ends before it begins. Swap the two times.")
    if end > now - rule.settle:
        raise BackSearchError(
            f"The stretch ends at {end:%Y-%m-%d %H:%M:%S} UTC, which is not over yet. Runs on schedule "
            f"search that; end it {rule.settle_seconds} s before now or earlier."
        )


def _requested(
    rule: Rule, start: datetime, end: datetime, head: int, actor: Actor, now: datetime
) -> BackSearch:
    rule = Rule.objects.select_related("current").get(pk=rule.pk)
    assert rule.current is not None
    run = RuleRun.objects.create(
        rule=rule,
        rule_version=rule.current,
        trigger=RunTrigger.BACK,
        fence=rule.fence,
        window_start=start,
        window_end=end,
        mark_from=head,
        mark_to=head,
        started_at=now,
    )
    row = BackSearch.objects.create(
        rule=rule,
        run=run,
        from_time=start,
        to_time=end,
        slice_seconds=max(int(slice_length(rule, start, end).total_seconds()), 1),
        requested_by=actor.user,
    )
    data = {"back_search": row.pk, "from": start, "to": end, "version": rule.current.number}
    journal.record(f"rule:{rule.pk}", "back_search_requested", actor=actor, data=data)
    _ask(row)
    return row


def _ask(row: BackSearch) -> None:
    outbox.put(KIND, f"{KIND}:{row.pk}:{row.slices_done}", row.pk)


def _commit(row: BackSearch, region: Region, search: RuleSearch, *, actor: Actor) -> None:
    """The slice's alerts and the mark that says it is searched, or neither."""
    findings, run = search.findings, row.run
    here = BackSearch.objects.filter(pk=row.pk, slices_done=row.slices_done, state__in=OPEN)
    if not here.update(
        searched_until=region.until,
        slices_done=F("slices_done") + 1,
        attempts_failed=0,
        error="",
        state=BackSearchState.RUNNING,
    ):
        return  # cancelled meanwhile, or somebody else searched the slice
    row.refresh_from_db()
    matches = alerts.by_id(row.rule.rule_id, findings.matches)
    # A match that straddles a seam is found by the slices on both sides.
    before = _stored_by(run, matches)
    stored = alerts.store(run, search.query, matches, actor=actor, now=timezone.now())
    new = stored.new - before
    RuleRun.objects.filter(pk=run.pk).update(
        matches_found=F("matches_found") + len(matches) - before,
        alerts_new=F("alerts_new") + new,
        alerts_known=F("alerts_known") + stored.known,
        rows_searched=F("rows_searched") + findings.rows,
        segments=max(run.segments, len(findings.segments)),
    )
    _note_missing(row, findings.missing)
    if new or stored.upgraded:
        outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:{KIND}:{row.pk}:{row.slices_done}", run.pk)
    if new:
        alert_copies.ask(run)
        data = {"run": run.pk, "alerts": new}
        journal.record(f"rule:{row.rule_id}", "alerts_stored", actor=actor, data=data)
    if region.until < row.to_time:
        _ask(row)
        return
    _end(row, BackSearchState.SUCCEEDED, "", actor=actor)
    if not RuleRun.objects.get(pk=run.pk).error:
        _fill_gaps(row)


def _stored_by(run: RuleRun, matches: Mapping[str, Match]) -> int:
    keys = list(matches)
    return sum(
        Alert.objects.filter(run=run, alert_id__in=keys[at : at + alerts.BATCH]).count()
        for at in range(0, len(keys), alerts.BATCH)
    )


def _note_missing(row: BackSearch, missing: Iterable[str]) -> None:
    """Segments that nobody can read any more do not stop the search; it ends as partial."""
    if lost := ", ".join(sorted(missing)):
        RuleRun.objects.filter(pk=row.run_id).update(error=f"Unreadable for good, left out: {lost}.")


def _fill_gaps(row: BackSearch) -> None:
    """Gaps that lie within what was searched are filled, if the rule still reads as it did."""
    if row.rule.current_id != row.run.rule_version_id:
        return
    inside = coverage.open_gaps(row.rule).filter(
        from_time__gte=row.from_time, to_time__lte=row.to_time, mark_to__lte=row.run.mark_to
    )
    for gap in inside.exclude(reason__in=[GapReason.EXPIRED_UNSEARCHED, GapReason.STORE_UNAVAILABLE]):
        coverage.fill(gap, row.run, now=timezone.now())


def _failed(row: BackSearch, error: str) -> None:
    """Count the failure; after some the search ends, before that the outbox tries again, more slowly."""
    BackSearch.objects.filter(pk=row.pk, state__in=OPEN).update(
        attempts_failed=F("attempts_failed") + 1, error=error
    )
    with transaction.atomic():
        now = BackSearch.objects.select_for_update().get(pk=row.pk)
        if not now.is_open:
            return
        if now.attempts_failed >= ATTEMPTS:
            _end(now, BackSearchState.FAILED, error, actor=system("back-search"))
            return
    raise BackSearchError(error)


def _end(row: BackSearch, state: BackSearchState, error: str, *, actor: Actor) -> None:
    """In the caller's transaction. The run says the same in its own words."""
    before, now = row.state, timezone.now()
    row.state, row.error, row.finished_at = state, error, now
    row.save(update_fields=["state", "error", "finished_at", "cancelled_by"])
    run = RuleRun.objects.get(pk=row.run_id)
    run.error = error or run.error
    ends = {BackSearchState.SUCCEEDED: RunStatus.SUCCEEDED, BackSearchState.FAILED: RunStatus.FAILED}
    run.status = ends.get(state, RunStatus.PARTIAL)
    if run.status == RunStatus.SUCCEEDED and run.error:
        run.status = RunStatus.PARTIAL
    run.finished_at = now
    run.duration_ms = int((now - run.started_at).total_seconds() * 1000)
    run.save(update_fields=["status", "error", "finished_at", "duration_ms"])
    journal.record(
        f"rule:{row.rule_id}",
        "back_search_ended",
        actor=actor,
        before=before,
        after=state,
        reason=error,
        data={"back_search": row.pk, "searched_until": row.searched_until, "alerts": run.alerts_new},
    )
