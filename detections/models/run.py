"""Executions of rules."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from detections.enums import RunStatus, RunTrigger
from detections.models.rule import Rule, RuleVersion
from detections.models.visibility import VisibleQuerySet


class RuleRunQuerySet(VisibleQuerySet["RuleRun"]):
    def unfinished(self) -> "RuleRunQuerySet":
        return self.filter(status=RunStatus.RUNNING)


class RuleRun(models.Model):
    """One execution of a rule: what was searched, how it ended, what it found.

    The region searched: window rows window_start < position <= window_end with ingest number <= mark_to, and
    late rows mark_from < ingest number <= mark_to with position <= window_start.
    """

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="runs")
    rule_version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="+")
    trigger = models.CharField(max_length=10, choices=RunTrigger.choices)
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.RUNNING)
    error = models.TextField(blank=True)
    fence = models.BigIntegerField()
    window_start = models.DateTimeField(null=True)
    window_end = models.DateTimeField()
    mark_from = models.BigIntegerField()
    mark_to = models.BigIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    rows_searched = models.BigIntegerField(default=0)
    segments = models.PositiveIntegerField(default=0)
    matches_found = models.PositiveIntegerField(default=0)
    alerts_new = models.PositiveIntegerField(default=0)
    alerts_known = models.PositiveIntegerField(default=0)
    alerts_repaired = models.PositiveIntegerField(default=0)
    cases_opened = models.PositiveIntegerField(default=0)
    cases_capped = models.PositiveIntegerField(default=0)

    objects: ClassVar[RuleRunQuerySet] = RuleRunQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-started_at", "-pk"]
        indexes = [models.Index(fields=["rule", "-started_at"], name="run_by_rule")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status=RunStatus.RUNNING) | Q(finished_at__isnull=False),
                name="run_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[RunStatus.FAILED, RunStatus.PARTIAL]) | ~Q(error=""),
                name="run_failed_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} at {self.started_at:%Y-%m-%d %H:%M:%S}: {self.status}"
