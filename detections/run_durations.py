"""How long the runs of rules took: quantiles that the database counts off, for all rules at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber

from detections.enums import RunTrigger
from detections.models import Rule
from detections.models.run import RuleRunQuerySet


@dataclass(frozen=True, slots=True)
class Durations:
    """Half of `runs` took no longer than p50, 19 of 20 no longer than p95 (nearest rank)."""

    p50: timedelta
    p95: timedelta
    runs: int


def of_runs(runs: RuleRunQuerySet, rules: Iterable[Rule]) -> dict[int, Durations]:
    """By rule id, in one query. Back-searches and true-ups don't count: they say nothing of the schedule."""
    timed = runs.filter(rule__in=rules, duration_ms__isnull=False)
    timed = timed.exclude(trigger__in=[RunTrigger.BACK, RunTrigger.TRUE_UP])
    ranked = timed.order_by().annotate(
        number=Window(Count("pk"), partition_by=F("rule")),
        place=Window(RowNumber(), partition_by=F("rule"), order_by=[F("duration_ms"), F("pk")]),
    )
    at_half, at_most = (F("number") + 1) / 2, (F("number") * 95 + 99) / 100
    rows = ranked.filter(Q(place=at_half) | Q(place=at_most))
    found: dict[int, list[tuple[int, int]]] = {}
    for row in rows.values("rule_id", "duration_ms", "number"):
        found.setdefault(row["rule_id"], []).append((row["duration_ms"] or 0, row["number"]))
    return {rule_id: _durations(ends) for rule_id, ends in found.items()}


def _durations(ends: list[tuple[int, int]]) -> Durations:
    """Of one rule's median and 95th percentile, which are one row where there are few runs."""
    low, high = min(ends), max(ends)
    return Durations(timedelta(milliseconds=low[0]), timedelta(milliseconds=high[0]), low[1])
