"""What senders sent, day by day: counts, and the quarantine of what was refused."""

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from detections import journal
from detections.door.tokens import Sender
from detections.enums import ImportStatus
from detections.errors import RecordError
from detections.imports import QUARANTINED_PER_FILE, RAW_LENGTH, STREAM
from detections.models import Import, QuarantinedRecord, SenderDay, SenderToken

__all__ = ["RAW_LENGTH", "Receipt", "keep"]


@dataclass(slots=True)
class Receipt:
    """What came of one request. sha256: of its content, so that the same request again counts once."""

    sender: Sender
    sha256: str
    size: int
    new: int = 0
    known: int = 0
    bad: int = 0
    faults: list[RecordError] = field(default_factory=list)

    def count(self, item: dict[str, dict[str, Any]], fault: RecordError | None) -> None:
        """Count one answered action. Only as many faults are kept as a day's quarantine takes."""
        (told,) = item.values()
        if fault is not None:
            self.bad += 1
            if len(self.faults) < QUARANTINED_PER_FILE:
                self.faults.append(fault)
        elif told["status"] == 201:
            self.new += 1
        else:
            self.known += 1

    @property
    def label(self) -> str:
        return f"request {self.sha256[:16]}"


def keep(receipt: Receipt) -> None:
    """Move the counts of the sender and its day on, and quarantine what was refused, in one transaction."""
    now = timezone.now()
    token = receipt.sender.token
    with transaction.atomic():
        SenderToken.objects.select_for_update().get(pk=token.pk)
        SenderToken.objects.filter(pk=token.pk).update(
            last_used_at=now, events_received=F("events_received") + receipt.new
        )
        row = _day(receipt.sender)
        bad = 0 if _is_kept(receipt) else receipt.bad
        if bad:
            _quarantine(row, receipt)
        Import.objects.filter(pk=row.pk).update(
            finished_at=now,
            bytes_total=F("bytes_total") + receipt.size,
            bytes_done=F("bytes_done") + receipt.size,
            events_new=F("events_new") + receipt.new,
            events_known=F("events_known") + receipt.known,
            records_bad=F("records_bad") + bad,
        )


def _day(sender: Sender) -> Import:
    """The import of the sender's day; a new one is journalled. The token's row is locked."""
    today = timezone.now().date()
    known = SenderDay.objects.filter(token=sender.token, day=today).select_related("capture").first()
    if known is not None:
        return known.capture
    row = Import.objects.create(
        started_by=sender.token.created_by,
        files=[f"sender {sender.name}"],
        status=ImportStatus.SUCCEEDED,
        finished_at=timezone.now(),
    )
    SenderDay.objects.create(token=sender.token, day=today, capture=row)
    _journal(row, sender, "sending_began", before="")
    return row


def _is_kept(receipt: Receipt) -> bool:
    """Whether this very request's faults are in the quarantine already: its sender did not get our answer."""
    held = QuarantinedRecord.objects.filter(capture__sender_day__token=receipt.sender.token)
    return bool(receipt.bad) and held.filter(position__startswith=f"{receipt.label} ").exists()


def _quarantine(row: Import, receipt: Receipt) -> None:
    room = max(0, QUARANTINED_PER_FILE - row.records_bad)
    QuarantinedRecord.objects.bulk_create(
        QuarantinedRecord(
            capture=row,
            file=f"sender {receipt.sender.name}",
            position=f"{receipt.label} {fault.position}"[:100],
            reason=_storable(str(fault)),
            raw=_storable(fault.raw)[:RAW_LENGTH],
        )
        for fault in receipt.faults[:room]
    )
    if row.status != ImportStatus.PARTIAL:
        Import.objects.filter(pk=row.pk).update(status=ImportStatus.PARTIAL)
        _journal(row, receipt.sender, "records_quarantined", before=row.status, after=ImportStatus.PARTIAL)


def _storable(text: str) -> str:
    """Text that any database takes: PostgreSQL refuses the character zero."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _journal(
    row: Import, sender: Sender, verb: str, *, before: str, after: str = ImportStatus.SUCCEEDED
) -> None:
    journal.record(
        STREAM,
        verb,
        actor=sender.actor,
        before=before,
        after=after,
        data={"import": row.pk, "token": sender.token.pk},
    )
