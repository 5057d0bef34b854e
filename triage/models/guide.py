"""Guides, pinned."""

from django.db import models

from detections.models import RuleVersion


class GuideVersion(models.Model):
    """The guide of a rule version as cases are worked by it; never changed.

    The texts are parsed on use by triage.guides (cached by sha256). Overlays can weaken a gate: a version
    that does not ship with the product names who proposed and who approved it (its OverlayProposal). review:
    why the overlay no longer fits this version of the rule, or "".
    """

    rule_version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="guides")
    number = models.PositiveIntegerField(default=1)
    note = models.TextField(blank=True)
    transforms = models.JSONField(default=list)
    overlay = models.TextField(blank=True)
    review = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["rule_version", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["rule_version", "number"], name="guide_version_number")
        ]

    def __str__(self) -> str:
        return f"Guide of {self.rule_version}"
