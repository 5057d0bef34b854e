"""Pivots that ran, and the evidence that they froze."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from triage.enums import (
    CheckState,
    LookUpKind,
    LookUpState,
    PivotOrigin,
    PivotScope,
    PivotState,
    Points,
)
from triage.models.case import Case


class PivotRun(models.Model):
    """One execution of a pivot for a case: what was asked, where, over what, and what came of it.

    question_key: the question that it serves, "" for the case as a whole. query: the structured filters with
    values filled in, as they were sent. segments: what was searched (paths of segments, or indices). sha256:
    over canonical JSON of query, window, segments and the hashes of the rows. The newest run of a key counts;
    older ones stay. refills_at: while the window reaches past the run, when it runs again.

    origin: the guide or a person, then asked_by; from_row and asked say from what: the field and value of a
    follow-up, or the language and text of a query. scope: which hosts. reach_before, reach_after: seconds
    before the case's first and after its last event that a person chose, null for the guide's own window.
    counts: the gate, checks and coverage read it: only what asks at least as much as the guide does, about
    the case's host, before the case was closed. added: rows that no earlier attempt had; gone: rows that
    the attempt before had and this one, over their time, has not.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="pivots")
    question_key = models.CharField(max_length=100, blank=True)
    key = models.CharField(max_length=100)
    attempt = models.PositiveIntegerField(default=1)
    label = models.CharField(max_length=255)
    kinds = models.JSONField(
        default=list, help_text="telemetry kinds that must exist for 'no hits' to be said"
    )
    state = models.CharField(max_length=15, choices=PivotState.choices, default=PivotState.NOT_RUN)
    reason = models.TextField(blank=True)
    query = models.JSONField(default=list)
    window_start = models.DateTimeField(null=True)
    window_end = models.DateTimeField(null=True)
    refills_at = models.DateTimeField(null=True)
    total = models.PositiveBigIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0)
    segments = models.JSONField(default=list)
    coverage = models.JSONField(default=list)
    columns = models.JSONField(default=list)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    origin = models.CharField(max_length=10, choices=PivotOrigin.choices, default=PivotOrigin.GUIDE)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(null=True)
    asked = models.JSONField(default=dict)
    from_row = models.ForeignKey(
        "Evidence", null=True, blank=True, on_delete=models.PROTECT, related_name="follow_ups"
    )
    scope = models.CharField(max_length=10, choices=PivotScope.choices, default=PivotScope.WRITTEN)
    reach_before = models.PositiveIntegerField(null=True)
    reach_after = models.PositiveIntegerField(null=True)
    counts = models.BooleanField(default=True)
    is_after_closing = models.BooleanField(default=False)
    added = models.PositiveIntegerField(default=0)
    gone = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["case", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["case", "key", "attempt"], name="pivot_attempt"),
            models.CheckConstraint(
                condition=~Q(state__in=["blocked", "failed", "no_telemetry", "partial"]) | ~Q(reason=""),
                name="pivot_says_why",
            ),
            models.CheckConstraint(
                condition=Q(origin="guide") | Q(asked_by__isnull=False, counts=False),
                name="pivot_of_a_person_counts_not",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.state}"

    @property
    def is_still_filling(self) -> bool:
        return self.refills_at is not None


class Evidence(models.Model):
    """One document, copied when the pivot ran. sha256: over its canonical JSON.

    is_new: an earlier attempt of its pivot had run, and none had it.
    """

    pivot = models.ForeignKey(PivotRun, on_delete=models.PROTECT, related_name="rows")
    position = models.PositiveIntegerField()
    identity = models.CharField(max_length=64, db_index=True)
    event_at = models.DateTimeField()
    document = models.JSONField()
    sha256 = models.CharField(max_length=64)
    pinned_at = models.DateTimeField(null=True)
    is_new = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "evidence"
        ordering = ["pivot", "position"]
        constraints = [models.UniqueConstraint(fields=["pivot", "position"], name="evidence_position")]
        indexes = [
            models.Index(fields=["pivot"], condition=Q(pinned_at__isnull=False), name="evidence_pinned")
        ]


class CheckResult(models.Model):
    """What a check of the guide saw. None answers for the analyst."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="checks")
    question_key = models.CharField(max_length=100)
    key = models.CharField(max_length=100)
    pivot = models.ForeignKey(PivotRun, null=True, on_delete=models.PROTECT, related_name="checks")
    state = models.CharField(max_length=10, choices=CheckState.choices)
    points = models.CharField(max_length=10, choices=Points.choices)
    says = models.TextField()
    saw = models.TextField(blank=True)
    rows = models.JSONField(default=list, help_text="ids of the evidence rows that satisfied it")
    evaluated_at = models.DateTimeField()

    class Meta:
        ordering = ["case", "pk"]
        constraints = [models.UniqueConstraint(fields=["case", "key"], name="check_once_a_case")]


class LookUp(models.Model):
    """Something that a person wants to know of the store, looked up by a worker and not kept with the case.

    subject: what, as canonical data; asking for the same twice within a short time is one look-up.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="look_ups")
    kind = models.CharField(max_length=12, choices=LookUpKind.choices)
    subject = models.JSONField()
    key = models.CharField(max_length=64, db_index=True)
    state = models.CharField(max_length=10, choices=LookUpState.choices, default=LookUpState.WAITING)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
