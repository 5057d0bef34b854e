"""Values that can be asked about: each with a quiet link to how rare it is and to other hosts."""

from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html_join
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
        val(one) + _link(case, name, one, {"row": str(row.pk), "n": str(number)})
        for number, one in enumerate(found[:MOST])
    ]
    more = f' <span class="subtle">+{len(found) - MOST}</span>' if len(found) > MOST else ""
    # Each part is escaped already; a page has thousands of cells.
    return SafeString(", ".join(parts) + more)


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
    address = escape(f"{_page_of(case.pk)}?{urlencode({'field': name, **where})}")
    label = escape(f"Find {attribute(value)[:60]} elsewhere")
    below = "" if page else f' data-below="{address}" aria-expanded="false"'
    return SafeString(
        f'<a class="ask" href="{address}"{below} aria-label="{label}" '
        f'title="How rare it is, and on which other hosts">{icon("search", "icon-12")}</a>'
    )


@lru_cache(maxsize=256)
def _page_of(case: int) -> str:
    return reverse("case_value", args=[case])
