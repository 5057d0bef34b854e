"""Icons, pills, bars and rings: a state always has a glyph and a word; colour comes third."""

from collections.abc import Iterable, Mapping
from functools import cache

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from triage.enums import CaseStatus
from triage.models import Case
from triage.templatetags.moments import age, span, when

register = template.Library()

_STATE_ICONS = {
    "malicious": "escalate",
    "suspicious": "unresolved",
    "benign": "lower",
    "false_positive": "lower",
    "duplicate": "link",
    "succeeded": "done",
    "truncated": "blocked",
    "fired": "escalate",
    "quiet": "no-hits",
    "unknown": "no-telemetry",
    "ok": "done",
    "warn": "alert",
    "danger": "failed",
    "not_run": "open",
    "new": "plus",
    "gone": "close",
    "changed": "rerun",
}
_STATE_TONES = {
    "malicious": "escalate",
    "suspicious": "warn",
    "benign": "lower",
    "false_positive": "lower",
    "duplicate": "neutral",
    "succeeded": "ok",
    "truncated": "high",
    "not_applicable": "neutral",
    "not_run": "neutral",
    "new": "info",
    "gone": "warn",
    "changed": "warn",
}


@register.simple_tag
@cache
def icon(name: str, css: str = "") -> SafeString:
    """An icon of the sprite; decoration, so the words beside it carry the meaning."""
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        f"icon {css}".strip(),
        static("icons.svg"),
        name.replace("_", "-"),
    )


@register.filter
def tone(state: str) -> str:
    """The class that carries a state: `s-no-telemetry`."""
    return "s-" + _STATE_TONES.get(state, state).replace("_", "-")


@register.filter
def state_icon(state: str) -> str:
    return _STATE_ICONS.get(state, state).replace("_", "-")


# What is written otherwise than its words are.
_NAMES = {"eql": "EQL", "esql": "ES|QL", "threat_match": "Indicator match"}


@register.filter
def words(state: str) -> str:
    """A state as a person says it: `No telemetry`."""
    return _NAMES.get(state) or state.replace("_", " ").capitalize()


@register.simple_tag
def pill(state: str, text: str = "") -> SafeString:
    """A state with its glyph and word."""
    css = "spin" if state == "running" else ""
    return format_html(
        '<span class="pill {}">{}{}</span>', tone(state), icon(state_icon(state), css), text or words(state)
    )


@register.simple_tag
def severity(level: str, risk: int | None = None) -> SafeString:
    shown = "" if risk is None else format_html(' <span class="risk">{}</span>', risk)
    return format_html(
        '<span class="sev s-{}">{}{}{}</span>', level, icon(f"sev-{level}"), words(level), shown
    )


@register.simple_tag
def progress(states: str | Iterable[str], active: int = 0) -> SafeString:
    """The bar of a case's questions. states: in order, or joined by commas; active: the one shown, from 1."""
    states = states.split(",") if isinstance(states, str) else states
    shown = ["active" if at == active and s == "open" else s for at, s in enumerate(states, 1)]
    gap = 1.5 if len(shown) < 16 else 0
    width = (46 - gap * (len(shown) - 1)) / len(shown) if shown else 0
    bars = format_html_join(
        "",
        '<rect class="seg-{}" x="{}" width="{}" height="8" rx="1"/>',
        (
            ("lower" if s == "not_applicable" else s, f"{at * (width + gap):.2f}", f"{width:.2f}")
            for at, s in enumerate(shown)
        ),
    )
    return format_html('<svg viewBox="0 0 46 8" aria-hidden="true">{}</svg>', bars)


@register.simple_tag
def sla(case: Case, form: str = "age") -> SafeString:
    """The ring of time left. form: `age` for lists, `left` or `due` for one case."""
    now = timezone.now()
    if not case.is_open:
        return format_html('<span class="sla s-neutral">closed {}</span>', age(case.closed_at))
    whole = max((case.due_at - case.opened_at).total_seconds(), 1)
    used = (now - case.opened_at).total_seconds() / whole
    late = used >= 1
    level = "danger" if late else "warn" if used > 0.7 else "neutral"
    if late:
        text = f"{span(now - case.due_at)} late"
    else:
        text = age(case.opened_at) if form == "age" else f"{span(case.due_at - now)} left"
    if form == "due":
        text = format_html("<span>{}, due {} UTC</span>", text, when(case.due_at, "minute", "due"))
    return format_html('<span class="sla s-{}">{}{}</span>', level, _ring(min(max(used, 0), 1)), text)


def _ring(used: float) -> SafeString:
    circle = '<circle class="f-none {}" cx="8" cy="8" r="6" stroke-width="2.5"'
    return format_html(
        '<svg viewBox="0 0 16 16" aria-hidden="true">'
        + circle.format("k")
        + "/>"
        + circle.format("k-tone")
        + ' pathLength="100" stroke-dasharray="{} 100" transform="rotate(-90 8 8)"/></svg>',
        round(used * 100),
    )


@register.simple_tag(takes_context=True)
def avatar(context: Mapping[str, object], user: object, quiet: bool = False) -> SafeString:
    """A person as two letters. quiet: the name stands beside it."""
    if user is None:
        return format_html(
            '<span class="avatar avatar--none" title="{0}"><span class="hide">{0}</span></span>',
            "Not assigned",
        )
    name = str(getattr(user, "get_full_name", str)() or user)
    me = getattr(context.get("user"), "pk", None) == getattr(user, "pk", 0)
    css = "avatar avatar--me" if me else "avatar"
    if quiet:
        return format_html('<span class="{}" aria-hidden="true">{}</span>', css, initials(name))
    label = f"{name} (you)" if me else name
    return format_html(
        '<span class="{}" title="{}"><span aria-hidden="true">{}</span><span class="hide">{}</span></span>',
        css,
        label,
        initials(name),
        label,
    )


@register.filter
def initials(name: str) -> str:
    parts = str(name).replace(".", " ").split()
    return "".join(part[0] for part in (parts[:1] + parts[-1:] if len(parts) > 1 else parts))[:2].upper()


@register.filter
def full_name(user: object) -> str:
    return str(getattr(user, "get_full_name", str)() or user)


@register.filter
def person(user: object) -> str:
    return "Nobody" if user is None else full_name(user)


@register.filter
def closed(case: Case) -> bool:
    return case.status == CaseStatus.CLOSED


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"
