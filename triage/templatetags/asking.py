"""Values that can be asked about: each with a quiet link to how rare it is and to other hosts."""

from html import escape
from typing import Any
from urllib.parse import quote_plus

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString

from triage.models import Case, Evidence
from triage.templatetags.marks import icon
from triage.templatetags.values import as_text, attribute, joined, shortened, val
from triage.value_families import can_be_followed, family_of

register = template.Library()
MOST = 5
_LABEL = 60


@register.simple_tag
def fact(case: Case, value: Any, follow: str = "", port: str = "") -> SafeString:
    """A value of the facts, to be copied; follow: the field under which it can be asked about."""
    shown = val(joined(value, port) if port and value else value)
    copy = _copy(value) if value else ""
    link = ask_fact(case, follow, value) if value and follow else ""
    return SafeString(f'<span class="fact">{shown}{copy}{link}</span>')


def _copy(value: Any) -> str:
    return (
        '<button class="btn btn--small btn--quiet btn--icon copy" type="button" '
        f'data-copy="{escape(as_text(value))}" '
        f'aria-label="Copy {escape(shortened(attribute(value), _LABEL))}">{icon("copy", "icon-12")}</button>'
    )


@register.simple_tag
def ask_fact(case: Case, name: str, value: Any) -> SafeString:
    """The link for a value of the facts."""
    return ask_link(name, value, f"{_page(case, name)}&amp;value={quote_plus(as_text(value))}")


@register.simple_tag
def ask_line(row: Evidence, name: str, value: Any, case: Case) -> SafeString:
    """The links of one line of a document: one a value."""
    if family_of(name) is None:
        return SafeString("")
    page = _page(case, name)
    found = value if isinstance(value, list) else [value]
    links = (
        ask_link(name, one, f"{page}&amp;row={row.pk}&amp;n={number}")
        for number, one in enumerate(found[:MOST])
    )
    return SafeString("".join(links))


def _page(case: Case, name: str) -> str:
    return f"{reverse('case_value', args=[case.pk])}?field={quote_plus(name)}"


def ask_link(name: str, value: Any, address: str, *, is_below: bool = False) -> SafeString:
    """The link of one value, "" if it can't be followed. address: escaped. is_below: opens below its row."""
    if not can_be_followed(name, value):
        return SafeString("")
    label = escape(f"Find {attribute(value)[:_LABEL]} elsewhere")
    below = f' data-below="{address}" aria-expanded="false"' if is_below else ""
    return SafeString(
        f'<a class="ask" href="{address}"{below} aria-label="{label}" '
        f'title="How rare it is, and on which other hosts">{icon("search", "icon-12")}</a>'
    )
