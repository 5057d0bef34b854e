"""Stored matches."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from detections.enums import AlertOrigin, Severity, TimeBasis
from detections.models.rule import Rule, RuleVersion
from detections.models.run import RuleRun
from detections.models.visibility import VisibleQuerySet


class AlertQuerySet(VisibleQuerySet["Alert"]):
    def unrouted(self) -> "AlertQuerySet":
        """Alerts that no case and no exception has taken yet, oldest first."""
        return self.filter(routed_at__isnull=True).order_by("pk")


class Alert(models.Model):
    """One match of a rule, stored always, also when an exception hides it.

    alert_id: SHA-256 over canonical JSON of rule id and ordered event identities; the same match is the same
    alert on either time basis. events: the documents as they were found, each
    `{"identity", "ingest", "arrived_at", "document"}` in stage order, with `"origin"` where a cluster had it.
    join_keys: `[[field, value], ...]`. late_seconds: how long after its event time the last event arrived
    (negative: its clock runs ahead).
    """

    alert_id = models.CharField(max_length=64, unique=True)
    origin = models.CharField(max_length=10, choices=AlertOrigin.choices, default=AlertOrigin.RUN)
    rule = models.ForeignKey(Rule, null=True, on_delete=models.PROTECT, related_name="alerts")
    rule_version = models.ForeignKey(RuleVersion, null=True, on_delete=models.PROTECT, related_name="+")
    external_rule_id = models.CharField(max_length=64, blank=True)
    run = models.ForeignKey(RuleRun, null=True, on_delete=models.SET_NULL, related_name="alerts")
    title = models.CharField(max_length=255)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    risk_score = models.PositiveSmallIntegerField()
    time_basis = models.CharField(max_length=20, choices=TimeBasis.choices, default=TimeBasis.STRICT)
    events = models.JSONField()
    join_keys = models.JSONField(default=list)
    host_id = models.CharField(max_length=255, blank=True, db_index=True)
    host_name = models.CharField(max_length=255, blank=True)
    first_event_at = models.DateTimeField()
    last_event_at = models.DateTimeField(db_index=True)
    detected_at = models.DateTimeField()
    late_seconds = models.FloatField(null=True)
    superseded_at = models.DateTimeField(null=True)
    routed_at = models.DateTimeField(null=True, db_index=True)

    objects: ClassVar[AlertQuerySet] = AlertQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-detected_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rule__isnull=False) | ~Q(external_rule_id=""), name="alert_names_its_rule"
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.alert_id[:12]})"

    @property
    def documents(self) -> list[dict[str, object]]:
        """The ECS documents of the match, in stage order."""
        return [event["document"] for event in self.events]
