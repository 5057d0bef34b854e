"""What must always hold of cases and evidence. See detections.invariants."""

from collections.abc import Iterator

from django.db.models import Count, F

from detections.invariants import invariant
from detections.models import Alert, JournalEntry
from triage import attachments, cases, verification
from triage.enums import CaseStatus, QuestionState
from triage.evidence import is_unchanged
from triage.exception_items import integrity as exception_integrity
from triage.models import Answer, Attachment, Case, CaseMerge, GateOverride, PivotRun


@invariant("I1", "a routed alert is in a case, hidden by an exception, or a canary's")
def routed_alerts_are_in_cases() -> Iterator[str]:
    lost = Alert.objects.filter(
        routed_at__isnull=False, occurrence__isnull=True, canary__isnull=True, rule__is_canary=False
    ).exclude(suppression__isnull=False, suppression__lifted_at__isnull=True)
    for pk in lost.values_list("pk", flat=True):
        yield f"Alert {pk} is routed, but no case has it."


@invariant("I3", "what hides an alert was approved before, by another person, as it stands")
def hidden_alerts_have_approvals() -> Iterator[str]:
    yield from exception_integrity.faults()


@invariant("I3", "an exception or a value list in force is what another person approved")
def what_is_in_force_was_approved() -> Iterator[str]:
    yield from exception_integrity.standing_faults()


@invariant("I3", "an exception counts what it hid")
def hidden_alerts_are_counted() -> Iterator[str]:
    yield from exception_integrity.miscounted()


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


@invariant("I6", "files of cases have the hashes under which they were kept")
def files_are_unchanged() -> Iterator[str]:
    for file in Attachment.objects.order_by("sha256").iterator(chunk_size=200):
        if not attachments.is_unchanged(file):
            yield f"The file {file.name} of CW-{file.case_id} was changed, or is gone."


@invariant("I7", "a case stands as its journal tells, and was opened once")
def cases_stand_as_their_journals_tell() -> Iterator[str]:
    opened = JournalEntry.objects.filter(verb="case_opened").order_by().values("stream__name")
    for row in opened.annotate(there=Count("pk")).filter(there__gt=1):
        yield f"{row['stream__name']}: its journal says {row['there']} times that it was opened."
    for case in Case.objects.order_by("pk").iterator(chunk_size=200):
        yield from verification.differences(case)


@invariant("I8", "a closed case has a reason, and a gate that allowed it or a lead's override")
def closed_cases_have_reasons() -> Iterator[str]:
    closed = Case.objects.filter(status=CaseStatus.CLOSED).select_related("guide")
    overridden = set(GateOverride.objects.values_list("case", "disposition"))
    for case in closed.iterator(chunk_size=200):
        if not case.closing_rationale.strip() or case.disposition == "undetermined":
            yield f"{case.number} is closed without a reason."
        is_unproven = case.disposition in cases.OVERRIDABLE and (case.pk, case.disposition) not in overridden
        if is_unproven and _is_unanswered(case):
            yield (
                f"{case.number} is closed as {case.disposition} with a question not lowered and no override."
            )


def _is_unanswered(case: Case) -> bool:
    """Whether a question was not lowered when the case was closed: answers later than that do not count."""
    states = dict(
        Answer.objects.filter(question__case=case, created_at__lte=case.closed_at)
        .order_by("pk")
        .values_list("question", "state")
    )
    keys = case.questions.values_list("pk", flat=True)
    return not keys or any(states.get(pk) != QuestionState.LOWER for pk in keys)


@invariant("I2", "a merge that stands has emptied its case")
def merges_hold() -> Iterator[str]:
    for made in CaseMerge.objects.filter(undone_at__isnull=True).select_related("source"):
        if made.source.is_open or made.source.occurrence_count:
            yield f"{made.source.number} was merged into CW-{made.target_id} and is not empty and closed."
