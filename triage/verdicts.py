"""The verdict on a case that is still worked on: malicious, said by a person, before the case is closed."""

from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import cases, journal
from triage.enums import Disposition
from triage.errors import GateClosedError, TriageError
from triage.gate import gate
from triage.models import Case


def confirm_malicious(case: Case, *, reason: str, actor: Actor, version: int) -> Case:
    """Say that an open case is malicious: what the response may do then is another matter than closing it.

    Raises NotPermittedError, StaleEditError, GateClosedError where no question points to escalate, and
    TriageError for a closed case or without a reason.
    """
    actor.require("triage.close_case", "give a verdict")
    if not reason.strip():
        raise TriageError("Say why it is malicious: what the evidence shows.")
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases.require_open(row)
        cases.check_version(row, version)
        if row.disposition == Disposition.MALICIOUS:
            raise TriageError(f"{row.number} has that verdict already.")
        if blocks := [block.sentence for block in gate(row).of(Disposition.MALICIOUS).blocks]:
            raise GateClosedError(blocks)
        _set(row, Disposition.MALICIOUS)
        journal.record(
            row, "verdict_given", actor=actor, before="undetermined", after="malicious", reason=reason.strip()
        )
    return row


def withdraw(case: Case, *, reason: str, actor: Actor, version: int) -> Case:
    """Take the verdict back. What was done stays done, and listed. Raises as `confirm_malicious`."""
    actor.require("triage.close_case", "take a verdict back")
    if not reason.strip():
        raise TriageError("Say why the verdict is taken back.")
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases.require_open(row)
        cases.check_version(row, version)
        if row.disposition != Disposition.MALICIOUS:
            raise TriageError(f"{row.number} has no verdict to take back.")
        _set(row, Disposition.UNDETERMINED)
        journal.record(
            row,
            "verdict_withdrawn",
            actor=actor,
            before="malicious",
            after="undetermined",
            reason=reason.strip(),
        )
    return row


def _set(row: Case, disposition: Disposition) -> None:
    row.disposition, row.version, row.last_activity_at = disposition, row.version + 1, timezone.now()
    row.save(update_fields=["disposition", "version", "last_activity_at"])


def is_malicious(case: Case) -> bool:
    """Whether the verdict stands: a person said so, and the answers still allow it."""
    if case.disposition != Disposition.MALICIOUS:
        return False
    return not case.is_open or gate(case).of(Disposition.MALICIOUS).is_open
