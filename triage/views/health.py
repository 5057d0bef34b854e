"""Detection health: what was searched, up to when, and what was not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, Min, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from detections import canary
from detections import health as detection_health
from detections.enums import GapReason, SegmentState
from detections.health import RuleHealth
from detections.models import Canary, Import, Segment
from detections.silence import Silence, SilentSource
from triage.views.doors import Asked, page

PERIODS = {"6h": timedelta(hours=6), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_FILLS = {
    GapReason.FAILED: "f-red",
    GapReason.STORE_UNAVAILABLE: "f-red",
    GapReason.TRUNCATED: "f-orange",
    GapReason.PARTIAL: "f-amber",
}
IMPORTS_SHOWN = 5
CANARIES_SHOWN = 48


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a time bar, in per cent. fill: a class, or "" for hatching (not searched)."""

    x: str
    width: str
    fill: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One canary in the chart, in units of its picture. found: else it is missing, and the bar is full."""

    canary: Canary
    x: str
    y: str
    height: str
    is_found: bool


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A silent source with the path of its last 24 hours."""

    source: SilentSource
    path: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    health: RuleHealth
    stretches: tuple[Stretch, ...]
    is_tolerance_negative: bool


def bars(canaries: Sequence[Canary]) -> tuple[Bar, ...]:
    """The canaries' latencies, oldest first, on a picture 100 high with the slowest at its top."""
    slowest = max((one.latency_seconds or 0 for one in canaries), default=0) or 1
    return tuple(_bar(number, one, slowest) for number, one in enumerate(reversed(canaries)))


def _bar(number: int, one: Canary, slowest: float) -> Bar:
    latency = one.latency_seconds
    height = 100.0 if latency is None else max(latency / slowest * 100, 2)
    return Bar(one, f"{number * 10}", f"{100 - height:.1f}", f"{height:.1f}", latency is not None)


def spark(counts: Sequence[int]) -> str:
    """The path of a line through the counts, on a picture of 72 by 20; the largest is at its top."""
    most, steps = max(counts, default=0) or 1, max(len(counts) - 1, 1)
    points = (f"{1 + 70 * at / steps:.1f} {18 - 16 * count / most:.1f}" for at, count in enumerate(counts))
    return "M" + "L".join(points)


@page
def health(request: Asked) -> HttpResponse:
    now = timezone.now()
    period = request.GET.get("period", "24h")
    span = PERIODS.get(period, PERIODS["24h"])
    found = detection_health.rule_health(actor=request.actor, now=now, span=span)
    lines = [_line(one, now - span, now) for one in found]
    active = Segment.objects.filter(state=SegmentState.ACTIVE)
    strip = detection_health.strip(actor=request.actor, now=now)
    context = {
        "strip": strip,
        "silent": _silent(strip.silence),
        "lines": lines,
        "troubles": [(one.rule, run) for one in found for run in one.troubles],
        "period": period if period in PERIODS else "24h",
        "periods": list(PERIODS),
        "since": now - span,
        "now": now,
        "marks": [now - span + span * quarter / 4 for quarter in range(4)],
        "store": active.aggregate(
            rows=Sum("rows"), bytes=Sum("bytes"), first=Min("min_timestamp"), last=Max("max_timestamp")
        ),
        "segments": active.count(),
        "imports": Import.objects.visible_to(request.actor).select_related("started_by")[:IMPORTS_SHOWN],
        "canary": _canary(request, now),
        "may_read_quarantine": request.actor.can("detections.view_quarantinedrecord"),
    }
    return render(request, "health/health.html", context)


def _silent(found: Silence) -> list[SourceLine]:
    return [SourceLine(source, spark(source.hours)) for source in found.sources]


def _canary(request: Asked, now: datetime) -> dict[str, object]:
    newest = list(Canary.objects.visible_to(request.actor)[:CANARIES_SHOWN])
    return {
        "is_on": canary.is_on(),
        "every": timedelta(seconds=settings.CANARY_SECONDS),
        "missing": canary.missing(now=now),
        "newest": newest[0] if newest else None,
        "slowest": max((one.latency_seconds or 0 for one in newest), default=0),
        "bars": bars(newest),
    }


def _line(health: RuleHealth, since: datetime, now: datetime) -> RuleLine:
    """The rule's bar: covered stretches, gaps over them, and hatching for what nobody searched."""
    pieces = [_stretch(since, now, window.start, window.end, "f-cover") for window in health.covered]
    pieces += [
        _stretch(since, now, gap.from_time, gap.to_time, _FILLS.get(GapReason(gap.reason), ""))
        for gap in health.gaps
    ]
    tolerance = health.lag_tolerance
    return RuleLine(
        health,
        tuple(piece for piece in pieces if piece is not None),
        tolerance is not None and tolerance < timedelta(),
    )


def _stretch(
    since: datetime, now: datetime, start: datetime | None, end: datetime, fill: str
) -> Stretch | None:
    left, right = max(start or since, since), min(end, now)
    if right <= left:
        return None
    whole = (now - since).total_seconds()
    x = (left - since).total_seconds() / whole * 100
    # A short gap must not vanish from the picture.
    width = max((right - left).total_seconds() / whole * 100, 0.4)
    return Stretch(f"{x:.2f}%", f"{width:.2f}%", fill)
