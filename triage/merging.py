"""Two cases that are one: their occurrences come together, and apart again. Rows move; nothing is copied."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, Min
from django.utils import timezone

from detections.actors import Actor
from detections.models import Alert
from triage import case_links, cases, journal, pivots
from triage.case_opening import add_to
from triage.enums import CaseLinkKind, CaseStatus, Disposition
from triage.errors import TriageError
from triage.models import Case, CaseLink, CaseMerge, Occurrence
from triage.response import open as response_open

SLICE = 500


def merge(
    source: Case, target: Case, *, reason: str, actor: Actor, source_version: int, target_version: int
) -> CaseMerge:
    """Move the occurrences of `source` into `target` and close `source` as its duplicate.

    What was answered and found at `source` stays there, readable. Raises NotPermittedError, StaleEditError,
    and TriageError without a reason, for the same case, a closed one, one whose response is under way, or a
    storm that would swallow a case.
    """
    person = _person(actor)
    if not reason.strip():
        raise TriageError("Say why the two cases are one.")
    if source.pk == target.pk:
        raise TriageError(f"{source.number} is this case. Name the other one.")
    with transaction.atomic():
        emptied, filled = cases.locked_both(source.pk, target.pk)
        if found := obstacles(emptied, filled):
            raise TriageError(" ".join(found))
        for row, version in ((emptied, source_version), (filled, target_version)):
            cases.check_version(row, version)
        return _merge(emptied, filled, reason.strip(), person, actor)


def obstacles(source: Case, target: Case) -> list[str]:
    """Everything that forbids to merge the two as they stand, in sentences; empty if nothing does."""
    if source.pk == target.pk:
        return [f"{source.number} is this case. Name the other one."]
    found = [
        f"{row.number} is closed; a new alert on the same activity opens a new case."
        for row in (source, target)
        if not row.is_open
    ]
    if target.is_storm and not source.is_storm:
        found.append(
            f"{target.number} gathers a storm: a case with questions is not merged into it. "
            "Split what belongs here off the storm instead."
        )
    return found + response_open.blocks(source)


def _merge(source: Case, target: Case, reason: str, person: User, actor: Actor) -> CaseMerge:
    made = CaseMerge.objects.create(
        source=source,
        target=target,
        status_before=source.status,
        reason=reason,
        made_at=timezone.now(),
        made_by=person,
    )
    moved = list(source.occurrences.values_list("pk", flat=True))
    made.occurrences.add(*moved)
    alerts = _move(moved, target)
    add_to(target, alerts, actor=actor, verb="occurrences_moved_here")
    target.version += 1
    target.save(update_fields=["version"])
    _close(source, target, reason, actor)
    _write(made, target, "case_merged_here", source, actor, reason, moved)
    _write(made, source, "case_merged_away", target, actor, reason, moved)
    return made


def _close(source: Case, target: Case, reason: str, actor: Actor) -> None:
    """As a duplicate, whose outcome is that of the other case."""
    now = timezone.now()
    CaseLink.objects.get_or_create(
        source=source,
        target=target,
        kind=CaseLinkKind.DUPLICATE_OF,
        removed_at=None,
        defaults={"why": reason, "created_by": actor.user},
    )
    before = source.status
    source.occurrence_count = 0
    source.status, source.disposition = CaseStatus.CLOSED, Disposition.DUPLICATE
    source.closing_rationale, source.closed_by, source.closed_at = reason, actor.user, now
    source.has_new_evidence, source.last_activity_at, source.version = False, now, source.version + 1
    source.save()
    journal.record(
        source,
        "case_closed",
        actor=actor,
        before=before,
        after=Disposition.DUPLICATE,
        reason=reason,
        subject=f"merged into {target.number}",
    )


def undo(made: CaseMerge, *, reason: str, actor: Actor) -> CaseMerge:
    """Move exactly the occurrences that a merge moved back, and reopen the case that they came from.

    Evidence that was frozen meanwhile stays where it is. Raises NotPermittedError, and TriageError without a
    reason, if it is undone already, if the merged case is closed or was merged on, if one of the occurrences
    was moved on, or if another case is open on the old one's key.
    """
    person = _person(actor)
    if not reason.strip():
        raise TriageError("Say why the merge is undone.")
    with transaction.atomic():
        source, target = cases.locked_both(made.source_id, made.target_id)
        row = CaseMerge.objects.select_for_update().get(pk=made.pk)
        moved = list(row.occurrences.order_by("pk").values_list("pk", flat=True))
        _check_undo(row, source, target, moved)
        row.undone_at, row.undone_by, row.undone_reason = timezone.now(), person, reason.strip()
        row.save(update_fields=["undone_at", "undone_by", "undone_reason"])
        _reopen(source, row.status_before)
        _move(moved, source)
        for case in (source, target):
            _recount(case)
        for standing in source.links.standing().filter(target=target, kind=CaseLinkKind.DUPLICATE_OF):
            case_links.remove(standing, actor=actor, reason=row.undone_reason)
        for case, other in ((source, target), (target, source)):
            _write(row, case, "merge_undone", other, actor, row.undone_reason, moved)
            pivots.extend(case, actor=actor)
            cases.refresh(case)
    return row


def why_not_undo(made: CaseMerge) -> str:
    """Why a merge can't be undone as things stand; "" if it can."""
    moved = list(made.occurrences.values_list("pk", flat=True))
    try:
        _check_undo(made, made.source, made.target, moved)
    except TriageError as refused:
        return str(refused)
    return ""


def _check_undo(row: CaseMerge, source: Case, target: Case, moved: Sequence[int]) -> None:
    if row.undone_at is not None:
        raise TriageError(f"{row.undone_by} undid this merge already.")
    onward = CaseMerge.objects.filter(source=target, undone_at__isnull=True).select_related("target").first()
    if onward is not None:
        raise TriageError(
            f"{target.number} was itself merged into {onward.target.number}. Undo that merge first."
        )
    cases.require_open(target)
    here = target.occurrences.filter(pk__in=moved).count()
    if here != len(moved):
        raise TriageError(
            f"{len(moved) - here} of the {len(moved)} occurrences were moved on from {target.number}, "
            "so the merge can't be taken back as it was made."
        )
    blocking = Case.objects.not_closed().filter(key=source.key).exclude(pk=source.pk).first()
    if blocking is not None:
        raise TriageError(
            f"{blocking.number} was opened on the same activity as {source.number} meanwhile, and one "
            f"activity has one open case. Merge {blocking.number} into {target.number}, or close it, "
            "then undo."
        )


def _reopen(source: Case, status: str) -> None:
    source.status, source.disposition = status, Disposition.UNDETERMINED
    source.closing_rationale, source.closed_by, source.closed_at = "", None, None
    source.save(update_fields=["status", "disposition", "closing_rationale", "closed_by", "closed_at"])


def _move(occurrences: Sequence[int], to: Case) -> list[Alert]:
    for start in range(0, len(occurrences), SLICE):
        Occurrence.objects.filter(pk__in=occurrences[start : start + SLICE]).update(case=to)
    alerts: list[Alert] = []
    for start in range(0, len(occurrences), SLICE):
        found = Alert.objects.filter(occurrence__in=occurrences[start : start + SLICE])
        alerts += found.select_related("rule", "rule_version").order_by("occurrence__pk")
    return alerts


def _recount(case: Case) -> None:
    left = case.occurrences.aggregate(
        number=Count("pk"), first=Min("alert__first_event_at"), last=Max("alert__last_event_at")
    )
    case.occurrence_count = left["number"]
    case.first_event_at = left["first"] or case.first_event_at
    case.last_event_at = left["last"] or case.last_event_at
    case.version += 1
    case.save(update_fields=["occurrence_count", "first_event_at", "last_event_at", "version"])


def _person(actor: Actor) -> User:
    actor.require("triage.merge_case", "merge cases")
    if actor.user is None:
        raise TriageError("Only a person merges cases.")
    return actor.user


def _write(
    made: CaseMerge, case: Case, verb: str, other: Case, actor: Actor, reason: str, moved: Sequence[int]
) -> None:
    number = len(moved)
    journal.record(
        case,
        verb,
        actor=actor,
        subject=f"{other.number}, {number} {'occurrence' if number == 1 else 'occurrences'}",
        reason=reason,
        data={"merge": made.pk, "case": other.pk, "occurrences": list(moved)},
    )
