"""The way of a response action by people: asked for, decided, withdrawn, handed over, asked for again.

A case's row is locked first by everybody, then the action's. What an action does is in
`triage.response.running`, which the outbox calls after the commit.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, NotPermittedError
from triage import approvals, cases
from triage.enums import ActionState, CaseStatus
from triage.errors import StaleEditError, TriageError
from triage.guide_versions import guide_of
from triage.models import ActionKind, Case, ResponseAction
from triage.response import ladder as response_ladder
from triage.response import rows as response_rows
from triage.response import targets as response_targets
from triage.response.conditions import Condition
from triage.response.kinds import KindSpec, kind_of, spec_of
from triage.response.ladder import place_of
from triage.response.targets import Target

REQUEST = "triage.request_action"
OVERRIDE = "triage.override_precondition"
RUN = "response_run"
OVERRIDE_LEAST = 20
LONGEST = timedelta(days=366)
_S = ActionState


class PreconditionError(TriageError):
    """The case does not allow the action yet; `lacking` says what is missing."""

    def __init__(self, lacking: list[Condition]) -> None:
        self.lacking = lacking
        super().__init__(" ".join(one.why or one.says for one in lacking))


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. target: a token of `response_targets`. typed: the form's own fields.

    ends_at: when a containment is over, None for the kind's usual time. override: why a lead lets it pass
    preconditions that do not hold; it stays visible.
    """

    kind: str
    reason: str
    stage: str = ""
    target: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    ends_at: datetime | None = None
    override: str = ""


def request(case: Case, wish: Wish, *, actor: Actor) -> ResponseAction:
    """Ask for an action. Where its kind needs no approval, it is approved by that, and begun.

    Raises NotPermittedError, PreconditionError, and TriageError for what can't be asked for.
    """
    user = person(actor)
    place = place_of(guide_of(case), wish.kind, wish.stage)
    spec = spec_of(wish.kind, place.action if place else None)
    if spec.is_door:
        raise TriageError(f"{spec.label}: that has a page of its own.")
    if not wish.reason.strip():
        raise TriageError("Say why it is asked for: who decides has to know.")
    kind = kind_of(wish.kind, place.action if place else None)
    target = response_targets.chosen(case, spec, wish.target)
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases.require_open(row)
        overrode = _judge(row, wish, target, actor)
        action = _new(row, kind, spec, wish, target, user)
        action.stage = place.stage.key if place else ""
        action.overrode = [one.why or one.says for one in overrode]
        action.override_reason = wish.override.strip() if overrode else ""
        store_new(action)
        response_rows.write(action, "action_requested", actor, reason=action.reason, data=content(action))
        if not action.needs_approval:
            begin(action)
    return action


def person(actor: Actor) -> User:
    actor.require(REQUEST, "request response actions")
    if actor.user is None:
        raise NotPermittedError("Only a person may request a response action.")
    return actor.user


def _judge(case: Case, wish: Wish, target: Target, actor: Actor) -> list[Condition]:
    """Which preconditions are overridden. Raises PreconditionError for those that are not."""
    lacking = response_ladder.judge(case, wish.kind, wish.stage, target.type, target.value).lacking
    if not lacking or not wish.override.strip():
        if lacking:
            raise PreconditionError(lacking)
        return []
    actor.require(OVERRIDE, "request an action against its preconditions")
    if len(wish.override.strip()) < OVERRIDE_LEAST or " " not in wish.override.strip():
        raise TriageError("Say in a sentence why the preconditions may be passed over: it stays visible.")
    return lacking


def _new(
    case: Case, kind: ActionKind, spec: KindSpec, wish: Wish, target: Target, user: User
) -> ResponseAction:
    now = timezone.now()
    ends_at = _ends_at(kind, wish, now)
    named = f": {target.value}" if target.value else ""
    return ResponseAction(
        case=case,
        kind=kind,
        title=f"{kind.label}{named}"[:255],
        target=target.observable,
        target_type=target.type,
        target_value=target.value,
        parameters={**target.parameters, **_typed(spec, wish)},
        reason=wish.reason.strip(),
        needs_approval=kind.needs_approval or kind.is_destructive,
        is_containment=kind.is_containment,
        expires_at=now + kind.lifetime,
        undo_plan={"kind": spec.undo, "by": ends_at.isoformat() if ends_at else ""} if spec.undo else {},
        ends_at=ends_at,
        auto_undo=kind.auto_undo and bool(spec.undo),
        requested_by=user,
        requested_at=now,
        last_edited_by=user,
    )


def _typed(spec: KindSpec, wish: Wish) -> dict[str, Any]:
    """The fields of a kind's own form. Raises TriageError for one that lacks."""
    lacking = [name for name in spec.fields if not str(wish.typed.get(name, "")).strip()]
    if lacking:
        raise TriageError(f"Fill in: {', '.join(name.replace('_', ' ') for name in lacking)}.")
    return {name: str(wish.typed[name]).strip()[:4000] for name in spec.fields}


def _ends_at(kind: ActionKind, wish: Wish, now: datetime) -> datetime | None:
    usual = now + timedelta(minutes=kind.lasts_minutes) if kind.lasts_minutes else None
    if wish.ends_at is None or usual is None:
        return usual
    if not now < wish.ends_at <= now + LONGEST:
        raise TriageError("A containment ends in the future, and within a year.")
    return wish.ends_at


def store_new(action: ResponseAction) -> None:
    action.idempotency_key = f"casewright-{uuid.uuid4().hex}"
    action.content_sha256 = action.computed_sha256()
    action.save()


def content(action: ResponseAction) -> dict[str, Any]:
    return {
        "kind": action.kind.key,
        "target": [action.target_type, action.target_value],
        "parameters": action.parameters,
        "undo_plan": action.undo_plan,
        "undoes": action.undoes_id,
        "override": action.override_reason,
        "overrode": action.overrode,
        "needs_approval": action.needs_approval,
    }


def begin(action: ResponseAction) -> None:
    """Approved: what follows after the commit is the outbox's."""
    action.state, action.says = _S.APPROVED, "It is about to begin."
    action.save(update_fields=["state", "says"])
    send_soon(action)


def send_soon(action: ResponseAction, *, not_before: datetime | None = None) -> None:
    """Ask the outbox to begin it, in the caller's transaction; once for each time it may be begun."""
    key = f"{RUN}:{action.pk}:{action.attempts}:{action.tries}"
    outbox.put(
        RUN, key if not_before is None else f"{key}:{not_before:%H%M%S%f}", action.pk, not_before=not_before
    )


# -- deciding


def approve(action: ResponseAction, *, actor: Actor, seen_sha256: str) -> ResponseAction:
    """Let it be done. seen_sha256: of the content as it was shown. The preconditions must hold now too.

    Raises NotPermittedError, StaleEditError, PreconditionError, TriageError.
    """
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        user = _decider(row, actor, "approve the action")
        response_rows.require_state(row, (_S.REQUESTED,), "approved")
        approvals.check_content(row, seen_sha256)
        if row.computed_sha256() != row.content_sha256:
            raise TriageError(f"{row.number} does not have the content that its hash was taken of.")
        if row.expires_at <= timezone.now():
            raise StaleEditError(f"{row.number} lapsed before it was decided. Ask for it again.", theirs=row)
        _check_still_allowed(row)
        row.approved_by, row.approved_at, row.approved_sha256 = user, timezone.now(), row.content_sha256
        row.expires_at = row.approved_at + row.kind.lifetime
        row.save(update_fields=["approved_by", "approved_at", "approved_sha256", "expires_at"])
        response_rows.write(row, "action_approved", actor, before=_S.REQUESTED, after=_S.APPROVED)
        begin(row)
    return row


def _decider(row: ResponseAction, actor: Actor, what: str) -> User:
    user = approvals.require_another(row, actor=actor, what=what)
    group = row.kind.approver_group
    if group is not None and not user.groups.filter(pk=group.pk).exists():
        raise NotPermittedError(f"{actor.label} may not {what}: actions of this kind are decided by {group}.")
    return user


def _check_still_allowed(row: ResponseAction) -> None:
    if row.undoes_id is not None:
        return
    if row.case.status == CaseStatus.CLOSED:
        raise TriageError(f"{row.case.number} was closed meanwhile: nothing is begun on it any more.")
    judged = response_ladder.judge(row.case, row.kind.key, row.stage, row.target_type, row.target_value)
    if judged.lacking and not row.override_reason:
        raise PreconditionError(judged.lacking)


def decline(action: ResponseAction, *, actor: Actor, reason: str, seen_sha256: str) -> ResponseAction:
    """Say no, with a reason. Raises NotPermittedError, StaleEditError, TriageError."""
    if not reason.strip():
        raise TriageError("Say why: who asked for it has to know what to change.")
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        _decider(row, actor, "decline the action")
        response_rows.require_state(row, (_S.REQUESTED,), "declined")
        approvals.check_content(row, seen_sha256)
        row.decided_reason = reason.strip()
        _end(row, _S.DECLINED, f"Declined: {reason.strip()}")
        response_rows.write(
            row, "action_declined", actor, before=_S.REQUESTED, after=_S.DECLINED, reason=reason.strip()
        )
    return row


def cancel(action: ResponseAction, *, actor: Actor, reason: str = "") -> ResponseAction:
    """Withdraw what has not begun. Raises NotPermittedError, StaleEditError once it has."""
    actor.require(REQUEST, "withdraw response actions")
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        response_rows.require_state(row, (_S.REQUESTED, _S.APPROVED), "withdrawn")
        before = row.state
        _end(row, _S.CANCELLED, f"Withdrawn by {actor.label}.")
        response_rows.write(
            row, "action_cancelled", actor, before=before, after=_S.CANCELLED, reason=reason.strip()
        )
    return row


def retry(action: ResponseAction, *, actor: Actor) -> ResponseAction:
    """Do again what failed: the target said that it was not done. What is unknown is never repeated.

    Raises NotPermittedError, StaleEditError, PreconditionError, TriageError.
    """
    person(actor)
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        if row.state == _S.UNKNOWN:
            raise TriageError(f"Nobody knows whether {row.number} was done: it is asked for, never repeated.")
        response_rows.require_state(row, (_S.FAILED,), "done again")
        if row.undoes_id is not None and row.undoes is not None and row.undoes.state == _S.UNDONE:
            raise TriageError(f"{row.undoes.number} is undone already.")
        _check_still_allowed(row)
        row.tries, row.looks, row.accepted_at, row.finished_at, row.external_id = 0, 0, None, None, ""
        row.expires_at = timezone.now() + row.kind.lifetime
        row.save()
        response_rows.write(row, "action_retried", actor, before=_S.FAILED, after=_S.APPROVED)
        begin(row)
    return row


def expire(action: ResponseAction, *, actor: Actor, now: datetime) -> bool:
    """Let a request that nobody decided, or nobody could begin, lapse. Idempotent."""
    with transaction.atomic():
        row = response_rows.locked(action.pk)
        if row.state not in (_S.REQUESTED, _S.APPROVED) or row.expires_at > now:
            return False
        before = row.state
        why = "nobody decided it" if before == _S.REQUESTED else "it could not be begun"
        _end(row, _S.EXPIRED, f"It lapsed: {why} in time. {row.says}".strip())
        response_rows.write(row, "action_expired", actor, before=before, after=_S.EXPIRED)
    return True


def _end(row: ResponseAction, state: ActionState, says: str) -> None:
    row.state, row.says, row.finished_at = state, says, timezone.now()
    row.save(update_fields=["state", "says", "finished_at", "decided_reason"])
