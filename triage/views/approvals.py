"""The inbox of what waits for a second person."""

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from triage import approvals as requests
from triage.approvals import Pending
from triage.enums import BackTestKind, BackTestState
from triage.exception_items import overview as exception_overview
from triage.models import BackTest, Case
from triage.response import open as response_open
from triage.views.doors import Asked, page

A_PAGE = 50
CONTAINMENTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One request. why_not: why the reader can't decide on it, or "". test: the newest back-test of its
    content, for what needs one."""

    request: Pending
    case: Case | None
    why_not: str
    test: BackTest | None


@page
def approvals(request: Asked) -> HttpResponse:
    """Everything that waits, oldest first; containments in force, and exceptions that end soon."""
    found = requests.pending(request.actor)
    kinds = sorted({one.kind for one in found})
    kind = request.GET.get("kind", "")
    wanted = [one for one in found if kind not in kinds or one.kind == kind]
    shown = Paginator(wanted, A_PAGE).get_page(request.GET.get("page"))
    now = timezone.now()
    held = response_open.open_containments(actor=request.actor)
    return render(
        request,
        "approvals/list.html",
        {
            "page": shown,
            "lines": _lines(request, list(shown)),
            "kinds": [(one, sum(each.kind == one for each in found)) for one in kinds],
            "kind": kind if kind in kinds else "",
            "total": len(found),
            "mine": sum(not _why_not(request, one) for one in found),
            "containments": list(held[:CONTAINMENTS_SHOWN]),
            "containments_total": held.count(),
            "ending": exception_overview.ending(actor=request.actor, now=now),
            "now": now,
        },
    )


def _lines(request: Asked, found: list[Pending]) -> list[Line]:
    cases = Case.objects.visible_to(request.actor).in_bulk({one.case_id for one in found if one.case_id})
    tests = _tests(request, {one.sha256 for one in found if one.sha256})
    return [
        Line(one, cases.get(one.case_id or 0), _why_not(request, one), tests.get(one.sha256)) for one in found
    ]


def _tests(request: Asked, wanted: set[str]) -> dict[str, BackTest]:
    """The newest back-test over stored alerts of each content, those that ended well first. One query."""
    rows = BackTest.objects.visible_to(request.actor).filter(
        content_sha256__in=wanted, kind=BackTestKind.ALERTS
    )
    found: dict[str, BackTest] = {}
    for row in rows.order_by("-pk"):
        known = found.get(row.content_sha256)
        if known is None or (known.state != BackTestState.SUCCEEDED and row.state == BackTestState.SUCCEEDED):
            found[row.content_sha256] = row
    return found


def _why_not(request: Asked, one: Pending) -> str:
    if one.is_own(request.actor):
        asked = "asked for it" if request.user == one.requested_by else "edited it last"
        return f"You {asked}: another person has to decide."
    return "" if request.actor.can(requests.PERMISSION) else "A lead decides on it."
