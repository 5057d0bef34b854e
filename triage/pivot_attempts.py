"""Attempts of a pivot: the row of the next one, and the request that runs it."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Max
from django.utils import timezone

from detections import outbox
from detections.enums import OutboxState
from detections.models import OutboxRow
from triage import pivot_windows
from triage.enums import PivotState
from triage.guide_versions import guide_of
from triage.models import PivotRun
from triage.pivot_windows import Reach, reach_of

RUN = "run_pivot"


def ask(run: PivotRun, *, not_before: datetime | None = None) -> None:
    """Put the run into the outbox; a request that was given up after too many failures starts afresh."""
    row = outbox.put(RUN, f"{RUN}:{run.pk}", run.pk, not_before=not_before)
    if row.state == OutboxState.FAILED:
        outbox.retry(row.pk)


def is_last_asked(run: PivotRun) -> bool:
    """Whether no other pivot of the case is asked for that will run now, of a locked case."""
    others = PivotRun.objects.filter(case=run.case_id, state__in=(PivotState.NOT_RUN, PivotState.RUNNING))
    asked = OutboxRow.objects.filter(kind=RUN, state=OutboxState.PENDING, not_before__lte=timezone.now())
    return not asked.filter(subject__in=others.exclude(pk=run.pk).values("pk")).exists()


def again(
    run: PivotRun, *, reach: Reach | None = None, by: User | None = None, after_closing: bool = False
) -> PivotRun:
    """The next attempt of the run's pivot, over the window that its reach has by the case's events now.

    reach: another one than the run's. by: the person who asks; None keeps who asked a follow-up or a query.
    """
    case = run.case
    chosen = reach if reach is not None else reach_of(run)
    made = PivotRun(
        case=case,
        question_key=run.question_key,
        key=run.key,
        attempt=_next_attempt(run),
        label=run.label,
        kinds=run.kinds,
        columns=run.columns,
        origin=run.origin,
        asked=run.asked,
        from_row_id=run.from_row_id,
        asked_by=by or run.asked_by,
        asked_at=timezone.now() if by else run.asked_at,
        is_after_closing=after_closing,
    )
    place(made, chosen)
    made.save()
    return made


def place(run: PivotRun, reach: Reach) -> None:
    """Give a run, unsaved, the window and hosts of a reach, and say whether it counts."""
    case = run.case
    guide = guide_of(case)
    window = pivot_windows.window_of(case, guide, run, reach)
    run.scope = reach.scope
    run.reach_before = None if reach.before is None else int(reach.before.total_seconds())
    run.reach_after = None if reach.after is None else int(reach.after.total_seconds())
    run.window_start, run.window_end = window.start, window.end
    run.counts = not run.is_after_closing and pivot_windows.counts(case, guide, run, reach)


def _next_attempt(run: PivotRun) -> int:
    newest = PivotRun.objects.filter(case=run.case_id, key=run.key).aggregate(newest=Max("attempt"))
    return int(newest["newest"] or 0) + 1
