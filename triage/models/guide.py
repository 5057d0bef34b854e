"""Guides, pinned."""

from django.db import models
from django.db.models import Q

from detections.models import RuleVersion


class GuideVersion(models.Model):
    """The guide of a rule version as cases are worked by it; never changed. Or one that came with an alert
    whose rule is not installed.

    The texts are parsed on use by triage.guides (cached by sha256). Overlays can weaken a gate: a version
    that does not ship with the product names who proposed and who approved it (its OverlayProposal). review:
    why the overlay no longer fits this version of the rule, or "". external_rule_id: the rule that is not
    installed, else "".
    """

    rule_version = models.ForeignKey(RuleVersion, null=True, on_delete=models.PROTECT, related_name="guides")
    external_rule_id = models.CharField(max_length=64, blank=True)
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
            models.UniqueConstraint(fields=["rule_version", "number"], name="guide_version_number"),
            models.UniqueConstraint(
                fields=["external_rule_id", "sha256"],
                condition=Q(rule_version__isnull=True),
                name="guide_of_an_alert_once",
            ),
            models.CheckConstraint(
                condition=Q(rule_version__isnull=False, external_rule_id="")
                | (Q(rule_version__isnull=True) & ~Q(external_rule_id="")),
                name="guide_names_its_rule",
            ),
        ]

    def __str__(self) -> str:
        return f"Guide of {self.rule_version or self.external_rule_id}"
