"""Containments are taken back by an action of their own, handed over by name, or given another end."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor, NotPermittedError
from triage.enums import ActionState
from triage.errors import StaleEditError, TriageError
from triage.models import ActionKind, ResponseAction
from triage.models.action import IN_FORCE
from triage.response import actions as response_actions
from triage.response import rows as response_rows
from triage.response.kinds import kind_of

_S = ActionState


def undo(
    action: ResponseAction, *, actor: Actor, reason: str, requested_by: User | None = None
) -> ResponseAction:
    """An action of its own that takes this one back. On a closed case too: what holds must be endable.

    requested_by: for whom the product asks, where it does so by itself. Raises NotPermittedError,
    StaleEditError, TriageError.
    """
    actor.require(response_actions.REQUEST, "take response actions back")
    user = actor.user or requested_by or action.requested_by
    if user is None:
        raise NotPermittedError("Only a person may take a response action back.")
    if not reason.strip():
        raise TriageError("Say why it is taken back.")
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        kind_key = str(row.undo_plan.get("kind", ""))
        if not kind_key:
            raise TriageError(f"{row.number} can't be taken back: nothing was planned for that.")
        response_rows.require_state(row, IN_FORCE, "taken back")
        if row.undos.exclude(state__in=(_S.FAILED, _S.DECLINED, _S.CANCELLED, _S.EXPIRED)).exists():
            raise StaleEditError(f"{row.number} is being taken back already.", theirs=row)
        made = _undo_of(row, kind_of(kind_key), user, reason.strip())
        response_actions.store_new(made)
        response_rows.write(
            made, "action_requested", actor, reason=made.reason, data=response_actions.content(made)
        )
        if not made.needs_approval:
            response_actions.begin(made)
    return made


def _undo_of(row: ResponseAction, kind: ActionKind, user: User, reason: str) -> ResponseAction:
    now = timezone.now()
    named = f": {row.target_value}" if row.target_value else ""
    return ResponseAction(
        case=row.case,
        kind=kind,
        stage=row.stage,
        title=f"{kind.label}{named}"[:255],
        target=row.target,
        target_type=row.target_type,
        target_value=row.target_value,
        parameters=row.parameters,
        reason=reason,
        needs_approval=kind.needs_approval,
        expires_at=now + kind.lifetime,
        undoes=row,
        requested_by=user,
        requested_at=now,
        last_edited_by=user,
    )


def hand_over(action: ResponseAction, *, to: str, actor: Actor, reason: str) -> ResponseAction:
    """Somebody named looks after a containment from now on, so that its case may close.

    Raises NotPermittedError, StaleEditError, TriageError without a name or reason.
    """
    actor.require(response_actions.REQUEST, "hand containments over")
    if not to.strip() or not reason.strip():
        raise TriageError("Name who looks after it from now on, and say why it stays.")
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        if not row.is_containment or row.state not in IN_FORCE:
            raise StaleEditError(f"{row.number} is no containment in force.", theirs=row)
        before = row.handed_to or "nobody"
        row.handed_to, row.handed_by, row.handed_at = to.strip()[:255], actor.label[:200], timezone.now()
        row.handed_reason = reason.strip()
        row.save(update_fields=["handed_to", "handed_by", "handed_at", "handed_reason"])
        response_rows.write(
            row, "action_handed_over", actor, before=before, after=row.handed_to, reason=reason.strip()
        )
    return row


def extend(action: ResponseAction, *, until: datetime, actor: Actor, reason: str) -> ResponseAction:
    """Let a containment last longer, or end sooner. Raises NotPermittedError, StaleEditError, TriageError."""
    actor.require(response_actions.REQUEST, "extend containments")
    now = timezone.now()
    if not reason.strip():
        raise TriageError("Say why it ends at another time.")
    if not now < until <= now + response_actions.LONGEST:
        raise TriageError("A containment ends in the future, and within a year.")
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        response_rows.require_state(row, IN_FORCE, "extended")
        if row.ends_at is None:
            raise TriageError(f"{row.number} has no end.")
        before = f"{row.ends_at:%Y-%m-%d %H:%M} UTC"
        row.ends_at, row.reminded_at = until, None
        row.save(update_fields=["ends_at", "reminded_at"])
        response_rows.write(
            row,
            "action_extended",
            actor,
            before=before,
            after=f"{until:%Y-%m-%d %H:%M} UTC",
            reason=reason.strip(),
        )
    return row
