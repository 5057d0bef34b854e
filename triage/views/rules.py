"""Rules, to read. They are edited in the admin."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from detections import rule_catalogue, rule_import, rule_loading, rule_switching, schedules
from detections import rule_lint as linting
from detections.actors import Actor
from detections.enums import RuleType
from detections.errors import RuleFileError
from detections.models import CoverageGap, Rule, RuleRun
from detections.rule_catalogue import RuleFacts, Wanted, mapping_of
from detections.rule_files import load_rule_text
from detections.rule_switching import Switched
from triage.enums import CaseStatus
from triage.forms import chosen_ids
from triage.guide_versions import unpinned, worked_guide
from triage.guides import Guide, guide_for
from triage.models import Case, OverlayProposal
from triage.rule_alerts import alerts_of, hidden_of
from triage.rule_noise import Noise, noise
from triage.views.doors import Asked, page

RULES_A_PAGE = 50
RUNS_SHOWN = 20
OVERLAYS_SHOWN = 5
FAULTS_SHOWN = 50


@page
def rules(request: Asked) -> HttpResponse:
    known = rule_catalogue.catalogue(actor=request.actor)
    wanted = wanted_of(request.GET)
    made = noise(actor=request.actor)
    found = _narrowed(known, wanted, made)
    shown = Paginator(found, RULES_A_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "rules/list.html",
        {
            "page": shown,
            "rows": _rows(list(shown), made, actor=request.actor),
            "wanted": wanted,
            "facets": rule_catalogue.facets(known),
            "types": dict(RuleType.choices),
            "known": len(known),
            "enabled": sum(1 for one in known if one.enabled),
            "to_enable": sum(1 for one in found if one.is_runnable and not one.enabled),
            "to_disable": sum(1 for one in found if one.enabled),
            "may_switch": request.actor.can("detections.change_rule"),
            "may_import": request.actor.can("detections.add_rule"),
        },
    )


def wanted_of(asked: QueryDict) -> Wanted:
    """The filters of a query string."""
    names = (field.name for field in fields(Wanted) if field.name != "search")
    chosen = {name: asked.get(name, "").strip() for name in names}
    return Wanted(search=asked.get("q", "").strip(), **chosen)


def _narrowed(known: list[RuleFacts], wanted: Wanted, made: Mapping[int, Noise]) -> list[RuleFacts]:
    """The rules that pass every filter; the noisy ones with the noisiest first."""
    found = rule_catalogue.narrowed(known, wanted)
    if wanted.noisy not in (rule_catalogue.YES, rule_catalogue.NO):
        return found
    is_wanted = wanted.noisy == rule_catalogue.YES
    kept = [one for one in found if made.get(one.pk, Noise()).is_noisy == is_wanted]
    return sorted(kept, key=lambda one: made.get(one.pk, Noise()).order) if is_wanted else kept


def _rows(
    facts: list[RuleFacts], made: Mapping[int, Noise], *, actor: Actor
) -> list[tuple[Rule, RuleFacts, list[str], int, Noise]]:
    """Each rule of the page with its tactics, open cases and noise, in the list's order."""
    ids = [one.pk for one in facts]
    found = Rule.objects.visible_to(actor).select_related("current").defer("current__source", "current__note")
    by_id = found.in_bulk(ids)
    open_cases: dict[int, int] = dict(
        Case.objects.visible_to(actor)
        .filter(rule__in=ids)
        .exclude(status=CaseStatus.CLOSED)
        .order_by()
        .values_list("rule")
        .annotate(how_many=Count("pk"))
    )
    return [
        (by_id[one.pk], one, _tactics(one), open_cases.get(one.pk, 0), made.get(one.pk, Noise()))
        for one in facts
        if one.pk in by_id
    ]


def _tactics(rule: RuleFacts) -> list[str]:
    return list(dict.fromkeys(one.tactic for one in rule.mapping if one.tactic))


@page
@require_POST
def rules_switch(request: Asked) -> HttpResponse:
    """Enable or disable the ticked rules, or all that the list's filters let through."""
    enabled = request.POST.get("enabled") == "yes"
    filters = QueryDict(request.POST.get("filters", ""))
    if request.POST.get("which") == "all":
        known = rule_catalogue.catalogue(actor=request.actor)
        made = noise(actor=request.actor)
        chosen = [one.pk for one in _narrowed(known, wanted_of(filters), made)]
    else:
        chosen = chosen_ids(request.POST, "rules")
    _tell(request, rule_switching.switch(chosen, enabled, actor=request.actor), enabled, bool(chosen))
    return redirect(f"{reverse('rules')}?{filters.urlencode()}" if filters else "rules")


def _tell(request: Asked, done: Switched, enabled: bool, had_choice: bool) -> None:
    word = "enabled" if enabled else "disabled"
    if not had_choice:
        messages.warning(request, f"No rule was ticked, so none was {word}.")
        return
    count = len(done.done)
    said = f"{count:,} {'rule is' if count == 1 else 'rules are'} {word} now."
    said += f" {done.already:,} {'was' if done.already == 1 else 'were'} so before." if done.already else ""
    messages.success(request, said)
    if done.not_runnable:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(done.not_runnable.items()))
        messages.warning(request, f"Left disabled, because their type does not run here yet: {kinds}.")
    for said in (*done.warnings, *done.refused):
        messages.warning(request, said)


@page
def rule(request: Asked, pk: int) -> HttpResponse:
    rule = get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)
    guide, faults = _guide(rule)
    page, alerts = alerts_of(rule, request.GET.get("page", ""), actor=request.actor)
    runs = RuleRun.objects.visible_to(request.actor).filter(rule=rule)
    gaps = CoverageGap.objects.visible_to(request.actor).filter(rule=rule, filled_at=None)
    return render(
        request,
        "rules/rule.html",
        {
            "rule": rule,
            "version": rule.current,
            "guide": guide,
            "guide_faults": faults,
            "published_false_positives": _false_positives(rule),
            "runs": runs[:RUNS_SHOWN],
            "gaps": gaps,
            "versions": rule.versions.defer("source", "note", "overlay", "transforms", "query"),
            "may_write_overlay": request.actor.can("triage.add_overlayproposal"),
            "overlays": _overlays(rule, actor=request.actor),
            "alerts": page.paginator.count,
            "page": page,
            "alert_rows": alerts,
            "hidden": hidden_of(rule, actor=request.actor),
            "cases": Case.objects.visible_to(request.actor).filter(rule=rule).count(),
            "twins": rule_loading.twin_warnings(rule) if rule.enabled else [],
            "would_twin": [] if rule.enabled else schedules.replaced_twins(rule),
            "mapping": list(mapping_of(rule.current.threat if rule.current else [])),
            "may_edit": request.actor.can("detections.change_rule") and request.user.is_staff,
            "may_search": request.actor.can("detections.change_rule") and rule.is_runnable,
            "lag_tolerance": schedules.tolerance_of(rule),
            "is_tolerance_negative": (schedules.tolerance_of(rule) or timedelta()) < timedelta(),
        },
    )


def _false_positives(rule: Rule) -> Sequence[str]:
    """What stands beside the guide in the rule's own list; the file's text alone keeps it."""
    if rule.current is None:
        return ()
    try:
        return load_rule_text(rule.current.source, rule.current.source_path).false_positives
    except RuleFileError:
        return ()


def _guide(rule: Rule) -> tuple[Guide | None, list[str]]:
    """The guide in force, and what could not be used of it."""
    if rule.current is None:
        return None, []
    pinned = rule.current.guides.order_by("-number").first() or unpinned(rule.current)
    if not pinned.note and not pinned.overlay:
        return guide_for("", (), ""), []
    guide = worked_guide(pinned)
    told = [str(fault) for fault in guide.faults[:FAULTS_SHOWN]]
    more = len(guide.faults) - len(told)
    return guide, [*told, f"and {more:,} more"] if more else told


def _overlays(rule: Rule, *, actor: Actor) -> list[OverlayProposal]:
    """What was written here and still matters: in force, or waiting."""
    rows = OverlayProposal.objects.visible_to(actor).filter(rule=rule)
    return list(rows.filter(state__in=["draft", "proposed", "approved"]).order_by("-number")[:OVERLAYS_SHOWN])


@page
def rule_version(request: Asked, pk: int, number: int) -> HttpResponse:
    """One version of a rule: what it changed, and the guides that cases were pinned to under it."""
    rule = get_object_or_404(Rule.objects.visible_to(request.actor), pk=pk)
    version = get_object_or_404(rule.versions, number=number)
    before = rule.versions.filter(number__lt=number).order_by("-number").first()
    changes, problem = rule_import.between(before, version) if before else ((), "")
    return render(
        request,
        "rules/version.html",
        {
            "rule": rule,
            "version": version,
            "before": before,
            "changes": changes,
            "problem": problem,
            "guides": version.guides.order_by("-number").prefetch_related("proposals__approved_by"),
            "later": rule.versions.filter(number__gt=number).order_by("number").first(),
        },
    )


@page
def rule_lint(request: Asked, pk: int) -> HttpResponse:
    """What will bite in this rule, for its page: it reads what every segment holds, so it comes later."""
    rule = get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)
    report = linting.lint([rule], actor=request.actor)
    return render(request, "rules/lint.html", {"report": report, "rule": rule})
