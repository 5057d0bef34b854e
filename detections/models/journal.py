"""The journal: who changed what, when and why. Rows are added and never changed."""

from django.conf import settings
from django.db import models

from detections.models.visibility import VisibleQuerySet


class JournalStream(models.Model):
    """One chain of entries, for example of one case. Locked while an entry is added."""

    name = models.CharField(max_length=100, unique=True)
    head_number = models.PositiveBigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, blank=True)


class JournalEntry(models.Model):
    """One state change, chained to the one before.

    hash: SHA-256 over canonical JSON of every other column and previous_hash (see detections.journal).
    """

    stream = models.ForeignKey(JournalStream, on_delete=models.PROTECT, related_name="entries")
    number = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=200)
    verb = models.CharField(max_length=50)
    before = models.CharField(max_length=200, blank=True)
    after = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    objects = VisibleQuerySet["JournalEntry"].as_manager()

    class Meta:
        verbose_name_plural = "journal entries"
        ordering = ["stream", "number"]
        constraints = [models.UniqueConstraint(fields=["stream", "number"], name="journal_number")]

    def __str__(self) -> str:
        return f"{self.stream.name}#{self.number} {self.verb}"
