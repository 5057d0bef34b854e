"""What to do next on an instance that has searched nothing yet."""

from django.http import HttpResponse
from django.shortcuts import render

from detections import health
from detections.models import Import, Rule, Segment
from triage.views.doors import Asked, page


@page
def next_steps(request: Asked) -> HttpResponse:
    rules = list(Rule.objects.visible_to(request.actor).order_by("-enabled", "-is_shipped", "name")[:500])
    enabled = [rule for rule in rules if rule.enabled]
    context = {
        "strip": health.strip(actor=request.actor),
        "has_events": Segment.objects.exists(),
        "imports": Import.objects.visible_to(request.actor).count(),
        "rules": rules,
        "enabled": enabled,
        "first_rule": next(iter(enabled or rules), None),
        "may_import": request.actor.can("detections.add_import"),
        "may_edit": request.actor.can("detections.change_rule") and request.user.is_staff,
    }
    return render(request, "next_steps.html", context)
