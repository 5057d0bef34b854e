"""Values that can be asked about: each with a quiet link to how rare it is and to other hosts."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from detections import ecs
from triage.models import Case, Evidence
from triage.templatetags.marks import icon
from triage.templatetags.values import ABSENT, as_text, attribute, val
from triage.value_families import can_be_followed

register = template.Library()
MOST = 5


@register.simple_tag
def cell(row: Evidence, name: str, case: Case) -> SafeString:
    """Every value of a field of a row, those that can be followed with their link."""
    found = ecs.values(row.document, name)
    if not found:
        return ABSENT
    parts = [
        format_html("{}{}", val(one), _link(case, name, one, {"row": str(row.pk), "n": str(number)}))
        for number, one in enumerate(found[:MOST])
    ]
    more = format_html(' <span class="subtle">+{}</span>', len(found) - MOST) if len(found) > MOST else ""
    return format_html("{}{}", format_html_join(", ", "{}", ((part,) for part in parts)), more)


@register.simple_tag
def ask_fact(case: Case, name: str, value: Any) -> SafeString:
    """The link for a value of the facts."""
    return _link(case, name, value, {"value": as_text(value)}, page=True)


@register.simple_tag
def ask_line(row: Evidence, name: str, value: Any, case: Case) -> SafeString:
    """The links of one line of a document: one a value."""
    found = value if isinstance(value, list) else [value]
    links = (
        (_link(case, name, one, {"row": str(row.pk), "n": str(number)}, page=True),)
        for number, one in enumerate(found[:MOST])
    )
    return format_html_join("", "{}", links)


def _link(case: Case, name: str, value: Any, where: dict[str, str], *, page: bool = False) -> SafeString:
    if not can_be_followed(name, value):
        return SafeString("")
    address = f"{reverse('case_value', args=[case.pk])}?{urlencode({'field': name, **where})}"
    label = f"Find {attribute(value)[:60]} elsewhere"
    below = SafeString("") if page else format_html(' data-below="{}" aria-expanded="false"', address)
    return format_html(
        '<a class="ask" href="{}"{} aria-label="{}" title="How rare it is, and on which other hosts">{}</a>',
        address,
        below,
        label,
        icon("search", "icon-12"),
    )
