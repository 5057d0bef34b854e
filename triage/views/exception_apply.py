"""A lead applies an exception to alerts that are there already, with the list before the eyes."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from detections.errors import CasewrightError
from detections.models import Alert
from triage import approvals
from triage.errors import StaleEditError
from triage.exception_items import reach as exception_reach
from triage.exception_items import retroactive as exception_retroactive
from triage.forms import chosen_ids
from triage.models import ExceptionVersion
from triage.views.doors import Asked, page
from triage.views.exception_proposing import version_of


@page
@require_http_methods(["GET", "POST"])
def exception_apply(request: Asked, item: int, number: int) -> HttpResponse:
    request.actor.require(approvals.PERMISSION, "apply an exception to alerts that are there already")
    version = version_of(request, item, number)
    refusal, status = "", 200
    if request.method == "POST":
        try:
            return _apply(request, version)
        except StaleEditError as refused:
            refusal, status = str(refused), 409
        except CasewrightError as refused:
            refusal, status = str(refused), 422
    return render(request, "exceptions/apply.html", _context(request, version, refusal), status=status)


def _context(request: Asked, version: ExceptionVersion, refusal: str) -> dict[str, Any]:
    try:
        found = exception_reach.candidates(version, actor=request.actor, now=timezone.now())
    except ValueError as broken:
        found, refusal = exception_reach.Candidates((), 0), str(broken)
    return {
        "version": version,
        "item": version.item,
        "found": found,
        "most": exception_retroactive.MOST,
        "chosen": set(chosen_ids(request.POST, "alert")) if request.POST else None,
        "reason": request.POST.get("reason", ""),
        "refusal": refusal,
    }


def _apply(request: Asked, version: ExceptionVersion) -> HttpResponse:
    chosen = chosen_ids(request.POST, "alert")
    alerts = list(Alert.objects.visible_to(request.actor).filter(pk__in=chosen))
    done = exception_retroactive.apply_to_existing(
        version, alerts, actor=request.actor, reason=request.POST.get("reason", "")
    )
    words = "alert is" if len(done.covered) == 1 else "alerts are"
    messages.success(request, f"{len(done.covered):,} {words} covered by {version.label} now.")
    if done.cases:
        named = ", ".join(case.number for case in done.cases[:20])
        more = f" and {len(done.cases) - 20} more" if len(done.cases) > 20 else ""
        messages.warning(
            request, f"Nothing else is left in {named}{more}. They stay open: close them yourself."
        )
    return redirect("exception_version", version.item_id, version.number)
