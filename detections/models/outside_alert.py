"""What Elastic Security raised, and how far it was read."""

from typing import ClassVar

from django.db import models

from detections.models.alert import Alert
from detections.models.visibility import VisibleQuerySet


class OutsideSource(models.Model):
    """How far an alert index was read. Only the transaction that stores alerts moves the cursor.

    cursor_at, cursor_uuid: the newest alert that was taken, by time and uuid. from_time: nothing raised
    before is read. deep_at: when a whole day was last read again. unreadable: `[[uuid, why], ...]`, alerts
    that could not become alerts here. lag_seconds: from raised to taken, of the newest one.
    """

    pattern = models.CharField(max_length=255, unique=True)
    from_time = models.DateTimeField()
    cursor_at = models.DateTimeField(null=True)
    cursor_uuid = models.CharField(max_length=255, blank=True)
    fence = models.BigIntegerField(default=0)
    deep_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    unreadable = models.JSONField(default=list)
    lag_seconds = models.FloatField(null=True)
    taken = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return self.pattern


class OutsideAlert(models.Model):
    """What belongs to an alert that was raised elsewhere. uuid: `kibana.alert.uuid`, taken once.

    about: what its document says of the alert itself. copied_events: how many of its events are copies of
    the alert's own, since the originals could not be read. status_written: the workflow status that was
    written back last, or "".
    """

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, related_name="outside")
    source = models.ForeignKey(OutsideSource, on_delete=models.PROTECT, related_name="alerts")
    uuid = models.CharField(max_length=255, unique=True)
    index = models.CharField(max_length=255)
    document_id = models.CharField(max_length=512)
    raised_at = models.DateTimeField(db_index=True)
    rule_name = models.CharField(max_length=255)
    rule_type = models.CharField(max_length=30, blank=True)
    note = models.TextField(blank=True)
    about = models.JSONField(default=dict)
    copied_events = models.PositiveIntegerField(default=0)
    status_written = models.CharField(max_length=20, blank=True)

    objects: ClassVar[VisibleQuerySet["OutsideAlert"]] = VisibleQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.rule_name} ({self.uuid})"
