"""What is known of a host."""

from django.db import models

from detections.models.visibility import VisibleQuerySet


class Asset(models.Model):
    """A host as its owners see it; preconditions and checks read it."""

    host_id = models.CharField(max_length=255, blank=True, db_index=True)
    host_name = models.CharField(max_length=255, blank=True, db_index=True)
    addresses = models.JSONField(default=list, blank=True)
    role = models.CharField(max_length=255, blank=True)
    owner = models.CharField(max_length=255, blank=True)
    isolation_permitted = models.BooleanField(default=False)
    is_management_host = models.BooleanField("recognised management host", default=False)
    note = models.TextField(blank=True)

    objects = VisibleQuerySet["Asset"].as_manager()

    class Meta:
        ordering = ["host_name"]

    def __str__(self) -> str:
        return self.host_name or self.host_id
