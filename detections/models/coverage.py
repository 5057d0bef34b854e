"""The coverage ledger: what has been searched, and what has not and why."""

from django.db import models

from detections.enums import GapReason
from detections.models.rule import Rule
from detections.models.run import RuleRun
from detections.models.visibility import VisibleQuerySet


class CoveredWindow(models.Model):
    """A stretch of positions that a rule has searched; adjacent ones are merged."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="covered")
    start = models.DateTimeField(null=True, help_text="empty means from the beginning of time")
    end = models.DateTimeField()

    objects = VisibleQuerySet["CoveredWindow"].as_manager()

    class Meta:
        ordering = ["rule", "end"]
        indexes = [models.Index(fields=["rule", "end"], name="covered_by_rule")]


class CoverageGap(models.Model):
    """A region that the cursors have passed unsearched, with both corners.

    The rows that it means: mark_from < ingest number <= mark_to with position in (from_time, to_time].
    """

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="gaps")
    from_time = models.DateTimeField(null=True)
    to_time = models.DateTimeField()
    mark_from = models.BigIntegerField(default=0)
    mark_to = models.BigIntegerField()
    reason = models.CharField(max_length=20, choices=GapReason.choices)
    detail = models.TextField(blank=True)
    opened_at = models.DateTimeField(auto_now_add=True)
    filled_at = models.DateTimeField(null=True, blank=True)
    filled_by = models.ForeignKey(RuleRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = VisibleQuerySet["CoverageGap"].as_manager()

    class Meta:
        ordering = ["rule", "to_time"]
