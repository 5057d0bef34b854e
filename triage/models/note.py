"""What people write about a case to each other."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet
from triage.models.case import Case


class Note(models.Model):
    """A note on a case, or at one of its questions. An edit adds a version; withdrawing marks it.

    question_key: "" for the case as a whole. version: the number of the newest version.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="notes")
    question_key = models.CharField(max_length=100, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    withdrawn_reason = models.TextField(blank=True)

    objects = VisibleQuerySet["Note"].as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True)
                | (Q(withdrawn_by__isnull=False) & ~Q(withdrawn_reason="")),
                name="note_withdrawn_with_a_reason",
            )
        ]

    def __str__(self) -> str:
        return f"Note {self.pk}"


class NoteVersion(models.Model):
    """What a note said. Rows are added and never changed."""

    note = models.ForeignKey(Note, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        ordering = ["note", "number"]
        constraints = [models.UniqueConstraint(fields=["note", "number"], name="note_version_number")]

    def __str__(self) -> str:
        return f"{self.note} version {self.number}"


class Mention(models.Model):
    """A note speaks to a person. They are told once a note, however often it is edited."""

    note = models.ForeignKey(Note, on_delete=models.PROTECT, related_name="mentions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="mentions_of_them"
    )
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["user", "read_at"], name="mention_unread")]
        constraints = [models.UniqueConstraint(fields=["note", "user"], name="mentioned_once_a_note")]

    def __str__(self) -> str:
        return f"{self.user} in {self.note}"
