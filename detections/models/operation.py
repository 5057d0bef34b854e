"""What keeps the work going: leases, outbox, heartbeats."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from detections.enums import OutboxState


class Lease(models.Model):
    """Who may do one kind of work now. `fence` grows with each claim: a stale one is too low."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=200, blank=True)
    fence = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)


class OutboxQuerySet(models.QuerySet["OutboxRow"]):
    def ready(self, now: datetime) -> "OutboxQuerySet":
        return self.filter(state=OutboxState.PENDING, not_before__lte=now).order_by("pk")


class OutboxRow(models.Model):
    """What must happen after a commit, written in the same transaction and sent until done.

    kind: the handler's name ("route_alerts", "run_pivot"). key: makes the row unique, so that the same work
    is asked for once. subject: the id of the row that the work is about.
    """

    kind = models.CharField(max_length=50)
    key = models.CharField(max_length=200, unique=True)
    subject = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=OutboxState.choices, default=OutboxState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["not_before"], name="outbox_pending", condition=Q(state=OutboxState.PENDING))
        ]


class Heartbeat(models.Model):
    """When a process last did work, for the health page."""

    name = models.CharField(max_length=100, primary_key=True)
    detail = models.CharField(max_length=500, blank=True)
    seen_at = models.DateTimeField()
