"""Rules and their versions."""

from datetime import timedelta
from typing import ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from detections.enums import RuleType, Severity
from detections.models.visibility import VisibleQuerySet


class RuleQuerySet(VisibleQuerySet["Rule"]):
    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def runnable(self) -> Self:
        """Enabled rules of a type that runs here."""
        return self.enabled().filter(type=RuleType.EQL)


class Rule(models.Model):
    """A detection rule with its schedule and how far it has searched.

    State of the search (design: mark and covered_until): every event row with ingest number <= mark and
    position <= covered_until has been searched, except what a CoverageGap lists. Only the transaction that
    stores a run's alerts moves them.

    true_up, clock_repaired: for a cluster; the embedded store finds late events by itself and always searches
    in both orders.
    """

    rule_id = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=20, choices=RuleType.choices)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    risk_score = models.PositiveSmallIntegerField(validators=[MaxValueValidator(100)])
    current = models.ForeignKey("RuleVersion", null=True, on_delete=models.PROTECT, related_name="+")
    is_shipped = models.BooleanField(default=False)
    replaces = models.JSONField(default=list, blank=True)
    is_canary = models.BooleanField(default=False, help_text="the product's own rule that proves the way")

    enabled = models.BooleanField(default=False)
    interval_seconds = models.PositiveIntegerField(default=300, validators=[MinValueValidator(30)])
    lookback_seconds = models.PositiveIntegerField(default=540)
    max_cases = models.PositiveIntegerField("cases opened per run, at most", default=100)
    settle_seconds = models.PositiveIntegerField(default=15)
    true_up = models.BooleanField("search again for late events", default=True)
    clock_repaired = models.BooleanField("search in the order of event.created too", default=False)

    covered_until = models.DateTimeField(null=True, blank=True)
    mark = models.BigIntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    last_run_at = models.DateTimeField(null=True, blank=True)
    due_since = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[RuleQuerySet] = RuleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(lookback_seconds__gte=F("interval_seconds")), name="rule_lookback_covers_interval"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.interval_seconds)

    @property
    def lookback(self) -> timedelta:
        return timedelta(seconds=self.lookback_seconds)

    @property
    def settle(self) -> timedelta:
        return timedelta(seconds=self.settle_seconds)

    @property
    def is_runnable(self) -> bool:
        return self.type == RuleType.EQL


class RuleVersion(models.Model):
    """What a rule said at one time; never changed, since cases are pinned to it.

    source: the rule file as it was read. overlay: the text of the guide overlay beside it, unread here;
    triage knows what it means. sha256: over source and overlay.
    """

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    upstream_version = models.PositiveIntegerField(default=1)
    description = models.TextField(blank=True)
    query = models.TextField(blank=True)
    language = models.CharField(max_length=20, blank=True)
    indices = models.JSONField(default=list)
    tags = models.JSONField(default=list)
    references = models.JSONField(default=list)
    authors = models.JSONField(default=list)
    license = models.CharField(max_length=100, blank=True)
    threat = models.JSONField(default=list)
    setup = models.TextField(blank=True)
    note = models.TextField(blank=True)
    transforms = models.JSONField(default=list)
    timestamp_field = models.CharField(max_length=255, default="@timestamp")
    timestamp_override = models.CharField(max_length=255, blank=True)
    tiebreaker_field = models.CharField(max_length=255, blank=True)
    event_category_field = models.CharField(max_length=255, default="event.category")
    maxspan_seconds = models.FloatField(null=True)
    source = models.TextField()
    source_path = models.CharField(max_length=500, blank=True)
    overlay = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["rule", "-number"]
        constraints = [models.UniqueConstraint(fields=["rule", "number"], name="rule_version_number")]

    def __str__(self) -> str:
        return f"{self.rule} v{self.number}"
