"""One question of a case: its evidence, its checks, its answer."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import answer_fields, attachments, confirmations, notes, questions
from triage.checks import ALERT
from triage.enums import ConfirmationKind, QuestionState
from triage.errors import AnswerRefusedError, StaleEditError, TriageError
from triage.forms import AnswerForm, ConfirmationForm, DraftForm, chosen_ids, typed_fields
from triage.guides.model import Question as GuideQuestion
from triage.models import Answer, Attachment, Case, Citation, Evidence, Question
from triage.views.case_page import CasePage, load
from triage.views.check_lines import check_context
from triage.views.doors import Asked, page
from triage.views.evidence_cards import cards

CHOICES = (
    (QuestionState.ESCALATE, "The evidence speaks against a known workflow."),
    (QuestionState.LOWER, "Telemetry and records confirm a known workflow."),
    (QuestionState.UNRESOLVED, "Not enough to say. Keeps benign closed off."),
    (QuestionState.NOT_APPLICABLE, "Can't be asked of this case. Never counts toward benign."),
)


@page
def question(request: Asked, pk: int, key: str) -> HttpResponse:
    case_page = CasePage(load(request, pk), request.actor)
    shown = case_page.question(key)
    if shown is None:
        raise Http404
    return render(request, "cases/question.html", question_context(shown, request, case_page=case_page))


def _load(request: Asked, pk: int, key: str) -> Question:
    case = load(request, pk)
    found = get_object_or_404(case.questions, key=key)
    found.case = case
    return found


def question_context(
    shown: Question,
    request: Asked,
    *,
    typed: dict[str, Any] | None = None,
    case_page: CasePage | None = None,
    **more: object,
) -> dict[str, object]:
    """Everything on the page. typed: what the person has in the form, where a refusal sent it back."""
    case_page = case_page or CasePage(shown.case, request.actor)
    runs = [run for run in case_page.runs if run.question_key == shown.key]
    guide = case_page.guide
    guide_question = _of_guide(guide.questions, shown.key)
    alert = next((run for run in case_page.runs if run.key == ALERT), None)
    focus = guide_question.focus.fields if guide_question else ()
    shown_cards = cards([*runs, *([alert] if alert else [])], guide, focus=focus)
    known = {check.key for check in guide.checks}
    checks = [check for check in shown.case.checks.filter(question_key=shown.key) if check.key in known]
    answering = answer_context(shown, request, typed, case_page=case_page)
    documents = [row.document for card in shown_cards for row in card.rows]
    return {
        **case_page.context("questions"),
        "question": shown,
        "guide_question": guide_question,
        "cards": [card for card in shown_cards if card.run.key != ALERT and card.is_of_guide],
        "asked_cards": [card for card in shown_cards if not card.is_of_guide],
        "alert_card": next((card for card in shown_cards if card.run.key == ALERT), None),
        **check_context(shown.case, shown_cards, checks),
        "next_question": _next(case_page.questions, shown),
        **answering,
        "answer_fields": answer_fields.answer_fields(
            guide_question, documents, _stated(answering["content"])
        ),
        "confirmation_form": ConfirmationForm(case=shown.case),
        "confirmation_kinds": ConfirmationKind.choices,
        "notes": notes.notes_of(shown.case, actor=request.actor, question_key=shown.key),
        "may_note": request.actor.can("triage.add_note"),
        **more,
    }


def _stated(content: Any) -> dict[str, str]:
    """The fields of a form's content; drafts of an older version have none."""
    found = content.get("fields") if isinstance(content, dict) else None
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _of_guide(found: tuple[GuideQuestion, ...], key: str) -> GuideQuestion | None:
    return next((question for question in found if question.key == key), None)


def _next(found: list[Question], shown: Question) -> Question | None:
    """The next open question after this one, else the first open one."""
    open_ones = [q for q in found if q.state == QuestionState.OPEN and q.pk != shown.pk]
    later = [q for q in open_ones if q.position > shown.position]
    return next(iter(later or open_ones), None)


def answer_context(
    shown: Question,
    request: Asked,
    typed: dict[str, Any] | None = None,
    *,
    case_page: CasePage | None = None,
) -> dict[str, object]:
    """The answer form: what stands in it, what can be cited, why lower is shut."""
    case_page = case_page or CasePage(shown.case, request.actor)
    draft = questions.draft_for(shown, actor=request.actor)
    answer = questions.current_answer(shown)
    content = typed or (draft.content if draft else None) or _of_answer(answer)
    pinned = case_page.pinned
    confirmed = list(shown.case.confirmations.select_related("recorded_by", "attachment"))
    own = [row.pk for row in pinned if row.pivot.question_key == shown.key]
    standing = next(found for found in case_page.standings if found.key == shown.key)
    why_not = questions.why_not_lower(shown, standing=standing, held=bool(confirmed))
    return {
        "answer": answer,
        "citations": _citations(answer),
        "earlier": questions.previous_answers(shown) if answer else [],
        "draft": draft,
        "draft_mark": questions.draft_mark(draft),
        "other_drafts": draft.content.get(questions.OTHERS, []) if draft else [],
        "draft_is_old": draft is not None and draft.question_version != shown.version,
        "content": content,
        # A draft goes on from what its author saw, so that saving it meets what came meanwhile.
        "version": content.get("version") or (draft.question_version if draft else shown.version),
        "choices": [(choice, says, why_not if choice == "lower" else []) for choice, says in CHOICES],
        "why_not_lower": why_not,
        "pinned": pinned,
        "cited": set(content.get("evidence", own)),
        "confirmations": confirmed,
        "cited_confirmations": set(content.get("confirmations", [])),
    }


def _citations(answer: Answer | None) -> list[Citation]:
    if answer is None:
        return []
    return list(answer.citations.select_related("evidence__pivot", "confirmation__attachment").order_by("pk"))


def _of_answer(answer: Answer | None) -> dict[str, Any]:
    """A standing answer as the form's content, to be changed."""
    if answer is None:
        return {"state": "", "rationale": "", "fields": {}}
    cited = list(Citation.objects.filter(answer=answer).values_list("evidence", "confirmation"))
    return {
        "state": answer.state,
        "rationale": answer.rationale,
        "fields": answer.fields,
        "evidence": [row for row, _ in cited if row],
        "confirmations": [row for _, row in cited if row],
    }


def _typed(request: Asked) -> dict[str, Any]:
    """The answer form as it was sent, kept as the draft and shown again after a refusal."""
    form = DraftForm(request.POST)
    form.is_valid()
    given = form.cleaned_data
    return {
        "state": given.get("state", ""),
        "rationale": given.get("rationale", request.POST.get("rationale", "")[:20_000]),
        "evidence": chosen_ids(request.POST, "evidence"),
        "confirmations": chosen_ids(request.POST, "confirmations"),
        "fields": typed_fields(request.POST),
        "version": given.get("version"),
    }


@page
@require_POST
def question_answer(request: Asked, pk: int, key: str) -> HttpResponse:
    shown, typed = _load(request, pk, key), _typed(request)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        words = [str(fault) for faults in form.errors.values() for fault in faults]
        return _again(request, shown, typed, words, 422)
    try:
        questions.answer_question(
            shown,
            state=form.cleaned_data["state"],
            rationale=form.cleaned_data["rationale"],
            evidence_ids=typed["evidence"],
            confirmation_ids=typed["confirmations"],
            fields=typed["fields"],
            actor=request.actor,
            version=form.cleaned_data["version"],
        )
    except StaleEditError:
        return _merge(request, shown, typed)
    except AnswerRefusedError as refused:
        return _again(request, shown, typed, refused.missing, 422)
    except TriageError as refused:
        return _again(request, shown, typed, [str(refused)], 409)
    messages.success(request, f"Answer {shown.position} saved.")
    following = _next(list(shown.case.questions.order_by("position")), shown)
    return redirect("question", pk, following.key if following else key)


def _again(
    request: Asked, shown: Question, typed: dict[str, Any], words: list[str], status: int
) -> HttpResponse:
    context = question_context(shown, request, typed=typed, refusals=words)
    return render(request, "cases/question.html", context, status=status)


def _merge(request: Asked, shown: Question, typed: dict[str, Any]) -> HttpResponse:
    """Both texts side by side; the person's own is kept as a draft whatever they choose."""
    shown.refresh_from_db(fields=["state", "version"])
    # Its author sees the other answer now, so the draft goes on from there.
    mine = {name: value for name, value in typed.items() if name != "version"}
    questions.save_draft(shown, content=mine, actor=request.actor, version=shown.version)
    return render(request, "cases/merge.html", _merge_context(request, shown, typed), status=409)


def _merge_context(request: Asked, shown: Question, typed: dict[str, Any]) -> dict[str, object]:
    """What both wrote, chose, stated and cited; `both` is what saving them together would keep."""
    case_page, theirs = CasePage(shown.case, request.actor), questions.current_answer(shown)
    stands = _of_answer(theirs)
    names = answer_fields.field_names(_of_guide(case_page.guide.questions, shown.key))
    return {
        **case_page.context("questions"),
        "question": shown,
        "theirs": theirs,
        "typed": typed,
        "version": shown.version,
        "states": list(dict.fromkeys(state for state in (typed["state"], stands["state"]) if state)),
        "both": _both(stands["rationale"], typed["rationale"]),
        "merged_fields": [
            MergedField(name, stands["fields"].get(name, ""), typed["fields"].get(name, "")) for name in names
        ],
        "their_citations": _citations(theirs),
        "my_evidence": list(_my_evidence(shown, typed)),
        "my_confirmations": list(shown.case.confirmations.filter(pk__in=typed["confirmations"])),
        "both_evidence": sorted({*stands.get("evidence", []), *typed["evidence"]}),
        "both_confirmations": sorted({*stands.get("confirmations", []), *typed["confirmations"]}),
    }


def _both(theirs: str, mine: str) -> str:
    """Both texts, each once: who changes an answer often has the other one's text in their own."""
    if theirs.strip() in mine:
        return mine.strip()
    return theirs.strip() if mine.strip() in theirs else f"{theirs.strip()}\n\n{mine.strip()}"


def _my_evidence(shown: Question, typed: dict[str, Any]) -> "QuerySet[Evidence]":
    rows = Evidence.objects.filter(pivot__case=shown.case, pk__in=typed["evidence"])
    return rows.select_related("pivot").order_by("pk")


@dataclass(frozen=True, slots=True)
class MergedField:
    """A field of the question as two people state it."""

    name: str
    theirs: str
    mine: str

    @property
    def both(self) -> str:
        return self.mine or self.theirs

    @property
    def differs(self) -> bool:
        return bool(self.mine and self.theirs and self.mine != self.theirs)


@page
@require_POST
def question_draft(request: Asked, pk: int, key: str) -> HttpResponse:
    """Keep what is being typed. Nothing of it is an answer."""
    shown, typed = _load(request, pk, key), _typed(request)
    version = typed.pop("version") or shown.version
    seen = request.POST.get("draft")
    draft = questions.save_draft(shown, content=typed, actor=request.actor, version=version, seen=seen)
    kept = {"mark": questions.draft_mark(draft), "others": len(draft.content.get(questions.OTHERS, []))}
    return JsonResponse(kept)


@page
@require_POST
def question_drop_draft(request: Asked, pk: int, key: str) -> HttpResponse:
    _load(request, pk, key).drafts.filter(author=request.user).delete()
    return redirect("question", pk, key)


@page
@require_POST
def question_confirm(request: Asked, pk: int, key: str) -> HttpResponse:
    """Record a confirmation with the case. The answer in the same form is kept as a draft."""
    shown, typed = _load(request, pk, key), _typed(request)
    try:
        data = _with_file(request, shown.case)
    except TriageError as refused:
        form = ConfirmationForm(request.POST, case=shown.case)
        return _unconfirmed(request, shown, typed, form, [str(refused)])
    form = ConfirmationForm(data, case=shown.case)
    if not form.is_valid():
        return _unconfirmed(request, shown, typed, form, [])
    try:
        made = confirmations.add_confirmation(shown.case, actor=request.actor, **form.cleaned_data)
    except AnswerRefusedError as refused:
        return _unconfirmed(request, shown, typed, form, refused.missing)
    except TriageError as refused:
        return _unconfirmed(request, shown, typed, form, [str(refused)])
    version = typed.pop("version") or shown.version
    typed["confirmations"].append(made.pk)
    seen = request.POST.get("draft")
    questions.save_draft(shown, content=typed, actor=request.actor, version=version, seen=seen)
    messages.success(request, "The confirmation is recorded, and cited in your draft.")
    return redirect("question", pk, key)


def _with_file(request: Asked, case: Case) -> QueryDict:
    """The form's data; a file that was sent is kept and chosen, so that no other refusal loses it."""
    data, sent = request.POST.copy(), request.FILES.get("file")
    if sent is not None:
        kept: Attachment = attachments.attach(
            case, name=sent.name or "", content=cast("BinaryIO", sent.file), actor=request.actor
        )
        data["attachment"] = str(kept.pk)
    return data


def _unconfirmed(
    request: Asked, shown: Question, typed: dict[str, Any], form: ConfirmationForm, words: Collection[str]
) -> HttpResponse:
    context = question_context(shown, request, typed=typed, confirmation_refusals=words)
    return render(request, "cases/question.html", {**context, "confirmation_form": form}, status=422)


def first_open(case: Case) -> Question:
    """Where work on a case goes on. Raises Http404 for a case without questions."""
    found = list(case.questions.order_by("position"))
    if not found:
        raise Http404
    return next((question for question in found if question.state == QuestionState.OPEN), found[0])
