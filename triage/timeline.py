"""The timeline of a case: frozen events in lanes by kind, thinned to what a screen can show.

Reads event summaries, never documents. An event that several pivots froze stands there once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast

from detections.actors import Actor
from detections.enums import TelemetryKind
from detections.stores.base import Window
from triage.checks import is_alert
from triage.enums import CheckState, Points
from triage.evidence import coverage_of, missing_sentence
from triage.models import Case, CheckResult, EventSummary, Evidence, PivotRun

_K = TelemetryKind
LANES = (_K.ALERT, _K.LOGON, _K.PROCESS, _K.CONNECTION, _K.DNS, _K.FILE, _K.LIBRARY, _K.REGISTRY)
# Marks in one lane; what falls between two of them is drawn as one mark with a number.
PLACES = 48
# A window that nobody chose: everything, or if that is long, the burst of events that the alert is part of.
ALL_UP_TO = timedelta(seconds=20)
BURST_ENDS = timedelta(seconds=10)
BEFORE_ALERT, AFTER_ALERT = timedelta(minutes=2), timedelta(minutes=5)
_LEAST = timedelta(milliseconds=10)
_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
    *(86_400 * days for days in (1, 2, 7, 30)),
)
_TICKS = 7


class Point(NamedTuple):
    """An event's place. row: the evidence row that it opens. identity: "" for the alert itself.

    A tuple in the order in which events stand, since a page sorts thousands of them.
    """

    at: datetime
    row: int
    identity: str
    kind: str
    is_of_alert: bool
    is_fired: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A point with what its event says, read for those alone that are shown as events of their own."""

    point: Point
    action: str = ""
    process: str = ""
    what: str = ""
    is_end: bool = False
    host: str = ""
    is_elsewhere: bool = False

    @property
    def row(self) -> int:
        return self.point.row

    @property
    def at(self) -> datetime:
        return self.point.at

    @property
    def kind(self) -> str:
        return self.point.kind

    @property
    def is_of_alert(self) -> bool:
        return self.point.is_of_alert

    @property
    def is_fired(self) -> bool:
        return self.point.is_fired


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn: one event, or several that stand too close. share: its place from 0 to 1.

    item: what the event says, where it is one.
    """

    share: float
    points: tuple[Point, ...]
    item: Item | None = None

    @property
    def first(self) -> Point:
        return self.points[0]

    @property
    def last(self) -> Point:
        return self.points[-1]

    @property
    def is_fired(self) -> bool:
        return any(point.is_fired for point in self.points)

    @property
    def is_of_alert(self) -> bool:
        return any(point.is_of_alert for point in self.points)


@dataclass(frozen=True, slots=True)
class Lane:
    """total: events of the kind in the whole case. silence: why it is empty, "" where it is not."""

    kind: TelemetryKind
    total: int
    marks: tuple[Mark, ...]
    silence: str = ""
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    share: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Timeline:
    """whole: from the first to the last event. window: what is drawn. other: events of no lane."""

    points: tuple[Point, ...]
    whole: Window
    around: Window
    window: Window
    lanes: tuple[Lane, ...] = ()
    ticks: tuple[Tick, ...] = ()
    other: int = 0
    in_view: int = field(default=0)

    def share(self, moment: datetime) -> float:
        """The place of a moment in the window, 0 to 1, held to its edges."""
        return min(1.0, max(0.0, _share(moment, self.window)))

    def within(self, start: datetime | None, end: datetime | None) -> list[Point]:
        """Events of a stretch, both ends in it; without one those of the window."""
        low, high = start or self.window.start, end or self.window.end
        return [point for point in self.points if low <= point.at <= high]


def timeline(case: Case, runs: Sequence[PivotRun], window: Window | None = None) -> Timeline | None:
    """The timeline over the newest runs of a case, or None where nothing is frozen. Three queries."""
    points = tuple(_points(case, runs))
    if not points:
        return None
    whole = _widened(points[0].at, points[-1].at)
    around = _around(points, whole)
    shown = window or (whole if whole.end - whole.start <= ALL_UP_TO else around)
    visible = [point for point in points if shown.start <= point.at <= shown.end]
    return Timeline(
        points=points,
        whole=whole,
        around=around,
        window=shown,
        lanes=tuple(_lanes(case, runs, points, visible, shown)),
        ticks=tuple(_ticks(shown)),
        other=sum(point.kind not in LANES for point in points),
        in_view=len(visible),
    )


def items_of(case: Case, points: Iterable[Point]) -> list[Item]:
    """What the events at these points say, in their order. One query."""
    points = list(points)
    found = EventSummary.objects.filter(pk__in=[point.row for point in points if point.identity])
    told = {row: rest for row, *rest in found.values_list("pk", *_TOLD)}
    return [_item(case, point, told.get(point.row, ())) for point in points]


def _item(case: Case, point: Point, told: Sequence[Any]) -> Item:
    if not point.identity:
        return Item(point, "alert", what=case.title, host=case.host_name)
    item = Item(point, *told)
    is_elsewhere = bool(item.host and case.host_id) and item.host not in (case.host_name, case.host_id)
    return replace(item, is_elsewhere=is_elsewhere)


_TOLD = ("action", "process_name", "what", "is_end", "host")


def _points(case: Case, runs: Sequence[PivotRun]) -> list[Point]:
    """Each event once; the alert's own row before that of a pivot. In order of time."""
    fired = _fired(case)
    own = {run.pk for run in runs if is_alert(run)}
    held: dict[str, Point] = {}
    last: dict[int, Point] = {}
    for row, pivot, identity, text, kind in _summaries(case, runs):
        at, is_own = moment_of(text), pivot in own
        if is_own and (pivot not in last or last[pivot].at <= at):
            last[pivot] = Point(at, row, "", _K.ALERT, is_of_alert=True, is_fired=False)
        earlier = held.get(identity)
        if earlier is not None and (earlier.is_of_alert or not is_own):
            if row in fired and not earlier.is_fired:
                held[identity] = earlier._replace(is_fired=True)
            continue
        is_fired = row in fired or (earlier is not None and earlier.is_fired)
        held[identity] = Point(at, row, identity, kind, is_own, is_fired)
    return sorted([*held.values(), *last.values()])


def moment_of(text: str) -> datetime:
    """A stored time: SQLite keeps it without a zone, PostgreSQL tells that of the session; both are UTC.

    `replace(tzinfo=...)` would take six times as long, for each of thousands.
    """
    return datetime.fromisoformat(text if "+" in text else f"{text}+00:00")


def _summaries(case: Case, runs: Sequence[PivotRun]) -> "QuerySet[EventSummary, tuple[Any, ...]]":
    """Times as text: what Django does to make each an aware datetime takes longer than all else here."""
    wanted = EventSummary.objects.filter(case=case, pivot__in=[run.pk for run in runs])
    wanted = wanted.annotate(at=Cast("event_at", CharField()))
    return wanted.order_by().values_list("evidence", "pivot", "identity", "at", "kind")


def _fired(case: Case) -> set[int]:
    """Evidence rows that a check points to as a reason to escalate."""
    found = CheckResult.objects.filter(case=case, state=CheckState.FIRED, points=Points.ESCALATE)
    return {row for rows in found.values_list("rows", flat=True) for row in rows}


# -- windows


def _widened(start: datetime, end: datetime) -> Window:
    """A little air on both sides, so that no mark is cut."""
    air = max((end - start) / 40, _LEAST)
    return Window(start - air, end + air)


def _around(points: Sequence[Point], whole: Window) -> Window:
    """From the first alert outward, as long as one event follows the other closely."""
    own = [at for at, point in enumerate(points) if point.is_of_alert]
    if not own:
        return whole
    first = last = own[0]
    begun = points[own[0]].at
    while first and _close(points, first - 1) and begun - points[first - 1].at < BEFORE_ALERT:
        first -= 1
    most = len(points) - 1
    while last < most and _close(points, last) and points[last + 1].at - begun < AFTER_ALERT:
        last += 1
    return _widened(points[first].at, points[last].at)


def _close(points: Sequence[Point], at: int) -> bool:
    return points[at + 1].at - points[at].at < BURST_ENDS


def _share(moment: datetime, window: Window) -> float:
    return (moment - window.start) / max(window.end - window.start, timedelta(microseconds=1))


def _ticks(window: Window) -> Iterable[Tick]:
    """Round moments, at most as many as fit side by side."""
    seconds = (window.end - window.start).total_seconds()
    step = next((step for step in _STEPS if seconds / step <= _TICKS), seconds / _TICKS)
    at = ceil(window.start.timestamp() / step) * step
    while at <= window.end.timestamp():
        moment = datetime.fromtimestamp(at, tz=window.start.tzinfo)
        yield Tick(_share(moment, window), moment)
        at += step


# -- lanes


def _lanes(
    case: Case, runs: Sequence[PivotRun], points: Sequence[Point], visible: Sequence[Point], window: Window
) -> Iterable[Lane]:
    totals = Counter(point.kind for point in points)
    by_kind: dict[str, list[Point]] = {kind: [] for kind in LANES}
    for point in visible:
        if point.kind in by_kind:
            by_kind[point.kind].append(point)
    drawn = {kind: list(marks_of(by_kind[kind], window)) for kind in LANES}
    single = [mark.first for marks in drawn.values() for mark in marks if len(mark.points) == 1]
    told = dict(zip(single, items_of(case, single), strict=True))
    for kind, found in drawn.items():
        marks = tuple(replace(mark, item=told.get(mark.first)) for mark in found)
        silence, is_unknown = ("", False) if marks else _silence(case, runs, kind, totals[kind])
        yield Lane(kind, totals[kind], marks, silence, is_unknown)


def marks_of(points: Iterable[Point], window: Window) -> Iterable[Mark]:
    """Events in order of time, those of one place together."""
    start, span = window.start, max(window.end - window.start, timedelta(microseconds=1))
    held: dict[int, list[tuple[float, Point]]] = {}
    for point in points:
        share = (point.at - start) / span
        held.setdefault(round(share * PLACES), []).append((share, point))
    for together in held.values():
        middle = sum(share for share, _point in together) / len(together)
        yield Mark(middle, tuple(point for _share, point in together))


def _silence(case: Case, runs: Sequence[PivotRun], kind: TelemetryKind, total: int) -> tuple[str, bool]:
    """Why a lane is empty, and whether that is because nothing could be seen."""
    if total:
        return "None in this window", False
    if kind is _K.ALERT:
        return "No other alert was frozen", False
    entry = coverage_of(runs, kind)
    if entry is None:
        return "Not looked for", False
    if entry["present"]:
        return "None frozen; the host reports them", False
    sentence = missing_sentence(entry, case.host_name or case.host_id)
    return sentence[:1].upper() + sentence[1:], True


def row_of(case: Case, number: int, *, actor: Actor) -> Evidence | None:
    """One row of the case with its pivot, for the panel beside the timeline."""
    visible = Case.objects.visible_to(actor).filter(pk=case.pk)
    return Evidence.objects.filter(pk=number, pivot__case__in=visible).select_related("pivot").first()
