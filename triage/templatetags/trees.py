"""The picture of a process tree: parents at the left, the alert's process, children at the right."""

from collections.abc import Sequence
from dataclasses import dataclass

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from detections.hidden_characters import plain
from triage.models import Case
from triage.process_tree import Node, Process, ProcessTree
from triage.templatetags.marks import icon
from triage.templatetags.moments import span

register = template.Library()

_BOX, _TALL, _GAP, _LINE = 172, 62, 16, 78
_SHORT = {"connection": "net", "dns": "dns", "file": "file", "library": "lib", "registry": "reg"}


@dataclass(frozen=True, slots=True)
class _Place:
    node: Node
    column: int
    line: int

    @property
    def x(self) -> int:
        return self.column * (_BOX + _GAP) + 1

    @property
    def y(self) -> int:
        return self.line * _LINE + 4


@register.simple_tag
def tree_plot(tree: ProcessTree, case: Case) -> SafeString:
    places = _places(tree)
    width = max(place.x for place in places) + _BOX + 4
    height = max(place.y for place in places) + _TALL + 6
    return format_html(
        '<svg width="{0}" height="{1}" viewBox="0 0 {0} {1}" class="tree" role="group" '
        'aria-label="Process tree; the list below it says the same">{2}{3}</svg>',
        width,
        height,
        format_html_join("", "{}", ((line,) for line in _lines(places))),
        format_html_join("", "{}", ((_box(place, case),) for place in places)),
    )


def _places(tree: ProcessTree) -> list[_Place]:
    """Columns by depth; each leaf takes a line of its own, its parents stand at its first child."""
    centre = len(tree.above)
    places = [_Place(node, column, 0) for column, node in enumerate([*tree.above, tree.centre])]
    line, before = 0, 0
    for node in tree.below:
        if node.depth <= before:
            line += 1
        before = node.depth
        places.append(_Place(node, centre + node.depth, line))
    return places


def _lines(places: Sequence[_Place]) -> list[SafeString]:
    """From each process to the nearest before it that is one column further left."""
    made = []
    last: dict[int, _Place] = {}
    for place in places:
        parent = last.get(place.column - 1)
        if parent is not None:
            tone = "k-plum dash" if parent.node.process.is_named_only else "k-strong"
            made.append(
                format_html(
                    '<path class="f-none {}" d="M{} {}H{}V{}H{}"/>',
                    tone,
                    parent.x + _BOX,
                    parent.y + _TALL // 2,
                    parent.x + _BOX + _GAP // 2,
                    place.y + _TALL // 2,
                    place.x,
                )
            )
        last[place.column] = place
    return made


def _box(place: _Place, case: Case) -> SafeString:
    one = place.node.process
    unseen = one.is_named_only
    css = (
        "f-plum-bg k-plum dash"
        if unseen
        else "f-surface k-red"
        if place.node.is_alerts
        else "f-surface k-strong"
    )
    glyph = (
        format_html('<svg x="{}" y="{}" width="14" height="14" class="glyph s-danger">{}</svg>',
                    place.x + _BOX - 22, place.y + 8, icon("alert"))
        if place.node.is_alerts
        else ""
    )  # fmt: skip
    body = format_html(
        '<title>{}</title><rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="4" stroke-width="{}"/>'
        '<text class="t t-b {}" x="{}" y="{}">{}</text><text class="t" x="{}" y="{}">{}</text>'
        '<text class="t t-3" x="{}" y="{}">{}</text>{}',
        plain((one.command_line or one.executable or one.name)[:500]),
        css,
        place.x,
        place.y,
        _BOX,
        _TALL,
        2 if place.node.is_alerts else 1,
        "t-p" if unseen else "",
        place.x + 10,
        place.y + 20,
        _cut(one.name or one.key, 17 if place.node.is_alerts else 20),
        place.x + 10,
        place.y + 37,
        _cut(_second(one), 28),
        place.x + 10,
        place.y + 52,
        _cut(_third(place.node), 30),
        glyph,
    )
    if one.row is None:
        return format_html('<g class="node">{}</g>', body)
    url = reverse("case_timeline", args=[case.pk])
    row = reverse("timeline_row", args=[case.pk, one.row])
    return format_html('<a class="node" href="{}?row={}#doc" data-row="{}">{}</a>', url, one.row, row, body)


def _cut(text: str, most: int) -> str:
    shown = plain(text[: most + 1])
    return f"{shown[: most - 1]}…" if len(text) > most else shown


def _second(one: Process) -> str:
    pid = f"pid {one.pid}" if one.pid else "pid unknown"
    return f"{pid}, {one.started_at:%H:%M:%S}" if one.started_at else pid


def _third(node: Node) -> str:
    one = node.process
    if one.is_named_only:
        return "not in the evidence"
    hidden = [f"{node.hidden} more below"] if node.hidden and node.depth >= 0 else []
    said = [*hidden, *counts_of(one)]
    if not said and one.started_at and one.ended_at:
        return f"ended after {span(one.ended_at - one.started_at)}"
    return ", ".join(said) or ("no events frozen" if one.is_seen else "start not seen")


def counts_of(one: Process) -> list[str]:
    return [f"{count} {_SHORT[kind]}" for kind, count in one.counts.items() if count]


@register.filter
def count_words(one: Process) -> str:
    return ", ".join(counts_of(one)) or "\N{EN DASH}"


@register.filter
def depth_words(node: Node) -> str:
    if node.depth == 0:
        return "the alert's"
    level = abs(node.depth)
    word = "above" if node.depth < 0 else "below"
    return f"{level} {word}"
