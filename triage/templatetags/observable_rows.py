"""The rows of the observables: written in one go, since as a template a hundred of them take 50 ms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from django import template
from django.utils.safestring import SafeString

from triage.models import Observable
from triage.observables import MOST_NAMED
from triage.templatetags.marks import icon
from triage.templatetags.moments import when
from triage.templatetags.navigation import row_address
from triage.templatetags.values import as_text, attribute, hidden_shown, shortened

register = template.Library()

_FIELDS, _LONGEST, _LABEL = 3, 300, 60


@dataclass(frozen=True, slots=True)
class Line:
    """An observable as a row. ask: where it is looked for on other hosts, "" where it can't be."""

    observable: Observable
    shown: str
    fields: Sequence[str]
    other_cases: int
    ask: str


@register.simple_tag
def observable_rows(lines: Sequence[Line]) -> SafeString:
    """Each line as a `<tr>`; what telemetry says is escaped where it is written."""
    document = row_address("evidence_row")
    return SafeString("".join(_row(line, document) for line in lines))


def _row(line: Line, document: Callable[[int], str]) -> str:
    one = line.observable
    marks = "".join(f' <span class="tag">{escape(str(mark))}</span>' for mark in one.marks)
    hosts = len(one.hosts)
    others = f"<b>{line.other_cases:,}</b>" if line.other_cases else "0"
    return (
        f'<tr><td class="nowrap">{escape(one.type)}</td><td class="observable">'
        f'<span class="mono wrap">{hidden_shown(shortened(line.shown, _LONGEST))}</span>{marks}</td>'
        f'<td class="small subtle">{_fields(line.fields)}</td>'
        f'<td class="nowrap num">{when(one.first_seen_at, "stamp", "event")}</td>'
        f'<td class="nowrap num">{when(one.last_seen_at, "stamp", "event")}</td>'
        f'<td class="r num">{one.event_count:,}</td>'
        f'<td class="r num" title="{escape(attribute(", ".join(map(str, one.hosts))))}">'
        f"{hosts}{'+' * (hosts == MOST_NAMED)}</td>"
        f'<td class="r num">{others}</td>'
        f'<td class="row-acts">{_copy(line)}{_links(line, document)}</td></tr>'
    )


def _fields(names: Sequence[str]) -> str:
    more = f" +{len(names) - _FIELDS}" if len(names) > _FIELDS else ""
    return escape(f"{', '.join(names[:_FIELDS])}{more}")


def _copy(line: Line) -> str:
    return (
        '<button class="btn btn--small btn--quiet btn--icon" type="button" '
        f'data-copy="{escape(as_text(line.observable.spelling))}" '
        f'aria-label="Copy {_label(line)}, true value" '
        f'title="Copy the true value">{icon("copy")}</button>'
    )


def _links(line: Line, document: Callable[[int], str]) -> str:
    links = []
    if line.ask:
        title = "Find on other hosts"
        links.append((line.ask, f"Find {_label(line)} on other hosts", title, "search"))
    if line.observable.evidence:
        title = "First document that holds it"
        links.append((document(line.observable.evidence[0]), title, title, "file"))
    return "".join(
        f' <a class="btn btn--small btn--quiet btn--icon" href="{escape(address)}" aria-label="{label}" '
        f'title="{title}">{icon(glyph)}</a>'
        for address, label, title, glyph in links
    )


def _label(line: Line) -> str:
    return escape(shortened(attribute(line.shown), _LABEL))
