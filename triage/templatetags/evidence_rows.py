"""The rows of a pivot, written in one go: a page has hundreds of them, and thousands of cells.

Every value is escaped where it is written (`val`, `when`, `ask_link`); the rest is ours: numbers, and
addresses that `reverse` made.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote_plus

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString

from detections import ecs
from triage.models import Case, Evidence
from triage.templatetags.asking import MOST, ask_link
from triage.templatetags.marks import icon
from triage.templatetags.moments import when
from triage.templatetags.navigation import row_address
from triage.templatetags.values import ABSENT, val

register = template.Library()

_NEW = ' <span class="new-row" title="No earlier attempt had it">new</span>'


@register.simple_tag
def evidence_rows(
    rows: Sequence[Evidence], columns: Sequence[str], case: Case, day: str, may_answer: bool
) -> SafeString:
    """Each row as a `<tr>`. day: the one day of them all, which the head of the table names, or ""."""
    may_pin = may_answer and case.is_open
    opened, pinned = row_address("evidence_row"), row_address("evidence_pin")
    values = reverse("case_value", args=[case.pk])
    asked = [(name, f"{values}?field={quote_plus(name)}") for name in columns]
    form = "fine" if day else "dated"
    return SafeString(
        "".join(
            f'<tr class="{_css(row)}" id="row-{row.pk}">'
            f'<td class="row-acts">{_pin(row, pinned, may_pin)} {_document_link(row, opened)}</td>'
            f'<td class="val nowrap">{when(row.event_at, form, "event")}{_NEW * row.is_new}</td>'
            f"{''.join(_cell(row, name, address) for name, address in asked)}</tr>"
            for row in rows
        )
    )


@register.simple_tag
def pin_button(row: Evidence, case: Case, may_answer: bool) -> SafeString:
    """The button that pins a row or lets it go; for who may not, only whether it is pinned."""
    return SafeString(_pin(row, row_address("evidence_pin"), may_answer and case.is_open))


def _css(row: Evidence) -> str:
    return " ".join(["is-pinned"] * (row.pinned_at is not None) + ["is-new"] * row.is_new)


def _pin(row: Evidence, address: Callable[[int], str], may_pin: bool) -> str:
    is_pinned = row.pinned_at is not None
    if not may_pin:
        mark = f'{icon("pin-on")}<span class="hide">Pinned as a fact</span>'
        return f'<span class="pinned" title="Pinned as a fact">{mark}</span>' if is_pinned else ""
    to, word, glyph = ("0", "Unpin", "pin-on") if is_pinned else ("1", "Pin", "pin")
    return (
        '<button class="btn btn--small btn--quiet btn--icon" type="submit" form="pin-form" '
        f'formaction="{address(row.pk)}" name="pinned" value="{to}" hx-post="{address(row.pk)}" '
        'hx-include="#cited, #pin-form" hx-swap="outerHTML" data-pin '
        f'aria-pressed="{"true" if is_pinned else "false"}" '
        f'aria-label="{word} the event at {row.event_at:%H:%M:%S} as a fact">{icon(glyph)}</button>'
    )


def _document_link(row: Evidence, address: Callable[[int], str]) -> str:
    return (
        f'<a class="btn btn--small btn--quiet btn--icon" href="{address(row.pk)}" '
        f'data-document="{address(row.pk)}" aria-expanded="false" '
        f'aria-label="Document of the event at {row.event_at:%H:%M:%S}" '
        f'title="Document">{icon("chevron-right")}</a>'
    )


def _cell(row: Evidence, name: str, address: str) -> str:
    """Every value of a field, those that can be followed with their link."""
    found = ecs.values(row.document, name)
    if not found:
        return f'<td class="cell">{ABSENT}</td>'
    parts = [
        f"{val(one)}{ask_link(name, one, f'{address}&amp;row={row.pk}&amp;n={number}', is_below=True)}"
        for number, one in enumerate(found[:MOST])
    ]
    more = f' <span class="subtle">+{len(found) - MOST}</span>' if len(found) > MOST else ""
    return f'<td class="cell">{", ".join(parts)}{more}</td>'
