"""Guide texts: Markdown of rule files, never of event data."""

import re

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from triage.guides import render

register = template.Library()

# Longer texts are shown as they were written: to render them takes seconds, and no guide has them.
MOST_RENDERED = 100_000

# The headings above the two boxes say it already.
_OPENINGS = re.compile(r"(escalate (only )?(when|if)|lower (only )?(when|if))[:,]?\s+", re.IGNORECASE)


@register.filter
def guide(text: str) -> SafeString | str:
    """A guide's Markdown as HTML; a sentence part starts with a capital."""
    text = text.strip()
    if len(text) > MOST_RENDERED:
        return format_html('<pre class="prewrap">{}</pre>', text)
    return render(f"{text[0].upper()}{text[1:]}") if text else ""


@register.filter
def guide_line(text: str) -> str:
    """A title's Markdown as plain text: code marks and emphasis fall away."""
    return text.replace("`", "").replace("**", "")


@register.filter
def test(text: str) -> SafeString | str:
    """What makes a question escalate or lower, without the words that stand above it."""
    shown = _OPENINGS.sub("", text.strip(), count=1)
    return guide(shown if not shown or shown[-1] in ".!?:" else f"{shown}.")
