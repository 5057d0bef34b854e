"""Where the reading of Elastic Security's alerts stands, for people. Asks the database alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from detections.models import OutsideSource

PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """source: None before the first poll. writes_back: whether the workflow status goes back to it."""

    pattern: str
    source: OutsideSource | None
    now: datetime
    writes_back: bool

    @property
    def lag(self) -> timedelta | None:
        """How long the newest alert took from being raised to being taken."""
        if self.source is None or self.source.lag_seconds is None:
            return None
        return timedelta(seconds=self.source.lag_seconds)

    @property
    def is_silent(self) -> bool:
        """No poll has ended, well or badly, for longer than five minutes."""
        polled = self.source.polled_at if self.source else None
        return polled is not None and self.now - polled > PATIENCE

    def problems(self) -> Iterator[str]:
        """What needs a person, a sentence each."""
        source = self.source
        if source is None:
            return
        if source.error:
            since = source.failing_since or self.now
            yield f"Alerts of Elastic Security can't be read since {since:%Y-%m-%d %H:%M} UTC. {source.error}"
        elif self.is_silent:
            yield f"Alerts of Elastic Security were last asked for at {source.polled_at:%Y-%m-%d %H:%M} UTC."
        if source.unreadable:
            number, (_uuid, why) = len(source.unreadable), source.unreadable[0]
            noun = "alert" if number == 1 else "alerts"
            yield f"{number} {noun} of Elastic Security could not be taken in. The first: {why}"


def status(*, now: datetime | None = None) -> SourceStatus | None:
    """The source that the settings name; None where they name none."""
    pattern = settings.ELASTICSEARCH_ALERTS_INDEX
    if not pattern:
        return None
    source = OutsideSource.objects.filter(pattern=pattern).first()
    return SourceStatus(pattern, source, now or timezone.now(), settings.ELASTICSEARCH_ALERTS_WRITE_BACK)
