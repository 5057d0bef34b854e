"""Links between cases, merging two, and taking either back."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from triage import case_links, merging
from triage.errors import StaleEditError, TriageError
from triage.forms import case_number
from triage.models import Case, CaseLink, CaseMerge
from triage.views.case_page import CasePage, load
from triage.views.doors import Asked, page
from triage.views.notes import back


def named_case(request: Asked, text: str) -> Case:
    """The case that `CW-12` or `12` names. Raises TriageError where the person can't see any such."""
    number = case_number(text)
    found = Case.objects.visible_to(request.actor).filter(pk=number).first() if number else None
    if found is None:
        raise TriageError(f"There is no case {text.strip() or 'without a number'}. Write it as in CW-12.")
    return found


@page
@require_POST
def link_add(request: Asked, pk: int) -> HttpResponse:
    case, other, why = load(request, pk), request.POST.get("other", ""), request.POST.get("why", "")

    def work() -> None:
        case_links.link(case, named_case(request, other), why=why, actor=request.actor)

    return back(request, case, work, "The cases are linked.", link_other=other, link_why=why)


@page
@require_POST
def link_remove(request: Asked, pk: int, link: int) -> HttpResponse:
    case = load(request, pk)
    row = get_object_or_404(CaseLink, pk=link)
    if case.pk not in (row.source_id, row.target_id):
        return redirect("case_notes", pk)

    def work() -> None:
        case_links.unlink(row, actor=request.actor, reason=request.POST.get("reason", ""))

    return back(request, case, work, "The link is removed. It stays listed, marked.")


@page
@require_http_methods(["GET", "POST"])
def case_merge(request: Asked, pk: int) -> HttpResponse:
    """Both cases before the eyes, then the merge of this one into the other."""
    request.actor.require("triage.merge_case", "merge cases")
    case, asked = load(request, pk), request.POST or request.GET
    refusal, status, other = "", 200, None
    if "into" in asked:
        try:
            other = named_case(request, asked["into"])
            if request.method == "POST":
                return _merge(request, case, other)
        except StaleEditError as refused:
            refusal, status = str(refused), 409
        except TriageError as refused:
            refusal, status = str(refused), 422
    fresh = load(request, pk)
    context = {
        **CasePage(fresh, request.actor).context("notes"),
        "into": asked.get("into", ""),
        "other": load(request, other.pk) if other else None,
        "reason": asked.get("reason", ""),
        "refusal": refusal,
        "obstacles": merging.obstacles(fresh, other) if other else [],
    }
    return render(request, "notes/merge.html", context, status=status)


def _merge(request: Asked, case: Case, other: Case) -> HttpResponse:
    versions = [request.POST.get(name, "") for name in ("source_version", "target_version")]
    source, target = (
        int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0 for text in versions
    )
    merging.merge(
        case,
        other,
        reason=request.POST.get("reason", ""),
        actor=request.actor,
        source_version=source,
        target_version=target,
    )
    messages.success(
        request, f"{case.number} is merged into {other.number}. The notes of either can undo it."
    )
    return redirect("case_notes", other.pk)


@page
@require_POST
def merge_undo(request: Asked, pk: int, merge: int) -> HttpResponse:
    case = load(request, pk)
    made = get_object_or_404(CaseMerge.objects.select_related("source", "target"), pk=merge)
    if case.pk not in (made.source_id, made.target_id):
        return redirect("case_notes", pk)

    def work() -> None:
        merging.undo(made, reason=request.POST.get("reason", ""), actor=request.actor)

    return back(request, case, work, f"The merge is undone: {made.source.number} is open again.")
