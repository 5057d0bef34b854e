"""Events are moved as one, exactly."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detections
from detections.errors import RecordError
from detections.ingest import moments, readers
from detections.ingest.retime import Shift, retimed, time_of
from detections.stores.base import MappedEvent

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, UTC)


def event(**document):
    return MappedEvent("id", document, "x:1")


def test_every_time_moves_by_the_same_amount_and_keeps_its_digits():
    old = event(
        **{
            "@timestamp": "2026-03-18T09:41:06.1180009Z",
            "event": {"created": "2026-03-18T09:41:07.5Z", "start": "2026-03-18T09:41:00Z"},
            "file.created": "2026-03-18T10:41:06+01:00",
            "winlog": {"event_data": {"CreationUtcTime": "2026-03-18 09:41:06.118", "UtcTime": "soon"}},
            "process": {"command_line": "2026-03-18T09:41:06Z"},
        }
    )
    (new,) = retimed([old], datetime(2026, 3, 19, 9, 41, 6, 500000, UTC))
    assert new.document == {
        "@timestamp": "2026-03-19T09:41:06.1180009Z",
        "event": {"created": "2026-03-19T09:41:07.5Z", "start": "2026-03-19T09:41:00Z"},
        "file.created": "2026-03-19T09:41:06Z",
        "winlog": {"event_data": {"CreationUtcTime": "2026-03-19 09:41:06.118", "UtcTime": "soon"}},
        "process": {"command_line": "2026-03-18T09:41:06Z"},
    }
    assert old.document["@timestamp"] == "2026-03-18T09:41:06.1180009Z"


@given(st.lists(st.integers(0, 2**60), min_size=1, max_size=8))
def test_intervals_stay_exact_and_the_newest_lands_now(instants):
    events = [event(**{"@timestamp": moments.text_of(instant, 9)}) for instant in instants]
    moved = [time_of(new) for new in retimed(events, NOW)]
    assert [later - moved[0] for later in moved] == [later - instants[0] for later in instants]
    assert 0 <= moments.of_datetime(NOW) - max(moved) < moments.NANOSECONDS


def test_the_same_shift_gives_the_same_identity_and_another_another():
    (one,), (same,) = (retimed([event(**{"@timestamp": "2026-03-18T09:41:06Z"})], NOW) for _ in "ab")
    (other,) = retimed([event(**{"@timestamp": "2026-03-18T09:41:07Z"})], NOW)
    assert one.identity == same.identity
    assert len({"id", one.identity, other.identity}) == 3


def test_a_time_that_would_fall_out_of_the_calendar_is_a_bad_record():
    with pytest.raises(RecordError, match="too far from the newest event"):
        Shift(-(2**63)).applied(event(**{"@timestamp": "1800-03-18T09:41:06Z"}))


def test_the_shipped_scenarios_move_whole():
    events = list(readers.open_capture(Path(detections.__file__).parent / "scenarios" / "malicious.ndjson"))
    moved = retimed(events, NOW)
    assert moments.of_datetime(NOW) - max(time_of(new) for new in moved) < moments.NANOSECONDS
    assert len({new.identity for new in moved} - {old.identity for old in events}) == 32


def test_the_text_of_a_moved_event_is_not_the_old_one():
    document = {"@timestamp": "2026-03-18T09:41:06Z"}
    old = MappedEvent("id", document, text='{"@timestamp":"2026-03-18T09:41:06Z"}')
    (new,) = retimed([old], datetime(2026, 3, 19, 9, 41, 6, tzinfo=UTC))
    assert new.text == ""
