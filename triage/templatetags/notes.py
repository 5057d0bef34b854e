"""What people write, as text: nothing of it is a link or markup but code spans and mentions."""

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from triage.notes import MENTION
from triage.templatetags.values import as_text, visible

register = template.Library()
# `code` on one line.
_CODE = re.compile(r"`([^`\n]+)`")


@register.filter
def note_text(text: str) -> SafeString:
    """A note: escaped, hidden characters shown, `code` in mono, mentions marked."""
    return format_html_join("", "{}", ((part,) for part in _parts(as_text(text))))


def _parts(text: str) -> list[SafeString]:
    parts, at = [], 0
    for found in _CODE.finditer(text):
        parts.append(_mentions(text[at : found.start()]))
        parts.append(format_html("<code>{}</code>", visible(found[1])))
        at = found.end()
    return [*parts, _mentions(text[at:])]


def _mentions(text: str) -> SafeString:
    parts, at = [], 0
    for found in MENTION.finditer(text):
        parts.append(visible(text[at : found.start()], keep="\n"))
        parts.append(format_html('<b class="mention">{}</b>', visible(found[0])))
        at = found.end()
    return format_html_join("", "{}", ((part,) for part in [*parts, visible(text[at:], keep="\n")]))
