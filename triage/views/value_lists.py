"""Value lists: written, read, and decided on by a second person."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from triage import approvals
from triage.enums import VALUE_LIST_HOLDS, ExceptionState
from triage.errors import ContentFaultsError, StaleEditError, TriageError
from triage.exception_items import overview as exception_overview
from triage.exception_items import value_lists as lists
from triage.exception_items.way import PROPOSE
from triage.models import ExceptionItem, ExceptionVersion, ValueList, ValueListVersion
from triage.models.approved_version import ON_ITS_WAY
from triage.views.doors import Asked, page
from triage.views.exception_rows import number_of

LISTS_A_PAGE = 50
VALUES_A_PAGE = 500
_S = ExceptionState


@page
def value_lists(request: Asked) -> HttpResponse:
    text = request.GET.get("q", "").strip().replace("\x00", "\ufffd")
    seen = ValueList.objects.visible_to(request.actor)
    found = seen.filter(Q(name__icontains=text) | Q(note__icontains=text)) if text else seen
    shown = Paginator(found.order_by("name"), LISTS_A_PAGE).get_page(request.GET.get("page"))
    newest = _newest(list(shown))
    return render(
        request,
        "value_lists/list.html",
        {
            "page": shown,
            "lines": [(one, *newest.get(one.pk, (None, None))) for one in shown],
            "text": text,
            "total": seen.count(),
            "may_propose": request.actor.can(PROPOSE),
        },
    )


def _newest(
    shown: Sequence[ValueList],
) -> dict[int, tuple[ValueListVersion | None, ValueListVersion | None]]:
    """For each list the version in force and the one on its way. One query."""
    wanted = [_S.ACTIVE, *ON_ITS_WAY]
    rows = ValueListVersion.objects.filter(value_list__in=shown, state__in=wanted)
    found: dict[int, tuple[ValueListVersion | None, ValueListVersion | None]] = {}
    for row in rows.select_related("last_edited_by"):
        active, waiting = found.get(row.value_list_id, (None, None))
        is_active = row.state == _S.ACTIVE
        found[row.value_list_id] = (row, waiting) if is_active else (active, row)
    return found


@page
@require_http_methods(["GET", "POST"])
def value_list_new(request: Asked) -> HttpResponse:
    request.actor.require(PROPOSE, "propose value lists")
    typed = {name: request.POST.get(name, "") for name in ("name", "type", "note", "reason", "values")}
    faults: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            made = lists.draft_list(
                typed["name"],
                typed["type"],
                _values(typed["values"]),
                actor=request.actor,
                reason=typed["reason"],
                note=typed["note"],
            )
        except ContentFaultsError as refused:
            faults = _by_field(refused)
        else:
            messages.success(
                request, f"{made} is kept as a draft. Propose it, so that another person approves it."
            )
            return redirect("value_list", made.value_list_id)
    context = {
        "typed": typed,
        "faults": faults,
        "value_faults": faults.get("values", []),
        "types": VALUE_LIST_HOLDS.items(),
    }
    return render(request, "value_lists/new.html", context, status=422 if faults else 200)


def _values(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _by_field(refused: ContentFaultsError) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in refused.faults:
        found.setdefault(fault.field, []).append(fault.says)
    return found


# -- one list


@page
@require_http_methods(["GET", "POST"])
def value_list(request: Asked, pk: int) -> HttpResponse:
    """A list with the version that matters most; POST changes its values."""
    row, version = _shown(request, pk)
    if request.method == "GET":
        return render(request, "value_lists/show.html", _context(request, row, version))
    typed = {name: request.POST.get(name, "") for name in ("values", "reason")}
    try:
        changed = lists.edit_list(
            version,
            _values(typed["values"]),
            actor=request.actor,
            revision=number_of(request.POST.get("revision", "")),
            reason=typed["reason"],
        )
    except ContentFaultsError as refused:
        faults = _by_field(refused)
        more: dict[str, Any] = {"faults": faults, "value_faults": faults.get("values", [])}
        status = 422
    except StaleEditError as refused:
        more, status = {"refusal": f"{refused} Yours is below as you typed it."}, 409
    except TriageError as refused:
        more, status = {"refusal": str(refused)}, 422
    else:
        messages.success(
            request, f"{changed} is kept as a draft. What is in force stays until it is approved."
        )
        return redirect("value_list", pk)
    row, version = _shown(request, pk)
    return render(
        request, "value_lists/show.html", _context(request, row, version, typed=typed, **more), status=status
    )


@page
@require_POST
def value_list_decide(request: Asked, pk: int) -> HttpResponse:
    row, version = _shown(request, pk)
    act, reason = request.POST.get("act", ""), request.POST.get("reason", "")
    seen = request.POST.get("sha256", "")
    try:
        if act == "propose":
            lists.propose_list(
                version, actor=request.actor, revision=number_of(request.POST.get("revision", ""))
            )
            messages.success(request, "Proposed. Another person has to approve it.")
        elif act == "approve":
            lists.approve_list(version, actor=request.actor, seen_sha256=seen)
            messages.success(request, "Approved and in force.")
        elif act == "decline":
            lists.decline_list(version, actor=request.actor, reason=reason, seen_sha256=seen)
            messages.success(request, "Declined. What is in force stays.")
        elif act == "revoke":
            active = get_object_or_404(row.versions, state=_S.ACTIVE)
            lists.revoke_list(active, actor=request.actor, reason=reason)
            messages.success(request, "Revoked. Entries can't refer to it any more.")
    except StaleEditError as refused:
        told, status = str(refused), 409
    except TriageError as refused:
        told, status = str(refused), 422
    else:
        return redirect("value_list", pk)
    row, version = _shown(request, pk)
    context = _context(request, row, version, refusal=told, note=reason, act=act)
    return render(request, "value_lists/show.html", context, status=status)


def _shown(request: Asked, pk: int) -> tuple[ValueList, ValueListVersion]:
    """The list and the version to look at first: on its way, else in force, else the newest."""
    row = get_object_or_404(ValueList.objects.visible_to(request.actor).select_related("created_by"), pk=pk)
    people = row.versions.select_related("value_list", "requested_by", "last_edited_by", "approved_by")
    number = number_of(request.GET.get("version", ""))
    if number:
        return row, get_object_or_404(people, number=number)
    waiting = people.filter(state__in=ON_ITS_WAY).first()
    found = waiting or people.filter(state=_S.ACTIVE).first() or people.first()
    if found is None:
        raise TriageError("The list has no version.")
    return row, found


def _context(request: Asked, row: ValueList, version: ValueListVersion, **more: Any) -> dict[str, Any]:
    active = row.versions.filter(state=_S.ACTIVE).first()
    before = set(active.values) if active and active.pk != version.pk else set()
    text = request.GET.get("q", "").strip().lower()
    kept = [value for value in version.values if text in value.lower()] if text else version.values
    return {
        "row": row,
        "version": version,
        "active": active,
        "added": sorted(set(version.values) - before)[:50] if before else [],
        "added_total": len(set(version.values) - before) if before else 0,
        "removed": sorted(before - set(version.values))[:50],
        "removed_total": len(before - set(version.values)),
        "page": Paginator(kept, VALUES_A_PAGE).get_page(request.GET.get("page")),
        "text": text,
        "versions": row.versions.defer("values").select_related(
            "requested_by", "approved_by", "last_edited_by"
        ),
        "users": _users(request, row),
        "journal": exception_overview.chain_of(row.stream, actor=request.actor),
        "typed": {
            "values": "\n".join(version.values),
            "reason": version.reason if version.state == _S.DRAFT else "",
        },
        "why_not": _why_not(request, version),
        "may_propose": request.actor.can(PROPOSE),
        "may_approve": request.actor.can(approvals.PERMISSION),
        **more,
    }


def _users(request: Asked, row: ValueList) -> list[ExceptionItem]:
    """Exceptions whose version in force, or on its way, refers to the list."""
    rows = ExceptionVersion.objects.visible_to(request.actor).filter(state__in=[_S.ACTIVE, *ON_ITS_WAY])
    named = {
        one.item_id: one.item
        for one in rows.select_related("item")
        if any(isinstance(entry, dict) and entry.get("value_list") == row.name for entry in one.entries)
    }
    return list(named.values())


def _why_not(request: Asked, version: ValueListVersion) -> str:
    if not request.actor.can(approvals.PERMISSION):
        return "A lead decides on value lists."
    if request.user in (version.requested_by, version.last_edited_by):
        return "You asked for it or edited it last: another person has to decide."
    return ""
