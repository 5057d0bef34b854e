"""Answer the questions of a case. Telemetry that is missing is never read as good news."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from detections.actors import Actor
from triage import answer_fields, cases, journal
from triage.enums import QuestionState
from triage.errors import AnswerRefusedError, StaleEditError
from triage.guide_versions import guide_of
from triage.models import Answer, Citation, Confirmation, Draft, Evidence, Question
from triage.standings import Standing, has_answered_pivot, standing_of

# Where a draft keeps what other tabs of its author wrote, and how many of them.
OTHERS, MOST_OTHERS = "others", 5
_NEEDS_RATIONALE = (QuestionState.LOWER, QuestionState.NOT_APPLICABLE)


def answer_question(
    question: Question,
    *,
    state: str,
    rationale: str,
    evidence_ids: Sequence[int] = (),
    confirmation_ids: Sequence[int] = (),
    fields: Mapping[str, str] | None = None,
    actor: Actor,
    version: int,
) -> Answer:
    """Answer a question, in place of the answer that stood there; the first one starts the case.

    fields: what it states of the question's fields, each checked by its type. version: the question's, as it
    was shown. Raises NotPermittedError, StaleEditError (theirs: the question
    as it stands), AnswerRefusedError with everything that lacks, TriageError for a closed case.
    """
    actor.require("triage.answer_question", "answer questions")
    with transaction.atomic():
        case = cases.locked(question.case_id)
        cases.require_open(case)
        row = Question.objects.select_for_update().get(pk=question.pk)
        row.case = case
        if row.version != version:
            raise StaleEditError(
                f"Question {row.position} was answered by somebody else meanwhile: {row.state}.", theirs=row
            )
        evidence = list(_evidence(row).filter(pk__in=evidence_ids))
        confirmations = list(case.confirmations.filter(pk__in=confirmation_ids))
        stated, wrong = answer_fields.checked(fields or {}, _field_names(row))
        missing = [*_missing(row, state, rationale, evidence, confirmations), *wrong]
        if len(evidence) != len(set(evidence_ids)) or len(confirmations) != len(set(confirmation_ids)):
            missing.append("Something cited does not belong to this case. Cite it again.")
        if actor.user is None:
            missing.append("A person has to answer: the system answers nothing.")
        if missing:
            raise AnswerRefusedError(missing)
        return _store(row, state, rationale.strip(), stated, evidence, confirmations, actor)


def _field_names(question: Question) -> tuple[str, ...]:
    found = [one for one in guide_of(question.case).questions if one.key == question.key]
    return answer_fields.field_names(found[0] if found else None)


def _evidence(question: Question) -> QuerySet[Evidence]:
    return Evidence.objects.filter(pivot__case_id=question.case_id)


def _missing(
    question: Question,
    state: str,
    rationale: str,
    evidence: Sequence[Evidence],
    confirmations: Sequence[Confirmation],
) -> list[str]:
    """Everything that the answer lacks, in sentences."""
    if state not in QuestionState.values or state == QuestionState.OPEN:
        return ["Say which way the answer points: escalate, lower, unresolved or not applicable."]
    standing = standing_of(question)
    missing = []
    if not rationale.strip() and (state in _NEEDS_RATIONALE or standing.gaps):
        missing.append(_why_rationale(state, standing))
    if state == QuestionState.LOWER:
        missing += _sentences(standing.lower_blocks(has_confirmation=bool(confirmations)))
        if not (evidence or confirmations or has_answered_pivot(question.case, question.key)):
            missing.append("Cite what shows it: at least one row of evidence, or a confirmation.")
    return missing


def _why_rationale(state: str, standing: Standing) -> str:
    if state in _NEEDS_RATIONALE:
        return f"Say why: {QuestionState(state).label.lower()} needs a rationale."
    return f"Say how you weigh what is missing ({standing.gaps[0]})."


def _sentences(reasons: Sequence[str]) -> list[str]:
    return [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]


def why_not_lower(
    question: Question, *, standing: Standing | None = None, held: bool | None = None
) -> list[str]:
    """Why *lower* can't be chosen as the case stands; empty if it can.

    A confirmation that the case already holds is taken as one that could be cited. standing, held: how the
    question stands and whether there is such a confirmation, where a page has read them already.
    """
    held = question.case.confirmations.exists() if held is None else held
    return _sentences((standing or standing_of(question)).lower_blocks(has_confirmation=held))


def _store(
    question: Question,
    state: str,
    rationale: str,
    fields: dict[str, str],
    evidence: Sequence[Evidence],
    confirmations: Sequence[Confirmation],
    actor: Actor,
) -> Answer:
    assert actor.user is not None
    case, before = question.case, question.state
    cases.start(case, actor=actor)
    question.state, question.version = state, question.version + 1
    question.has_new_evidence, question.reopened_at = False, None
    question.save(update_fields=["state", "version", "has_new_evidence", "reopened_at"])
    answer = Answer.objects.create(
        question=question,
        state=state,
        rationale=rationale,
        fields=fields,
        author=actor.user,
        question_version=question.version,
    )
    Citation.objects.bulk_create(
        [Citation(answer=answer, evidence=row) for row in evidence]
        + [Citation(answer=answer, confirmation=row) for row in confirmations]
    )
    cited = {"evidence": [row.pk for row in evidence], "confirmations": [row.pk for row in confirmations]}
    journal.record(
        case,
        "question_answered",
        actor=actor,
        subject=f"Question {question.position}",
        before=before,
        after=state,
        reason=rationale,
        data={"question": question.key, "answer": answer.pk, "fields": fields, **cited},
    )
    Draft.objects.filter(question=question, author=actor.user).delete()
    case.has_new_evidence = case.questions.filter(has_new_evidence=True).exists()
    case.save(update_fields=["has_new_evidence"])
    cases.refresh(case)
    return answer


def current_answer(question: Question) -> Answer | None:
    """The answer that stands, with its author."""
    return question.answers.select_related("author").order_by("-pk").first()


def previous_answers(question: Question) -> list[Answer]:
    """Earlier answers, newest first, without the one that stands."""
    return list(question.answers.select_related("author").order_by("-pk")[1:])


def save_draft(
    question: Question, *, content: dict[str, Any], actor: Actor, version: int, seen: str | None = None
) -> Draft:
    """Keep what somebody is typing. version: the question's, as they saw it.

    seen: the mark of the draft that they go on from (`draft_mark`), "" for none; None: nothing else is kept.
    If the draft is another one by now, another tab of theirs wrote it: its words are kept too.
    """
    actor.require("triage.answer_question", "answer questions")
    if actor.user is None:
        raise AnswerRefusedError(["Only a person has drafts."])
    with transaction.atomic():
        first = {"content": content, "question_version": version}
        own = Draft.objects.select_for_update().filter(author=actor.user)
        stored, is_new = own.get_or_create(question=question, author=actor.user, defaults=first)
        if is_new:
            return stored
        beside = _kept_beside(stored, content, goes_on=seen is None or seen == draft_mark(stored))
        stored.content = content | ({OTHERS: beside} if beside else {})
        stored.question_version = version
        stored.save()
    return stored


def draft_mark(draft: Draft | None) -> str:
    """What tells one state of a draft from the next; "" where there is none."""
    return draft.saved_at.isoformat() if draft else ""


def _kept_beside(stored: Draft, content: dict[str, Any], *, goes_on: bool) -> list[dict[str, Any]]:
    """What other tabs wrote and the new content lacks, the latest first."""
    others = list(stored.content.get(OTHERS, []))
    if not goes_on:
        words = {name: stored.content.get(name) for name in ("rationale", "fields")}
        others.insert(0, words | {"saved_at": stored.saved_at.isoformat()})
    return [other for other in others if _lacks(content, other)][:MOST_OTHERS]


def _lacks(content: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether something that the other tab wrote does not stand in the content."""
    fields = content.get("fields") or {}
    is_lost = str(other.get("rationale") or "").strip() not in str(content.get("rationale") or "")
    return is_lost or any(value != fields.get(name) for name, value in (other.get("fields") or {}).items())


def draft_for(question: Question, *, actor: Actor) -> Draft | None:
    """What the actor was typing at this question, if anything."""
    if actor.user is None:
        return None
    return Draft.objects.filter(question=question, author=actor.user).first()
