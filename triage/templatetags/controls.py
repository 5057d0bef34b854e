"""Form fields: label above, hint below, error below with an icon."""

from django import forms, template
from django.forms import BoundField
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from triage.templatetags.marks import icon

register = template.Library()


def _css(bound: BoundField) -> str:
    widget = bound.field.widget
    if isinstance(widget, forms.Textarea):
        return "textarea"
    return "select" if isinstance(widget, forms.Select) else "input"


@register.simple_tag
def control(bound: BoundField, hint: str = "", label: str = "", **attributes: str | int) -> SafeString:
    """A labelled field. Further arguments become attributes of the control (`autocomplete`, `rows`)."""
    identity = bound.auto_id or bound.html_name
    attrs: dict[str, str | bool] = {name.replace("_", "-"): str(value) for name, value in attributes.items()}
    described = [f"{identity}-hint"] * bool(hint) + [f"{identity}-error"] * bool(bound.errors)
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if bound.errors:
        attrs["aria-invalid"] = "true"
    return format_html(
        '<div class="field"><label for="{}">{}</label>{}{}{}</div>',
        identity,
        label or bound.label,
        bound.as_widget(attrs={"class": _css(bound), **attrs}),
        format_html('<p class="hint" id="{}-hint">{}</p>', identity, hint) if hint else "",
        errors(bound, f"{identity}-error"),
    )


@register.simple_tag
def errors(bound: BoundField, identity: str = "") -> SafeString | str:
    """A field's errors, each with an icon; nothing where there are none."""
    if not bound.errors:
        return ""
    lines = format_html_join("", "<span>{}</span>", ((error,) for error in bound.errors))
    return format_html(
        '<div class="error" id="{}">{}<span class="stack">{}</span></div>', identity, icon("alert"), lines
    )
