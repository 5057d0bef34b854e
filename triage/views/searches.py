"""Run a rule now, and search its past: asked for here, done by a worker."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from detections import back_search, wake
from detections.errors import CasewrightError
from detections.models import BackSearch, Rule
from triage.forms import BackSearchForm
from triage.views.doors import Asked, page

SEARCHES_SHOWN = 20


@page
@require_http_methods(["GET", "POST"])
def searches(request: Asked, pk: int) -> HttpResponse:
    """The back-searches of a rule, and the form for one more."""
    rule = get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)
    form = BackSearchForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        if form.is_valid() and _requested(request, rule, form):
            return redirect("searches", pk)
        status = 422
    found = BackSearch.objects.visible_to(request.actor).filter(rule=rule).select_related("run", "rule")
    context = {
        "rule": rule,
        "form": form,
        "rows": found.select_related("run", "rule", "requested_by")[:SEARCHES_SHOWN],
        "may_search": request.actor.can("detections.change_rule"),
    }
    return render(request, "searches/list.html", context, status=status)


def _requested(request: Asked, rule: Rule, form: BackSearchForm) -> bool:
    """False, with the reason on the form, if it was refused."""
    start, end = form.cleaned_data["start"], form.cleaned_data["end"]
    try:
        back_search.request(rule, start=start, end=end, actor=request.actor)
    except CasewrightError as refused:
        form.add_error(None, str(refused))
        return False
    messages.success(request, "The search waits for a worker. This page shows how far it is.")
    return True


@page
@require_POST
def run_now(request: Asked, pk: int) -> HttpResponse:
    rule = get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)
    try:
        is_new = wake.request_run(rule, actor=request.actor)
    except CasewrightError as refused:
        messages.error(request, str(refused))
    else:
        words = "A run was asked for; it is listed here once it ends."
        messages.success(request, words if is_new else "A run that was asked for still waits for a worker.")
    return redirect("rule", pk)


@page
@require_POST
def search_cancel(request: Asked, pk: int) -> HttpResponse:
    search = get_object_or_404(BackSearch.objects.visible_to(request.actor), pk=pk)
    if back_search.cancel(search, actor=request.actor):
        messages.success(request, "The search is cancelled. What it found stays.")
    else:
        messages.info(request, "The search was over already.")
    return redirect("searches", search.rule_id)


@page
def search_row(request: Asked, pk: int) -> HttpResponse:
    """One row of the list, asked for again while it runs."""
    visible = BackSearch.objects.visible_to(request.actor).select_related("run", "rule", "requested_by")
    context = {
        "search": get_object_or_404(visible, pk=pk),
        "may_search": request.actor.can("detections.change_rule"),
    }
    return render(request, "searches/row.html", context)
