"""Guide texts: Markdown of rule files, never of event data."""

from django import template
from django.utils.safestring import SafeString

from triage.guides import render

register = template.Library()


@register.filter
def guide(text: str) -> SafeString | str:
    """A guide's Markdown as HTML; a sentence part starts with a capital."""
    text = text.strip()
    return render(f"{text[0].upper()}{text[1:]}") if text else ""


@register.filter
def guide_line(text: str) -> str:
    """A title's Markdown as plain text: code marks and emphasis fall away."""
    return text.replace("`", "").replace("**", "")
