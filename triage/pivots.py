"""The pivots of a case: planned when it opens, run once each, run again on request, frozen as evidence."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import monotonic

from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, system
from detections.errors import CasewrightError
from detections.models import Alert
from detections.stores.base import Window
from triage import asking, cases, checks, journal, late_evidence, observables, pivot_attempts, rare_values
from triage.enums import PivotOrigin, PivotScope, PivotState
from triage.errors import TriageError
from triage.evidence import latest_runs
from triage.freezing import freeze
from triage.guide_versions import guide_of
from triage.guides.model import Guide, Pivot
from triage.models import Case, PivotRun
from triage.pivot_attempts import again, ask, is_last_asked, place
from triage.pivot_search import Outcome, filled, query_data, search
from triage.pivot_windows import Reach
from triage.rare_values import Rarities

log = logging.getLogger(__name__)
RUN, REFILL, REFRESH = pivot_attempts.RUN, "refill_pivot", "refresh_pivot"
# Telemetry of the last moments of a window arrives a little later.
ARRIVAL = timedelta(minutes=1)
# On a host with more open cases than this nobody reads them one by one.
MOST_REFRESHED = 50
_STORM = "The case gathers a storm of alerts. Open its alerts one by one: a pivot speaks of one of them."
_TO_DO = (PivotState.NOT_RUN, PivotState.RUNNING, PivotState.FAILED)


class PivotFailedError(CasewrightError):
    """A pivot could not be searched; its row says why, and the outbox tries again."""


# -- planning


def plan(case: Case, *, actor: Actor) -> list[PivotRun]:
    """Make a row for each pivot of the guide, and ask for it to be run, in the caller's transaction.

    A pivot with a placeholder that has no value, or several, is blocked at once, with the field's name.
    """
    guide = guide_of(case)
    runs: dict[str, PivotRun] = {}
    for pivot in guide.pivots:
        runs[pivot.key] = _first_attempt(case, guide, pivot)
    for pivot in guide.pivots:
        if runs[pivot.key].state == PivotState.NOT_RUN and not _waits(pivot, runs):
            ask(runs[pivot.key])
    if not case.is_storm:
        late_evidence.schedule(case)
    return list(runs.values())


def _first_attempt(case: Case, guide: Guide, pivot: Pivot) -> PivotRun:
    window = pivot.window(case.first_event_at, case.last_event_at)
    run = PivotRun(
        case=case,
        question_key=pivot.question,
        key=pivot.key,
        label=pivot.label[:255],
        kinds=[kind.value for kind in pivot.kinds],
        columns=list(_columns(guide, pivot)),
        window_start=window.start,
        window_end=window.end,
    )
    if case.is_storm:
        run.state, run.reason = PivotState.BLOCKED, _STORM
    elif not pivot.after:
        asked = filled(case, guide, pivot, {})
        if isinstance(asked, Outcome):
            run.state, run.reason = asked.state, asked.reason
        else:
            run.query = query_data(asked)
    run.save()
    if run.state == PivotState.BLOCKED:
        checks.evaluate(case, guide, run)
    return run


def _columns(guide: Guide, pivot: Pivot) -> Iterable[str]:
    """The pivot's own columns, else the fields that its question looks at."""
    question = next((one for one in guide.questions if one.key == pivot.question), None)
    return pivot.columns or (question.focus.fields if question else ())


def _waits(pivot: Pivot, runs: dict[str, PivotRun]) -> bool:
    """Whether the pivot that it follows has still to run and will ask for it."""
    return pivot.after in runs and runs[pivot.after].state in (PivotState.NOT_RUN, PivotState.RUNNING)


# -- running


def run_pivot(pivot_run_id: int, *, actor: Actor) -> PivotRun | None:
    """Run a pivot that has not run, has failed, or was left running by a worker that died.

    Returns the row as it ended, None where there was nothing to do. Safe to call again at any point: the
    search runs outside of a transaction, and only who claimed the row last stores its result.
    """
    claimed = _claim(pivot_run_id)
    if claimed is None:
        return None
    case, run, window, full_end = claimed
    began = monotonic()
    rarities: Rarities = {}
    try:
        outcome = _searched(case, run, window)
        if run.counts:
            rarities = rare_values.look_up(guide_of(case), run.key, outcome.rows, window)
    except Exception as error:  # a bug in one pivot must show on its row, not leave it running for ever
        is_told = isinstance(error, CasewrightError)
        log.warning("Pivot %s of %s: %s", run.key, case.number, error, exc_info=None if is_told else error)
        outcome = Outcome(PivotState.FAILED, _failure(error))
    took = int((monotonic() - began) * 1000)
    with transaction.atomic():
        return _store(run, outcome, window, full_end, took, actor, rarities)


def _searched(case: Case, run: PivotRun, window: Window) -> Outcome:
    if run.origin != PivotOrigin.GUIDE:
        return asking.search(case, run, window)
    guide = guide_of(case)
    runs = {one.key: one for one in latest_runs(case)}
    return search(case, guide, guide.pivot(run.key), runs, window, PivotScope(run.scope))


def _failure(error: Exception) -> str:
    if isinstance(error, CasewrightError):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"[:2000]


def _claim(pivot_run_id: int) -> tuple[Case, PivotRun, Window, datetime] | None:
    with transaction.atomic():
        run = PivotRun.objects.select_for_update().filter(pk=pivot_run_id).first()
        if run is None or run.state not in _TO_DO:
            return None
        case = Case.objects.select_related("guide", "rule").get(pk=run.case_id)
        now = timezone.now()
        assert run.window_start is not None
        assert run.window_end is not None
        full_end = run.refills_at or run.window_end
        # Never past now; but a clock that runs ahead must not push the alert's own events out.
        end = min(full_end, max(now, case.last_event_at))
        run.state, run.reason, run.started_at = PivotState.RUNNING, "", now
        run.save(update_fields=["state", "reason", "started_at"])
    return case, run, Window(run.window_start, end), full_end


def _store(
    claimed: PivotRun,
    outcome: Outcome,
    window: Window,
    full_end: datetime,
    took: int,
    actor: Actor,
    rarities: Rarities,
) -> PivotRun | None:
    case = cases.locked(claimed.case_id)
    run = PivotRun.objects.select_for_update().get(pk=claimed.pk)
    if run.state != PivotState.RUNNING or run.started_at != claimed.started_at:
        return None
    run.case = case
    run.state, run.reason = outcome.state, outcome.reason
    run.window_start, run.window_end = window.start, window.end
    run.refills_at = full_end if full_end > window.end else None
    run.query, run.coverage, run.segments = outcome.query, outcome.coverage, list(outcome.segments)
    run.total, run.took_ms, run.finished_at = outcome.total, took, timezone.now()
    if outcome.state != PivotState.FAILED:
        freeze(run, outcome.rows, known=late_evidence.known(run), collects=False)
        run.gone = late_evidence.gone(run)
    if is_last_asked(run):
        observables.collect(case)
    if run.attempt > 1 and not case.is_open:
        run.is_after_closing, run.counts = True, False
    run.save()
    _after(case, run, actor, rarities)
    return run


def _after(case: Case, run: PivotRun, actor: Actor, rarities: Rarities) -> None:
    """What follows from a result: checks, followers, a later run, the journal and the case's counters."""
    guide = guide_of(case)
    if run.counts:
        checks.evaluate(case, guide, run, rarities)
    is_failed = run.state == PivotState.FAILED
    if not is_failed:
        _ask_followers(case, guide, run)
        _ask_refill(guide, run)
    journal.record(
        case,
        "pivot_failed" if is_failed else "pivot_finished",
        actor=actor,
        subject=run.label,
        before=PivotState.NOT_RUN,
        after=run.state,
        reason=run.reason,
        data={
            "pivot": run.pk,
            "key": run.key,
            "attempt": run.attempt,
            "total": run.total,
            "added": run.added,
            "gone": run.gone,
            "after_closing": run.is_after_closing,
            "sha256": run.sha256,
        },
    )
    if run.is_after_closing:
        late_evidence.tell_lead(case, run, actor=system("late evidence"))
        return
    late_evidence.tell(case, run, actor=system("late evidence"))
    cases.refresh(case)


def _ask_followers(case: Case, guide: Guide, run: PivotRun) -> None:
    if not (run.counts or run.is_after_closing):
        return
    newest = {one.key: one for one in latest_runs(case)}
    for pivot in guide.pivots:
        follower = newest.get(pivot.key)
        if pivot.after != run.key or follower is None:
            continue
        waits = follower.state == PivotState.NOT_RUN and not run.is_after_closing
        ask(follower if waits else again(follower, after_closing=run.is_after_closing))


def _ask_refill(guide: Guide, run: PivotRun) -> None:
    """A window that is not over yet is searched again when it is; a follower runs after its leader does."""
    if run.refills_at is None or (run.origin == PivotOrigin.GUIDE and guide.pivot(run.key).after):
        return
    outbox.put(REFILL, f"{REFILL}:{run.pk}", run.pk, not_before=run.refills_at + ARRIVAL)


# -- running again


def rerun(pivot: PivotRun, *, actor: Actor, reach: Reach | None = None) -> PivotRun:
    """Ask for a pivot to be run again, over another time or other hosts if a reach is given.

    The earlier result stays. An attempt that waits already is returned as it is, with the reach. What asks
    less than the guide does is shown beside, and gate and checks go on by the earlier one. Raises
    NotPermittedError, and TriageError for a closed case, the alert's own events, or a reach that can't be.
    """
    actor.require("triage.answer_question", "run pivots")
    if checks.is_alert(pivot):
        raise TriageError("These are the alert's own events, frozen with it: there is nothing to search.")
    with transaction.atomic():
        case = cases.locked(pivot.case_id)
        cases.require_open(case)
        if case.is_storm and pivot.origin == PivotOrigin.GUIDE:
            raise TriageError(_STORM)
        newest = PivotRun.objects.filter(case=case, key=pivot.key).order_by("-attempt")[0]
        _refuse_reach(newest, reach)
        run = _waiting(newest, reach) or again(newest, reach=reach, by=actor.user)
        ask(run)
        journal.record(
            case,
            "pivot_requested",
            actor=actor,
            subject=run.label,
            data={
                "pivot": run.pk,
                "attempt": run.attempt,
                "hosts": run.scope,
                "from": run.window_start,
                "to": run.window_end,
            },
        )
    return run


def _refuse_reach(run: PivotRun, reach: Reach | None) -> None:
    if reach is None:
        return
    if run.origin == PivotOrigin.GUIDE and reach.scope not in (PivotScope.WRITTEN, PivotScope.ALL):
        raise TriageError("A pivot of the guide asks the hosts that the guide names, or all of them.")
    if run.origin != PivotOrigin.GUIDE and not reach.is_chosen:
        raise TriageError("Choose over which time to look: the guide says nothing of this pivot.")
    if run.origin != PivotOrigin.GUIDE and reach.scope == PivotScope.WRITTEN:
        raise TriageError("Choose which hosts to look at.")


def _waiting(newest: PivotRun, reach: Reach | None) -> PivotRun | None:
    """The newest attempt, if it waits still, with the reach; the first one of the guide stays as it is."""
    if newest.state != PivotState.NOT_RUN or (reach is not None and newest.attempt == 1):
        return None
    if reach is not None:
        place(newest, reach)
        newest.save()
    return newest


def refill(pivot_run_id: int, *, actor: Actor) -> PivotRun | None:
    """Ask for the run that follows on a still filling one, unless a newer one or a decision came first."""
    with transaction.atomic():
        run = PivotRun.objects.filter(pk=pivot_run_id).first()
        if run is None:
            return None
        case = cases.locked(run.case_id)
        if not case.is_open or _is_overtaken(run):
            return None
        made = again(run)
        ask(made)
        journal.record(case, "pivot_requested", actor=actor, subject=run.label, data={"pivot": made.pk})
    return made


def _is_overtaken(run: PivotRun) -> bool:
    """Whether a newer attempt will see, or saw, what this one could not; one that asks less does not."""
    newer = PivotRun.objects.filter(case=run.case_id, key=run.key, attempt__gt=run.attempt)
    return newer.filter(counts=True).exists() if run.counts else newer.exists()


def extend(case: Case, *, actor: Actor) -> None:
    """After a new occurrence: run again what does not reach its events, in the caller's transaction.

    What waits, or is still filling, will see them when it runs; so many occurrences make few searches.
    """
    if case.is_storm:
        return
    guide = guide_of(case)
    for run in latest_runs(case):
        if checks.is_alert(run) or run.state in _TO_DO or run.refills_at is not None:
            continue
        wanted = guide.pivot(run.key).window(case.first_event_at, case.last_event_at)
        if run.state != PivotState.BLOCKED and not _reaches(run, wanted):
            ask(again(run))


def refresh_signals(case: Case, alert: Alert) -> None:
    """After a new alert: other open cases of its host look for related alerts again, a little later.

    An attempt that waits already will see it, so a burst of alerts makes one search a case. Until the new
    attempt is made people work on with what the newest one found.
    """
    if not case.host_id or case.is_storm:
        return
    others = Case.objects.not_closed().filter(host_id=case.host_id, is_storm=False).exclude(pk=case.pk)
    for other in others.select_related("guide", "rule").order_by("-pk")[:MOST_REFRESHED]:
        signals = {pivot.key for pivot in guide_of(other).pivots if pivot.is_signal}
        for run in latest_runs(other):
            if run.key in signals and run.state not in _TO_DO and _holds(run, alert):
                now = timezone.now()
                # One a minute: a row that is done, as for a case that was closed then, must not end it.
                key = f"{REFRESH}:{run.pk}:{int(now.timestamp()) // 60}"
                outbox.put(REFRESH, key, run.pk, not_before=now + ARRIVAL)


def _holds(run: PivotRun, alert: Alert) -> bool:
    """Whether the alert lies in the window that the run looked over."""
    if run.window_start is None or run.window_end is None:
        return False
    return run.window_start <= alert.last_event_at <= run.window_end


def _reaches(run: PivotRun, wanted: Window) -> bool:
    if run.window_start is None or run.window_end is None:
        return False
    return run.window_start <= wanted.start and run.window_end >= wanted.end


@outbox.handler(RUN)
def deliver_run(pivot_run_id: int | None) -> None:
    """Outbox: run a pivot; a failure is told, so that it is tried again."""
    run = run_pivot(pivot_run_id, actor=system("pivot")) if pivot_run_id else None
    if run is not None and run.state == PivotState.FAILED:
        raise PivotFailedError(run.reason)


@outbox.handler(REFILL)
def deliver_refill(pivot_run_id: int | None) -> None:
    """Outbox: the window of a pivot is over; search it to its end."""
    if pivot_run_id:
        refill(pivot_run_id, actor=system("window is over"))


@outbox.handler(REFRESH)
def deliver_refresh(pivot_run_id: int | None) -> None:
    """Outbox: the host of a pivot has another alert; look for related ones again."""
    if pivot_run_id:
        refill(pivot_run_id, actor=system("another alert of the host"))
