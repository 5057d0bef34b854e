"""Cases that were merged, and closings against the gate."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from triage.enums import CaseStatus, Disposition
from triage.models.case import Case, Occurrence


class CaseMerge(models.Model):
    """The occurrences of one case moved to another; which ones, so that undoing moves exactly these back.

    source: the case that was emptied and closed as a duplicate. status_before: the one it had.
    """

    source = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="merged_away")
    target = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="merged_here")
    occurrences: "models.ManyToManyField[Occurrence, models.Model]" = models.ManyToManyField(
        Occurrence, related_name="merges"
    )
    status_before = models.CharField(max_length=12, choices=CaseStatus.choices)
    reason = models.TextField()
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=Q(undone_at__isnull=True), name="merged_into_one_case"
            ),
            models.CheckConstraint(condition=~Q(source=models.F("target")), name="merged_into_another"),
        ]

    def __str__(self) -> str:
        return f"{self.source.number} into {self.target.number}"


class GateOverride(models.Model):
    """A case was closed although its gate was shut: by whom, why, and what stood in the way. It stays.

    blocks: the sentences of the gate as they stood at that moment.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="overrides")
    disposition = models.CharField(max_length=15, choices=Disposition.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    reason = models.TextField()
    blocks = models.JSONField()

    class Meta:
        ordering = ["pk"]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="override_has_a_reason")]

    def __str__(self) -> str:
        return f"Override of {self.case.number}"
