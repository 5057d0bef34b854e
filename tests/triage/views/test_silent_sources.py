"""Silent sources on the health page and in the strip of the queue."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from detections import silence
from detections.models import SenderToken
from detections.stores.base import Arrivals, SourceReport
from triage.views.health import spark


@pytest.fixture
def arrived(store, monkeypatch):
    SenderToken.objects.create(name="fleet", key_id="k", token_sha256="s")
    cache.clear()

    def answer(*hosts, ago=timedelta(hours=4)):
        last = timezone.now() - ago
        hours = (*[9] * 20, 0, 0, 0, 0)
        reports = [SourceReport("sysmon", host, last, 9, timedelta(minutes=1), hours) for host in hosts]

        class Store:
            def arrivals(self, *_):
                return Arrivals(reports)

        monkeypatch.setattr(silence, "event_store", Store)

    yield answer
    cache.clear()


def test_a_silent_source_stands_in_the_table_with_its_day(as_analyst, arrived):
    arrived("ws-1")
    page = as_analyst.get("/health/").text
    assert '<span class="val wrap">sysmon, ws-1</span>' in page
    assert "4 h ago" in page
    assert 'd="M1.0 2.0L' in page


def test_a_host_name_is_data(as_analyst, arrived):
    arrived("<script>alert(1)</script>", "ws-2")
    page = as_analyst.get("/health/").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_queue_says_how_many(as_analyst, arrived):
    arrived("ws-1")
    assert "<b>1</b> silent source<" in as_analyst.get("/").text


def test_no_silence_is_said_in_words(as_analyst, arrived):
    arrived("ws-1", "ws-2", ago=timedelta(minutes=2))
    assert "No source has fallen silent. 2 have reported in 24 hours." in " ".join(
        as_analyst.get("/health/").text.split()
    )
    assert "silent source" not in as_analyst.get("/").text


def test_that_nothing_reports_is_another_answer(as_analyst, arrived):
    arrived()
    assert "Nothing has reported in 24 hours, so silence can't be told." in as_analyst.get("/health/").text


@pytest.mark.parametrize(
    ("counts", "path"), [((0, 4, 2), "M1.0 18.0L36.0 2.0L71.0 10.0"), ((0, 0), "M1.0 18.0L71.0 18.0")]
)
def test_the_line_of_a_day(counts, path):
    assert spark(counts) == path
