"""Exceptions and value lists that wait for a second person, for the inbox of approvals."""

from collections.abc import Iterable

from django.db.models import QuerySet

from detections.actors import Actor
from triage.approvals import Pending, source
from triage.enums import ExceptionState
from triage.exception_items.content import entries_of, sentence
from triage.models import ExceptionVersion, ValueListVersion


def _proposed(actor: Actor) -> QuerySet[ExceptionVersion]:
    return ExceptionVersion.objects.visible_to(actor).filter(state=ExceptionState.PROPOSED)


@source(_proposed)
def exceptions(rows: QuerySet[ExceptionVersion]) -> Iterable[Pending]:
    """Proposed versions."""
    for row in rows.select_related("item__rule", "requested_by", "last_edited_by"):
        if row.requested_by is not None and row.requested_at is not None:
            yield Pending(
                kind="exception",
                title=f"{row.label} {row.item.name}",
                says=f"Hides alerts of {row.item.rule.name} where {_says(row)}.",
                url=f"/exceptions/{row.item_id}/versions/{row.number}/",
                requested_by=row.requested_by,
                last_edited_by=row.last_edited_by,
                requested_at=row.requested_at,
                expires_at=row.expires_at,
                case_id=row.case_id,
                sha256=row.content_sha256,
            )


def _says(row: ExceptionVersion) -> str:
    try:
        return "; ".join(sentence(entry) for entry in entries_of(row.entries))
    except ValueError as error:
        return f"its entries can't be read ({error})"


def _proposed_lists(actor: Actor) -> QuerySet[ValueListVersion]:
    return ValueListVersion.objects.visible_to(actor).filter(state=ExceptionState.PROPOSED)


@source(_proposed_lists)
def value_lists(rows: QuerySet[ValueListVersion]) -> Iterable[Pending]:
    """Proposed versions of value lists."""
    for row in rows.select_related("value_list", "requested_by", "last_edited_by"):
        if row.requested_by is not None and row.requested_at is not None:
            yield Pending(
                kind="value list",
                title=str(row),
                says=f"{len(row.values)} values for exceptions that refer to {row.value_list.name}.",
                url=f"/value-lists/{row.value_list_id}/",
                requested_by=row.requested_by,
                last_edited_by=row.last_edited_by,
                requested_at=row.requested_at,
            )
