"""The events below the timeline as the rows of a table, written in one go."""

from collections.abc import Sequence
from html import escape

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.safestring import SafeString

from triage.models import Case
from triage.templatetags.lanes import kind_icon, kind_name
from triage.templatetags.marks import icon
from triage.templatetags.moments import when
from triage.templatetags.navigation import query
from triage.templatetags.values import hidden_shown, val
from triage.timeline import Item

register = template.Library()

_FIRED = ' <span class="hide">A check fired on it.</span>'
_ELSEWHERE = ' class="elsewhere"'


@register.simple_tag(takes_context=True)
def event_rows(context: RequestContext, items: Sequence[Item], case: Case) -> SafeString:
    """Each event as a `<tr>`; what telemetry says is escaped where it is written."""
    page, own = reverse("case_timeline", args=[case.pk]), query(context, row="")
    here = escape(own if own == "?" else f"{own}&")
    return SafeString("".join(_row(item, here, page) for item in items))


def _row(item: Item, here: str, page: str) -> str:
    """here: this page's address, to be continued; page: that of the timeline, below which its rows are."""
    return (
        f'<tr><td class="nowrap"><a class="mono" href="{here}row={item.row}#doc" '
        f'data-row="{page}{item.row}/">{when(item.at, "dated", "event")}</a></td>'
        f'<td><span class="row row--tight nowrap-row">{icon(kind_icon(item.kind))}'
        f"{escape(kind_name(item.kind))}</span></td>"
        f'<td class="ev-action"><span class="truncate">{hidden_shown(item.action)}</span></td>'
        f"<td{_ELSEWHERE * item.is_elsewhere}>{val(item.host, 'truncate')}</td>"
        f"<td>{val(item.process, 'truncate')}</td>"
        f'<td class="ev-what">{val(item.what, "truncate")}{_FIRED * item.is_fired}</td></tr>'
    )
