"""Which covered time a true-up pass searches again. Pure: no database, no clock, no store.

A pass stays `delay` behind now. What it has searched, it has searched at least `delay` after its event time;
so the next longer pass need only look for what came later than that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from detections.stores.base import Searched
from detections.windows import Covered, merge

DELAYS = (timedelta(hours=1), timedelta(hours=8), timedelta(hours=48))
# A pass goes on when this share of its delay has come together, so that it asks seldom.
SHARE = 12
# What is owed after a pause is searched in pieces.
LONGEST = timedelta(days=1)
MOST_PIECES = 500


def next_stretch(
    searched_until: datetime, covered_until: datetime, *, now: datetime, delay: timedelta
) -> Covered | None:
    """What a pass has to search next, None while too little has come together.

    Never past what the rule has covered: what it has not searched once is not searched again.
    """
    end = min(covered_until, now - delay)
    if end - searched_until < delay / SHARE:
        return None
    return Covered(searched_until, min(end, searched_until + LONGEST))


def since_runs(stretch: Covered, runs: Iterable[Searched]) -> list[Searched]:
    """The stretch in pieces, each with the time of the newest run over it; None where none is known."""
    assert stretch.start is not None
    found = [one for one in runs if one.until > stretch.start and one.after < stretch.end]
    edges = {stretch.start, stretch.end}
    edges |= {at for one in found for at in (one.after, one.until) if stretch.start < at < stretch.end}
    ordered = sorted(edges)
    return [Searched(after, until, _newest(found, after, until)) for after, until in pairwise(ordered)][
        :MOST_PIECES
    ]


def _newest(runs: Sequence[Searched], after: datetime, until: datetime) -> datetime | None:
    times = [one.at for one in runs if one.at and one.after <= after and one.until >= until]
    return max(times, default=None)


def since_pass(stretch: Covered, earlier: timedelta) -> list[Searched]:
    """The stretch in pieces, each with the time after which the shorter pass has surely searched it."""
    assert stretch.start is not None
    found: list[Searched] = []
    at = stretch.start
    while at < stretch.end and len(found) < MOST_PIECES:
        until = min(at + earlier / SHARE, stretch.end)
        found.append(Searched(at, until, at + earlier))
        at = until
    return found


def to_search(pieces: Sequence[Searched], late: Sequence[bool]) -> list[Covered]:
    """The pieces that may hold late events, neighbours as one."""
    return merge(
        Covered(piece.after, piece.until) for piece, is_late in zip(pieces, late, strict=True) if is_late
    )
