"""Pivots and the rows they froze: run again, widen, pin, read."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import evidence, pivots
from triage.errors import TriageError
from triage.forms import chosen_ids
from triage.models import Case, Evidence, PivotRun, Question
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page
from triage.views.evidence_cards import Card, card
from triage.views.pivot_asking import shown_run
from triage.views.question import answer_context, question_context

ROWS_A_PAGE = 100


@page
def pivot(request: Asked, pk: int, key: str) -> HttpResponse:
    """All rows of a pivot. For htmx: its card, and once it has run what follows from it."""
    case = load(request, pk)
    run = _attempt(case, key, request.GET.get("attempt", ""))
    shown = CasePage(case, request.actor)
    if request.htmx:
        return _card_again(request, shown, card(run, shown.guide))
    rows = Paginator(run.rows.order_by("position"), ROWS_A_PAGE).get_page(request.GET.get("page"))
    whole = Card(run=run, rows=list(rows), columns=card(run, shown.guide).columns)
    earlier = case.pivots.filter(key=key).exclude(pk=run.pk).order_by("-attempt")
    question = next((q for q in shown.questions if q.key == run.question_key), None)
    context = {"card": whole, "page": rows, "earlier": earlier, "question": question}
    return render(request, "cases/pivot.html", {**shown.context("evidence"), **context})


def _attempt(case: Case, key: str, number: str) -> PivotRun:
    """One attempt of a pivot, also one that came after closing; without a number the newest."""
    if not number.isdigit():
        return shown_run(case, key)
    found = get_object_or_404(case.pivots.select_related("asked_by"), key=key, attempt=int(number[:9]))
    found.case = case
    return found


def _card_again(request: Asked, shown: CasePage, fresh: Card) -> HttpResponse:
    question = next((q for q in shown.questions if q.key == fresh.run.question_key), None)
    if fresh.is_waiting or question is None or not fresh.is_of_guide:
        context = {
            "card": fresh,
            "case": shown.case,
            "may_answer": request.actor.can("triage.answer_question"),
        }
        return render(request, "cases/card.html", context)
    context = question_context(question, request)
    return render(request, "cases/card_and_more.html", {**context, "card": fresh})


@page
@require_POST
def pivot_rerun(request: Asked, pk: int, key: str) -> HttpResponse:
    """Run again, over the same window and hosts."""
    case = load(request, pk)
    run = shown_run(case, key)
    try:
        pivots.rerun(run, actor=request.actor)
    except TriageError as refused:
        messages.error(request, str(refused))
        return _back(run)
    if request.htmx:
        shown = CasePage(case, request.actor)
        return _card_again(request, shown, card(shown_run(case, key), shown.guide))
    return _back(run)


def _back(run: PivotRun) -> HttpResponse:
    if run.question_key:
        return redirect("question", run.case_id, run.question_key)
    return redirect("case_evidence", run.case_id)


def _row(request: Asked, pk: int) -> tuple[Case, Evidence]:
    found = get_object_or_404(Evidence.objects.select_related("pivot"), pk=pk)
    case = load(request, found.pivot.case_id)
    found.pivot.case = case
    return case, found


@page
def evidence_row(request: Asked, pk: int) -> HttpResponse:
    """The document of one row, as it was frozen."""
    case, row = _row(request, pk)
    focus = set(row.pivot.columns)
    context = {"row": row, "case": case, "focus": focus}
    if request.htmx:
        return render(request, "cases/document.html", context)
    return render(request, "cases/document_page.html", context)


@page
@require_POST
def evidence_pin(request: Asked, pk: int) -> HttpResponse:
    case, row = _row(request, pk)
    pinned = request.POST.get("pinned") == "1"
    try:
        row = evidence.set_pinned(row, pinned, actor=request.actor)
    except TriageError as refused:
        messages.error(request, str(refused))
        return _back(row.pivot)
    question = Question.objects.filter(case=case, key=request.POST.get("question", "")).first()
    if not request.htmx or question is None:
        return _back(row.pivot)
    question.case = case
    typed = set(chosen_ids(request.POST, "evidence"))
    typed = typed | {row.pk} if pinned else typed - {row.pk}
    context = answer_context(question, request) | {
        "cited": typed,
        "question": question,
        "row": row,
        "case": case,
    }
    return render(request, "cases/pin_and_cited.html", {**context, "may_answer": True})
