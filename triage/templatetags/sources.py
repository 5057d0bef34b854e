"""Texts of rules, as they stand: queries in colours, overlays line by line. Files come from elsewhere."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from detections.eql import highlight
from triage.templatetags.values import as_text, visible

register = template.Library()
LAYOUT = "\n\t"


@register.filter
def lines_shown(text: object) -> SafeString:
    """A text of several lines, escaped, with hidden characters shown; its line breaks stay."""
    return visible(as_text(text), LAYOUT)


@register.filter
def coloured(query: str, language: str) -> SafeString:
    """A query with its parts in colours; another language than EQL as it stands."""
    if language != "eql":
        return lines_shown(query)
    return format_html_join("", "{}", ((_piece(sort, text),) for sort, text in highlight.pieces(query)))


def _piece(sort: str, text: str) -> SafeString:
    shown = lines_shown(text)
    return format_html('<span class="q-{}">{}</span>', sort, shown) if sort else shown
