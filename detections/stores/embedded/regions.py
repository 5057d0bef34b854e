"""Which rows of which segments a run has to search, in whole segments and ranges of time.

Number and arrival belong to a batch, so whether a row of its segment lies in a `Region` comes down to a range
of its event time. The rows of a merged segment have numbers and arrivals of their own: where a corner of the
region runs through them, each row is asked. Times are microseconds since 1970; None is an open end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detections.stores.base import Region
from detections.stores.embedded.columns import MICROSECOND, micros
from detections.stores.embedded.manifest import Segment

# More ranges than this make a condition slow; the closest ones are joined, which only reads more.
MAX_RANGES = 32
MILLISECOND = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """A range of time, both ends included. by_row: not all rows in it count, each has to be asked."""

    low: int | None = None
    high: int | None = None
    by_row: bool = False

    def __contains__(self, time: int) -> bool:
        return (self.low is None or time >= self.low) and (self.high is None or time <= self.high)

    def meets(self, low: int, high: int) -> bool:
        return (self.low is None or high >= self.low) and (self.high is None or low <= self.high)


@dataclass(frozen=True, slots=True)
class Extent:
    """A `Region` over one clock of the events."""

    after: int | None
    until: int
    mark: int
    head: int

    @classmethod
    def of(cls, region: Region) -> "Extent":
        # Late rows count up to `after`, also for a run whose clock is behind the one before.
        until = region.until if region.after is None else max(region.until, region.after)
        after = None if region.after is None else micros(region.after)
        return cls(after, micros(until), region.mark, region.head)

    @property
    def is_everything(self) -> bool:
        """Nothing was searched before: there is no row beside the region that could be read."""
        return self.after is None and self.mark == 0

    def allowed(self, segment: Segment) -> Span | None:
        """The rows that may be read at all: number <= head and position <= until."""
        if segment.lowest_ingest > self.head:
            return None
        in_time = micros(segment.arrival) <= self.until
        if segment.is_merged and (
            segment.ingest > self.head or in_time != (micros(segment.first_arrival) <= self.until)
        ):
            return Span(by_row=True)
        return Span() if in_time else Span(high=self.until)

    def searched(self, segment: Segment) -> Span | None:
        """The rows of the region: late rows of a segment past the mark, window rows of the others."""
        allowed = self.allowed(segment)
        if allowed is None or segment.lowest_ingest > self.mark or self.after is None:
            return allowed
        if segment.ingest > self.mark:
            return Span(by_row=True)
        if micros(segment.arrival) <= self.after:
            return None
        by_row = allowed.by_row or micros(segment.first_arrival) <= self.after
        return Span(self.after + 1, allowed.high, by_row)

    def holds(self, time: int, arrival: int, ingest: int) -> bool:
        """Whether a row belongs to the region."""
        position = min(time, arrival)
        is_new = ingest > self.mark or self.after is None or position > self.after
        return ingest <= self.head and position <= self.until and is_new

    def condition(self, clock: str, *, searched: bool) -> str:
        """`holds` in SQL over the rows of merged segments; without `searched`, all that may be read."""
        until, parts = _moment(self.until), [f"p._ingest <= {self.head:d}"]
        parts.append(f"(p._arrived <= {until} OR {clock} <= {until})")
        if searched and self.after is not None:
            after = _moment(self.after)
            parts.append(f"(p._ingest > {self.mark:d} OR (p._arrived > {after} AND {clock} > {after}))")
        return " AND ".join(parts)


def _moment(time: int) -> str:
    return f"make_timestamp({time:d}::BIGINT)"


def neighbourhood(times: Iterable[int], reach: timedelta) -> list[Span]:
    """The ranges within reach of some times, merged where they touch."""
    # Events are compared by whole milliseconds, so an edge may lie one further out.
    margin = reach // MICROSECOND + MILLISECOND
    merged: list[tuple[int, int]] = []
    for time in sorted(times):
        if merged and time - margin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], time + margin)
        else:
            merged.append((time - margin, time + margin))
    return [Span(low, high) for low, high in _coalesced(merged)]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Few ranges that hold all of these, which are closed on both sides."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted((span.low or 0, span.high or 0) for span in spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return [Span(low, high) for low, high in _coalesced(merged)]


def _coalesced(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges over their smallest gaps until few are left."""
    gaps = sorted(range(1, len(ranges)), key=lambda i: ranges[i][0] - ranges[i - 1][1])
    closed = set(gaps[: max(0, len(ranges) - MAX_RANGES)])
    joined: list[tuple[int, int]] = []
    for number, (low, high) in enumerate(ranges):
        if number in closed:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined


def time_range(segment: Segment, clock: str) -> tuple[int, int] | None:
    """A segment's range on `_timestamp` or `_created`; None where it has no such time at all."""
    first, last = _ends(segment, clock)
    return None if first is None or last is None else (micros(first), micros(last))


def _ends(segment: Segment, clock: str) -> tuple[datetime | None, datetime | None]:
    if clock == "_created":
        return segment.min_created, segment.max_created
    return segment.min_timestamp, segment.max_timestamp


def meeting(segment: Segment, clock: str, spans: Sequence[Span]) -> bool:
    """Whether a segment may hold rows in one of the ranges. A clock that isn't recorded never excludes."""
    if clock not in {"_timestamp", "_created"}:
        return True
    found = time_range(segment, clock)
    return found is not None and any(span.meets(*found) for span in spans)
