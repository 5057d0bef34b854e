"""An action's row: found and locked, set to a state, and every change written down."""

from typing import Any

from django.utils import timezone

from detections.actors import Actor
from triage import cases, journal
from triage.enums import ActionState
from triage.errors import StaleEditError
from triage.models import ResponseAction

_S = ActionState


def locked(action_id: int) -> ResponseAction:
    """The action as it is now, its case and itself locked until the transaction ends, the case first."""
    case_id = ResponseAction.objects.values_list("case", flat=True).get(pk=action_id)
    cases.locked(case_id)
    rows = ResponseAction.objects.select_for_update(of=("self",)).select_related(
        "case__guide__rule_version",
        "kind__approver_group",
        "kind__connector",
        "connector",
        "requested_by",
        "last_edited_by",
        "undoes__connector",
    )
    return rows.get(pk=action_id)


def found(action_id: int | None) -> ResponseAction | None:
    """The same; None for one that is not there."""
    is_there = action_id is not None and ResponseAction.objects.filter(pk=action_id).exists()
    return locked(action_id) if is_there and action_id is not None else None


def require_state(row: ResponseAction, states: tuple[str, ...], deed: str) -> None:
    """Raise StaleEditError, naming the state, unless the row is in one of these."""
    if row.state not in states:
        raise StaleEditError(f"{row.number} is {row.state}: it can't be {deed}.", theirs=row)


def write(
    row: ResponseAction,
    verb: str,
    actor: Actor,
    *,
    before: str = "",
    after: str = "",
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """One entry in the journal of the action's case."""
    journal.record(
        row.case,
        verb,
        actor=actor,
        subject=f"{row.number}, {row.title}",
        before=before,
        after=after or row.state,
        reason=reason,
        data={"action": row.pk, "content_sha256": row.content_sha256, **(data or {})},
    )


_VERBS = {
    _S.RUNNING: "action_begun",
    _S.SUCCEEDED: "action_succeeded",
    _S.FAILED: "action_failed",
    _S.UNKNOWN: "action_unknown",
    _S.UNDONE: "action_undone",
    _S.EXPIRED: "action_expired",
    _S.CANCELLED: "action_cancelled",
}


def set_state(
    row: ResponseAction,
    state: ActionState,
    says: str,
    actor: Actor,
    *,
    verb: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """A state with its sentence; written down where the state is another one, or the verb says more."""
    before, row.state, row.says = row.state, state, says[:4000]
    row.save()
    if before == state and not verb:
        return
    journal.record(
        row.case,
        verb or _VERBS[state],
        actor=actor,
        subject=f"{row.number}, {row.title}",
        before=before,
        after=state,
        reason=row.says,
        data={"action": row.pk, "attempt": row.attempts, "key": row.send_key, **(data or {})},
    )


def finish(row: ResponseAction, state: ActionState, says: str, actor: Actor) -> None:
    """The state is the attempt's last."""
    row.finished_at = timezone.now()
    set_state(row, state, says, actor)
