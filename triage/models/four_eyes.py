"""What needs a second person: who asked, who edited last, who approved, and exactly what."""

from collections.abc import Sequence

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class FourEyes(models.Model):
    """Columns of a version that another person has to approve; the row that inherits adds its `state`.

    content_sha256: of the content as it stands, over canonical JSON. approved_sha256: of what was approved;
    an edit changes the first, and so voids the approval. decided_reason: why it was declined or taken back.
    """

    content_sha256 = models.CharField(max_length=64)
    last_edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_sha256 = models.CharField(max_length=64, blank=True)
    decided_reason = models.TextField(blank=True)

    class Meta:
        abstract = True


def four_eyes_constraints(prefix: str, *, approved_states: Sequence[str]) -> list[models.BaseConstraint]:
    """The database's own rule: nobody approves what they asked for or edited last, and no state that needs an
    approval is without one. A NULL would pass a plain comparison, so presence is asked for first.
    """
    by_another = (
        Q(requested_by__isnull=False)
        & ~Q(approved_by=F("requested_by"))
        & ~Q(approved_by=F("last_edited_by"))
    )
    is_approved = Q(approved_by__isnull=False, approved_at__isnull=False, approved_sha256=F("content_sha256"))
    return [
        models.CheckConstraint(
            condition=Q(approved_by__isnull=True) | by_another, name=f"{prefix}_approved_by_another"
        ),
        models.CheckConstraint(
            condition=~Q(state__in=list(approved_states)) | is_approved, name=f"{prefix}_approval_is_there"
        ),
    ]
