"""The timeline of a case, with the process tree and the document of one event beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from detections.stores.base import Window
from triage import observables, timeline
from triage.models import Case
from triage.process_tree import process_tree
from triage.timeline import Timeline
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page

ROWS_A_PAGE = 40
_HOW = "Write times in UTC, as 2026-03-18T09:41:06.520, the earlier one first."
_UNFOLDED = {"depth": 40, "width": 400}
# A field holds milliseconds; the last one belongs to the stretch as a whole.
_MILLISECOND = timedelta(microseconds=999)


@page
def case_timeline(request: Asked, pk: int) -> HttpResponse:
    """Lanes over a window (from, to), a stretch of it (start, end) as a list, one document (row)."""
    case = load(request, pk)
    observables.collect(case)
    shown = CasePage(case, request.actor)
    window, refused = _range(request, "from", "to")
    stretch, refused_stretch = _range(request, "start", "end")
    drawn = timeline.timeline(case, shown.runs, Window(*window) if window else None)
    context = {"case": case, "timeline": drawn, **_listed(request, case, drawn, stretch)}
    if request.htmx and request.htmx.target == "selected":
        return render(request, "cases/timeline_rows.html", context)
    row = request.GET.get("row", "")
    context |= {
        "tree": process_tree(case, shown.runs, **(_UNFOLDED if request.GET.get("tree") == "all" else {})),
        "refused": _HOW if refused or refused_stretch else "",
        "typed": request.GET,
        "row": timeline.row_of(case, int(row), actor=request.actor) if row.isdigit() else None,
    }
    return render(request, "cases/timeline.html", {**shown.context("timeline"), **context})


@page
def timeline_row(request: Asked, pk: int, row: int) -> HttpResponse:
    """The document of an event, for the panel."""
    case = load(request, pk)
    found = timeline.row_of(case, row, actor=request.actor)
    if found is None:
        raise Http404
    if not request.htmx:
        return redirect(f"{reverse('case_timeline', args=[pk])}?row={row}#doc")
    return render(request, "cases/timeline_document.html", {"case": case, "row": found})


def _listed(
    request: Asked, case: Case, drawn: Timeline | None, stretch: tuple[datetime, datetime] | None
) -> dict[str, Any]:
    start, end = stretch or (None, None)
    points = drawn.within(start, end) if drawn else []
    found = Paginator(points, ROWS_A_PAGE).get_page(request.GET.get("page"))
    items = timeline.items_of(case, found.object_list)
    return {"start": start, "end": end, "items": items, "page": found, "selected": len(points)}


def _range(request: Asked, first: str, last: str) -> tuple[tuple[datetime, datetime] | None, bool]:
    """The range that the address names, and whether it names one that can't be read."""
    texts = request.GET.get(first, ""), request.GET.get(last, "")
    if not any(texts):
        return None, False
    start, end = _moment(texts[0]), _moment(texts[1])
    if start is None or end is None or end < start:
        return None, True
    return (start, end + _MILLISECOND), False


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text.strip())
    except ValueError:
        return None
    if moment is None or moment.year < 1900:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
