"""States of response actions, and what their checks say."""

from datetime import datetime, timedelta

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from triage.enums import ActionState, CheckOutcome
from triage.models import Case, ResponseAction
from triage.response.conditions import Condition
from triage.response.results import is_for_people
from triage.templatetags.marks import icon, words
from triage.templatetags.moments import span, when

register = template.Library()

_LOOK = {
    "requested": ("warn", "clock"),
    "approved": ("info", "check"),
    "declined": ("neutral", "not-applicable"),
    "cancelled": ("neutral", "not-applicable"),
    "expired": ("neutral", "clock"),
    "running": ("running", "running"),
    "succeeded": ("ok", "done"),
    "failed": ("failed", "failed"),
    "unknown": ("no-telemetry", "unresolved"),
    "undone": ("neutral", "undo"),
    "locked": ("neutral", "lock"),
    "open": ("open", "open"),
    "holding": ("ok", "done"),
    "broken": ("danger", "failed"),
}


@register.simple_tag
def action_pill(state: str, text: str = "") -> SafeString:
    """A state of an action or a check, with its glyph and word."""
    tone, glyph = _LOOK.get(state, ("neutral", "open"))
    css = "spin" if state == "running" else ""
    return format_html('<span class="pill s-{}">{}{}</span>', tone, icon(glyph, css), text or words(state))


@register.simple_tag
def containment_pill(action: ResponseAction) -> SafeString:
    """The state of an action; of a containment that was done, whether it is in force."""
    if action.state != ActionState.SUCCEEDED or not action.is_containment or action.undoes_id is not None:
        return action_pill(action.state)
    return (
        action_pill("broken", "Broken")
        if action.proof == CheckOutcome.BROKEN
        else action_pill("holding", "In force")
    )


@register.simple_tag
def step_glyph(state: str) -> SafeString:
    """The glyph of a rung in the strip."""
    glyph = {"done": "done", "active": "active", "running": "running", "locked": "lock"}.get(state, "open")
    return icon(glyph, "glyph spin" if state == "running" else "glyph")


@register.filter
def is_by_itself(action: ResponseAction) -> bool:
    """Whether the product is at it, so that no person says what came of it."""
    return not is_for_people(action)


@register.filter
def step_tone(state: str) -> str:
    return {"done": "s-ok", "active": "s-active", "running": "s-running"}.get(state, "s-open")


# Where a precondition is fulfilled: a page of the case and a place on it, and the words of the link.
_REMEDIES = {
    "evidence_preserved": ("case_response", "#can-preserve_evidence", "To that step"),
    "scope_known": ("case_response", "#can-search_other_hosts", "To that step"),
    "disposition_malicious": ("case_response", "#verdict", "To the verdict"),
    "malicious_or_payload": ("case_response", "#verdict", "To the verdict"),
    "gate_open": ("case_close", "", "See what"),
}


@register.simple_tag(takes_context=True)
def remedy(context: RequestContext, condition: Condition, case: Case) -> SafeString | str:
    """A link to where a precondition that lacks is fulfilled; nothing for those that other people fulfil."""
    actor = getattr(context.get("request"), "actor", None)
    if condition.key == "isolation_permitted" and not condition.holds:
        may = actor is not None and actor.can("triage.change_asset")
        return (
            format_html('<a href="{}">Asset records</a>', reverse("admin:triage_asset_changelist"))
            if may
            else ""
        )
    found = _REMEDIES.get(condition.key)
    if condition.holds or found is None or not case.is_open:
        return ""
    name, place, text = found
    return format_html('<a href="{}{}">{}</a>', reverse(name, args=[case.pk]), place, text)


@register.filter
def span_of_minutes(minutes: int) -> str:
    """`4 h`, `7 d`."""
    return span(timedelta(minutes=minutes))


@register.simple_tag
def proof_line(action: ResponseAction) -> SafeString | str:
    """`Verified 09:58, still holding 10:58`. The action was read `with_proof`."""
    if action.proven_at is None:
        return ""
    first, last = getattr(action, "first_held", None), getattr(action, "last_held", None)
    if action.proof == CheckOutcome.BROKEN:
        return format_html("<strong>Does not hold any more</strong>, seen {}.", _at(action.proven_at))
    if first is None or last is None:
        return format_html("Not proven, looked {}.", _at(action.proven_at))
    if first == last:
        return format_html("Verified {}.", _at(first))
    return format_html("Verified {}, still holding {}.", _at(first), _at(last))


def _at(moment: datetime) -> SafeString | str:
    return when(moment, "minute", "recorded")
