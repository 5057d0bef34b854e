"""Windows: no row is lost, whatever order time, late rows, cuts and restarts come in."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detections import windows
from detections.stores.base import Region
from detections.windows import Covered

ZERO = datetime(2026, 3, 1, tzinfo=UTC)
SETTLE = timedelta(seconds=15)


def at(seconds):
    return ZERO + timedelta(seconds=seconds)


def holds(region, position, ingest):
    """What a store searches for a region, as its interface says."""
    if ingest > region.head:
        return False
    in_window = (region.after is None or position > region.after) and position <= region.until
    late = region.after is not None and ingest > region.mark and position <= region.after
    return in_window or late


def test_the_next_region_ends_before_what_is_still_settling():
    region = windows.next_region(at(0), 3, now=at(300), settle=SETTLE, head=5)
    assert region == Region(after=at(0), until=at(285), mark=3, head=5)


def test_a_clock_that_went_back_leaves_the_window_empty():
    region = windows.next_region(at(600), 3, now=at(0), settle=SETTLE, head=5)
    assert (region.after, region.until) == (at(600), at(600))


def test_a_new_rule_on_an_empty_store_has_no_gap():
    start = windows.on_enabling(None, 0, now=at(600), lookback=timedelta(seconds=540), head=0)
    assert start == windows.Start(at(60), ())


def test_a_new_rule_has_the_past_as_a_gap():
    start = windows.on_enabling(None, 0, now=at(600), lookback=timedelta(seconds=540), head=9)
    assert start.gaps == (windows.Unsearched(None, at(60), 0, 9),)


def test_a_rule_enabled_again_has_the_time_and_the_late_rows_between_as_gaps():
    start = windows.on_enabling(at(10), 4, now=at(600), lookback=timedelta(seconds=540), head=9)
    assert start.gaps == (
        windows.Unsearched(at(10), at(60), 0, 9),
        windows.Unsearched(None, at(10), 4, 9),
    )


@pytest.mark.parametrize(
    ("interval", "lookback", "maxspan", "minutes"), [(5, 9, 1, 3), (5, 5, None, 0), (5, 9, 10, -6)]
)
def test_lag_tolerance(interval, lookback, maxspan, minutes):
    spans = [None if m is None else timedelta(minutes=m) for m in (interval, lookback, maxspan)]
    assert windows.lag_tolerance(*spans) == timedelta(minutes=minutes)


def test_adjacent_windows_merge():
    found = windows.merge([Covered(at(5), at(9)), Covered(None, at(5)), Covered(at(20), at(30))])
    assert found == [Covered(None, at(9)), Covered(at(20), at(30))]


def test_holes_are_what_no_window_covers():
    found = windows.holes([Covered(at(0), at(5)), Covered(at(8), at(9))], at(12))
    assert found == [Covered(None, at(0)), Covered(at(5), at(8)), Covered(at(9), at(12))]


seconds = st.integers(0, 60)
covered = st.builds(
    lambda start, length: Covered(None if start is None else at(start), at((start or 0) + length)),
    st.none() | seconds,
    st.integers(1, 20),
)


@given(st.lists(covered, max_size=8))
def test_merging_covers_the_same_moments_and_leaves_no_seam(some):
    def covers(windows_, moment):
        return any((w.start is None or moment > w.start) and moment <= w.end for w in windows_)

    merged = windows.merge(some)
    moments = [at(second) for second in range(-5, 90)]
    assert [covers(merged, m) for m in moments] == [covers(some, m) for m in moments]
    assert all(b.start is not None and a.end < b.start for a, b in pairwise(merged))
    open_moments = [m for m in moments if m <= at(80) and not covers(some, m)]
    assert [m for m in moments if covers(windows.holes(some, at(80)), m)] == open_moments


regions = st.builds(
    lambda after, length, mark, more: Region(
        None if after is None else at(after), at((after or 0) + length), mark, mark + more
    ),
    st.none() | seconds,
    st.integers(0, 30),
    st.integers(0, 5),
    st.integers(0, 5),
)
rows = st.lists(st.tuples(st.integers(-20, 90), st.integers(1, 10)), max_size=20)


@given(regions, st.integers(-10, 100), rows)
def test_halves_hold_every_row_of_the_whole(region, cut, some):
    parts = windows.halves(region, at(cut))
    if parts is None:
        return
    for second, ingest in some:
        if holds(region, at(second), ingest):
            assert any(holds(part, at(second), ingest) for part in parts)


@settings(max_examples=300)
@given(st.data())
def test_every_row_is_searched_or_in_a_gap(data):
    """A random history of arrivals, runs, failures, pauses and restarts of a rule."""
    covered_until, mark, head, now, enabled = None, 0, 0, 0, False
    arrived: list[tuple[int, int]] = []
    searched: set[int] = set()
    gaps: list[windows.Unsearched] = []
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.integers(0, 200))
        step = data.draw(st.sampled_from(["arrive", "run", "fail", "switch", "fill"]))
        if step == "arrive":
            head += 1
            position = min(now, data.draw(st.integers(-1000, now + 50)))
            arrived.append((position, head))
        elif step == "switch":
            enabled = not enabled
            if enabled:
                start = windows.on_enabling(
                    covered_until, mark, now=at(now), lookback=timedelta(seconds=540), head=head
                )
                gaps += start.gaps
                covered_until, mark = start.covered_until, head
        elif step == "run" and enabled:
            region = windows.next_region(covered_until, mark, now=at(now), settle=SETTLE, head=head)
            searched |= {n for n, (p, i) in enumerate(arrived) if holds(region, at(p), i)}
            covered_until, mark = region.until, region.head
        elif step == "fill" and gaps:
            region = windows.gap_region(gaps.pop(0), head=head)
            searched |= {n for n, (p, i) in enumerate(arrived) if holds(region, at(p), i)}
        if covered_until is None:
            continue
        for number, (position, ingest) in enumerate(arrived):
            behind = ingest <= mark and at(position) <= covered_until
            in_gap = any(
                gap.mark_from < ingest <= gap.mark_to
                and (gap.after is None or at(position) > gap.after)
                and at(position) <= gap.until
                for gap in gaps
            )
            assert not behind or number in searched or in_gap
