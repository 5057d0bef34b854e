"""Telemetry that open cases may still ask for: retention spares it."""

from collections.abc import Iterator
from datetime import timedelta

from detections import retention
from detections.stores.base import Window
from triage.models import Case

# Pivots reach from some time before the events to an hour after, presence of telemetry a day back.
MARGIN = timedelta(days=1)


@retention.hold
def open_case_windows() -> Iterator[Window]:
    """The time around the events of each case that is not closed."""
    ends = Case.objects.not_closed().values_list("first_event_at", "last_event_at")
    for first, last in ends:
        yield Window(first - MARGIN, last + MARGIN)
