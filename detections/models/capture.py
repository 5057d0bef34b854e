"""Imports of capture files, and the records that could not be used."""

from django.conf import settings
from django.db import models

from detections.enums import ImportStatus
from detections.models.visibility import VisibleQuerySet


class Import(models.Model):
    """One import: which files, how far it is, what came of it."""

    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    files = models.JSONField(default=list)
    status = models.CharField(max_length=10, choices=ImportStatus.choices, default=ImportStatus.RUNNING)
    error = models.TextField(blank=True)
    retimed = models.BooleanField(default=False)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    events_new = models.BigIntegerField(default=0)
    events_known = models.BigIntegerField(default=0)
    records_bad = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects = VisibleQuerySet["Import"].as_manager()

    class Meta:
        ordering = ["-started_at", "-pk"]


class QuarantinedRecord(models.Model):
    """A record, or a whole file, that could not be used; an admin can read it and act."""

    capture = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="quarantine")
    file = models.CharField(max_length=1000)
    position = models.CharField(max_length=100, blank=True)
    reason = models.TextField()
    raw = models.TextField(blank=True, help_text="the first 2,000 characters of the record")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VisibleQuerySet["QuarantinedRecord"].as_manager()

    class Meta:
        ordering = ["pk"]
