"""The coverage ledger: searched windows, and gaps with their reasons. All in the caller's transaction."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q, QuerySet

from detections import windows
from detections.enums import GapReason, SegmentState
from detections.models import CoverageGap, CoveredWindow, Rule, RuleRun, Segment
from detections.stores.base import Region


def cover(rule: Rule, window: windows.Covered) -> None:
    """Add a searched window; those that it meets become one with it."""
    if window.start is not None and window.start >= window.end:
        return
    touching = CoveredWindow.objects.filter(Q(start__isnull=True) | Q(start__lte=window.end), rule=rule)
    if window.start is not None:
        touching = touching.filter(end__gte=window.start)
    rows = list(touching)
    merged = windows.merge([window, *(windows.Covered(row.start, row.end) for row in rows)])
    touching.filter(pk__in=[row.pk for row in rows]).delete()
    CoveredWindow.objects.bulk_create(
        [CoveredWindow(rule=rule, start=one.start, end=one.end) for one in merged]
    )


def open_gap(rule: Rule, gap: windows.Unsearched, reason: GapReason, detail: str = "") -> CoverageGap:
    """Write down what the rule's cursors pass unsearched."""
    return CoverageGap.objects.create(
        rule=rule,
        from_time=gap.after,
        to_time=gap.until,
        mark_from=gap.mark_from,
        mark_to=gap.mark_to,
        reason=reason,
        detail=detail,
    )


def fill(gap: CoverageGap, run: RuleRun, *, now: datetime) -> None:
    """A run searched the gap: close it and count its window as covered."""
    CoverageGap.objects.filter(pk=gap.pk, filled_at__isnull=True).update(filled_at=now, filled_by=run)
    if gap.mark_from == 0:
        cover(gap.rule, windows.Covered(gap.from_time, gap.to_time))


def open_gaps(rule: Rule) -> QuerySet[CoverageGap]:
    """Everything of a rule that is known to be unsearched."""
    return CoverageGap.objects.filter(rule=rule, filled_at__isnull=True)


def fillable(rule: Rule) -> list[CoverageGap]:
    """The open gaps that a search can fill now: telemetry that is gone or unreadable can't be searched."""
    gaps = open_gaps(rule).exclude(reason=GapReason.EXPIRED_UNSEARCHED).order_by("-to_time", "pk")
    return [gap for gap in gaps if not _is_unreadable(gap)]


def _is_unreadable(gap: CoverageGap) -> bool:
    if gap.reason != GapReason.STORE_UNAVAILABLE:
        return False
    batches = Segment.objects.filter(ingest__gt=gap.mark_from, ingest__lte=gap.mark_to)
    return batches.filter(state=SegmentState.UNREADABLE).exists()


def are_given_up(paths: Collection[str]) -> bool:
    """Whether the store has tried each of these segments often enough to leave it out for good."""
    given_up = Segment.objects.filter(path__in=paths, state=SegmentState.UNREADABLE)
    return given_up.count() == len(paths)


def pass_unreadable(rule: Rule, region: Region, paths: Collection[str]) -> None:
    """Open a gap for each given-up segment that a search left out, so that the cursors may pass it."""
    for segment in Segment.objects.filter(path__in=paths):
        before = (segment.ingest if segment.first_ingest is None else segment.first_ingest) - 1
        known = open_gaps(rule).filter(
            reason=GapReason.STORE_UNAVAILABLE, mark_from=before, mark_to=segment.ingest
        )
        if known.exists():
            known.filter(to_time__lt=region.until).update(to_time=region.until)
            continue
        gap = windows.Unsearched(None, region.until, before, segment.ingest)
        open_gap(rule, gap, GapReason.STORE_UNAVAILABLE, f"{segment.path}: {segment.last_error}")


def gap_of(row: CoverageGap) -> windows.Unsearched:
    """A gap's row as plain data."""
    return windows.Unsearched(row.from_time, row.to_time, row.mark_from, row.mark_to)
