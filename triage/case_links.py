"""Links between cases that people make: why two cases belong together. Removed ones stay, marked."""

from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import cases, journal
from triage.enums import CaseLinkKind
from triage.errors import TriageError
from triage.models import Case, CaseLink


def link(case: Case, other: Case, *, why: str, actor: Actor) -> CaseLink:
    """Say that two cases are related, and why; both journals say so. Either may be closed.

    Raises NotPermittedError, and TriageError without a reason, for the same case, or if they are linked so.
    """
    actor.require("triage.assign_case", "link cases")
    if not why.strip():
        raise TriageError("Say why the cases belong together.")
    if case.pk == other.pk:
        raise TriageError(f"{case.number} is this case. Name the other one.")
    with transaction.atomic():
        rows = cases.locked_both(case.pk, other.pk)
        if _standing(*rows):
            raise TriageError(f"{rows[0].number} and {rows[1].number} are linked as related already.")
        made = CaseLink.objects.create(
            source=rows[0], target=rows[1], kind=CaseLinkKind.RELATED, why=why.strip(), created_by=actor.user
        )
        _write(made, "case_linked", actor, made.why)
    return made


def unlink(made: CaseLink, *, actor: Actor, reason: str) -> CaseLink:
    """Take back that two cases are related. Raises NotPermittedError, and TriageError without a reason, for a
    link that says more (a duplicate, a follower), or one that is removed already.
    """
    actor.require("triage.assign_case", "remove links between cases")
    if not reason.strip():
        raise TriageError("Say why the link is removed.")
    if made.kind != CaseLinkKind.RELATED:
        raise TriageError("Only links of related cases are removed. A merge is undone instead.")
    with transaction.atomic():
        cases.locked_both(made.source_id, made.target_id)
        row = CaseLink.objects.select_for_update().get(pk=made.pk)
        if row.removed_at is not None:
            raise TriageError(f"{row.removed_by} removed this link already: {row.removed_reason}")
        remove(row, actor=actor, reason=reason.strip())
        _write(row, "case_unlinked", actor, row.removed_reason)
    return row


def remove(row: CaseLink, *, actor: Actor, reason: str) -> None:
    """Mark a locked link as removed, in the caller's transaction, which writes the journal."""
    row.removed_at, row.removed_by, row.removed_reason = timezone.now(), actor.label[:200], reason
    row.save(update_fields=["removed_at", "removed_by", "removed_reason"])


def _standing(one: Case, other: Case) -> bool:
    related = CaseLink.objects.standing().filter(kind=CaseLinkKind.RELATED, source__in=(one, other))
    return related.filter(target__in=(one, other)).exists()


def _write(row: CaseLink, verb: str, actor: Actor, reason: str) -> None:
    for here, there in ((row.source, row.target), (row.target, row.source)):
        data = {"link": row.pk, "case": there.pk}
        journal.record(here, verb, actor=actor, subject=there.number, reason=reason, data=data)
