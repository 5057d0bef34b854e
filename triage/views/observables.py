"""The observables of a case: a table, files to take away, and what else shares them."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from triage import observables, related
from triage.enums import ObservableType
from triage.models import Case, Observable
from triage.models.observable import ObservableQuerySet
from triage.observable_values import defanged
from triage.techniques import techniques_of
from triage.templatetags.observable_rows import Line
from triage.value_families import can_be_followed
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page

ROWS_A_PAGE = 100
SIDE_CASES = 3
SIDE_ALERTS = 3
_LABELS = {
    ObservableType.IP: "Addresses",
    ObservableType.DOMAIN: "Domains",
    ObservableType.URL: "URLs",
    ObservableType.HASH: "Hashes",
    ObservableType.USER: "Users",
    ObservableType.HOST: "Hosts",
    ObservableType.PROCESS: "Programs",
}
# Derived fields are asked for under the name that telemetry has.
_ASKED_AS = {"remote.ip": "destination.ip", "host.ip": "destination.ip"}


@page
def case_observables(request: Asked, pk: int) -> HttpResponse:
    """All observables, by type and text; below them related cases and alerts."""
    case = load(request, pk)
    observables.collect(case)
    found = observables.observables_of(case, actor=request.actor)
    counts = dict(found.order_by().values_list("type").annotate(how_many=Count("pk")))
    chosen = _chosen(found, request)
    rows = Paginator(chosen.order_by("type", "value"), ROWS_A_PAGE).get_page(request.GET.get("page"))
    alerts, alerts_total = related.related_alerts(case, actor=request.actor)
    context = {
        "observable_lines": _lines(case, list(rows), request),
        "page": rows,
        "types": [(kind.value, label, counts.get(kind.value, 0)) for kind, label in _LABELS.items()],
        "total": sum(counts.values()),
        "type": request.GET.get("type", ""),
        "text": request.GET.get("q", ""),
        "related_cases": related.related_cases(case, actor=request.actor),
        "related_alerts": alerts,
        "related_alerts_total": alerts_total,
        "techniques": techniques_of(case),
    }
    base = CasePage(case, request.actor).context("observables")
    return render(request, "cases/observables.html", {**base, **context})


def _chosen(found: ObservableQuerySet, request: Asked) -> ObservableQuerySet:
    kind, text = request.GET.get("type", ""), request.GET.get("q", "").strip()
    if kind in ObservableType.values:
        found = found.filter(type=kind)
    if text:
        # Somebody may paste what was copied defanged.
        plain = text.replace("[.]", ".").replace("[:]", ":").replace("hxxp", "http")
        found = found.filter(value__icontains=plain)
    return found


def _lines(case: Case, rows: Sequence[Observable], request: Asked) -> list[Line]:
    elsewhere = observables.other_cases(rows, actor=request.actor)
    page_of_values = reverse("case_value", args=[case.pk])
    return [
        Line(
            one,
            defanged(one.type, one.spelling),
            list(dict.fromkeys(source["field"] for source in one.sources)),
            elsewhere.get((one.type, one.digest), 0),
            _ask(page_of_values, one),
        )
        for one in rows
    ]


def _ask(page_of_values: str, one: Observable) -> str:
    value = one.spelling
    if one.type == ObservableType.USER and "SID" not in one.marks:
        value = value.rsplit("\\", 1)[-1]
    for source in one.sources:
        field = _ASKED_AS.get(source["field"], source["field"])
        if can_be_followed(field, value):
            query = urlencode({"field": field, "value": value}, errors="replace")
            return f"{page_of_values}?{query}"
    return ""


@page
def case_related(request: Asked, pk: int) -> HttpResponse:
    """What else has to do with the case, for the column at the right; it comes after the page."""
    case = load(request, pk)
    if not request.htmx:
        return redirect(f"{reverse('case_observables', args=[pk])}#related")
    alerts, total = related.related_alerts(case, actor=request.actor, most=SIDE_ALERTS)
    context = {
        "case": case,
        "related_cases": related.related_cases(case, actor=request.actor, most=SIDE_CASES),
        "related_alerts": alerts,
        "related_alerts_total": total,
    }
    return render(request, "cases/related_side.html", context)


@page
def observables_file(request: Asked, pk: int, form: str) -> HttpResponseBase:
    """The chosen observables as CSV or NDJSON, with their true values."""
    case = load(request, pk)
    observables.collect(case)
    found = _chosen(observables.observables_of(case, actor=request.actor), request).order_by("type", "value")
    response: HttpResponseBase
    if form == "csv":
        response = HttpResponse(observables.as_csv(found), content_type="text/csv; charset=utf-8")
    elif form == "ndjson":
        lines = observables.as_ndjson(found.iterator(chunk_size=500), case)
        response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="{case.number}-observables.{form}"'
    return response
