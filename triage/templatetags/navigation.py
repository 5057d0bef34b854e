"""Links that know where the reader is."""

from typing import Any

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from triage.templatetags.marks import icon

register = template.Library()

# URL names that belong to a section of the rail, by their first word.
_SECTIONS = {
    "queue": {"queue", "case", "question", "pivot", "evidence", "next", "storm"},
    "rules": {"rules", "rule", "searches", "search"},
    "health": {"health"},
    "imports": {"imports", "import", "quarantine"},
}


@register.simple_tag(takes_context=True)
def nav_link(context: RequestContext, name: str, glyph: str, label: str) -> SafeString:
    match = getattr(context.get("request"), "resolver_match", None)
    here = str(getattr(match, "url_name", "") or "").split("_")[0] in _SECTIONS[name]
    return format_html(
        '<a class="rail-link" href="{}"{}>{}{}</a>',
        reverse(name),
        format_html(' aria-current="{}"', "page") if here else "",
        icon(glyph),
        label,
    )


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """This page's query string with some parameters changed; an empty value drops one."""
    parameters = context["request"].GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            parameters.pop(key, None)
        else:
            parameters[key] = value
    return f"?{parameters.urlencode()}"
