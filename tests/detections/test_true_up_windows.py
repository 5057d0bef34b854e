"""True-up passes: nothing is searched twice by a pass, nothing is left out, and nothing too early."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detections.stores.base import Searched
from detections.true_up_windows import (
    DELAYS,
    LONGEST,
    MOST_PIECES,
    next_stretch,
    since_pass,
    since_runs,
    to_search,
)
from detections.windows import Covered

NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(minutes):
    return NOW + timedelta(minutes=minutes)


def test_a_pass_waits_for_its_share_and_never_passes_what_is_covered():
    assert next_stretch(at(-64), NOW, now=NOW, delay=HOUR) is None
    assert next_stretch(at(-65), NOW, now=NOW, delay=HOUR) == Covered(at(-65), at(-60))
    assert next_stretch(at(-300), at(-200), now=NOW, delay=HOUR) == Covered(at(-300), at(-200))
    assert next_stretch(at(-200), at(-200), now=NOW, delay=HOUR) is None


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.sampled_from(DELAYS), st.integers(0, 6000))
def test_passes_follow_without_a_hole_and_never_ahead(steps, delay, behind):
    now, cursor = NOW, NOW - delay - timedelta(minutes=behind)
    for step in steps:
        now += timedelta(minutes=step)
        covered_until = now - timedelta(minutes=1)
        stretch = next_stretch(cursor, covered_until, now=now, delay=delay)
        if stretch is None:
            continue
        assert stretch.start == cursor
        assert cursor < stretch.end <= min(covered_until, now - delay)
        assert stretch.end - stretch.start <= LONGEST
        cursor = stretch.end
    assert next_stretch(cursor, now, now=now + delay, delay=delay) is not None or now - cursor < delay / 12


windows = st.lists(
    st.tuples(st.integers(-50, 150), st.integers(1, 60), st.integers(0, 30)).map(
        lambda one: Searched(at(one[0]), at(one[0] + one[1]), at(one[0] + one[1] + one[2]))
    ),
    max_size=12,
)


@given(windows)
def test_pieces_make_up_the_stretch_and_know_the_newest_run_over_them(runs):
    stretch = Covered(at(0), at(100))
    pieces = since_runs(stretch, runs)
    assert (pieces[0].after, pieces[-1].until) == (stretch.start, stretch.end)
    assert all(one.until == other.after for one, other in pairwise(pieces))
    for piece in pieces:
        middle = piece.after + (piece.until - piece.after) / 2
        over = [run.at for run in runs if run.after < middle < run.until]
        assert piece.at == max(over, default=None)


def test_the_longer_pass_looks_for_what_the_shorter_one_could_not_have_seen():
    pieces = since_pass(Covered(at(0), at(12)), HOUR)
    assert [(one.after, one.until, one.at) for one in pieces] == [
        (at(0), at(5), at(60)),
        (at(5), at(10), at(65)),
        (at(10), at(12), at(70)),
    ]
    assert len(since_pass(Covered(at(0), at(60 * 24 * 30)), HOUR)) == MOST_PIECES


def test_neighbours_with_late_events_are_searched_as_one():
    pieces = since_pass(Covered(at(0), at(25)), HOUR)
    found = to_search(pieces, [True, True, False, True, False])
    assert found == [Covered(at(0), at(10)), Covered(at(15), at(20))]
