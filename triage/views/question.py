"""One question of a case: its evidence, its checks, its answer."""

from collections.abc import Collection
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import confirmations, evidence, questions
from triage.checks import ALERT
from triage.enums import CheckState, ConfirmationKind, QuestionState
from triage.errors import AnswerRefusedError, StaleEditError, TriageError
from triage.forms import AnswerForm, ConfirmationForm, DraftForm, chosen_ids
from triage.guides.model import Question as GuideQuestion
from triage.models import Answer, Case, Citation, Question
from triage.views.case_page import CasePage, load
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
    shown = _load(request, pk, key)
    return render(request, "cases/question.html", question_context(shown, request))


def _load(request: Asked, pk: int, key: str) -> Question:
    case = load(request, pk)
    found = get_object_or_404(case.questions, key=key)
    found.case = case
    return found


def question_context(
    shown: Question, request: Asked, *, typed: dict[str, Any] | None = None, **more: object
) -> dict[str, object]:
    """Everything on the page. typed: what the person has in the form, where a refusal sent it back."""
    case_page = CasePage(shown.case, request.actor)
    runs = [run for run in case_page.runs if run.question_key == shown.key]
    guide = case_page.guide
    guide_question = _of_guide(guide.questions, shown.key)
    alert = next((run for run in case_page.runs if run.key == ALERT), None)
    focus = guide_question.focus.fields if guide_question else ()
    shown_cards = cards([*runs, *([alert] if alert else [])], guide, focus=focus)
    checks = list(shown.case.checks.filter(question_key=shown.key))
    return {
        **case_page.context("questions"),
        "question": shown,
        "guide_question": guide_question,
        "cards": [card for card in shown_cards if card.run.key != ALERT and card.is_of_guide],
        "asked_cards": [card for card in shown_cards if not card.is_of_guide],
        "alert_card": next((card for card in shown_cards if card.run.key == ALERT), None),
        "checks": sorted(checks, key=lambda check: check.state != CheckState.FIRED),
        "fired": sum(check.state == CheckState.FIRED for check in checks),
        "next_question": _next(case_page.questions, shown),
        **answer_context(shown, request, typed),
        "confirmation_form": ConfirmationForm(),
        "confirmation_kinds": ConfirmationKind.choices,
        **more,
    }


def _of_guide(found: tuple[GuideQuestion, ...], key: str) -> GuideQuestion | None:
    return next((question for question in found if question.key == key), None)


def _next(found: list[Question], shown: Question) -> Question | None:
    """The next open question after this one, else the first open one."""
    open_ones = [q for q in found if q.state == QuestionState.OPEN and q.pk != shown.pk]
    later = [q for q in open_ones if q.position > shown.position]
    return next(iter(later or open_ones), None)


def answer_context(shown: Question, request: Asked, typed: dict[str, Any] | None = None) -> dict[str, object]:
    """The answer form: what stands in it, what can be cited, why lower is shut."""
    draft = questions.draft_for(shown, actor=request.actor)
    answer = questions.current_answer(shown)
    content = typed or (draft.content if draft else None) or _of_answer(answer)
    pinned = evidence.pinned(shown.case)
    own = [row.pk for row in pinned if row.pivot.question_key == shown.key]
    why_not = questions.why_not_lower(shown)
    return {
        "answer": answer,
        "citations": answer.citations.select_related("evidence__pivot", "confirmation") if answer else [],
        "earlier": questions.previous_answers(shown) if answer else [],
        "draft": draft,
        "draft_is_old": draft is not None and draft.question_version != shown.version,
        "content": content,
        "version": content.get("version") or shown.version,
        "choices": [(choice, says, why_not if choice == "lower" else []) for choice, says in CHOICES],
        "why_not_lower": why_not,
        "pinned": pinned,
        "cited": set(content.get("evidence", own)),
        "confirmations": list(shown.case.confirmations.select_related("recorded_by")),
        "cited_confirmations": set(content.get("confirmations", [])),
    }


def _of_answer(answer: Answer | None) -> dict[str, Any]:
    """A standing answer as the form's content, to be changed."""
    if answer is None:
        return {"state": "", "rationale": ""}
    cited = list(Citation.objects.filter(answer=answer).values_list("evidence", "confirmation"))
    return {
        "state": answer.state,
        "rationale": answer.rationale,
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
    mine = {**typed, "version": None}
    questions.save_draft(shown, content=mine, actor=request.actor, version=typed["version"] or 1)
    shown.refresh_from_db(fields=["state", "version"])
    theirs = questions.current_answer(shown)
    both = f"{theirs.rationale}\n\n{typed['rationale']}".strip() if theirs else typed["rationale"]
    context = {
        **CasePage(shown.case, request.actor).context("questions"),
        "question": shown,
        "theirs": theirs,
        "typed": typed,
        "both": both,
        "version": shown.version,
    }
    return render(request, "cases/merge.html", context, status=409)


@page
@require_POST
def question_draft(request: Asked, pk: int, key: str) -> HttpResponse:
    """Keep what is being typed. Nothing of it is an answer."""
    shown, typed = _load(request, pk, key), _typed(request)
    version = typed.pop("version") or shown.version
    questions.save_draft(shown, content=typed, actor=request.actor, version=version)
    return HttpResponse(status=204)


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
    form = ConfirmationForm(request.POST)
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
    questions.save_draft(shown, content=typed, actor=request.actor, version=version)
    messages.success(request, "The confirmation is recorded, and cited in your draft.")
    return redirect("question", pk, key)


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
