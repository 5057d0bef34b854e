"""Figures of detection for Prometheus, read from the database when somebody asks."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from detections import health, memory
from detections.enums import OutboxState, RunStatus
from detections.models import (
    Alert,
    CoverageGap,
    Heartbeat,
    IngestCounter,
    OutboxRow,
    QuarantinedRecord,
    Rule,
    RuleRun,
    Segment,
)
from detections.models.canary import Canary


def families(*, now: datetime | None = None) -> Iterator[Metric]:
    """Every figure, as the library's families. Reads the database alone, with a fixed number of queries."""
    now = now or timezone.now()
    yield from _work()
    yield from _coverage(now)
    yield from _store()
    yield from _life(now)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """One figure without labels."""
    return GaugeMetricFamily(f"casewright_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"casewright_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _work() -> Iterator[Metric]:
    runs = dict.fromkeys(RunStatus.values, 0.0)
    runs |= dict(RuleRun.objects.order_by().values_list("status").annotate(n=Count("pk")))
    yield _by("rule_runs", "Runs that are kept, by how they ended.", "status", runs)
    rows = dict.fromkeys(OutboxState.values, 0.0)
    rows |= dict(OutboxRow.objects.order_by().values_list("state").annotate(n=Count("pk")))
    yield _by("outbox_rows", "Work that follows commits, by its state.", "state", rows)
    yield gauge("alerts", "Alerts that are stored.", Alert.objects.count())
    yield gauge("alerts_unrouted", "Alerts that no case has taken yet.", Alert.objects.unrouted().count())


def _coverage(now: datetime) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "casewright_rule_coverage_lag_seconds",
        "Age of the end of an enabled rule's coverage.",
        labels=["rule_id", "rule"],
    )
    behind = 0
    rules = list(Rule.objects.runnable())
    for rule in rules:
        behind += health.is_behind(rule, now)
        if rule.covered_until is not None:
            lag.add_metric([rule.rule_id, rule.name], (now - rule.covered_until).total_seconds())
    yield lag
    yield gauge("rules_enabled", "Rules that are enabled and run here.", len(rules))
    yield gauge("rules_behind", "Enabled rules whose coverage is behind their schedule.", behind)
    gaps = CoverageGap.objects.filter(filled_at__isnull=True).count()
    yield gauge("coverage_gaps", "Gaps in the coverage that are open.", gaps)


def _store() -> Iterator[Metric]:
    head = IngestCounter.objects.filter(name="events").values_list("head", flat=True).first() or 0
    yield gauge("ingest_head", "The number of the newest batch of events.", head)
    states = dict(Segment.objects.order_by().values_list("state").annotate(n=Count("pk")))
    yield _by("segments", "Segments of the event store, by state.", "state", states)
    yield gauge("quarantined_records", "Records that could not be used.", QuarantinedRecord.objects.count())


def _life(now: datetime) -> Iterator[Metric]:
    rows = Heartbeat.objects.exclude(name__startswith=memory.PREFIX)
    seen = {row.name: row.seen_at for row in rows}
    ages = {name: (now - seen_at).total_seconds() for name, seen_at in seen.items()}
    missing = {name: float("inf") for name in health.PROCESSES if name not in seen}
    yield _by("heartbeat_age_seconds", "Age of the last sign of life.", "process", ages | missing)
    held: dict[str, float] = {name: float(size) for name, size in memory.noted().items()}
    if (own := memory.resident()) is not None:
        held["web"] = float(own)
    yield _by("memory_bytes", "Resident memory: workers by their hosts, and who answers.", "process", held)
    found = Canary.objects.filter(found_at__isnull=False).first()
    if found is not None and found.latency_seconds is not None:
        yield gauge("canary_latency_seconds", "From sent to alert, newest canary.", found.latency_seconds)
        assert found.found_at is not None
        yield gauge("canary_age_seconds", "Since it was found.", (now - found.found_at).total_seconds())
