"""Times: stored and shown in UTC with their kind; the person's own zone appears on hover (page.js)."""

from datetime import UTC, datetime, timedelta
from html import escape

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

register = template.Library()

NEVER = "\N{EN DASH}"

_KINDS = {
    "event": "Event time",
    "ingested": "Ingested",
    "detected": "Detected",
    "recorded": "Recorded",
    "run": "Run",
    "due": "Due",
}


def day(moment: datetime) -> str:
    """`18 Mar`, with the year where it is not this one."""
    text = f"{moment.day} {moment:%b}"
    return text if moment.year == timezone.now().year else f"{text} {moment.year}"


def _text(moment: datetime, form: str) -> str:
    if form == "clock":
        return f"{moment:%H:%M:%S}"
    if form == "fine":
        return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    if form == "short_clock":
        return f"{moment:%H:%M}" if moment.date() == timezone.now().date() else day(moment)
    if form == "minute":
        return f"{day(moment)} {moment:%H:%M}"
    if form == "dated":
        return f"{day(moment)} {_text(moment, 'fine')}"
    if form == "stamp":
        return f"{day(moment)} {moment:%H:%M:%S}"
    return f"{day(moment)} {moment:%H:%M:%S} UTC"


@register.simple_tag
def when(moment: datetime | None, form: str = "full", kind: str = "") -> SafeString | str:
    """A time element. form: full, stamp (no zone), minute, clock, fine, dated. kind: its sort."""
    if moment is None:
        return NEVER
    utc = moment.astimezone(UTC)
    label = f"{_KINDS.get(kind, kind)} {utc:%Y-%m-%d %H:%M:%S} UTC".strip()
    return SafeString(
        f'<time datetime="{utc.isoformat()}" title="{escape(label)}">{escape(_text(utc, form))}</time>'
    )


@register.filter
def span(value: timedelta | float | None) -> str:
    """A length of time in its largest fitting unit: `51 ms`, `4.9 s`, `13 min`, `5 h`, `3 d`."""
    if value is None:
        return NEVER
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    sign, seconds = ("\N{MINUS SIGN}", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 10:
        return f"{sign}{seconds:.1f}".removesuffix(".0") + " s"
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{sign}{seconds / size:.0f} {unit}"
    return f"{sign}{seconds / 86400:.0f} d"


@register.filter
def took(milliseconds: int | None) -> str:
    return span(None if milliseconds is None else milliseconds / 1000)


@register.filter
def age(moment: datetime | None) -> str:
    """How long ago: `2 min`, `3 h`; `now` within seconds."""
    if moment is None:
        return NEVER
    seconds = (timezone.now() - moment).total_seconds()
    return "now" if seconds < 5 else span(float(int(seconds)))


@register.filter
def ago(moment: datetime | None) -> str:
    text = age(moment)
    return {NEVER: "never", "now": "just now"}.get(text, f"{text} ago")


@register.filter
def one_day(moments: list[datetime]) -> str:
    """The day that all the moments share, else ""."""
    days = {day(moment.astimezone(UTC)) for moment in moments}
    return days.pop() if len(days) == 1 else ""


@register.filter
def lateness(seconds: float) -> str:
    """The length of a negative lateness: how far a clock runs ahead."""
    return span(abs(seconds))
