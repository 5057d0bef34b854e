"""Exceptions from and to Kibana: what an export would draft here, and what is written for Kibana."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from detections.models import Rule
from triage.exception_items.exchange import ExportedItems, ImportedItems, export_items, import_items
from triage.exception_items.kibana_entries import lines_of
from triage.exception_items.way import PROPOSE
from triage.forms import ExceptionImportForm
from triage.models import ExceptionItem
from triage.views.doors import Asked, page
from triage.views.exception_rows import number_of

# Kibana itself refuses exports of more than 10,000 items; theirs are about a kilobyte each.
MOST_BYTES = 20 * 2**20
SHOWN = 200


@page
@require_http_methods(["GET", "POST"])
def exception_exchange(request: Asked) -> HttpResponse:
    """GET tells what an export would hold, if asked; POST drafts the items of files."""
    rules = Rule.objects.visible_to(request.actor).filter(current__isnull=False).order_by("name")
    if request.method == "POST":
        return _import(request, rules)
    chosen, more = request.GET.get("rule", ""), dict[str, Any]()
    if "look" in request.GET:
        more["exported"] = export_items(_items(request), actor=request.actor)
        more["left_out"] = _by_reason(more["exported"])
    return _shown(request, rules, exporting=chosen, **more)


def _import(request: Asked, rules: "QuerySet[Rule]") -> HttpResponse:
    request.actor.require(PROPOSE, "import exceptions")
    form = ExceptionImportForm(request.POST, request.FILES)
    rule = rules.select_related("current").filter(pk=number_of(request.POST.get("rule", ""))).first()
    if request.POST.get("rule") and rule is None:
        form.add_error("rule", "That rule is not here any more. Choose another.")
    if not form.is_valid():
        return _shown(request, rules, form=form, status=422)
    files: list[UploadedFile[bytes]] = form.cleaned_data["lists"]
    if sum(file.size or 0 for file in files) > MOST_BYTES:
        says = f"More than {MOST_BYTES // 2**20} MB: choose fewer files, or use manage.py exceptions import."
        form.add_error("lists", says)
        return _shown(request, rules, form=form, status=422)
    lines = [line for file in files for line in lines_of(file.read())]
    done = import_items(lines, actor=request.actor, rule=rule)
    if not (done.drafted or done.known or done.refused):
        form.add_error("lists", "There is no exception item in it. Export the list with its items.")
        return _shown(request, rules, form=form, status=422)
    return _shown(request, rules, form=form, done=done, notes=_notes(done))


def _notes(done: ImportedItems) -> list[tuple[str, int]]:
    """What the drafts mean differently or lack, with how many of them each is true of."""
    counts: dict[str, int] = {}
    for one in done.drafted:
        for note in one.notes:
            counts[note] = counts.get(note, 0) + 1
    return list(counts.items())


def _by_reason(exported: ExportedItems) -> list[tuple[str, list[str]]]:
    """Why items are left out, with the names of those."""
    found: dict[str, list[str]] = {}
    for one in exported.refused:
        found.setdefault(one.reason, []).append(one.name)
    return list(found.items())


def _shown(request: Asked, rules: "QuerySet[Rule]", status: int = 200, **more: Any) -> HttpResponse:
    seen = ExceptionItem.objects.visible_to(request.actor).order_by()
    context = {
        "form": ExceptionImportForm(),
        "rules": rules.only("name", "rule_id"),
        "with_items": rules.filter(pk__in=seen.values("rule")).only("name", "rule_id"),
        "total": seen.count(),
        "shown": SHOWN,
        "may_propose": request.actor.can(PROPOSE) and request.actor.user is not None,
        **more,
    }
    return render(request, "exceptions/exchange.html", context, status=status)


def _items(request: Asked) -> "QuerySet[ExceptionItem]":
    """The items that are asked for: of one rule, or all."""
    items = ExceptionItem.objects.visible_to(request.actor).order_by("pk")
    asked = request.GET.get("rule", "")
    if not asked:
        return items
    return items.filter(rule=get_object_or_404(Rule.objects.visible_to(request.actor), pk=number_of(asked)))


@page
@require_safe
def exception_export(request: Asked) -> HttpResponse:
    """The file for Kibana. What it can't say is told on the page before, and left out here."""
    done = export_items(_items(request), actor=request.actor)
    answer = HttpResponse("".join(f"{line}\n" for line in done.lines), content_type="application/x-ndjson")
    name = f"exceptions-{timezone.now():%Y%m%d-%H%M}.ndjson"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
