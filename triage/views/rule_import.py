"""Import rules: upload, look at what would change, then import it."""

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from detections import rule_import
from detections.errors import CasewrightError
from detections.rule_import import Preview
from triage import uploads
from triage.exception_items import exchange as exception_exchange
from triage.exception_items.way import PROPOSE
from triage.forms import RuleImportForm
from triage.views.doors import Asked, page

# How many new rules, and how many differences, one page shows; the counts are always whole.
NEW_SHOWN = 200
CHANGED_SHOWN = 50
REFUSED_SHOWN = 200


@page
@require_http_methods(["GET", "POST"])
def rules_import(request: Asked) -> HttpResponse:
    request.actor.require("detections.add_rule", "import rules")
    form = RuleImportForm(request.POST, request.FILES) if request.method == "POST" else RuleImportForm()
    if request.method == "POST" and form.is_valid():
        try:
            key = uploads.keep_rule_files(form.cleaned_data["rules"])
        except OSError as refused:
            form.add_error("rules", f"The files could not be kept: {refused.strerror}.")
        else:
            return redirect("rules_import_preview", key=key)
    return render(request, "rules/import.html", {"form": form}, status=422 if form.is_bound else 200)


@page
@require_http_methods(["GET", "POST"])
def rules_import_preview(request: Asked, key: uuid.UUID) -> HttpResponse:
    """GET shows what would change; POST imports exactly that, or discards the files."""
    request.actor.require("detections.add_rule", "import rules")
    files = uploads.kept_rule_files(key)
    if not files:
        raise Http404
    if request.POST.get("act") == "discard":
        uploads.drop_rule_files(key)
        messages.success(request, "The files are discarded. Nothing was imported.")
        return redirect("rules_import")
    found = rule_import.preview(files, actor=request.actor, base=uploads.rule_folder(key))
    if request.POST.get("act") == "exceptions":
        return _draft_exceptions(request, key, found)
    if request.method == "POST":
        return _import(request, key, found)
    return _shown(request, key, found)


def _import(request: Asked, key: uuid.UUID, found: Preview) -> HttpResponse:
    if request.POST.get("sha256") != found.sha256:
        messages.error(
            request, "The rules were changed since you looked, so nothing was imported. This is as it is now."
        )
        return _shown(request, key, found, status=409)
    try:
        done = rule_import.apply(found, actor=request.actor)
    except CasewrightError as refused:
        messages.error(request, str(refused))
        return _shown(request, key, found, status=409)
    to_draft = any(one.is_item for one in found.exceptions)
    if not to_draft:
        uploads.drop_rule_files(key)
    messages.success(
        request,
        f"{len(done.new):,} new and {len(done.changed):,} changed rules are imported. New ones are disabled.",
    )
    if done.warnings:
        messages.warning(request, _gist(done.warnings))
    if to_draft:
        # Their rules are here now, so they can be drafted.
        return redirect("rules_import_preview", key=key)
    return redirect(f"{reverse('rules')}?enabled=no" if done.new else "rules")


def _draft_exceptions(request: Asked, key: uuid.UUID, found: Preview) -> HttpResponse:
    """Draft the exceptions that stand in the files, for the rules that are here."""
    try:
        done = exception_exchange.import_items(found.exception_lines, actor=request.actor)
    except CasewrightError as refused:
        messages.error(request, str(refused))
        return _shown(request, key, found, status=409)
    messages.success(
        request,
        f"{len(done.drafted):,} exceptions are drafted, {len(done.known):,} were here already. A draft hides "
        "nothing: it needs a back-test, and the approval of a second person.",
    )
    return _shown(request, key, found, drafts=done)


def _gist(warnings: list[str]) -> str:
    more = f" {len(warnings) - 1:,} more of such warnings: see lint_rules." if warnings[1:] else ""
    return warnings[0] + more


def _shown(
    request: Asked,
    key: uuid.UUID,
    found: Preview,
    status: int = 200,
    drafts: exception_exchange.ImportedItems | None = None,
) -> HttpResponse:
    return render(
        request,
        "rules/preview.html",
        {
            "key": key,
            "found": found,
            "changed": found.changed[:CHANGED_SHOWN],
            "new": found.new[:NEW_SHOWN],
            "refused": found.refused[:REFUSED_SHOWN],
            "exceptions": found.exceptions[:REFUSED_SHOWN],
            "may_draft": request.actor.can(PROPOSE) and request.actor.user is not None,
            "refused_drafts": drafts.refused[:REFUSED_SHOWN] if drafts else [],
            "notes": sorted({note for one in drafts.drafted for note in one.notes}) if drafts else [],
            "not_runnable": sum(found.not_runnable.values()),
        },
        status=status,
    )
