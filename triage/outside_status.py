"""The alerts of Elastic Security follow their case: acknowledged once work begins, closed with the reason.

Off unless ELASTICSEARCH_ALERTS_WRITE_BACK is on. What is written is what the case says when the row of the
outbox is delivered, so that a late or repeated delivery writes nothing old.
"""

from django.conf import settings
from django.db import transaction

from detections import outbox
from detections.actors import system
from detections.models import OutsideAlert
from detections.outside_alerts import writing
from triage import cases, journal
from triage.enums import CaseStatus, Disposition
from triage.models import Case

KIND = "write_alert_status"
# As Elastic Security names its closing reasons.
REASONS = {
    Disposition.MALICIOUS: "true_positive",
    Disposition.SUSPICIOUS: "other",
    Disposition.BENIGN: "benign_positive",
    Disposition.FALSE_POSITIVE: "false_positive",
    Disposition.DUPLICATE: "duplicate",
}


def on_case_moved(*, case: Case, **_: object) -> None:
    """Receiver, in the transaction that changed a case or its alerts: ask for what follows from it."""
    if not settings.ELASTICSEARCH_ALERTS_WRITE_BACK or case.status == CaseStatus.OPEN:
        return
    if OutsideAlert.objects.filter(alert__occurrence__case=case).exists():
        stands = f"{case.status}:{case.disposition}:{case.occurrence_count}"
        outbox.put(KIND, f"{KIND}:{case.pk}:{stands}", case.pk)


@outbox.handler(KIND)
def deliver(subject: int | None) -> None:
    """Outbox: write the status of a case to its alerts in the cluster. Raises StoreError."""
    case = Case.objects.get(pk=subject or 0)
    if not settings.ELASTICSEARCH_ALERTS_WRITE_BACK or case.status == CaseStatus.OPEN:
        return
    status = writing.CLOSED if case.status == CaseStatus.CLOSED else writing.ACKNOWLEDGED
    reason = REASONS[Disposition(case.disposition)] if status == writing.CLOSED else ""
    waiting = OutsideAlert.objects.filter(alert__occurrence__case=case).exclude(status_written=status)
    alerts = list(waiting.only("document_id"))
    if not alerts:
        return
    changed = writing.write(alerts, status, reason)
    with transaction.atomic():
        row = cases.locked(case.pk)
        OutsideAlert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(status_written=status)
        data = {"alerts": len(alerts), "changed": changed, "closing_reason": reason}
        journal.record(row, "alert_status_written", actor=system("write back"), after=status, data=data)
