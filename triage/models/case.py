"""Cases and what ties alerts to them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.enums import Severity, TimeBasis
from detections.models import Alert, Rule, RuleVersion
from detections.models.visibility import VisibleQuerySet
from triage.enums import CaseLinkKind, CaseStatus, Disposition
from triage.models.guide import GuideVersion


class CaseQuerySet(VisibleQuerySet["Case"]):
    def not_closed(self) -> "CaseQuerySet":
        return self.exclude(status=CaseStatus.CLOSED)


class Case(models.Model):
    """The unit of investigation. Its alerts are its occurrences.

    key: SHA-256 over the rule and its join values (design 6b, case key); unique while not closed. key_fields:
    the same, readable, `[[field, value], ...]`. version: grows with each edit. The denormalised columns serve
    the queue: host, remote side, user, process, progress, last activity.
    """

    key = models.CharField(max_length=64)
    key_fields = models.JSONField(default=list)
    title = models.CharField(max_length=255)
    rule = models.ForeignKey(Rule, null=True, on_delete=models.PROTECT, related_name="cases")
    rule_version = models.ForeignKey(RuleVersion, null=True, on_delete=models.PROTECT, related_name="+")
    guide = models.ForeignKey(GuideVersion, null=True, on_delete=models.PROTECT, related_name="cases")
    severity = models.CharField(max_length=10, choices=Severity.choices)
    risk_score = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=12, choices=CaseStatus.choices, default=CaseStatus.OPEN)
    disposition = models.CharField(
        max_length=15, choices=Disposition.choices, default=Disposition.UNDETERMINED
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="cases"
    )
    time_basis = models.CharField(max_length=20, choices=TimeBasis.choices, default=TimeBasis.STRICT)
    is_storm = models.BooleanField(default=False)

    host_id = models.CharField(max_length=255, blank=True, db_index=True)
    host_name = models.CharField(max_length=255, blank=True)
    remote_ip = models.CharField(max_length=64, blank=True)
    user_name = models.CharField(max_length=255, blank=True)
    process = models.TextField(blank=True)

    occurrence_count = models.PositiveIntegerField(default=0)
    questions_total = models.PositiveSmallIntegerField(default=0)
    questions_answered = models.PositiveSmallIntegerField(default=0)
    no_telemetry_count = models.PositiveSmallIntegerField(default=0)
    blocked_count = models.PositiveSmallIntegerField(default=0)
    has_new_evidence = models.BooleanField(default=False)

    first_event_at = models.DateTimeField()
    last_event_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    last_activity_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    closing_rationale = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)

    objects: ClassVar[CaseQuerySet] = CaseQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-opened_at", "-pk"]
        permissions = [
            ("answer_question", "Can answer questions"),
            ("assign_case", "Can assign cases"),
            ("close_case", "Can close cases"),
            ("approve", "Can approve what others request"),
            ("merge_case", "Can merge cases and undo it"),
            ("override_gate", "Can close a case against its gate"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=~Q(status="closed"), name="one_open_case_a_key"
            ),
            models.CheckConstraint(
                condition=~Q(status="closed") | (~Q(disposition="undetermined") & Q(closed_at__isnull=False)),
                name="closed_case_is_decided",
            ),
        ]
        indexes = [models.Index(fields=["status", "due_at"], name="case_queue")]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        """What people call the case."""
        return f"CW-{self.pk}"

    @property
    def stream(self) -> str:
        """The name of the case's chain in the journal."""
        return f"case:{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status != CaseStatus.CLOSED


class Occurrence(models.Model):
    """Ties an alert to a case. Merge and split move such rows; nothing is copied.

    host, user and source are the alert's, kept here to count and split a storm by them.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="occurrences")
    alert = models.OneToOneField(Alert, on_delete=models.PROTECT, related_name="occurrence")
    added_at = models.DateTimeField()
    host = models.CharField(max_length=255, blank=True)
    user = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=64, blank=True, help_text="the other side of its connection")

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["case", "host"], name="occurrence_by_host"),
            models.Index(fields=["case", "user"], name="occurrence_by_user"),
            models.Index(fields=["case", "source"], name="occurrence_by_source"),
        ]


class CaseLinkQuerySet(models.QuerySet["CaseLink"]):
    def standing(self) -> "CaseLinkQuerySet":
        """What nobody removed."""
        return self.filter(removed_at__isnull=True)


class CaseLink(models.Model):
    """A case speaks of another one. A link that is removed stays, marked.

    why: in words, from who made it; "" and created_by null where the product made it.
    """

    source = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="links")
    target = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="linked_from")
    kind = models.CharField(max_length=15, choices=CaseLinkKind.choices)
    why = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.CharField(max_length=200, blank=True, help_text="as the journal names them")
    removed_reason = models.TextField(blank=True)

    objects = CaseLinkQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "target", "kind"],
                condition=Q(removed_at__isnull=True),
                name="case_link_once",
            ),
            models.CheckConstraint(condition=~Q(source=models.F("target")), name="case_link_to_another"),
        ]


class Escalation(models.Model):
    """A case was handed to somebody: to whom, when, why. `preserved` lists what was kept for them."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="escalations")
    to = models.CharField(max_length=255)
    reason = models.TextField()
    preserved = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
