"""What admins set of kinds of response actions; each change is written down."""

from typing import Any

from django.db import transaction

from detections import journal
from detections.actors import Actor
from triage.actions.adapter import described
from triage.errors import TriageError
from triage.models import ActionKind
from triage.response.executors import executor_of
from triage.response.kinds import PRESERVE

STREAM = "action_kinds"
_FILES = " The files that it asks endpoints for go through the connector of Collect a file."


def save_kind(kind: ActionKind, *, actor: Actor) -> ActionKind:
    """Store what was changed of a kind. A destructive one always needs another person.

    Raises NotPermittedError, TriageError.
    """
    actor.require("triage.change_actionkind", "change how actions are decided and done")
    if faults := faults_of(kind):
        raise TriageError(" ".join(faults))
    with transaction.atomic():
        before = _data(ActionKind.objects.select_for_update().get(pk=kind.pk))
        kind.save()
        journal.record(
            STREAM, "action_kind_changed", actor=actor, data={"before": before, "after": _data(kind)}
        )
    return kind


def faults_of(kind: ActionKind) -> list[str]:
    """Why a kind can't be set like this, in sentences."""
    faults = []
    if kind.is_destructive and not kind.needs_approval:
        faults.append("It can't be undone, so another person always decides.")
    if kind.request_minutes < 1:
        faults.append("A request lives a minute at least.")
    if kind.is_containment and not kind.lasts_minutes:
        faults.append("A containment has an end: say after how many minutes.")
    if kind.check_minutes < 1:
        faults.append("It is looked at once a minute at most.")
    if kind.connector is not None and executor_of(kind.key) is not None:
        faults.append(
            f"Casewright does this itself: leave the connector empty.{_FILES if kind.key == PRESERVE else ''}"
        )
    elif kind.connector is not None:
        kinds = described(kind.connector.adapter).kinds
        if kinds and kind.key not in kinds:
            faults.append(f"{kind.connector.name} can't do this. It can do: {', '.join(sorted(kinds))}.")
    return faults


def _data(kind: ActionKind) -> dict[str, Any]:
    return {
        "kind": kind.key,
        "needs_approval": kind.needs_approval,
        "approver_group": kind.approver_group_id,
        "request_minutes": kind.request_minutes,
        "lasts_minutes": kind.lasts_minutes,
        "auto_undo": kind.auto_undo,
        "check_minutes": kind.check_minutes,
        "connector": kind.connector_id,
        "instructions": kind.instructions,
    }
