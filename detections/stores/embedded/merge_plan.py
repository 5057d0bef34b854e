"""Which segments are merged into one: few files keep searches fast, few rewrites keep merging cheap.

Level 0 is a batch as it came. Level 1 holds several batches in the order of time: the newest hours, which the
rules' windows read. Level 2 is sorted by what searches ask for, hours later. Segments of one level are merged
when there are enough of about the same size, so each row is rewritten a few times, however many batches come.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detections.stores.embedded.manifest import Segment

BATCH, IN_TIME, SORTED = 0, 1, 2
# Sorting slows a rule's window, so what is younger stays in the order of time.
RECENT = timedelta(hours=2)
# A merged segment's raw documents have to fit in memory.
MOST_ROWS = 125_000
MOST_SOURCES = 500
MOST_COLUMNS = 4_000
# As many segments of about the same size are merged into one.
FAN = 8


@dataclass(frozen=True, slots=True)
class Merge:
    """Segments that become one of this level."""

    sources: tuple[Segment, ...]
    level: int

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.sources)


def merges(segments: Iterable[Segment], now: datetime) -> Iterator[Merge]:
    """What is worth merging now, oldest first. What can't be read is left alone."""
    readable = [segment for segment in segments if segment.readable]
    closed = [one for one in readable if one.level < SORTED and _hour(one.arrival) + RECENT < _hour(now)]
    for group in _portions(closed, least=1):
        yield Merge(group, SORTED)
    taken = {segment.path for segment in closed}
    grown = [segment for segment in readable if segment.level == SORTED]
    recent = [segment for segment in readable if segment.level < SORTED and segment.path not in taken]
    for level, kept in ((SORTED, grown), (IN_TIME, recent)):
        for tier in _tiers(kept):
            for group in _portions(tier, least=FAN):
                yield Merge(group, level)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _tiers(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """The segments by the magnitude of their rows, without those that are large enough."""
    tiers: dict[int, list[Segment]] = {}
    for segment in segments:
        if segment.rows * 2 <= MOST_ROWS:
            tiers.setdefault(segment.rows.bit_length() // 3, []).append(segment)
    yield from tiers.values()


def _portions(segments: Sequence[Segment], *, least: int) -> Iterator[tuple[Segment, ...]]:
    """Neighbours in time, as many as one segment may hold."""
    portion: list[Segment] = []
    rows, names = 0, set[str]()
    for segment in sorted(segments, key=lambda one: (one.min_timestamp, one.ingest)):
        rows += segment.rows
        names |= segment.columns
        if portion and (rows > MOST_ROWS or len(portion) >= MOST_SOURCES or len(names) > MOST_COLUMNS):
            if len(portion) >= least:
                yield tuple(portion)
            portion, rows, names = [], segment.rows, set(segment.columns)
        portion.append(segment)
    if len(portion) >= max(least, 1):
        yield tuple(portion)
