"""A case as a whole: assign, evidence, journal, close."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from triage import cases, journal
from triage.errors import GateClosedError, StaleEditError, TriageError
from triage.forms import AssignForm, CloseForm
from triage.models import Case
from triage.preserve import preservation
from triage.response import open as response_open
from triage.views.case_page import CasePage, load, own_answers
from triage.views.doors import Asked, page
from triage.views.evidence_cards import cards
from triage.views.question import first_open

JOURNAL_MOST = 1000
OCCURRENCES_SHOWN = 50


@page
def case(request: Asked, pk: int) -> HttpResponse:
    return redirect("question", pk, first_open(load(request, pk)).key)


@page
@require_POST
def case_assign(request: Asked, pk: int) -> HttpResponse:
    shown = load(request, pk)
    form = AssignForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a person, and reload the page if the case was changed meanwhile.")
        return redirect("case", pk)
    to, version = form.cleaned_data["to"], form.cleaned_data["version"]
    try:
        cases.assign(shown, to=to, actor=request.actor, version=version)
    except TriageError as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Assigned to {to.get_full_name() or to}." if to else "Assigned to nobody.")
    return redirect("case", pk)


@page
def case_evidence(request: Asked, pk: int) -> HttpResponse:
    shown = CasePage(load(request, pk), request.actor)
    found = cards(shown.runs, shown.guide, most=5)
    occurrences = shown.case.occurrences.select_related("alert").order_by("pk")
    context = {
        **shown.context("evidence"),
        "cards": [card for card in found if card.is_of_guide],
        "asked_cards": [card for card in found if not card.is_of_guide],
        "after_closing": list(shown.case.pivots.filter(is_after_closing=True).order_by("pk")),
        "numbers": {question.key: question.position for question in shown.questions},
        "occurrences": occurrences[:OCCURRENCES_SHOWN],
        "occurrences_more": max(0, shown.case.occurrence_count - OCCURRENCES_SHOWN),
    }
    return render(request, "cases/evidence.html", context)


@page
def case_journal(request: Asked, pk: int) -> HttpResponse:
    shown = CasePage(load(request, pk), request.actor)
    lines = journal.case_journal(shown.case, actor=request.actor, limit=JOURNAL_MOST)
    return render(request, "cases/journal.html", {**shown.context("journal"), "entries": lines})


@page
@require_http_methods(["GET", "POST"])
def case_close(request: Asked, pk: int) -> HttpResponse:
    shown = load(request, pk)
    form = CloseForm(request.POST if request.method == "POST" else None)
    refusals: list[str] = []
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid():
        try:
            closed = _close(request, shown, form.cleaned_data)
        except GateClosedError as refused:
            refusals = refused.blocks
        except StaleEditError as refused:
            refusals, status = [str(refused)], 409
        except TriageError as refused:
            refusals = [str(refused)]
        else:
            label = closed.get_disposition_display().lower()
            messages.success(request, f"{closed.number} is closed as {label}.")
            return redirect("case", pk)
    fresh = CasePage(load(request, pk), request.actor)
    context = {
        **fresh.context("close"),
        "form": form,
        "refusals": refusals,
        "preservation": preservation.of_case(fresh.case),
        "response_blocks": response_open.blocks(fresh.case) if fresh.case.is_open else [],
        "may_override": request.actor.can("triage.override_gate"),
        "overridable": [value.value for value in cases.OVERRIDABLE],
        "own_answers": own_answers(fresh.case, request.user),
        "gate_is_open": fresh.gate.of("benign").is_open,
        "question_keys": {question.key: question.position for question in fresh.questions},
    }
    return render(request, "cases/close.html", context, status=status)


def _close(request: Asked, case: Case, given: dict[str, Any]) -> Case:
    return cases.close_case(
        case,
        disposition=given["disposition"],
        rationale=given["rationale"],
        actor=request.actor,
        version=given["version"],
        duplicate_of=_other(request, given["duplicate_of"]),
        escalated_to=given["escalated_to"],
        preserved=given["preserved"],
        override=given["override"],
    )


def _other(request: Asked, number: int | None) -> Case | None:
    """The case that this one repeats. Raises TriageError if the person can't see any of that number."""
    if number is None:
        return None
    found = Case.objects.visible_to(request.actor).filter(pk=number).first()
    if found is None:
        raise TriageError(f"There is no case CW-{number}. Check the number in the queue.")
    return found
