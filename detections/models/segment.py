"""The manifest of the embedded event store."""

from django.db import models

from detections.enums import SegmentState


class IngestCounter(models.Model):
    """The one row that numbers batches. Locked in the manifest transaction, so numbers commit in order."""

    name = models.CharField(max_length=20, primary_key=True, default="events")
    head = models.BigIntegerField(default=0)


class Segment(models.Model):
    """One immutable Parquet file. It is visible to readers because this row says so.

    batch: the id of the batch that wrote it, so that it counts once. The time ranges let readers skip it.
    level: 0 as it came, 1 several batches in the order of time, 2 sorted by what searches ask for.
    first_ingest and first_arrived_at are set where several batches were merged; ingest and arrived_at are
    then the last.
    """

    path = models.CharField(max_length=500, unique=True)
    batch = models.CharField(max_length=200, unique=True)
    ingest = models.BigIntegerField(db_index=True)
    state = models.CharField(max_length=12, choices=SegmentState.choices, default=SegmentState.ACTIVE)
    rows = models.BigIntegerField()
    bytes = models.BigIntegerField()
    min_timestamp = models.DateTimeField()
    max_timestamp = models.DateTimeField()
    min_created = models.DateTimeField(null=True)
    max_created = models.DateTimeField(null=True)
    arrived_at = models.DateTimeField()
    sha256 = models.CharField(max_length=64)
    columns = models.JSONField(default=list)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    retired_at = models.DateTimeField(null=True)
    level = models.PositiveSmallIntegerField(default=0)
    first_ingest = models.BigIntegerField(null=True)
    first_arrived_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["ingest"]
        indexes = [models.Index(fields=["state", "max_timestamp"], name="segment_by_time")]


class SeenField(models.Model):
    """A field that events have carried, beyond what ECS and the integrations declare."""

    name = models.CharField(max_length=500, unique=True)
    type = models.CharField(max_length=20)
    is_list = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField(auto_now_add=True)
