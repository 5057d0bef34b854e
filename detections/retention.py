"""How long telemetry is kept: by age and by size, off unless the settings say so.

Whole segments expire. Time counts from arrival, so an old capture that was imported today stays. Two things
are spared: what an enabled rule has not searched yet, and what open cases may still ask for (their evidence
is copied when it is found; the hold is for what they have yet to look at). Only where the store is larger
than it may be, although nothing else is left to delete, are these given up too, oldest first; each rule
that had not searched them gets a gap that says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from detections import coverage, journal, manifest, windows
from detections.actors import Actor
from detections.enums import GapReason, SegmentState
from detections.models import CoverageGap, Rule, Segment
from detections.stores.base import Window

STREAM = manifest.STREAM
Hold = Callable[[], Iterable[Window]]
_holds: list[Hold] = []


@dataclass(frozen=True, slots=True)
class Limits:
    """age: how long telemetry is kept. size: how many bytes of it. None: no limit."""

    age: timedelta | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """What a round of retention did. unsearched: how many of the segments some rule had not searched."""

    segments: int = 0
    rows: int = 0
    bytes: int = 0
    unsearched: int = 0


def hold(provider: Hold) -> Hold:
    """Register who names windows whose telemetry is still wanted."""
    _holds.append(provider)
    return provider


def limits() -> Limits:
    """The limits of this deployment, from its settings."""
    days, size = settings.RETENTION_DAYS, settings.RETENTION_BYTES
    return Limits(timedelta(days=days) if days else None, size or None)


def expire(
    *,
    actor: Actor,
    now: datetime | None = None,
    limit: Limits | None = None,
    held: Iterable[Window] | None = None,
) -> Expired:
    """Take out of sight what is older or more than allowed. `sweep` deletes the files after a grace.

    Raises NotPermittedError.
    """
    actor.require("detections.delete_segment", "delete telemetry")
    now, limit = now or timezone.now(), limit or limits()
    if limit.age is None and limit.size is None:
        return Expired()
    spared = windows_of_holds() if held is None else list(held)
    found = [
        *_aged(limit, now, spared),
        *_oversized(limit, now, spared),
    ]
    chosen = list({row.pk: row for row in found}.values())
    return _expire(chosen, limit, actor=actor) if chosen else Expired()


def windows_of_holds() -> list[Window]:
    """What is wanted by whoever holds telemetry."""
    return [window for provider in _holds for window in provider()]


def _visible() -> list[Segment]:
    rows = Segment.objects.filter(state__in=manifest.VISIBLE).defer("columns")
    return list(rows.order_by("arrived_at", "ingest"))


def _lowest_mark() -> int | None:
    """Up to which number every enabled rule has searched; None where none is enabled."""
    return Rule.objects.runnable().order_by("mark").values_list("mark", flat=True).first()


def _is_spared(row: Segment, mark: int | None, held: Sequence[Window]) -> bool:
    is_ahead = mark is not None and row.ingest > mark
    return is_ahead or any(
        row.min_timestamp <= window.end and row.max_timestamp >= window.start for window in held
    )


def _aged(limit: Limits, now: datetime, held: Sequence[Window]) -> list[Segment]:
    if limit.age is None:
        return []
    mark, oldest = _lowest_mark(), now - limit.age
    return [row for row in _visible() if row.arrived_at < oldest and not _is_spared(row, mark, held)]


def _oversized(limit: Limits, now: datetime, held: Sequence[Window]) -> list[Segment]:
    """The oldest that have to go for the size to fit: the spared ones only after all others."""
    if limit.size is None:
        return []
    aged = {row.pk for row in _aged(limit, now, held)}
    rows = [row for row in _visible() if row.pk not in aged]
    excess, mark = sum(row.bytes for row in rows) - limit.size, _lowest_mark()
    chosen = []
    for row in sorted(rows, key=lambda row: _is_spared(row, mark, held)):
        if excess <= 0:
            break
        chosen.append(row)
        excess -= row.bytes
    return chosen


@transaction.atomic
def _expire(rows: Sequence[Segment], limit: Limits, *, actor: Actor) -> Expired:
    """One transaction: what a concurrent merge took meanwhile is left for the next round."""
    still = Segment.objects.select_for_update().filter(
        pk__in=[row.pk for row in rows], state__in=manifest.VISIBLE
    )
    current = list(still.defer("columns"))
    unsearched = sum(_open_gaps(row) for row in current)
    manifest.retire(current)
    done = Expired(
        len(current), sum(row.rows for row in current), sum(row.bytes for row in current), unsearched
    )
    if current:
        journal.record(
            STREAM,
            "telemetry expired",
            actor=actor,
            before=SegmentState.ACTIVE,
            after=SegmentState.RETIRED,
            reason=_reason(limit),
            data={
                "segments": done.segments,
                "rows": done.rows,
                "bytes": done.bytes,
                "unsearched": done.unsearched,
                "oldest": min(row.min_timestamp for row in current),
                "newest": max(row.max_timestamp for row in current),
            },
        )
    return done


def _open_gaps(row: Segment) -> bool:
    """Write down for each enabled rule that it never searched the segment. Whether there was one."""
    first = row.ingest if row.first_ingest is None else row.first_ingest
    behind = Rule.objects.runnable().filter(Q(mark__lt=row.ingest) | Q(pk__in=_with_gap(row, first)))
    for rule in behind:
        gap = windows.Unsearched(
            row.min_timestamp - timedelta(microseconds=1), row.max_timestamp, first - 1, row.ingest
        )
        detail = f"{row.rows} events of {row.path} were deleted before this rule had searched them."
        coverage.open_gap(rule, gap, GapReason.EXPIRED_UNSEARCHED, detail)
    return behind.exists()


def _with_gap(row: Segment, first: int) -> list[int]:
    """The rules with an open gap that the segment lies in."""
    gaps = CoverageGap.objects.filter(
        Q(from_time__isnull=True) | Q(from_time__lt=row.max_timestamp),
        filled_at__isnull=True,
        to_time__gte=row.min_timestamp,
        mark_from__lt=row.ingest,
        mark_to__gte=first,
    ).exclude(reason=GapReason.EXPIRED_UNSEARCHED)
    return list(gaps.values_list("rule_id", flat=True).distinct())


def _reason(limit: Limits) -> str:
    parts = []
    if limit.age is not None:
        parts.append(f"older than {limit.age.days} days")
    if limit.size is not None:
        parts.append(f"the store may have {limit.size:,} bytes")
    return "; ".join(parts)


def used_bytes() -> int:
    """What the visible segments take."""
    return Segment.objects.filter(state__in=manifest.VISIBLE).aggregate(total=Sum("bytes"))["total"] or 0
