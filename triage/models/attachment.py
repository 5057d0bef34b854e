"""Files that people put to a case. The bytes lie in the data folder under their SHA-256."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet
from triage.models.case import Case


class AttachmentQuerySet(VisibleQuerySet["Attachment"]):
    def standing(self) -> "AttachmentQuerySet":
        """What nobody withdrew."""
        return self.filter(withdrawn_at__isnull=True)


class Attachment(models.Model):
    """One file of a case. It is never deleted: only withdrawn, with a reason.

    name: as its sender called it, kept as it came. content_type: what the bytes are; named_type: what the
    name claims, "" where it claims nothing.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="attachments")
    sha256 = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    content_type = models.CharField(max_length=100)
    named_type = models.CharField(max_length=100, blank=True)
    is_mismatch = models.BooleanField(default=False)
    attached_at = models.DateTimeField()
    attached_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    withdrawn_reason = models.TextField(blank=True)

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["case", "sha256", "name"],
                condition=Q(withdrawn_at__isnull=True),
                name="attached_once_a_case",
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True)
                | (Q(withdrawn_by__isnull=False) & ~Q(withdrawn_reason="")),
                name="attachment_withdrawn_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.name
