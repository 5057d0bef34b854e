"""Which region a rule searches next, and what it has covered. Pure: no database, no clock, no store.

A row's position is the earlier of its event time and its arrival. A rule's state is (mark, covered_until):
every row with ingest number <= mark and position <= covered_until has been searched, except its gaps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from detections.stores.base import Region


@dataclass(frozen=True, slots=True)
class Covered:
    """A searched stretch of positions, `start` excluded and `end` included. `start` None: all the past."""

    start: datetime | None
    end: datetime


@dataclass(frozen=True, slots=True)
class Unsearched:
    """Rows that the cursors pass unsearched: mark_from < ingest <= mark_to, after < position <= until."""

    after: datetime | None
    until: datetime
    mark_from: int
    mark_to: int


@dataclass(frozen=True, slots=True)
class Start:
    """The state that a rule gets when it is enabled, and what that leaves unsearched."""

    covered_until: datetime
    gaps: tuple[Unsearched, ...]


def next_region(covered_until: datetime, mark: int, *, now: datetime, settle: timedelta, head: int) -> Region:
    """The window rows since `covered_until` up to now - settle, and the late rows since `mark`.

    A clock that went back leaves the window empty; late rows are searched all the same.
    """
    return Region(after=covered_until, until=max(covered_until, now - settle), mark=mark, head=head)


def on_enabling(
    covered_until: datetime | None, mark: int, *, now: datetime, lookback: timedelta, head: int
) -> Start:
    """Begin a look-back before now, or where the rule stopped if that is later; the rest is a gap.

    A store that is empty so far leaves none.
    """
    start = max(covered_until, now - lookback) if covered_until else now - lookback
    gaps = []
    if head > 0 and covered_until != start:
        gaps.append(Unsearched(covered_until, start, 0, head))
    if covered_until is not None and head > mark:
        gaps.append(Unsearched(None, covered_until, mark, head))
    return Start(start, tuple(gaps))


def gap_region(gap: Unsearched, *, head: int) -> Region:
    """The region that fills a gap. It may hold more than the gap: a search again is harmless."""
    if gap.mark_from and gap.after is None:
        return Region(after=gap.until, until=gap.until, mark=gap.mark_from, head=head)
    return Region(after=gap.after, until=gap.until, mark=head, head=head)


def halves(region: Region, at: datetime) -> tuple[Region, Region] | None:
    """Two regions that hold together all rows of this one, cut at a position; None if that is no cut.

    Late rows have no lower end. Those above the cut are searched as window rows, all numbers included:
    more than asked, never less.
    """
    if _has_late_rows(region):
        late_end = region.after if region.after is not None else region.until
        if region.until > late_end:
            return (
                Region(after=late_end, until=late_end, mark=region.mark, head=region.head),
                Region(after=late_end, until=region.until, mark=region.head, head=region.head),
            )
        if at >= late_end:
            return None
        return (
            Region(after=at, until=at, mark=region.mark, head=region.head),
            Region(after=at, until=late_end, mark=region.head, head=region.head),
        )
    if at >= region.until or (region.after is not None and at <= region.after):
        return None
    return (
        Region(after=region.after, until=at, mark=region.head, head=region.head),
        Region(after=at, until=region.until, mark=region.head, head=region.head),
    )


def _has_late_rows(region: Region) -> bool:
    return region.after is not None and region.mark < region.head


def merge(windows: Iterable[Covered]) -> list[Covered]:
    """The same coverage in as few windows as possible, oldest first. Adjacent ones become one."""
    merged: list[Covered] = []
    for window in sorted(windows, key=lambda one: (one.start is not None, one.start or one.end, one.end)):
        last = merged[-1] if merged else None
        if last and (window.start is None or window.start <= last.end):
            merged[-1] = Covered(last.start, max(last.end, window.end))
        else:
            merged.append(window)
    return merged


def holes(windows: Iterable[Covered], until: datetime) -> list[Covered]:
    """What is not covered from the beginning of time up to `until`, oldest first."""
    found: list[Covered] = []
    reached: datetime | None = None
    is_first = True
    for window in merge(windows):
        if window.start is not None and (is_first or reached != window.start):
            found.append(Covered(reached, min(window.start, until)))
        reached, is_first = window.end, False
        if window.end >= until:
            return [hole for hole in found if hole.start is None or hole.start < hole.end]
    return [*found, Covered(reached, until)]


def lag_tolerance(interval: timedelta, lookback: timedelta, maxspan: timedelta | None) -> timedelta:
    """How late an event may arrive and still surely meet its partners in a scheduled look-back.

    Source: look-back - interval - maxspan; 3 minutes for 9 m, 5 m and 1 m. Negative for some public rules.
    """
    return lookback - interval - (maxspan or timedelta())
