"""Containments that are in force, and what of a response forbids to close a case."""

from datetime import datetime

from django.db.models import Count, Q
from django.utils import timezone

from detections.actors import Actor
from triage.enums import ActionState
from triage.models import Case, ResponseAction
from triage.models.action import IN_FORCE, MOVING, ResponseActionQuerySet

_S = ActionState


def open_containments(*, actor: Actor, case: Case | None = None) -> ResponseActionQuerySet:
    """Reversible containments in force that nobody took over, oldest first, as the actor may see them."""
    rows = ResponseAction.objects.visible_to(actor).open_containments()
    rows = rows.filter(case=case) if case else rows
    return (
        rows.with_proof()
        .select_related("case", "kind", "requested_by", "approved_by")
        .order_by("started_at", "pk")
    )


def counts(case: Case, *, actor: Actor) -> tuple[int, int]:
    """How many actions a case has, and how many containments in force; one query."""
    held = Q(is_containment=True, state__in=IN_FORCE, undoes__isnull=True, handed_to="")
    rows = ResponseAction.objects.visible_to(actor).filter(case=case).order_by()
    found = rows.aggregate(all=Count("pk"), held=Count("pk", filter=held))
    return found["all"], found["held"]


def blocks(case: Case) -> list[str]:
    """Why the case can't close over its response, in sentences; empty if it can."""
    held = list(ResponseAction.objects.filter(case=case).open_containments())
    listed = [
        f"{action.number} ({action.title}) is in force: undo it, or hand it over by name." for action in held
    ]
    moving = ResponseAction.objects.filter(case=case, state__in=MOVING).exclude(
        pk__in=[one.pk for one in held]
    )
    return listed + [_moving(action) for action in moving]


def _moving(action: ResponseAction) -> str:
    what = f"{action.number} ({action.title})"
    if action.state == _S.UNKNOWN:
        return f"{what}: nobody knows whether it was done. Ask the target, or look, and say what you found."
    if action.state == _S.RUNNING:
        return f"{what} is running. Wait for it, or say what came of it."
    return f"{what} is {action.state}. Wait for it, or withdraw it."


def age(action: ResponseAction, *, now: datetime | None = None) -> float:
    """Seconds that the containment has been in force."""
    began = action.started_at or action.requested_at
    return ((now or timezone.now()) - began).total_seconds() if began else 0.0
