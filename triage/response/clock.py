"""What a response needs of the clock: requests lapse, containments end or remind, what is silent is asked."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from detections.errors import CasewrightError
from triage import case_tasks, cases
from triage.actions.outcomes import Outcome, Result
from triage.enums import ActionState
from triage.models import ReplyLink, ResponseAction
from triage.models.action import IN_FORCE
from triage.response import actions as response_actions
from triage.response import checks as response_checks
from triage.response import running as response_running
from triage.response import undo as response_undo

_S = ActionState
# An approved action that was not begun is put into the outbox again after this time.
STALLED = timedelta(minutes=2)


def watch(*, actor: Actor, now: datetime | None = None) -> None:
    """Once a minute. Idempotent."""
    now = now or timezone.now()
    for action in ResponseAction.objects.filter(state__in=(_S.REQUESTED, _S.APPROVED), expires_at__lte=now):
        response_actions.expire(action, actor=actor, now=now)
    over = ResponseAction.objects.filter(state__in=IN_FORCE, undoes__isnull=True, ends_at__lte=now)
    for action in over.filter(reminded_at__isnull=True):
        _end(action, actor, now)
    response_checks.put_due(now=now)
    _ask_the_silent(now)
    _give_up_replies(now)


def _end(action: ResponseAction, actor: Actor, now: datetime) -> None:
    """Its time is over: taken back by itself where so set, else somebody is reminded. Once."""
    with transaction.atomic():
        cases.locked(action.case_id)
        row = ResponseAction.objects.select_for_update(of=("self",)).select_related("case").get(pk=action.pk)
        if row.reminded_at is not None or row.ends_at is None or row.ends_at > now:
            return
        row.reminded_at = now
        row.save(update_fields=["reminded_at"])
        if row.auto_undo and _undone(row, actor):
            return
        if row.is_containment:
            _remind(row, actor)


def _undone(row: ResponseAction, actor: Actor) -> bool:
    try:
        with transaction.atomic():
            response_undo.undo(row, actor=actor, reason="Its time is over.")
    except CasewrightError:
        return False
    return True


def _remind(row: ResponseAction, actor: Actor) -> None:
    assert row.ends_at is not None
    case_tasks.open_task(
        kind="containment_over",
        title=f"{row.number} was to end {row.ends_at:%Y-%m-%d %H:%M} UTC and is in force: {row.title}",
        detail="Undo it, or say until when it stays.",
        key=f"containment:{row.pk}:{row.ends_at.isoformat()}",
        case=row.case,
        owner=None,
        for_permission=case_tasks.LEAD,
        due_at=row.ends_at,
        actor=actor,
    )


def _ask_the_silent(now: datetime) -> None:
    """A system that took an order and never said more is not waited for: what it did is unknown then."""
    silent = ResponseAction.objects.filter(
        state=_S.RUNNING, connector__isnull=False, accepted_at__lt=now - response_running.PATIENCE
    ).exclude(connector__adapter__in=("manual", "message"))
    for action in silent.select_related("case", "requested_by"):
        says = f"It was taken {action.accepted_at:%Y-%m-%d %H:%M} UTC, and nothing was said since."
        response_running.store(action, Outcome(Result.UNKNOWN, says), attempt=action.attempts)


def _give_up_replies(now: datetime) -> None:
    over = ReplyLink.objects.filter(used_at__isnull=True, expires_at__lte=now, action__state=_S.RUNNING)
    for link in over.select_related("action__case", "action__requested_by"):
        outcome = Outcome(Result.FAILED, f"{link.sent_to} did not reply in time.")
        response_running.store(link.action, outcome, attempt=link.action.attempts)
