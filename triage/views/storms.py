"""A storm case by host, user and source, and its splitting."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from triage import storms
from triage.errors import TriageError
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page


@page
def storm(request: Asked, pk: int) -> HttpResponse:
    shown = CasePage(load(request, pk), request.actor)
    if not shown.case.is_storm:
        raise Http404
    context = {
        **shown.context("storm"),
        "breakdowns": storms.breakdowns(shown.case),
        "most": storms.MOST_VALUES,
    }
    return render(request, "storms/storm.html", context)


@page
@require_POST
def storm_split(request: Asked, pk: int) -> HttpResponse:
    shown = load(request, pk)
    by, value = request.POST.get("by", ""), request.POST.get("value", "")
    try:
        target = storms.split(shown, by, value, actor=request.actor)
    except TriageError as refused:
        messages.error(request, str(refused))
        return redirect("storm", pk)
    messages.success(request, f"{target.number} has {target.occurrence_count:,} of the storm's alerts now.")
    return redirect("case", target.pk)
