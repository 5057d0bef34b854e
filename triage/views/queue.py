"""The queue, its peek panel, and assigning from it."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from detections import health
from detections.actors import Actor
from detections.models import Segment
from triage import cases, facts
from triage.errors import TriageError
from triage.forms import chosen_ids
from triage.models import Case, Question
from triage.queue import QueuePage
from triage.queue import queue as read_queue
from triage.views.doors import Asked, page


@page
def queue(request: Asked) -> HttpResponse:
    asked = request.GET
    found = read_queue(
        actor=request.actor,
        tab=asked.get("tab", ""),
        search=asked.get("q", "").strip(),
        sort=asked.get("sort", ""),
        page=_number(asked.get("page", "1")),
    )
    selected = _number(asked.get("case", "0"), least=0)
    context: dict[str, object] = {
        "found": found,
        "rows": _with_states(found),
        "strip": health.strip(actor=request.actor),
        "tab_label": next(tab.label for tab in found.tabs if tab.key == found.tab),
        "has_events": Segment.objects.exists(),
        "has_cases": any(tab.count for tab in found.tabs),
        "selected": selected,
        "may_assign": request.actor.can("triage.assign_case"),
    }
    if selected:
        shown = _visible(request.actor).filter(pk=selected).first()
        context |= _peek(shown, request.actor) if shown else {}
    return render(request, "queue/queue.html", context)


def _number(text: str, least: int = 1) -> int:
    return max(least, int(text)) if text.isascii() and text.isdigit() and len(text) < 12 else least


def _with_states(found: QueuePage) -> list[tuple[Case, list[str]]]:
    """Each case of the page with the states of its questions, in one query."""
    states: dict[int, list[str]] = {}
    rows = Question.objects.filter(case__in=[case.pk for case in found.page]).order_by("case", "position")
    for case, state in rows.values_list("case", "state"):
        states.setdefault(case, []).append(state)
    return [(case, states.get(case.pk, [])) for case in found.page]


@page
def case_peek(request: Asked, pk: int) -> HttpResponse:
    case = get_object_or_404(_visible(request.actor), pk=pk)
    context = _peek(case, request.actor) | {"may_assign": request.actor.can("triage.assign_case")}
    return render(request, "queue/peek.html", context)


def _visible(actor: Actor) -> QuerySet[Case]:
    return Case.objects.visible_to(actor).select_related("assignee", "rule", "rule_version")


def _peek(case: Case, actor: Actor) -> dict[str, object]:
    questions = list(case.questions.all())
    return {
        "peek": case,
        "questions": questions,
        "states": [question.state for question in questions],
        "next_question": next((q for q in questions if q.state == "open"), None),
        "facts": facts.case_facts(case, actor=actor),
    }


@page
@require_POST
def queue_assign(request: Asked) -> HttpResponse:
    """Assign the ticked cases to the person who asks. Each stands for itself: one refusal stops no other."""
    done, refusals = 0, []
    chosen = Case.objects.visible_to(request.actor).filter(pk__in=chosen_ids(request.POST, "cases"))
    for case in chosen:
        try:
            cases.assign(case, to=request.user, actor=request.actor, version=case.version)
            done += 1
        except TriageError as refused:
            refusals.append(str(refused))
    if done:
        messages.success(request, f"{done} {'case is' if done == 1 else 'cases are'} assigned to you.")
    for refusal in refusals:
        messages.error(request, refusal)
    if not done and not refusals:
        messages.warning(request, "No case was ticked, so nothing was assigned.")
    return redirect(_back(request))


def _back(request: Asked) -> str:
    target = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if target and is_ours else "queue"
