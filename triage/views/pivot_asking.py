"""What people ask of the telemetry: other windows and hosts, a value elsewhere, queries of their own."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from detections.actors import NotPermittedError
from detections.errors import CasewrightError, EqlError
from detections.stores.base import Window
from triage import (
    asking,
    evidence,
    facts,
    guide_versions,
    look_ups,
    own_queries,
    pivot_windows,
    pivots,
    rarity,
)
from triage.asking import Value
from triage.enums import LookUpKind, PivotOrigin, PivotScope
from triage.errors import TriageError
from triage.evidence import kind_word
from triage.models import Case, Evidence, LookUp, PivotRun
from triage.own_queries import FilterRow, QueryRefusedError
from triage.pivot_windows import Reach
from triage.value_families import can_be_followed
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page
from triage.views.pivot_forms import ReachForm, asking_form, operators, reach_form, typed_rows


def shown_run(case: Case, key: str) -> PivotRun:
    """The newest attempt that the pages show. Raises Http404."""
    found = next((run for run in evidence.shown_runs(case) if run.key == key), None)
    if found is None:
        raise Http404
    return found


def place_of(run: PivotRun) -> str:
    """Where a run's card is."""
    if run.question_key:
        page_of = reverse("question", args=[run.case_id, run.question_key])
    else:
        page_of = reverse("case_evidence", args=[run.case_id])
    return f"{page_of}#pivot-{run.key}"


# -- another window


@page
@require_http_methods(["GET", "POST"])
def pivot_window(request: Asked, pk: int, key: str) -> HttpResponse:
    """Choose another window or other hosts. For htmx: the form, or what it would search."""
    case = load(request, pk)
    run = shown_run(case, key)
    if request.method == "GET":
        form = reach_form(run, request.GET if "before" in request.GET else None)
        part = "cases/window_form.html" if "dialog" in request.GET else "cases/window_preview.html"
        template = part if request.htmx else "cases/window.html"
        return _window(request, run, form, template)
    if "reset" in request.POST and run.origin == PivotOrigin.GUIDE:
        return _rerun(request, run, Reach(), reach_form(run))
    form = reach_form(run, request.POST)
    if not form.is_valid():
        return _window(request, run, form, "cases/window.html", status=422)
    return _rerun(request, run, form.reach, form)


def _rerun(request: Asked, run: PivotRun, reach: Reach, form: ReachForm) -> HttpResponse:
    try:
        pivots.rerun(run, actor=request.actor, reach=reach)
    except TriageError as refused:
        return _window(request, run, form, "cases/window.html", status=409, refusal=str(refused))
    return redirect(place_of(run))


def _window(
    request: Asked, run: PivotRun, form: ReachForm, template: str, *, status: int = 200, refusal: str = ""
) -> HttpResponse:
    shown = CasePage(run.case, request.actor)
    base = shown.context("evidence") if template == "cases/window.html" else {"case": run.case}
    context = {**base, "run": run, "form": form, "refusal": refusal, **preview(run, form)}
    return render(request, template, context, status=status)


def preview(run: PivotRun, form: ReachForm) -> dict[str, Any]:
    """The window that a form comes to, and whether gate and checks would go by it."""
    if form.is_bound and not form.is_valid():
        return {"window": None}
    if form.is_bound:
        guide = guide_versions.guide_of(run.case)
        reach = form.reach
        return {
            "window": pivot_windows.chosen_window(run.case, reach),
            "scope": reach.scope.label,
            "would_count": pivot_windows.counts(run.case, guide, run, reach),
            "is_of_guide": run.origin == PivotOrigin.GUIDE,
        }
    window = None
    if run.window_start is not None and run.window_end is not None:
        window = Window(run.window_start, run.refills_at or run.window_end)
    return {
        "window": window,
        "scope": run.get_scope_display(),
        "would_count": run.counts,
        "is_of_guide": run.origin == PivotOrigin.GUIDE,
    }


# -- a value elsewhere


@page
@require_http_methods(["GET", "POST"])
def case_value(request: Asked, pk: int) -> HttpResponse:
    """A value: how rare it is, and a question about it on other hosts."""
    case = load(request, pk)
    data = request.POST if request.method == "POST" else request.GET
    value = _value(case, data)
    form = asking_form(case, request.POST if request.method == "POST" else None)
    question = data.get("question", "")[:100]
    if request.method == "GET" or not form.is_valid():
        status = 200 if request.method == "GET" else 422
        return _value_page(request, case, value, form, question, status)
    try:
        run = asking.follow_up(case, value, reach=form.reach, question_key=question, actor=request.actor)
    except TriageError as refused:
        return _value_page(request, case, value, form, question, 409, refusal=str(refused))
    messages.success(request, "Asked. The answer is kept with the case, below what the guide asks.")
    return redirect(place_of(run))


def _value(case: Case, data: Any) -> Value:
    """The value that a page points at: of a row, or of the facts. Raises Http404."""
    field, text = data.get("field", "")[:255], data.get("value", "")[:8000]
    if not (data.get("row") or "").isdigit():
        if not can_be_followed(field, text):
            raise Http404
        return Value(field, text)
    row = get_object_or_404(Evidence.objects.select_related("pivot"), pk=data["row"], pivot__case=case)
    number = data.get("n") or "0"
    try:
        return asking.value_in(row, field, int(number) if number.isdigit() else 0)
    except TriageError as refused:
        raise Http404 from refused


def _value_page(
    request: Asked,
    case: Case,
    value: Value,
    form: ReachForm,
    question: str,
    status: int,
    *,
    refusal: str = "",
) -> HttpResponse:
    context: dict[str, Any] = {
        "case": case,
        "value": value,
        "n": request.GET.get("n") or request.POST.get("n") or "0",
        "form": form,
        "question_key": question or (value.row.pivot.question_key if value.row else ""),
        "refusal": refusal,
        "may_answer": request.actor.can("triage.answer_question"),
        "asked": [run for run in _asked_already(case) if run.asked.get("value") == value.value],
        "window": pivot_windows.chosen_window(case, form.reach)
        if form.is_bound and form.is_valid()
        else None,
    }
    if request.htmx:
        return render(request, "cases/value.html", context, status=status)
    context = {**CasePage(case, request.actor).context("evidence"), **context}
    return render(request, "cases/value_page.html", context, status=status)


def _asked_already(case: Case) -> list[PivotRun]:
    return [run for run in evidence.shown_runs(case) if run.origin == PivotOrigin.FOLLOW_UP]


# -- queries of one's own


@page
@require_http_methods(["GET", "POST"])
def case_ask(request: Asked, pk: int) -> HttpResponse:
    """Write a query, see what it would search, run it. Nothing typed is lost on an error."""
    case = load(request, pk)
    if request.method == "GET":
        form = asking_form(case, scope=PivotScope.HOST)
        return _ask_page(request, case, _to_change(request, case), form, 200)
    form, typed = asking_form(case, request.POST), _typed_query(request)
    try:
        if not form.is_valid():
            raise QueryRefusedError("Correct the window below.")
        if "preview" in request.POST:
            return _ask_page(request, case, typed, form, 200, **_read(case, typed, form.reach))
        run = _ask(case, typed, form.reach, request)
    except EqlError as refused:
        return _ask_page(request, case, typed, form, 422, caret=str(refused), at=refused)
    except (CasewrightError, NotPermittedError) as refused:
        row = refused.row if isinstance(refused, QueryRefusedError) else 0
        return _ask_page(request, case, typed, form, 422, refusal=str(refused), wrong_row=row)
    messages.success(request, "Asked. What it finds is kept with the case.")
    return redirect(place_of(run))


def _typed_query(request: Asked) -> dict[str, Any]:
    language = request.POST.get("language", "")
    return {
        "language": language if language in (own_queries.EQL, own_queries.FILTERS) else own_queries.EQL,
        # A browser sends line ends as two characters; positions are told in what was written.
        "text": request.POST.get("text", "").replace("\r\n", "\n"),
        "rows": typed_rows(request.POST),
        "question": request.POST.get("question", "")[:100],
    }


def _to_change(request: Asked, case: Case) -> dict[str, Any]:
    """An empty form, or the query of a run that is to be asked with changes."""
    earlier = case.pivots.filter(key=request.GET.get("from", ""), origin=PivotOrigin.OWN).first()
    asked = earlier.asked if earlier else {}
    rows = [FilterRow(**row) for row in asked.get("rows", [])]
    wanted = asked.get("language") or request.GET.get("language", "")
    return {
        "language": own_queries.FILTERS if wanted == own_queries.FILTERS else own_queries.EQL,
        "text": asked.get("text", ""),
        "rows": rows + [FilterRow("", "is", "")] * max(0, 5 - len(rows)),
        "question": earlier.question_key if earlier else request.GET.get("question", "")[:100],
    }


def _read(case: Case, typed: dict[str, Any], reach: Reach) -> dict[str, Any]:
    """What the query would search. Raises EqlError, QueryRefusedError."""
    if typed["language"] == own_queries.EQL:
        query = own_queries.read_eql(typed["text"])
        asked: dict[str, Any] = {"language": own_queries.EQL, "text": typed["text"]}
        lines = own_queries.stage_lines(query)
    else:
        own_queries.read_filters(typed["rows"])
        asked = {"language": own_queries.FILTERS, "rows": own_queries.kept_rows(typed["rows"])}
        lines = [f"events with {asking.label_of(asked)}"]
    return {
        "is_read": True,
        "lines": lines,
        "kinds": [kind_word(kind.value) for kind in own_queries.kinds_of(asked)],
        "window": pivot_windows.chosen_window(case, reach),
        "scope": reach.scope.label,
    }


def _ask(case: Case, typed: dict[str, Any], reach: Reach, request: Asked) -> PivotRun:
    about = {"reach": reach, "question_key": typed["question"], "actor": request.actor}
    if typed["language"] == own_queries.EQL:
        return asking.own_eql(case, typed["text"], **about)
    return asking.own_filters(case, typed["rows"], **about)


def _ask_page(
    request: Asked, case: Case, typed: dict[str, Any], form: ReachForm, status: int, **more: Any
) -> HttpResponse:
    shown = CasePage(case, request.actor)
    question = next((one for one in shown.questions if one.key == typed["question"]), None)
    context = {
        **shown.context("evidence"),
        "typed": typed,
        "form": form,
        "operators": operators(),
        "asked_question": question,
        **more,
    }
    return render(request, "cases/ask.html", context, status=status)


# -- look-ups


@page
@require_POST
def facts_rarity(request: Asked, pk: int) -> HttpResponse:
    """How rare the telling facts of the case are, each as a look-up that fills itself."""
    case = load(request, pk)
    values = facts.telling_values(facts.case_facts(case, actor=request.actor))
    found = []
    for what, field, value in values:
        asked = look_ups.of_rarity(case, field, value, actor=request.actor)
        found.append((what, value, asked, _rarity_of(asked)))
    context = {"case": case, "found": found}
    if request.htmx:
        return render(request, "cases/rare_facts.html", context)
    shown = CasePage(case, request.actor).context("questions")
    return render(request, "cases/rare_facts_page.html", {**shown, **context})


@page
@require_POST
def case_rarity(request: Asked, pk: int) -> HttpResponse:
    """Ask how rare a value is; the answer comes by itself."""
    case = load(request, pk)
    field, value = request.POST.get("field", "")[:255], request.POST.get("value", "")[:8000]
    if not can_be_followed(field, value):
        raise Http404
    return shown_look_up(request, look_ups.of_rarity(case, field, value, actor=request.actor))


@page
@require_POST
def pivot_changes(request: Asked, pk: int, key: str) -> HttpResponse:
    """Compare a pivot with the store as it is now; nothing is stored with the case."""
    case = load(request, pk)
    run = shown_run(case, key)
    return shown_look_up(request, look_ups.of_comparison(run, actor=request.actor))


@page
def look_up(request: Asked, pk: int) -> HttpResponse:
    """A look-up as far as it is."""
    found = get_object_or_404(LookUp, pk=pk)
    found.case = load(request, found.case_id)
    return shown_look_up(request, found)


def _rarity_of(found: LookUp) -> rarity.Rarity | None:
    """What a look-up of rarity came to; None while it waits, or where it failed."""
    shown = {name: value for name, value in found.result.items() if name != "sentence"}
    return rarity.of_data(shown) if shown else None


def shown_look_up(request: Asked, found: LookUp) -> HttpResponse:
    """A look-up as a part of a page; without htmx on a page of its own."""
    context: dict[str, Any] = {"look_up": found, "case": found.case, "result": found.result}
    if found.kind == LookUpKind.RARITY:
        context["rarity"] = _rarity_of(found)
    if found.result and found.kind == LookUpKind.COMPARISON:
        rows = [*found.result["gone"], *(one["row"] for one in found.result["changed"])]
        held = Evidence.objects.filter(pivot__case=found.case).in_bulk(rows)
        context["gone"] = [held[row] for row in found.result["gone"] if row in held]
        context["changed"] = [
            (held[one["row"]], one["fields"]) for one in found.result["changed"] if one["row"] in held
        ]
        context["run"] = get_object_or_404(PivotRun, pk=found.subject["pivot"], case=found.case)
    if request.htmx:
        return render(request, "cases/look_up.html", context)
    context = {**CasePage(found.case, request.actor).context("evidence"), **context}
    return render(request, "cases/look_up_page.html", context)
