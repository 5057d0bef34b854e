"""Evidence that comes late: pivots look again an hour and a day later, and what they find new is told.

An open case and its question are marked, and a question that was answered where its pivot had found nothing
is open again; a closed case is left as it is, and a lead gets a task.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, system
from triage import cases, checks, journal
from triage.case_tasks import open_task
from triage.enums import PivotOrigin, PivotState, QuestionState
from triage.evidence import latest_runs
from triage.guide_versions import guide_of
from triage.models import Case, Evidence, PivotRun, Question
from triage.pivot_attempts import again, ask

DELAYS = {"late_pivots_1h": timedelta(hours=1), "late_pivots_24h": timedelta(hours=24)}
# What ran this short a time ago would find the same.
RECENT = timedelta(minutes=5)
_WAITING = (PivotState.NOT_RUN, PivotState.RUNNING)
_SAW_NOTHING = (PivotState.NO_HITS, PivotState.NO_TELEMETRY)
# What an answer "escalate" says no late row can take back; it is marked, and stands.
_REOPENED = (QuestionState.LOWER, QuestionState.UNRESOLVED, QuestionState.NOT_APPLICABLE)


# -- looking again


def schedule(case: Case) -> None:
    """Ask for both late looks, in the caller's transaction."""
    for kind, delay in DELAYS.items():
        _put(kind, case, _base(case) + delay)


def _put(kind: str, case: Case, due: datetime) -> None:
    outbox.put(kind, f"{kind}:{case.pk}:{int(due.timestamp())}", case.pk, not_before=due)


def _base(case: Case) -> datetime:
    """From when on telemetry is late: the last event, or when its alert came, if that was later.

    A clock that runs ahead must not put the look off for years.
    """
    newest = case.occurrences.order_by("-added_at").values_list("added_at", flat=True).first()
    return max(case.opened_at, newest or case.opened_at)


def look_again(case_id: int, delay: timedelta, *, actor: Actor) -> list[PivotRun]:
    """Ask every pivot of the guide again; those that follow another one run after it.

    Twice is once: what waits, or ran a moment ago, is left out. An occurrence that came meanwhile is looked
    at again in its own time.
    """
    with transaction.atomic():
        case = cases.locked(case_id)
        if case.is_storm:
            return []
        due, now = _base(case) + delay, timezone.now()
        if due > now:
            _put(next(kind for kind, one in DELAYS.items() if one == delay), case, due)
        made = [again(run, after_closing=not case.is_open) for run in _to_repeat(case, now)]
        for run in made:
            ask(run)
        if made:
            journal.record(
                case,
                "late_look",
                actor=actor,
                subject=f"{len(made)} {'pivot' if len(made) == 1 else 'pivots'}",
                data={"pivots": [run.pk for run in made]},
            )
    return made


def _to_repeat(case: Case, now: datetime) -> list[PivotRun]:
    leaders = {pivot.key for pivot in guide_of(case).pivots if not pivot.after}
    busy = set(
        case.pivots.filter(started_at__isnull=True, state=PivotState.NOT_RUN).values_list("key", flat=True)
    ) | set(case.pivots.filter(attempt__gt=1, finished_at__gt=now - RECENT).values_list("key", flat=True))
    return [
        run
        for run in latest_runs(case)
        if run.key in leaders
        and run.key not in busy
        and not checks.is_alert(run)
        and run.state not in (*_WAITING, PivotState.BLOCKED)
    ]


@outbox.handler("late_pivots_1h")
def deliver_first(case_id: int | None) -> None:
    """Outbox: look again an hour after the case's last event."""
    if case_id:
        look_again(case_id, DELAYS["late_pivots_1h"], actor=system("late evidence"))


@outbox.handler("late_pivots_24h")
def deliver_second(case_id: int | None) -> None:
    """Outbox: look again a day after the case's last event."""
    if case_id:
        look_again(case_id, DELAYS["late_pivots_24h"], actor=system("late evidence"))


# -- what is new


def _earlier(run: PivotRun) -> list[PivotRun]:
    """The attempts before this one that were searched, newest first."""
    unsearched = (*_WAITING, PivotState.FAILED, PivotState.BLOCKED)
    before = PivotRun.objects.filter(case=run.case_id, key=run.key, attempt__lt=run.attempt)
    return list(before.exclude(state__in=unsearched).order_by("-attempt"))


def known(run: PivotRun) -> Collection[str] | None:
    """The identities that earlier attempts have; None where no earlier one was searched."""
    earlier = _earlier(run)
    if not earlier:
        return None
    return set(Evidence.objects.filter(pivot__in=earlier).values_list("identity", flat=True))


def gone(run: PivotRun) -> int:
    """How many rows of the attempt before, that lie in this run's time, it has not; 0 if it kept not all."""
    earlier = _earlier(run)
    if not earlier or run.total > run.kept or run.state == PivotState.PARTIAL:
        return 0
    if earlier[0].scope != run.scope:
        return 0
    before = earlier[0].rows.filter(event_at__gte=run.window_start, event_at__lte=run.window_end)
    return before.exclude(identity__in=run.rows.values("identity")).count()


def tell(case: Case, run: PivotRun, *, actor: Actor) -> None:
    """Mark a locked, open case and the question with what a later attempt found, and open it again."""
    if not run.added or not case.is_open or not (run.counts or run.origin != PivotOrigin.GUIDE):
        return
    case.has_new_evidence = True
    case.save(update_fields=["has_new_evidence"])
    question = Question.objects.select_for_update().filter(case=case, key=run.question_key).first()
    if question is None:
        return
    question.has_new_evidence = True
    if run.counts and question.state in _REOPENED and _saw_nothing(run):
        _reopen(case, question, run, actor)
    question.save(update_fields=["has_new_evidence", "state", "version", "reopened_at"])


def _saw_nothing(run: PivotRun) -> bool:
    """Whether the attempt that the answer went by had found nothing, or could not see."""
    before = next((one for one in _earlier(run) if one.counts), None)
    return before is not None and before.state in _SAW_NOTHING


def _reopen(case: Case, question: Question, run: PivotRun, actor: Actor) -> None:
    before = question.state
    question.state, question.version = QuestionState.OPEN, question.version + 1
    question.reopened_at = timezone.now()
    journal.record(
        case,
        "question_reopened",
        actor=actor,
        subject=f"Question {question.position}",
        before=before,
        after=QuestionState.OPEN,
        reason=f"Reopened: new evidence in pivot {run.label}: {_rows(run.added)}.",
        data={"question": question.key, "pivot": run.pk, "added": run.added},
    )


def _rows(count: int) -> str:
    return f"{count:,} new {'row' if count == 1 else 'rows'}"


def tell_lead(case: Case, run: PivotRun, *, actor: Actor) -> None:
    """A closed case changes nothing: a lead is asked to decide, with what was found."""
    if not run.added:
        return
    outcome = case.get_disposition_display().lower()
    open_task(
        kind="new_evidence",
        title=f"{case.number} was closed as {outcome}; new evidence has come since",
        detail=(
            f"The pivot {run.label} found {_rows(run.added)} after the case was closed. They are kept with "
            "the case, marked, and nothing else of it was changed. Look whether the conclusion still holds."
        ),
        actor=actor,
        key=f"new_evidence:{run.pk}",
        case=case,
        for_permission="triage.approve",
    )
