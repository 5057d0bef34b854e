"""Canaries: pairs of events that the product sends itself, to see them come out as an alert."""

from django.db import models

from detections.models.alert import Alert
from detections.models.visibility import VisibleQuerySet


class Canary(models.Model):
    """One pair. nonce and identities are stored before the events are: only an alert of exactly these
    events is the canary's. sent_at: when the pair was in the event store. found_at: when its alert was."""

    nonce = models.CharField(max_length=64, unique=True)
    identities = models.JSONField(default=list)
    events = models.JSONField(default=list)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(null=True)
    alert = models.OneToOneField(Alert, null=True, on_delete=models.PROTECT, related_name="canary")

    objects = VisibleQuerySet["Canary"].as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(found_at__isnull=True) | models.Q(alert__isnull=False),
                name="canary_found_as_alert",
            )
        ]

    @property
    def latency_seconds(self) -> float | None:
        """From the event store to the stored alert."""
        if self.sent_at is None or self.found_at is None:
            return None
        return (self.found_at - self.sent_at).total_seconds()
