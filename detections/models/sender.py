"""Who may send events to the live door, and what each sender sent on each day."""

from django.conf import settings
from django.db import models

from detections.models.capture import Import
from detections.models.visibility import VisibleQuerySet


class SenderToken(models.Model):
    """The right of one sender to send. The key itself is shown once and kept as its SHA-256 alone.

    data_streams: patterns with `*`; the sender may write to those alone.
    """

    name = models.CharField(max_length=64)
    key_id = models.CharField(max_length=32, unique=True)
    token_sha256 = models.CharField(max_length=64, unique=True)
    data_streams = models.JSONField(default=list)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    events_received = models.BigIntegerField(default=0)

    objects = VisibleQuerySet["SenderToken"].as_manager()

    class Meta:
        ordering = ["name", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(revoked_at=None), name="sender_name_in_use"
            )
        ]

    def __str__(self) -> str:
        return self.name


class SenderDay(models.Model):
    """What a sender sent on one day (UTC): an import, whose quarantine holds what was refused."""

    token = models.ForeignKey(SenderToken, on_delete=models.PROTECT, related_name="days")
    day = models.DateField()
    capture = models.OneToOneField(Import, on_delete=models.CASCADE, related_name="sender_day")

    class Meta:
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["token", "day"], name="sender_day")]
