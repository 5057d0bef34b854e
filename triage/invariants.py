"""What must always hold of cases and evidence. See detections.invariants."""

from collections.abc import Iterator

from django.db.models import Count, F

from detections.invariants import invariant
from detections.models import Alert
from triage.enums import CaseStatus
from triage.evidence import is_unchanged
from triage.models import Case, PivotRun


@invariant("I1", "a routed alert is in a case, or is a canary's")
def routed_alerts_are_in_cases() -> Iterator[str]:
    lost = Alert.objects.filter(
        routed_at__isnull=False, occurrence__isnull=True, canary__isnull=True, rule__is_canary=False
    )
    for pk in lost.values_list("pk", flat=True):
        yield f"Alert {pk} is routed, but no case has it."


@invariant("I2", "a case key has one case that is not closed")
def one_open_case_a_key() -> Iterator[str]:
    keys = Case.objects.not_closed().order_by().values("key").annotate(there=Count("pk"))
    for key, there in keys.filter(there__gt=1).values_list("key", "there"):
        yield f"{there} cases are open on the key {key}."


@invariant("I2", "a case counts its occurrences right")
def occurrences_are_counted() -> Iterator[str]:
    counted = (
        Case.objects.order_by().annotate(there=Count("occurrences")).exclude(there=F("occurrence_count"))
    )
    for pk, there, said in counted.values_list("pk", "there", "occurrence_count"):
        yield f"CW-{pk} counts {said} occurrences and has {there}."


@invariant("I6", "evidence has the hashes that were taken of it")
def evidence_is_unchanged() -> Iterator[str]:
    for run in PivotRun.objects.exclude(sha256="").iterator(chunk_size=200):
        if not is_unchanged(run):
            yield f"Pivot {run.pk} ({run.label}) of case {run.case_id}: its evidence was changed."


@invariant("I8", "a closed case has a reason")
def closed_cases_have_reasons() -> Iterator[str]:
    for case in Case.objects.filter(status=CaseStatus.CLOSED):
        if not case.closing_rationale.strip() or case.disposition == "undetermined":
            yield f"{case.number} is closed without a reason."
