"""The ladder's last rung: what is to be hardened becomes a task as triage.hardening keeps them."""

from datetime import UTC, datetime, time

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.dateparse import parse_date

from detections.actors import system
from triage import case_tasks, cases, hardening
from triage.actions.outcomes import Outcome, Result
from triage.models import ResponseAction
from triage.response_executors import executor, recorded


@executor("record_hardening", is_repeatable=True, prove=lambda action: recorded("The task is open."))
def record(action: ResponseAction) -> Outcome:
    """Open the task; again is the same task."""
    what, name = str(action.parameters.get("what", "")), str(action.parameters.get("owner", ""))
    day = _day(str(action.parameters.get("due", "")))
    owner = User.objects.filter(username=name, is_active=True).first()
    if day is None or owner is None:
        return Outcome(Result.FAILED, "Name an owner who has an account, and a day as YYYY-MM-DD.")
    with transaction.atomic():
        cases.locked(action.case_id)
        task = case_tasks.open_task(
            kind=hardening.KIND,
            title=what[:255],
            detail=action.reason,
            key=f"{hardening.KIND}:{action.case_id}:action-{action.pk}",
            case=action.case,
            owner=owner,
            due_at=day,
            actor=system(action.number),
        )
    return Outcome(
        Result.DONE,
        f"A task for {owner.get_full_name() or owner}, due {day:%Y-%m-%d}.",
        output={"task": task.pk},
    )


def _day(text: str) -> datetime | None:
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return datetime.combine(day, time(17, 0), UTC) if day else None
