"""What people and records confirm: kept with who, when and a reference, and citable like evidence."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import cases, journal
from triage.enums import ConfirmationKind
from triage.errors import AnswerRefusedError
from triage.models import Attachment, Case, Confirmation


def add_confirmation(
    case: Case,
    *,
    kind: str,
    reference: str,
    confirmed_by: str,
    confirmed_at: datetime,
    statement: str,
    actor: Actor,
    attachment: Attachment | None = None,
) -> Confirmation:
    """Record a confirmation with a case. attachment: the file that shows it, one of the case's own.

    Raises NotPermittedError, TriageError for a closed case, AnswerRefusedError with everything that lacks.
    """
    actor.require("triage.answer_question", "record confirmations")
    lacking = _lacking(kind, reference, confirmed_by, confirmed_at, statement)
    if actor.user is None:
        lacking.append("A person has to record it: the system confirms nothing.")
    if lacking or actor.user is None:
        raise AnswerRefusedError(lacking)
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases.require_open(row)
        if attachment is not None and not row.attachments.standing().filter(pk=attachment.pk).exists():
            raise AnswerRefusedError(
                [f"The file is not one of {row.number}, or was withdrawn. Attach it again."]
            )
        made = Confirmation.objects.create(
            case=row,
            kind=kind,
            reference=reference.strip(),
            confirmed_by=confirmed_by.strip(),
            confirmed_at=confirmed_at,
            statement=statement.strip(),
            recorded_by=actor.user,
            attachment=attachment,
        )
        _write(made, actor)
        row.last_activity_at = timezone.now()
        row.save(update_fields=["last_activity_at"])
    return made


def _write(made: Confirmation, actor: Actor) -> None:
    file = made.attachment
    journal.record(
        made.case,
        "confirmation_added",
        actor=actor,
        subject=f"{made.get_kind_display()} {made.reference}",
        reason=made.statement,
        data={
            "confirmation": made.pk,
            "confirmed_by": made.confirmed_by,
            "confirmed_at": made.confirmed_at,
            **({"attachment": file.pk, "sha256": file.sha256} if file else {}),
        },
    )


def _lacking(
    kind: str, reference: str, confirmed_by: str, confirmed_at: datetime, statement: str
) -> list[str]:
    lacking = []
    if kind not in ConfirmationKind.values:
        lacking.append("Say what sort of confirmation it is.")
    if not reference.strip():
        lacking.append("Give its reference: the record's number, or how the person was reached.")
    if not confirmed_by.strip():
        lacking.append("Say who confirmed it.")
    if not statement.strip():
        lacking.append("Say what exactly was confirmed.")
    if confirmed_at > timezone.now():
        lacking.append("It can't have been confirmed in the future.")
    return lacking
