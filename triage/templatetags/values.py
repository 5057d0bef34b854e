"""Values from telemetry: hostile text, shown whole, in mono, never as a link, with nothing hidden in it."""

import html
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

from django import template
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from detections import ecs
from detections.hidden_characters import pieces, plain
from triage.models import Observable
from triage.observable_values import defanged

register = template.Library()

# Longer values are cut on the page; the document view has them whole.
SHOWN = 2000
ABSENT = format_html('<span class="subtle" title="Field is absent">{}</span>', "\N{EN DASH}")


def visible(text: str, keep: str = "") -> SafeString:
    """The text escaped, with control, bidi and zero-width characters as marked code points.

    keep: characters that stay as they are (the line breaks of our own lay-out).
    """
    if text.isascii() and text.isprintable():
        return escape(text)
    return format_html_join("", "{}", ((_piece(hidden, part),) for hidden, part in pieces(text, keep)))


def _piece(hidden: bool, part: str) -> str:
    if not hidden:
        return part
    code = f"U+{ord(part):04X}"
    name = unicodedata.name(part, "Control character").capitalize()
    return format_html('<mark title="{}, {}">{}</mark>', name, code, code)


@register.filter
def as_text(value: Any) -> str:
    """A value of a document as a person reads it; lone surrogates can't be sent and are replaced."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return text.encode("utf-8", "replace").decode()


@register.filter
def val(value: Any, css: str = "") -> SafeString:
    """A value from telemetry. `{{ case.host_name|val:"truncate" }}`"""
    if value is None or value == "":
        return ABSENT
    text = as_text(value)
    more = len(text) - SHOWN
    if more <= 0 and text.isascii() and text.isprintable():
        # Most values, and a page has thousands: escaped once, for all three places.
        shown = html.escape(text)
        classes = html.escape(f"val {css}".strip())
        return SafeString(f'<span class="{classes}" title="{shown}" data-full="{shown}">{shown}</span>')
    return format_html(
        '<span class="{}" title="{}" data-full="{}">{}{}</span>',
        f"val {css}".strip(),
        plain(text[:SHOWN]),
        text,
        visible(text[:SHOWN]),
        f" … and {more} more characters" if more > 0 else "",
    )


def shortened(text: str, most: int) -> str:
    """The text, or its beginning with an ellipsis where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@register.filter
def hidden_shown(value: Any) -> SafeString:
    """Text that may quote telemetry, inside of our own sentences: escaped, with hidden characters shown."""
    return visible(as_text(value))


@register.filter
def attribute(value: Any) -> str:
    """Text that may quote telemetry, for an attribute such as title."""
    return plain(as_text(value))


@register.simple_tag
def field(document: dict[str, Any], name: str) -> SafeString:
    """Every value of a dotted field of a document, or a dash that says that the field is absent."""
    found = ecs.values(document, name)
    if not found:
        return ABSENT
    shown = found[:5]
    more = format_html(' <span class="subtle">+{}</span>', len(found) - 5) if len(found) > 5 else ""
    return format_html("{}{}", format_html_join(", ", "{}", ((val(one),) for one in shown)), more)


@register.filter
def flat(document: dict[str, Any]) -> list[tuple[str, Any]]:
    """A document as (dotted field, value), sorted."""
    return sorted(_flat(document, ""))


def _flat(node: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@register.filter
def document_value(value: Any) -> SafeString:
    """A field's value in the document view, as JSON."""
    css = "v2" if isinstance(value, int | float) and not isinstance(value, bool) else "v1"
    text = as_text(json.dumps(value, ensure_ascii=False))
    return format_html('<span class="{}">{}</span>', css, visible(text))


@register.filter
def as_json(value: Any) -> str:
    """Indented JSON, to be copied."""
    return as_text(json.dumps(value, ensure_ascii=False, indent=2, default=str))


@register.filter
def hidden_json(text: str) -> SafeString:
    """Laid-out JSON that may quote telemetry: line breaks stay, everything else hidden is shown."""
    return visible(text, keep="\n")


@register.filter
def joined(address: str, port: str) -> str:
    """Address and port as one value: `10.0.2.17:49670`, `[::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@register.filter
def base_name(path: str) -> str:
    """The last part of a Windows or POSIX path."""
    return path.replace("/", "\\").rsplit("\\", 1)[-1]


@register.filter
def file_name(file: Any) -> str:
    """The name of an imported file, without the folder in which it was kept."""
    return base_name(as_text(file.get("name") or file.get("path", "") if isinstance(file, dict) else file))


@register.filter(name="defanged")
def defanged_value(observable: Observable) -> str:
    """An observable as telemetry spells it, so that nothing opens it by a click or a paste."""
    return defanged(observable.type, observable.spelling)
