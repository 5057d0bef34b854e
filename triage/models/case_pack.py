"""Case packs: a case with its evidence as a file that proves itself."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet
from triage.enums import PackState
from triage.models.case import Case


class CasePackQuerySet(VisibleQuerySet["CasePack"]):
    def made(self) -> "CasePackQuerySet":
        return self.filter(state=PackState.SUCCEEDED)

    def under_way(self) -> "CasePackQuerySet":
        return self.filter(state__in=[PackState.WAITING, PackState.COLLECTING])


class CasePack(models.Model):
    """One pack of a case. Its bytes lie in the data folder under their SHA-256.

    asked_for: the pivots that were asked because nobody had. looks: how often a worker looked whether they
    had ended. kept: what the guide wants preserved, each with what became of it. without_pdf: why the report
    is there as HTML alone, "" where it is not.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="packs")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=PackState.choices, default=PackState.WAITING)
    reason = models.TextField(blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField()
    asked_for = models.JSONField(default=list)
    looks = models.PositiveSmallIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    kept = models.JSONField(default=list)
    findings = models.JSONField(default=list)
    without_pdf = models.TextField(blank=True)

    objects: ClassVar[CasePackQuerySet] = CasePackQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["case", "number"]
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="case_pack_number"),
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(state__in=["waiting", "collecting"]),
                name="one_case_pack_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="succeeded") | ~Q(sha256=""), name="case_pack_made_has_a_hash"
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(reason=""), name="case_pack_failed_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What the file is called: the same for the same pack, whoever takes it."""
        return f"{self.case.number}-pack-{self.number}.zip"

    @property
    def is_under_way(self) -> bool:
        return self.state in (PackState.WAITING, PackState.COLLECTING)
