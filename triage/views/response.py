"""The response to a case: its ladder, the request of an action, and what is decided and done about one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import BinaryIO, cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST

from detections.actors import NotPermittedError
from triage import attachments, verdicts
from triage.enums import ConfirmationKind
from triage.errors import GateClosedError, TriageError
from triage.models import Attachment, Case, ResponseAction
from triage.response import actions as response_actions
from triage.response import checks as response_checks
from triage.response import ladder as response_ladder
from triage.response import open as response_open
from triage.response import results as response_results
from triage.response import targets as response_targets
from triage.response import undo as response_undo
from triage.response.actions import Wish
from triage.response.executors import executor_of
from triage.response.kinds import KindSpec, kind_of, spec_of
from triage.views import response_page
from triage.views.case_page import CasePage, assignable, load
from triage.views.doors import Asked, page

A_PAGE = 50
CHECKS_SHOWN = 12


@page
def case_response(request: Asked, pk: int) -> HttpResponse:
    """The ladder. While something is under way the page asks for it again, and is answered when it moved."""
    context = _ladder(request, load(request, pk))
    if request.htmx and request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "response/ladder.html", context)


def _ladder(request: Asked, case: Case, **more: object) -> dict[str, object]:
    shown = CasePage(case, request.actor)
    actions = response_page.actions_of(shown)
    ladder = response_page.shown(shown, actions)
    return {
        **shown.context("response"),
        "shown": ladder,
        "seen": response_page.seen(ladder, actions),
        "is_moving": response_page.is_moving(ladder, actions),
        "in_force": [one for one in actions if _is_open(one)],
        "handed": [one for one in actions if one.handed_to and one.is_in_force],
        "is_malicious": verdicts.is_malicious(case),
        "assignable": assignable(),
        "may_ask": request.actor.can("triage.add_casetask"),
        "harden_from": "response",
        "verdict_blocks": [block.sentence for block in shown.gate.of("malicious").blocks],
        "may_request": request.actor.can(response_actions.REQUEST) and case.is_open,
        "may_undo": request.actor.can(response_actions.REQUEST),
        "now": timezone.now(),
        **more,
    }


def _is_open(action: ResponseAction) -> bool:
    return action.is_containment and action.is_in_force and action.undoes_id is None and not action.handed_to


@page
@require_POST
def case_verdict(request: Asked, pk: int) -> HttpResponse:
    """Say that an open case is malicious, or take that back."""
    case = load(request, pk)
    reason, version = request.POST.get("reason", ""), request.POST.get("version", "0")
    act = verdicts.withdraw if "withdraw" in request.POST else verdicts.confirm_malicious
    try:
        act(case, reason=reason, actor=request.actor, version=int(version) if version.isdecimal() else 0)
    except GateClosedError as refused:
        return _refused_verdict(request, pk, " ".join(refused.blocks), reason)
    except TriageError as refused:
        return _refused_verdict(request, pk, str(refused), reason)
    return redirect("case_response", pk)


def _refused_verdict(request: Asked, pk: int, why: str, reason: str) -> HttpResponse:
    context = _ladder(request, load(request, pk), verdict_refused=why, verdict_typed=reason)
    return render(request, "response/ladder.html", context, status=422)


# -- asking


@page
@require_http_methods(["GET", "POST"])
def action_request(request: Asked, pk: int) -> HttpResponse:
    """The form of one kind of action, its targets taken from the case's observables."""
    case = load(request, pk)
    given = request.POST if request.method == "POST" else request.GET
    key, stage = given.get("kind", ""), given.get("stage", "")
    shown = CasePage(case, request.actor)
    place = response_ladder.place_of(shown.guide, key, stage)
    if place is None or spec_of(key, place.action).is_door:
        messages.error(request, "The guide's ladder has no such action. Choose one of those below.")
        return redirect("case_response", pk)
    spec, refusal = spec_of(key, place.action), ""
    if request.method == "POST":
        try:
            made = response_actions.request(case, _wish(request, spec, stage), actor=request.actor)
        except TriageError as refused:
            refusal = str(refused)
        else:
            messages.success(request, _said(made))
            return redirect("case_response", pk) if "at_once" in given else redirect("action", made.pk)
    targets = response_targets.choices(case, spec)
    allowed = [target.token for target in targets if not target.why_not]
    context = {
        **shown.context("response"),
        "spec": spec,
        "kind": kind_of(key, place.action),
        "is_by_itself": executor_of(key) is not None,
        "stage": place.stage,
        "label": place.action.label,
        "refusal": refusal,
        "typed": given,
        "targets": targets,
        "chosen": given.get("target") or (allowed[0] if len(allowed) == 1 else ""),
        "offer": response_ladder.judge(case, key, stage, "", "", shown.guide),
        "may_override": request.actor.can(response_actions.OVERRIDE),
        "may_request": request.actor.can(response_actions.REQUEST),
        "confirmations": ConfirmationKind.choices,
        "owners": assignable() if "owner" in spec.fields else [],
    }
    return render(request, "response/request.html", context, status=422 if refusal else 200)


def _wish(request: Asked, spec: KindSpec, stage: str) -> Wish:
    """What was typed. Raises TriageError for a time that is none."""
    given = request.POST
    # At one click nobody types why, and nobody has to decide on it.
    usual = spec.usual_reason if "at_once" in given and not kind_of(spec.key).needs_approval else ""
    return Wish(
        kind=spec.key,
        stage=stage,
        reason=given.get("reason", "").strip() or usual,
        target=given.get("target", ""),
        typed={name: given.get(name, "") for name in spec.fields},
        ends_at=_moment(given.get("ends_at", "")),
        override=given.get("override", ""),
    )


def _moment(text: str) -> datetime | None:
    """A moment as a form sends it, in UTC. Raises TriageError for what is none."""
    if not text.strip():
        return None
    try:
        found = parse_datetime(text.strip())
    except ValueError:
        found = None
    if found is None:
        raise TriageError(f"{text.strip()[:40]} is no time: write 2026-03-18 14:00, in UTC.")
    return found if found.tzinfo else timezone.make_aware(found, timezone.get_default_timezone())


def _said(action: ResponseAction) -> str:
    if action.state == "requested":
        return f"{action.number} is asked for. Another person decides it."
    return f"{action.number} begins now."


# -- one action


def _action(request: Asked, pk: int) -> ResponseAction:
    rows = ResponseAction.objects.visible_to(request.actor).select_related(
        "kind__approver_group",
        "kind__connector",
        "connector",
        "requested_by",
        "approved_by",
        "undoes",
        "attachment",
        "case",
    )
    return get_object_or_404(rows.prefetch_related("undos"), pk=pk)


@page
def action(request: Asked, pk: int) -> HttpResponse:
    return _show(request, _action(request, pk))


def _show(request: Asked, row: ResponseAction, **more: object) -> HttpResponse:
    shown = CasePage(load(request, row.case_id), request.actor)
    actor, user = request.actor, request.user
    is_own = user in (row.requested_by, row.last_edited_by)
    judged = response_ladder.judge(
        shown.case, row.kind.key, row.stage, row.target_type, row.target_value, shown.guide
    )
    context = {
        **shown.context("response"),
        "action": row,
        "is_own": is_own,
        "may_decide": actor.can("triage.approve") and not is_own,
        "may_request": actor.can(response_actions.REQUEST),
        "checks": list(reversed(row.checks.order_by("-pk")[:CHECKS_SHOWN])),
        "checks_total": row.checks.count(),
        "conditions": [] if row.undoes_id else judged.conditions,
        "can_undo": bool(row.undo_plan) and row.is_in_force and not _standing_undo(row),
        "standing_undo": _standing_undo(row),
        "result_link": response_page.link_of(row),
        "is_by_itself": executor_of(row.kind.key) is not None,
        "is_for_people": response_results.is_for_people(row),
        "files": list(Attachment.objects.filter(case=row.case).standing()),
        "now": timezone.now(),
        **more,
    }
    return render(request, "response/action.html", context, status=422 if more.get("refusal") else 200)


def _standing_undo(row: ResponseAction) -> ResponseAction | None:
    over = ("failed", "declined", "cancelled", "expired")
    return next((undo for undo in row.undos.all() if undo.state not in over), None)


@page
@require_POST
def action_do(request: Asked, pk: int, deed: str) -> HttpResponse:
    """Decide, withdraw, take back, hand over, prove, or say what came of an action."""
    row = _action(request, pk)
    work = _DEEDS.get(deed)
    if work is None:
        return redirect("action", pk)
    try:
        says = work(row, request)
    except (TriageError, ValidationError) as refused:
        return _show(request, _action(request, pk), refusal=str(refused), typed=request.POST, deed=deed)
    messages.success(request, says)
    if request.POST.get("back") == "case":
        return redirect("case_response", row.case_id)
    return redirect("action", pk)


def _approve(row: ResponseAction, request: Asked) -> str:
    response_actions.approve(row, actor=request.actor, seen_sha256=request.POST.get("seen", ""))
    return f"{row.number} is approved, and begins."


def _decline(row: ResponseAction, request: Asked) -> str:
    given = request.POST
    response_actions.decline(
        row, actor=request.actor, reason=given.get("reason", ""), seen_sha256=given.get("seen", "")
    )
    return f"{row.number} is declined."


def _cancel(row: ResponseAction, request: Asked) -> str:
    response_actions.cancel(row, actor=request.actor, reason=request.POST.get("reason", ""))
    return f"{row.number} is withdrawn."


def _retry(row: ResponseAction, request: Asked) -> str:
    response_actions.retry(row, actor=request.actor)
    return f"{row.number} is begun again."


def _undo(row: ResponseAction, request: Asked) -> str:
    made = response_undo.undo(row, actor=request.actor, reason=request.POST.get("reason", ""))
    return f"{made.number} takes {row.number} back."


def _hand_over(row: ResponseAction, request: Asked) -> str:
    given = request.POST
    response_undo.hand_over(
        row, to=given.get("to_whom", ""), actor=request.actor, reason=given.get("reason", "")
    )
    return f"{given.get('to_whom', '').strip()} looks after {row.number} from now on."


def _extend(row: ResponseAction, request: Asked) -> str:
    until = _moment(request.POST.get("until", ""))
    if until is None:
        raise TriageError("Say until when it stays.")
    response_undo.extend(row, until=until, actor=request.actor, reason=request.POST.get("reason", ""))
    return f"{row.number} ends {until:%Y-%m-%d %H:%M} UTC."


def _prove(row: ResponseAction, request: Asked) -> str:
    return f"{row.number}: {response_checks.prove_now(row, actor=request.actor).says}"


def _ask(row: ResponseAction, request: Asked) -> str:
    response_results.ask_now(row, actor=request.actor)
    return f"The target is asked what became of {row.number}."


def _record(row: ResponseAction, request: Asked) -> str:
    succeeded = request.POST.get("came") == "done"
    file = _file(row, request)
    response_results.record_result(
        row,
        succeeded=succeeded,
        proof=request.POST.get("proof", ""),
        actor=request.actor,
        attachment=file,
    )
    return f"{row.number} is {'done' if succeeded else 'recorded as not done'}."


def _file(row: ResponseAction, request: Asked) -> Attachment | None:
    upload = request.FILES.get("file")
    if upload is None or not request.POST.get("proof", "").strip():
        return None
    if upload.file is None:
        raise TriageError("The file did not arrive. Choose it again.")
    content = cast("BinaryIO", upload.file)
    return attachments.attach(row.case, name=upload.name or "proof", content=content, actor=request.actor)


_DEEDS: Mapping[str, Callable[[ResponseAction, Asked], str]] = {
    "approve": _approve,
    "decline": _decline,
    "cancel": _cancel,
    "retry": _retry,
    "undo": _undo,
    "hand-over": _hand_over,
    "extend": _extend,
    "prove": _prove,
    "ask": _ask,
    "record": _record,
}


# -- all containments


@page
def containments(request: Asked) -> HttpResponse:
    """Every containment in force, oldest first."""
    if not request.actor.can("triage.view_responseaction"):
        raise NotPermittedError("Your account may not see response actions.")
    rows = response_open.open_containments(actor=request.actor)
    shown = Paginator(rows, A_PAGE).get_page(request.GET.get("page"))
    return render(
        request, "response/containments.html", {"rows": shown, "page": shown, "now": timezone.now()}
    )
