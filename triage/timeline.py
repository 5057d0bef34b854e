"""The timeline of a case: frozen events in lanes by kind, thinned to what a screen can show.

Reads event summaries, never documents. An event that several pivots froze stands there once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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


class Item(NamedTuple):
    """An event on the timeline. row: the evidence row that it opens. is_elsewhere: of another host.

    A tuple, since a page makes thousands of them.
    """

    row: int
    identity: str
    at: datetime
    kind: str
    action: str
    process: str
    what: str
    is_end: bool
    is_of_alert: bool
    is_fired: bool
    host: str = ""
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn: one event, or several that stand too close. share: its place from 0 to 1."""

    share: float
    items: tuple[Item, ...]

    @property
    def first(self) -> Item:
        return self.items[0]

    @property
    def last(self) -> Item:
        return self.items[-1]

    @property
    def is_fired(self) -> bool:
        return any(item.is_fired for item in self.items)

    @property
    def is_of_alert(self) -> bool:
        return any(item.is_of_alert for item in self.items)


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

    items: tuple[Item, ...]
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

    def within(self, start: datetime | None, end: datetime | None) -> list[Item]:
        """Events of a stretch, both ends in it; without one those of the window."""
        low, high = start or self.window.start, end or self.window.end
        return [item for item in self.items if low <= item.at <= high]


def timeline(case: Case, runs: Sequence[PivotRun], window: Window | None = None) -> Timeline | None:
    """The timeline over the newest runs of a case, or None where nothing is frozen. Two queries."""
    items = tuple(_items(case, runs))
    if not items:
        return None
    whole = _widened(items[0].at, items[-1].at)
    around = _around(items, whole)
    shown = window or (whole if whole.end - whole.start <= ALL_UP_TO else around)
    visible = [item for item in items if shown.start <= item.at <= shown.end]
    return Timeline(
        items=items,
        whole=whole,
        around=around,
        window=shown,
        lanes=tuple(_lanes(case, runs, items, visible, shown)),
        ticks=tuple(_ticks(shown)),
        other=sum(item.kind not in LANES for item in items),
        in_view=len(visible),
    )


def _items(case: Case, runs: Sequence[PivotRun]) -> Iterable[Item]:
    """Each event once; the alert's own row before that of a pivot. In order of time."""
    fired = _fired(case)
    own = {run.pk for run in runs if is_alert(run)}
    held: dict[str, Item] = {}
    last: dict[int, Item] = {}
    for values in _summaries(case, runs):
        row, pivot, identity, at, *rest = values
        rest.insert(0, _moment(at))
        if pivot in own and (pivot not in last or last[pivot].at <= rest[0]):
            last[pivot] = _alert_item(case, row, rest[0])
        earlier = held.get(identity)
        is_own = pivot in own
        if earlier is not None and (earlier.is_of_alert or not is_own):
            if row in fired and not earlier.is_fired:
                held[identity] = earlier._replace(is_fired=True)
            continue
        is_fired = row in fired or (earlier is not None and earlier.is_fired)
        held[identity] = _item(case, row, identity, rest, is_own, is_fired)
    return sorted([*held.values(), *last.values()], key=lambda item: (item.at, item.row, item.identity))


def _moment(text: str) -> datetime:
    """A stored time: SQLite keeps it without a zone, PostgreSQL tells that of the session; both are UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _item(
    case: Case, row: int, identity: str, rest: Sequence[Any], is_of_alert: bool, is_fired: bool
) -> Item:
    at, kind, action, process, what, is_end, host = rest
    is_elsewhere = bool(host and case.host_id) and host not in (case.host_name, case.host_id)
    return Item(
        row, identity, at, kind, action, process, what, is_end, is_of_alert, is_fired, host, is_elsewhere
    )


def _alert_item(case: Case, row: int, at: datetime) -> Item:
    """The alert itself, at its last event."""
    return Item(
        row,
        "",
        at,
        _K.ALERT,
        "alert",
        "",
        case.title,
        False,
        is_of_alert=True,
        is_fired=False,
        host=case.host_name,
    )


def _summaries(case: Case, runs: Sequence[PivotRun]) -> "QuerySet[EventSummary, tuple[Any, ...]]":
    """Times as text: what Django does to make each an aware datetime takes longer than all else here."""
    wanted = EventSummary.objects.filter(case=case, pivot__in=[run.pk for run in runs])
    wanted = wanted.annotate(at=Cast("event_at", CharField()))
    columns = (
        "evidence",
        "pivot",
        "identity",
        "at",
        "kind",
        "action",
        "process_name",
        "what",
    )
    return wanted.order_by().values_list(*columns, "is_end", "host")


def _fired(case: Case) -> set[int]:
    """Evidence rows that a check points to as a reason to escalate."""
    found = CheckResult.objects.filter(case=case, state=CheckState.FIRED, points=Points.ESCALATE)
    return {row for rows in found.values_list("rows", flat=True) for row in rows}


# -- windows


def _widened(start: datetime, end: datetime) -> Window:
    """A little air on both sides, so that no mark is cut."""
    air = max((end - start) / 40, _LEAST)
    return Window(start - air, end + air)


def _around(items: Sequence[Item], whole: Window) -> Window:
    """From the first alert outward, as long as one event follows the other closely."""
    own = [at for at, item in enumerate(items) if item.is_of_alert]
    if not own:
        return whole
    first = last = own[0]
    while first and _close(items, first - 1) and items[own[0]].at - items[first - 1].at < BEFORE_ALERT:
        first -= 1
    while (
        last + 1 < len(items) and _close(items, last) and items[last + 1].at - items[own[0]].at < AFTER_ALERT
    ):
        last += 1
    return _widened(items[first].at, items[last].at)


def _close(items: Sequence[Item], at: int) -> bool:
    return items[at + 1].at - items[at].at < BURST_ENDS


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
    case: Case, runs: Sequence[PivotRun], items: Sequence[Item], visible: Sequence[Item], window: Window
) -> Iterable[Lane]:
    for kind in LANES:
        total = sum(item.kind == kind for item in items)
        marks = tuple(marks_of([item for item in visible if item.kind == kind], window))
        silence, is_unknown = ("", False) if marks else _silence(case, runs, kind, total)
        yield Lane(kind, total, marks, silence, is_unknown)


def marks_of(items: Iterable[Item], window: Window) -> Iterable[Mark]:
    """Events in order of time, those of one place together."""
    held: dict[int, list[Item]] = {}
    for item in items:
        held.setdefault(round(_share(item.at, window) * PLACES), []).append(item)
    for together in held.values():
        shares = [_share(item.at, window) for item in together]
        yield Mark(sum(shares) / len(shares), tuple(together))


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
