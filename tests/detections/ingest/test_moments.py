"""Times are exact, and never guessed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detections.ingest import moments


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2019-05-14T01:29:04.293Z", datetime(2019, 5, 14, 1, 29, 4, 293000, UTC)),
        ("2019-05-14T01:29:04.293+02:00", datetime(2019, 5, 13, 23, 29, 4, 293000, UTC)),
        ("2019-05-14T01:29:04-0530", datetime(2019, 5, 14, 6, 59, 4, 0, UTC)),
        ("2019-05-14T01:29Z", datetime(2019, 5, 14, 1, 29, 0, 0, UTC)),
    ],
)
def test_zones_are_honoured(text, utc):
    assert moments.moment(text) == utc


def test_nine_digits_are_kept():
    assert moments.nanoseconds("1970-01-01T00:00:01.123456789Z") == 1_123_456_789


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2019-05-14T01:29:04.293", "no time zone"),
        ("2019-05-14", "is not an ISO 8601"),
        ("2019-02-30T00:00:00Z", "is no valid time"),
        ("2019-05-14T25:00:00Z", "is no valid time"),
        ("2019-05-14T01:29:04+25:00", "is no valid time"),
        ("0001-01-01T00:00:00Z", "outside of the years"),
        ("٢٠١٩-05-14T01:29:04Z", "is not an ISO 8601"),
        ("2019-05-14T01:29:04.1234567890Z", "is not an ISO 8601"),
    ],
)
def test_everything_else_is_refused_with_the_reason(text, reason):
    with pytest.raises(moments.TimeError, match=reason):
        moments.nanoseconds(text)


@given(st.integers(-(10**19), 10**20))
def test_writing_and_reading_are_inverse(instant):
    assert moments.nanoseconds(moments.text_of(instant, 9)) == instant
