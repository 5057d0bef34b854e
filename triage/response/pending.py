"""Response actions that wait for a second person, for the inbox of approvals."""

from collections.abc import Iterable

from django.db.models import QuerySet

from detections.actors import Actor
from triage.approvals import Pending, source
from triage.enums import ActionState
from triage.models import ResponseAction


def _requested(actor: Actor) -> QuerySet[ResponseAction]:
    return ResponseAction.objects.visible_to(actor).filter(state=ActionState.REQUESTED)


@source(_requested)
def actions(rows: QuerySet[ResponseAction]) -> Iterable[Pending]:
    """Requested actions."""
    for row in rows.select_related("case", "kind", "requested_by", "last_edited_by"):
        if row.requested_by is not None and row.requested_at is not None:
            yield Pending(
                kind="response action",
                title=f"{row.number} {row.title}",
                says=_says(row),
                url=f"/actions/{row.pk}/",
                requested_by=row.requested_by,
                last_edited_by=row.last_edited_by,
                requested_at=row.requested_at,
                expires_at=row.expires_at,
                case_id=row.case_id,
            )


def _says(row: ResponseAction) -> str:
    word = "Can't be undone. " if row.kind.is_destructive else ""
    against = " Against its preconditions." if row.override_reason else ""
    return f"{word}{row.case.number}, {row.case.title}: {row.reason}{against}"
