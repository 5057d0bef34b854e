"""The picture of a timeline: lanes, marks, axis. Built here: a template would take tens of ms for it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from detections.enums import TelemetryKind
from detections.hidden_characters import plain
from detections.stores.base import Window
from triage.models import Case
from triage.templatetags.moments import day
from triage.templatetags.values import base_name
from triage.timeline import Item, Lane, Mark, Timeline

register = template.Library()

_K = TelemetryKind
HEIGHT = 34
# The plot keeps these percents free at its left, so that marks at the edge are whole.
LEFT, WIDTH = 1.5, 97.0
_LETTER = 6.4
# What the plot is at least wide; labels that would not fit then are left out.
_PIXELS = 620
_LONGEST = 30
WORDS = {
    _K.ALERT: "Alert",
    _K.LOGON: "Logon",
    _K.PROCESS: "Process",
    _K.CONNECTION: "Connection",
    _K.DNS: "DNS",
    _K.FILE: "File",
    _K.LIBRARY: "Library",
    _K.REGISTRY: "Registry",
}


def stamp(moment: datetime) -> str:
    """A moment as a date-time field takes it, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23]


def percent(share: float) -> str:
    return f"{LEFT + share * WIDTH:.3f}%"


@register.filter
def kind_name(kind: str) -> str:
    return WORDS[TelemetryKind(kind)] if kind in WORDS else kind or "Other"


@register.filter
def kind_icon(kind: str) -> str:
    """Lanes have icons of their names, but for two."""
    return "db" if kind in ("", _K.REGISTRY) else kind


@register.filter
def window_query(window: Window) -> str:
    return _between("from", window.start, "to", window.end)


def _between(first: str, start: datetime, last: str, end: datetime) -> str:
    return f"{first}={stamp(start)}&{last}={stamp(end)}".replace(":", "%3A")


@register.filter
def field_time(moment: datetime | None) -> str:
    return stamp(moment) if moment else ""


@register.simple_tag
def lane_plot(timeline: Timeline, case: Case, start: datetime | None, end: datetime | None) -> SafeString:
    """The whole plot. start, end: the brushed stretch, drawn below the marks."""
    height = HEIGHT * len(timeline.lanes)
    return format_html(
        '<svg class="lane-plot" width="100%" height="{}" data-plot data-from="{}" data-to="{}" '
        'data-left="{}" data-width="{}" role="group" aria-label="{}">{}{}{}{}</svg>',
        height + 30,
        timeline.window.start.isoformat(),
        timeline.window.end.isoformat(),
        LEFT,
        WIDTH,
        _spoken(timeline),
        _brush(timeline, start, end, height),
        _grid(timeline, height),
        format_html_join("", "{}", ((_lane(at, lane),) for at, lane in enumerate(timeline.lanes))),
        format_html_join("", "{}", ((_marks(at, lane, case),) for at, lane in enumerate(timeline.lanes))),
    )


def _spoken(timeline: Timeline) -> str:
    span = timeline.window.end - timeline.window.start
    lanes = ", ".join(
        f"{WORDS[lane.kind]} {sum(len(m.points) for m in lane.marks)}" for lane in timeline.lanes
    )
    seconds = span.total_seconds()
    return f"Events over {seconds:.1f} seconds by kind: {lanes}. Arrow keys go from one to the next."


def _brush(timeline: Timeline, start: datetime | None, end: datetime | None, height: int) -> SafeString:
    low = timeline.share(start) if start else 0.0
    high = timeline.share(end) if end else low
    return format_html(
        '<rect class="f-selected" data-brush x="{}" y="0" width="{}%" height="{}"/>',
        percent(low),
        f"{max(0.0, high - low) * WIDTH:.3f}" if start and end else 0,
        height,
    )


def _grid(timeline: Timeline, height: int) -> SafeString:
    lines = format_html_join(
        "",
        '<line class="k" x1="0" x2="100%" y1="{0}.5" y2="{0}.5"/>',
        ((at * HEIGHT,) for at in range(len(timeline.lanes) + 1)),
    )
    fine = timeline.window.end - timeline.window.start < timedelta(seconds=5)
    ticks = format_html_join(
        "",
        '<line class="k" x1="{0}" x2="{0}" y1="0" y2="{1}"/><text class="t t-3" x="{0}" y="{2}" '
        'text-anchor="{3}">{4}</text>',
        (
            (percent(tick.share), height, height + 17, _anchor(tick.share), text)
            for tick, text in zip(timeline.ticks, _tick_texts(timeline, fine), strict=True)
        ),
    )
    return format_html("{}{}", lines, ticks)


def _anchor(share: float) -> str:
    return "start" if share < 0.04 else "end" if share > 0.96 else "middle"


def _tick_texts(timeline: Timeline, fine: bool) -> Iterable[str]:
    """The clock; with its day where the window reaches over more than one."""
    days = (timeline.window.end - timeline.window.start) > timedelta(days=3)
    many = timeline.window.start.date() != timeline.window.end.date()
    for tick in timeline.ticks:
        at = tick.at.astimezone(UTC)
        clock = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}" if fine else f"{at:%H:%M:%S}"
        yield day(at) if days else f"{day(at)} {at:%H:%M}" if many else clock


def _lane(at: int, lane: Lane) -> SafeString:
    """What an empty lane says: hatched where nothing could be seen."""
    if not lane.silence:
        return SafeString("")
    top, text = at * HEIGHT, plain(lane.silence)
    if not lane.is_unknown:
        return format_html('<text class="t t-3" x="{}" y="{}">{}</text>', percent(0), top + 21, text)
    return format_html(
        '<rect x="0" y="{}" width="100%" height="22" fill="url(#hatch)"/>'
        '<rect class="f-plum-bg" x="1%" y="{}" width="{}" height="18" rx="2"/>'
        '<text class="t t-p" x="{}" y="{}">{}</text>',
        top + 6,
        top + 8,
        round(len(text) * 5.7 + 14),
        percent(0),
        top + 21,
        text,
    )


def _marks(at: int, lane: Lane, case: Case) -> SafeString:
    """The marks of a lane, which may be hundreds: what telemetry says is escaped where it is written, and the
    rest are numbers, times and our own words."""
    shares = [mark.share for mark in lane.marks]
    page = reverse("case_timeline", args=[case.pk])
    y = at * HEIGHT + HEIGHT // 2
    return SafeString(
        "".join(_mark(mark, y, page, _room(shares, number)) for number, mark in enumerate(lane.marks))
    )


def _room(shares: Sequence[float], number: int) -> float:
    """The width in pixels that is free at the right of a mark."""
    following = shares[number + 1] if number + 1 < len(shares) else 1.0
    return (following - shares[number]) * _PIXELS - 24


def _mark(mark: Mark, y: int, page: str, room: float) -> str:
    """page: the address of the timeline; that of a row's document continues it."""
    x, item = percent(mark.share), mark.item
    if item is None:
        return _cluster(mark, x, y, page)
    return (
        f'<a class="mark" href="{page}?row={item.row}#doc" data-row="{page}{item.row}/" '
        f'data-at="{item.at.isoformat()}"><title>{escape(spoken(item))}</title>'
        f"{_shape(item, x, y)}{_text(item, x, y, room)}</a>"
    )


def _text(item: Item, x: str, y: int, room: float) -> str:
    """The event in a word, where there is room for it."""
    label = _label(item)
    if len(label) * _LETTER >= room:
        return ""
    return (
        f'<svg x="{x}" y="{y}" overflow="visible"><text class="t halo" x="{14 if item.is_of_alert else 10}" '
        f'y="4">{escape(label)}</text></svg>'
    )


def _shape(item: Item, x: str, y: int) -> str:
    if item.kind == _K.ALERT:
        return (
            f'<svg x="{x}" y="{y}" overflow="visible"><path class="f-red k-surface" d="M0-7 7 0 0 7-7 0z" '
            'stroke-width="1.5"/></svg>'
        )
    ring = _ring(x, y, 8.5) if item.is_of_alert else ""
    css, radius = "f-slate k-surface", 5
    if item.is_fired:
        css = "f-red k-surface"
    elif item.is_end:
        css, radius = "f-surface k-slate", 4
    if item.is_elsewhere:
        return (
            f'{ring}<svg x="{x}" y="{y}" overflow="visible"><rect class="{css}" x="-4.5" y="-4.5" width="9" '
            'height="9" stroke-width="1.5"/></svg>'
        )
    return f'{ring}<circle class="{css}" cx="{x}" cy="{y}" r="{radius}" stroke-width="1.5"/>'


def _ring(x: str, y: int, radius: float) -> str:
    return f'<circle class="f-none k-red" cx="{x}" cy="{y}" r="{radius}" stroke-width="1.5"/>'


def _cluster(mark: Mark, x: str, y: int, page: str) -> str:
    """Several events in one place: a number that zooms in, or lists them where time can't part them."""
    first, last, number = mark.first.at, mark.last.at, len(mark.points)
    span = last - first
    if span > timedelta(milliseconds=20):
        query = window_query(Window(first - span / 20, last + span / 20))
    else:
        query = _between("start", first, "end", last)
    css = "f-red k-surface" if mark.is_fired or mark.first.kind == _K.ALERT else "f-slate k-surface"
    kind = escape(kind_name(mark.first.kind))
    return (
        f'<a class="mark mark--many" href="{page}?{escape(query)}" data-at="{first.isoformat()}" '
        f'data-until="{last.isoformat()}"><title>{number} events, {kind}, '
        f"{first:%H:%M:%S} to {last:%H:%M:%S} UTC</title>{_ring(x, y, 12) if mark.is_of_alert else ''}"
        f'<circle class="{css}" cx="{x}" cy="{y}" r="9.5" stroke-width="1.5"/>'
        f'<text class="t t-count" x="{x}" y="{y + 3.5}" text-anchor="middle">'
        f"{number if number < 1000 else f'{number // 1000}k'}</text></a>"
    )


def _label(item: Item) -> str:
    text = item.what
    if item.kind == _K.PROCESS:
        text = item.process or text
    elif item.kind in (_K.FILE, _K.LIBRARY, _K.REGISTRY):
        text = base_name(text)
    elif item.kind == _K.CONNECTION:
        text = text.rpartition(" to ")[2]
    elif item.kind == _K.DNS:
        text = text.partition(" is ")[0]
    shown = plain(text[: _LONGEST + 1])
    return f"{shown[:_LONGEST]}…" if len(text) > _LONGEST else shown


@register.filter
def spoken(item: Item) -> str:
    """The event in one line, for a tooltip and for those who do not see the picture."""
    parts = [kind_name(item.kind), item.action, item.process, item.what]
    parts += [f"on {item.host}"] * item.is_elsewhere
    said = [plain(part) for part in dict.fromkeys(parts) if part]
    marks = ["of the alert"] * item.is_of_alert + ["a check fired on it"] * item.is_fired
    return f"{item.at:%H:%M:%S}.{item.at.microsecond // 1000:03d} UTC, {', '.join(said + marks)}"
