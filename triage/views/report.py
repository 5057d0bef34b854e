"""The report of a case, its packs, and what is hardened afterwards."""

from django.contrib import messages
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage.errors import TriageError
from triage.forms import HardeningForm
from triage.models import Case, CasePack
from triage.preserve import pack_files, preserving
from triage.preserve.pack_files import ChangedPackError
from triage.preserve.report import report_of
from triage.response import hardening
from triage.views.case_page import CasePage, assignable, load
from triage.views.doors import Asked, page


@page
def case_report(request: Asked, pk: int) -> HttpResponse:
    """What happened, for a reader outside; prints as it stands."""
    return render(request, "reports/report.html", _context(request, load(request, pk)))


def _context(request: Asked, case: Case, **more: object) -> dict[str, object]:
    return {
        **CasePage(case, request.actor).context("report"),
        **_packs(request, case),
        "report": report_of(case, actor=request.actor),
        "proposals": hardening.proposals(case),
        "assignable": assignable(),
        "may_ask": request.actor.can("triage.add_casetask"),
        **more,
    }


def _packs(request: Asked, case: Case) -> dict[str, object]:
    packs = list(preserving.packs_of(case, actor=request.actor))
    return {
        "case": case,
        "packs": packs,
        "newest": next((pack for pack in packs if pack.state == "succeeded"), None),
        "is_making": any(pack.is_under_way for pack in packs),
        "may_preserve": request.actor.can("triage.add_casepack"),
    }


@page
def case_packs(request: Asked, pk: int) -> HttpResponse:
    """The packs alone, asked for again while one is being made."""
    if not request.htmx:
        return redirect("case_report", pk)
    return render(request, "reports/packs.html", _packs(request, load(request, pk)))


@page
@require_POST
def case_preserve(request: Asked, pk: int) -> HttpResponse:
    preserving.preserve(load(request, pk), actor=request.actor)
    return redirect("case_report", pk)


@page
def pack_file(request: Asked, pk: int) -> FileResponse | HttpResponse:
    """The pack as a download, after its bytes were hashed again."""
    packs = CasePack.objects.visible_to(request.actor).made().select_related("case")
    pack = get_object_or_404(packs, pk=pk)
    case = load(request, pack.case_id)
    try:
        file = pack_files.open_checked(pack)
    except ChangedPackError as changed:
        return render(
            request, "reports/report.html", _context(request, case, refusal=str(changed)), status=409
        )
    response = FileResponse(file, as_attachment=True, filename=pack.name, content_type="application/zip")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


@page
@require_POST
def case_harden(request: Asked, pk: int) -> HttpResponse:
    """Take up a proposal of the guide, or something else, as a task with owner and date."""
    case, form = load(request, pk), HardeningForm(request.POST)
    try:
        if not form.is_valid():
            raise TriageError(" ".join(str(fault) for faults in form.errors.values() for fault in faults))
        given = form.cleaned_data
        task = hardening.track(
            case,
            key=given["key"],
            title=given["title"],
            owner=given["owner"],
            due_at=given["due_at"],
            actor=request.actor,
        )
    except TriageError as refused:
        typed = {name: request.POST.get(name, "") for name in ("key", "title", "owner", "due_at")}
        context = _context(request, case, harden_refusal=str(refused), typed=typed)
        return render(request, "reports/report.html", context, status=422)
    messages.success(request, f"{task.title}: it is a task of {task.owner} now, and outlives the case.")
    return redirect("case_response" if request.POST.get("from") == "response" else "case_report", pk)
