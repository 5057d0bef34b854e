"""What a person should look at, told inside the product."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet


class NotificationQuerySet(VisibleQuerySet["Notification"]):
    def unresolved(self) -> "NotificationQuerySet":
        return self.filter(resolved_at__isnull=True)

    def waiting(self) -> "NotificationQuerySet":
        """What stands and nobody has acknowledged."""
        return self.unresolved().filter(acknowledged_at__isnull=True)


class Notification(models.Model):
    """One alarm state, from when it was raised until it is over. key: one is open for each state at a time.

    It is over when the state is; a person acknowledges that somebody knows.
    """

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=30)
    title = models.CharField(max_length=255)
    detail = models.TextField(blank=True)
    raised_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="when the state was last found")
    resolved_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-raised_at", "-pk"]
        permissions = [("acknowledge_notification", "Can acknowledge notifications")]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(resolved_at__isnull=True), name="one_open_notification_a_state"
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | Q(acknowledged_by__isnull=False),
                name="acknowledged_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return self.title
