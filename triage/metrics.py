"""Everything that `/metrics` says."""

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from detections import metrics
from triage.enums import CaseStatus
from triage.models import Case, Notification


class _Figures:
    """Asks the database each time that Prometheus asks."""

    def collect(self) -> Iterator[Metric]:
        yield from metrics.families()
        cases = dict.fromkeys(CaseStatus.values, 0)
        cases |= dict(Case.objects.order_by().values_list("status").annotate(n=Count("pk")))
        family = GaugeMetricFamily("casewright_cases", "Cases, by status.", labels=["status"])
        for status, number in cases.items():
            family.add_metric([status], number)
        yield family
        waiting = Notification.objects.waiting().count()
        yield metrics.gauge("notifications", "Notifications that nobody has acknowledged.", waiting)


def exposition() -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures())
    return generate_latest(registry)
