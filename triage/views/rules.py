"""Rules, to read. They are edited in the admin."""

from datetime import timedelta

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from detections import schedules
from detections.errors import RuleFileError
from detections.models import Alert, CoverageGap, Rule, RuleRun
from triage.enums import CaseStatus
from triage.guides import Guide, guide_for
from triage.models import Case
from triage.views.doors import Asked, page

RULES_A_PAGE = 50
RUNS_SHOWN = 20


@page
def rules(request: Asked) -> HttpResponse:
    search = request.GET.get("q", "").strip()
    found = Rule.objects.visible_to(request.actor).select_related("current").order_by("-enabled", "name")
    if search:
        found = found.filter(Q(name__icontains=search) | Q(rule_id__icontains=search))
    shown = Paginator(found, RULES_A_PAGE).get_page(request.GET.get("page"))
    open_cases: dict[int, int] = dict(
        Case.objects.visible_to(request.actor)
        .filter(rule__in=[rule.pk for rule in shown])
        .exclude(status=CaseStatus.CLOSED)
        .order_by()
        .values_list("rule")
        .annotate(how_many=Count("pk"))
    )
    rows = [(rule, open_cases.get(rule.pk, 0)) for rule in shown]
    return render(request, "rules/list.html", {"page": shown, "rows": rows, "search": search})


@page
def rule(request: Asked, pk: int) -> HttpResponse:
    rule = get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)
    guide, faults = _guide(rule)
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
            "runs": runs[:RUNS_SHOWN],
            "gaps": gaps,
            "versions": rule.versions.all(),
            "alerts": Alert.objects.visible_to(request.actor).filter(rule=rule).count(),
            "cases": Case.objects.visible_to(request.actor).filter(rule=rule).count(),
            "may_edit": request.actor.can("detections.change_rule") and request.user.is_staff,
            "may_search": request.actor.can("detections.change_rule") and rule.is_runnable,
            "lag_tolerance": schedules.tolerance_of(rule),
            "is_tolerance_negative": (schedules.tolerance_of(rule) or timedelta()) < timedelta(),
        },
    )


def _guide(rule: Rule) -> tuple[Guide | None, list[str]]:
    """The guide of the current version, and what could not be used of it."""
    version = rule.current
    if version is None:
        return None, []
    try:
        guide = guide_for(version.note, version.transforms, version.overlay)
    except RuleFileError as broken:
        return None, [str(fault) for fault in broken.faults]
    return guide, [str(fault) for fault in guide.faults]
