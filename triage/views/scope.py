"""Scope: which indicators to look for on all hosts, the matrix, and what becomes of a host."""

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import observables
from triage.errors import TriageError
from triage.models import Case, ScopeHost, ScopeRun
from triage.pivot_windows import span_of
from triage.preserve import spreadsheets
from triage.scope import indicators as scope_indicators
from triage.scope import matrix as scope_matrix
from triage.scope import rows as scope_rows
from triage.scope import scoping
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page

A_PAGE = 100
BEFORE, AFTER = "7d", "24h"


@page
def case_scope(request: Asked, pk: int) -> HttpResponse:
    """The newest search, or the one that is asked for by its number; and what can be looked for."""
    case = load(request, pk)
    run = _run(request, case)
    if request.htmx and run is not None:
        return render(request, "scope/matrix.html", _matrix(request, case, run))
    return render(request, "scope/scope.html", _context(request, case, run))


def _run(request: Asked, case: Case) -> ScopeRun | None:
    runs = ScopeRun.objects.visible_to(request.actor).filter(case=case).select_related("asked_by")
    number = request.GET.get("run", "")
    if number.isdecimal() and len(number) < 10:
        return get_object_or_404(runs, number=int(number))
    return runs.order_by("-number").first()


def _context(request: Asked, case: Case, run: ScopeRun | None, **more: object) -> dict[str, object]:
    observables.collect(case)
    offered = scope_indicators.offered(case)
    chosen = more.get("chosen")
    keys = chosen if isinstance(chosen, set) else {one.key for one in offered if one.is_usual}
    base = CasePage(case, request.actor).context("scope")
    return {
        **base,
        **(_matrix(request, case, run) if run is not None else {"run": None}),
        "indicators": [(one, one.key in keys, scope_indicators.needed(one)) for one in offered],
        "runs": list(ScopeRun.objects.visible_to(request.actor).filter(case=case).order_by("-number")[:20]),
        "before": more.get("before", BEFORE),
        "after": more.get("after", AFTER),
        "refusal": more.get("refusal", ""),
        "may_search": request.actor.can("triage.add_scoperun"),
    }


def _matrix(request: Asked, case: Case, run: ScopeRun) -> dict[str, object]:
    run.case = case
    only_hits = request.GET.get("hits") == "1"
    columns = list(run.columns.order_by("position"))
    found = scope_matrix.hosts_of(run, only_hits=only_hits)
    hosts = Paginator(found[: scoping.MOST_HOSTS], A_PAGE).get_page(request.GET.get("page"))
    silences = scope_matrix.silences(run, columns)
    waiting = sum(column.state == "waiting" for column in columns)
    return {
        "case": case,
        "run": run,
        "page": hosts,
        "rows": scope_matrix.rows(run, list(hosts), columns),
        "columns": [(one, scope_matrix.column_title(one, silences[one.pk])) for one in columns],
        "columns_done": len(columns) - waiting,
        "only_hits": only_hits,
        "difference": scope_matrix.difference(run),
        "most_hosts": scoping.MOST_HOSTS,
        "holes": [one for one in columns if one.reason],
    }


@page
@require_POST
def scope_ask(request: Asked, pk: int) -> HttpResponse:
    case = load(request, pk)
    keys = request.POST.getlist("indicator")
    before, after = request.POST.get("before", ""), request.POST.get("after", "")
    try:
        scoping.ask(case, keys=keys, before=span_of(before), after=span_of(after), actor=request.actor)
    except TriageError as refused:
        context = _context(
            request,
            case,
            _run(request, case),
            chosen=set(keys),
            before=before,
            after=after,
            refusal=str(refused),
        )
        return render(request, "scope/scope.html", context, status=422)
    return redirect("case_scope", pk)


@page
def scope_file(request: Asked, pk: int, number: int) -> HttpResponseBase:
    """The whole matrix as CSV, a row for each host and indicator."""
    case = load(request, pk)
    run = get_object_or_404(ScopeRun.objects.visible_to(request.actor), case=case, number=number)
    run.case = case
    lines = spreadsheets.lines(scope_matrix.EXPORTED, scope_matrix.exported(run))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{case.number}-scope-{run.number}.csv"'
    return response


# -- one host


@page
def scope_host(request: Asked, pk: int, host: int) -> HttpResponse:
    """What one host sent of each indicator, its kept events, and what can be done with it."""
    case = load(request, pk)
    return render(request, "scope/host.html", _host_context(request, case, _host(request, case, host)))


def _host(request: Asked, case: Case, pk: int) -> ScopeHost:
    runs = ScopeRun.objects.visible_to(request.actor).filter(case=case)
    row = get_object_or_404(ScopeHost.objects.select_related("run"), pk=pk, run__in=runs)
    row.run.case = case
    return row


def _host_context(request: Asked, case: Case, host: ScopeHost, refusal: str = "") -> dict[str, object]:
    columns = list(host.run.columns.order_by("position"))
    (row,) = scope_matrix.rows(host.run, [host], columns)
    others = list(scope_rows.cases_on(host, actor=request.actor)[: scope_rows.MOST_OFFERED])
    linked = _linked(case)
    return {
        **CasePage(case, request.actor).context("scope"),
        "run": host.run,
        "row": row,
        "cells": list(zip(columns, row.cells, strict=True)),
        "reports": [scope_indicators.report_word(name) for name in host.reports],
        "samples": scope_rows.samples_of(host),
        "others": others,
        "linked": linked,
        "has_case": any(other.pk in linked for other in others),
        "added": case.pivots.filter(key=f"scope-{host.pk}").first(),
        "may_add": request.actor.can("triage.answer_question"),
        "may_link": request.actor.can("triage.assign_case"),
        "refusal": refusal,
    }


def _linked(case: Case) -> set[int]:
    standing = case.links.standing().values_list("target", flat=True)
    return {*standing, *case.linked_from.standing().values_list("source", flat=True)}


@page
@require_POST
def scope_host_add(request: Asked, pk: int, host: int) -> HttpResponse:
    def work(row: ScopeHost) -> str:
        made = scope_rows.add(row, actor=request.actor)
        count = f"{made.kept} {'event' if made.kept == 1 else 'events'}"
        return f"Evidence of this case now: {count} of {row}."

    return _back(request, pk, host, work)


@page
@require_POST
def scope_host_case(request: Asked, pk: int, host: int) -> HttpResponse:
    def work(row: ScopeHost) -> str:
        return f"{scope_rows.open_case(row, actor=request.actor).number} is open for {row}, and linked."

    return _back(request, pk, host, work)


@page
@require_POST
def scope_host_link(request: Asked, pk: int, host: int) -> HttpResponse:
    def work(row: ScopeHost) -> str:
        wanted = request.POST.get("case", "")
        number = int(wanted) if wanted.isdecimal() and len(wanted) < 18 else 0
        other = scope_rows.cases_on(row, actor=request.actor).filter(pk=number).first()
        if other is None:
            raise TriageError("Choose a case that is about this host.")
        return f"{scope_rows.link(row, other, actor=request.actor).number} is linked to this case."

    return _back(request, pk, host, work)


def _back(request: Asked, pk: int, host: int, work: Callable[[ScopeHost], str]) -> HttpResponse:
    """Do the work and show the host again: with what it did, or with the refusal."""
    case = load(request, pk)
    row = _host(request, case, host)
    try:
        messages.success(request, work(row))
    except TriageError as refused:
        return render(request, "scope/host.html", _host_context(request, case, row, str(refused)), status=422)
    return redirect("scope_host", pk, host)
