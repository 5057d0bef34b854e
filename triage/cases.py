"""Work on a case as a whole: assign, start, close; and the columns that the queue reads."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from detections.actors import Actor, of_user
from triage import journal
from triage.enums import CaseLinkKind, CaseStatus, Disposition, PivotState, QuestionState
from triage.errors import GateClosedError, StaleEditError, TriageError
from triage.evidence import latest_runs
from triage.gate import gate
from triage.models import Answer, Case, CaseLink, Escalation, GateOverride
from triage.preserve import preservation
from triage.response import open as response_open
from triage.signals import case_moved
from triage.standings import standings

# What a lead may close against the gate: the two that share it and say that nothing is wrong.
OVERRIDABLE = (Disposition.BENIGN, Disposition.FALSE_POSITIVE)
OVERRIDE_LEAST = 20


def locked(case_id: int) -> Case:
    """The case's row, locked until the transaction ends. Every writer of a case takes it first."""
    return Case.objects.select_for_update().get(pk=case_id)


def locked_both(one: int, other: int) -> tuple[Case, Case]:
    """Two cases' rows, locked in the order of their keys, so that two people can't wait for each other."""
    found = {
        row.pk: row for row in Case.objects.select_for_update().filter(pk__in=(one, other)).order_by("pk")
    }
    return found[one], found[other]


def check_version(case: Case, version: int) -> None:
    """Raise StaleEditError if somebody changed the case after it was shown."""
    if case.version != version:
        raise StaleEditError(
            f"{case.number} was changed by somebody else meanwhile. Look at it again, then repeat.",
            theirs=case,
        )


def require_open(case: Case) -> None:
    """Raise TriageError if the case is closed."""
    if not case.is_open:
        raise TriageError(f"{case.number} is closed; a new alert on the same activity opens a new case.")


def assign(case: Case, *, to: User | None, actor: Actor, version: int) -> Case:
    """Give a case to somebody who may answer its questions, or to nobody.

    Raises NotPermittedError, StaleEditError, and TriageError for a closed case or an unsuitable person.
    """
    actor.require("triage.assign_case", "assign cases")
    if to is not None and not of_user(to).can("triage.answer_question"):
        raise TriageError(f"{to.get_username()} may not answer questions, so the case can't be theirs.")
    with transaction.atomic():
        row = locked(case.pk)
        require_open(row)
        check_version(row, version)
        before = _name(row.assignee)
        row.assignee, row.version, row.last_activity_at = to, row.version + 1, timezone.now()
        row.save(update_fields=["assignee", "version", "last_activity_at"])
        journal.record(row, "case_assigned", actor=actor, before=before, after=_name(to))
    return row


def _name(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else "nobody"


def start(case: Case, *, actor: Actor) -> None:
    """Mark a locked, open case as in progress; one that is already stays as it is."""
    if case.status != CaseStatus.OPEN:
        return
    case.status = CaseStatus.IN_PROGRESS
    if case.assignee is None and actor.user is not None:
        case.assignee = actor.user
    case.save(update_fields=["status", "assignee"])
    journal.record(case, "case_started", actor=actor, before="open", after="in_progress")
    case_moved.send(sender=Case, case=case)


def refresh(case: Case) -> None:
    """Bring a locked case's counters for the queue up to date."""
    runs = latest_runs(case)
    stands = standings(case, runs=runs)
    case.questions_total = len(stands)
    case.questions_answered = sum(standing.state != QuestionState.OPEN for standing in stands)
    case.no_telemetry_count = sum(standing.lacks_telemetry for standing in stands)
    case.blocked_count = sum(run.state in (PivotState.BLOCKED, PivotState.FAILED) for run in runs)
    case.last_activity_at = timezone.now()
    case.save(
        update_fields=[
            "questions_total",
            "questions_answered",
            "no_telemetry_count",
            "blocked_count",
            "last_activity_at",
        ]
    )


def close_case(
    case: Case,
    *,
    disposition: str,
    rationale: str,
    actor: Actor,
    version: int,
    duplicate_of: Case | None = None,
    escalated_to: str = "",
    preserved: str = "",
    override: str = "",
) -> Case:
    """Close a case with a conclusion that its gate allows, checked in the closing transaction.

    suspicious needs escalated_to, and a pack of the case or a list of what was preserved; duplicate needs
    duplicate_of, whose outcome it takes (see `outcome`). override: why a lead closes as benign or false
    positive although the gate is shut; it is kept with what stood in the way, and left alone where nothing
    did. Raises NotPermittedError, StaleEditError, GateClosedError, TriageError.
    """
    actor.require("triage.close_case", "close cases")
    if disposition not in Disposition.values:
        raise TriageError(f"{disposition!r} is no disposition.")
    with transaction.atomic():
        row = locked(case.pk)
        check_version(row, version)
        blocks = [block.sentence for block in gate(row).of(disposition).blocks]
        overridden = blocks if override.strip() and row.is_open and disposition in OVERRIDABLE else []
        if overridden:
            blocks = _check_override(override, actor)
        twin = _twin(row, duplicate_of, actor) if disposition == Disposition.DUPLICATE else None
        if disposition == Disposition.SUSPICIOUS:
            preserved = _preserved(row, preserved)
        blocks += response_open.blocks(row)
        blocks += _lacking(disposition, rationale, twin, escalated_to, preserved)
        if blocks:
            raise GateClosedError(blocks)
        if overridden:
            _override(row, disposition, override.strip(), overridden, actor)
        _attach(row, disposition, rationale, actor, twin, escalated_to, preserved)
        _write_close(row, disposition, rationale, actor, twin)
    return row


def _check_override(override: str, actor: Actor) -> list[str]:
    """What an override lacks. Raises NotPermittedError for who may not override."""
    actor.require("triage.override_gate", "close a case against its gate")
    if len(override.strip()) >= OVERRIDE_LEAST and " " in override.strip():
        return []
    return ["Say in a sentence why the case may be closed although the gate is shut: it shows for ever."]


def _override(row: Case, disposition: str, reason: str, blocks: list[str], actor: Actor) -> None:
    if actor.user is None:
        raise TriageError("Only a person closes a case against its gate.")
    made = GateOverride.objects.create(
        case=row, disposition=disposition, by=actor.user, at=timezone.now(), reason=reason, blocks=blocks
    )
    data = {"override": made.pk, "blocks": blocks, "own_answers": own_answers(row, actor.user)}
    journal.record(row, "gate_overridden", actor=actor, after=disposition, reason=reason, data=data)


def own_answers(case: Case, person: User | None) -> list[int]:
    """The numbers of the questions whose answer that stands is this person's."""
    newest = Answer.objects.filter(question=OuterRef("pk")).order_by("-pk").values("author")[:1]
    own = case.questions.annotate(answered_by=Subquery(newest)).filter(answered_by=person)
    return list(own.order_by("position").values_list("position", flat=True)) if person else []


def _lacking(
    disposition: str, rationale: str, twin: Case | None, escalated_to: str, preserved: str
) -> list[str]:
    """What the closing form did not bring."""
    lacking = [] if rationale.strip() else ["Say why: a case is closed with a rationale."]
    if disposition == Disposition.SUSPICIOUS and not escalated_to.strip():
        lacking.append("Say to whom the case is escalated: suspicious is handed on, not filed.")
    if disposition == Disposition.SUSPICIOUS and not preserved.strip():
        lacking.append("Preserve the evidence first, or list what was preserved for them.")
    if disposition == Disposition.DUPLICATE and twin is None:
        lacking.append("Name the case that this one repeats.")
    return lacking


def _preserved(row: Case, typed: str) -> str:
    """What an escalation lists: what was typed, and what the newest pack holds if no alert came after it."""
    return "\n\n".join(filter(None, (typed.strip(), preservation.preserved_text(row))))


def _twin(row: Case, duplicate_of: Case | None, actor: Actor) -> Case | None:
    """The other case, seen with the actor's eyes. Raises TriageError for one that leads back here."""
    if duplicate_of is None:
        return None
    twin = Case.objects.visible_to(actor).filter(pk=duplicate_of.pk).first()
    if twin is None:
        raise TriageError("The case that this one is said to repeat does not exist.")
    if twin.pk == row.pk:
        raise TriageError(f"{row.number} is this case. Name the other one, which it repeats.")
    if row.pk in {seen.pk for seen in _chain(twin)}:
        raise TriageError(f"{twin.number} is itself a duplicate of {row.number}.")
    return twin


def _chain(case: Case) -> list[Case]:
    """The case and those that it is a duplicate of, in order."""
    seen = [case]
    while True:
        twins = seen[-1].links.standing().filter(kind=CaseLinkKind.DUPLICATE_OF)
        link = twins.select_related("target").first()
        if link is None or link.target in seen:
            return seen
        seen.append(link.target)


def outcome(case: Case) -> str:
    """The conclusion that counts: a duplicate has that of the case it repeats, once that one has any."""
    return _chain(case)[-1].disposition


def _attach(
    row: Case,
    disposition: str,
    rationale: str,
    actor: Actor,
    twin: Case | None,
    escalated_to: str,
    preserved: str,
) -> None:
    if twin is not None:
        CaseLink.objects.get_or_create(
            source=row, target=twin, kind=CaseLinkKind.DUPLICATE_OF, removed_at=None
        )
    if disposition == Disposition.SUSPICIOUS:
        if actor.user is None:
            raise TriageError("Only a person can escalate a case.")
        Escalation.objects.create(
            case=row, to=escalated_to.strip(), reason=rationale.strip(), preserved=preserved, by=actor.user
        )


def _write_close(row: Case, disposition: str, rationale: str, actor: Actor, twin: Case | None) -> None:
    before, now = row.status, timezone.now()
    row.status, row.disposition = CaseStatus.CLOSED, disposition
    row.closing_rationale, row.closed_by, row.closed_at = rationale.strip(), actor.user, now
    row.has_new_evidence, row.last_activity_at, row.version = False, now, row.version + 1
    row.save()
    journal.record(
        row,
        "case_closed",
        actor=actor,
        before=before,
        after=disposition,
        reason=rationale.strip(),
        subject=f"duplicate of {twin.number}" if twin else "",
    )
    case_moved.send(sender=Case, case=row)
