"""How much work each rule makes, and how much of it came to nothing, over the last 30 days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from detections.actors import Actor
from detections.models import Alert
from triage.enums import CaseStatus, Disposition
from triage.models import Case

DAYS = 30
# A rule is noisy from one alert a day on, or where most of several closed cases were harmless.
LEAST_A_DAY = 1.0
LEAST_CLOSED = 5
HARMLESS_SHARE = 0.8
_HARMLESS = (Disposition.BENIGN, Disposition.FALSE_POSITIVE)


@dataclass(frozen=True, slots=True)
class Noise:
    """What a rule did. closed: its cases that were closed; harmless: those benign or false positive."""

    alerts: int = 0
    cases: int = 0
    closed: int = 0
    harmless: int = 0

    @property
    def a_day(self) -> float:
        return self.alerts / DAYS

    @property
    def harmless_percent(self) -> int | None:
        """None where nothing was closed: no share can be told."""
        return round(100 * self.harmless / self.closed) if self.closed else None

    @property
    def is_noisy(self) -> bool:
        mostly_harmless = self.closed >= LEAST_CLOSED and self.harmless >= HARMLESS_SHARE * self.closed
        return self.a_day >= LEAST_A_DAY or mostly_harmless

    @property
    def order(self) -> tuple[int, int]:
        """The noisiest first."""
        return -self.alerts, -self.harmless


def noise(*, actor: Actor, now: datetime | None = None) -> Mapping[int, Noise]:
    """The noise of each rule that made some, as far as the actor may see it. Two queries."""
    since = (now or timezone.now()) - timedelta(days=DAYS)
    alerts = dict(
        Alert.objects.visible_to(actor)
        .filter(detected_at__gte=since, rule__isnull=False)
        .order_by()
        .values_list("rule")
        .annotate(how_many=Count("pk"))
    )
    is_closed = Q(status=CaseStatus.CLOSED)
    cases = (
        Case.objects.visible_to(actor)
        .filter(opened_at__gte=since, rule__isnull=False)
        .order_by()
        .values_list("rule")
        .annotate(
            how_many=Count("pk"),
            closed=Count("pk", filter=is_closed),
            harmless=Count("pk", filter=is_closed & Q(disposition__in=_HARMLESS)),
        )
    )
    of_cases = {rule: counts for rule, *counts in cases}
    return {rule: Noise(alerts.get(rule, 0), *of_cases.get(rule, (0, 0, 0))) for rule in {*alerts, *of_cases}}
