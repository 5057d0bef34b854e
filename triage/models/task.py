"""What somebody has to do for a case, or for the product."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet
from triage.models.case import Case


class CaseTaskQuerySet(VisibleQuerySet["CaseTask"]):
    def waiting(self) -> "CaseTaskQuerySet":
        """What nobody has finished."""
        return self.filter(done_at__isnull=True)

    def overdue(self, *, now: datetime) -> "CaseTaskQuerySet":
        return self.waiting().filter(due_at__lt=now)


class CaseTask(models.Model):
    """One thing to do. It is finished with a note, by its owner or by whoever holds the permission it is for.

    kind: what sort of work, for filters ("new_evidence", "review"). key: the same key again is the same task.
    owner null: anybody with `for_permission` ("triage.approve"; "" is everybody) may do it. created_by: who
    opened it, as the journal names them.
    """

    kind = models.CharField(max_length=30)
    key = models.CharField(max_length=200, unique=True)
    title = models.CharField(max_length=255)
    detail = models.TextField(blank=True)
    case = models.ForeignKey(Case, null=True, blank=True, on_delete=models.PROTECT, related_name="tasks")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="case_tasks"
    )
    for_permission = models.CharField(max_length=100, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    done_note = models.TextField(blank=True)

    objects = CaseTaskQuerySet.as_manager()

    class Meta:
        ordering = ["due_at", "pk"]
        indexes = [models.Index(fields=["done_at", "due_at"], name="task_waiting")]
        constraints = [
            models.CheckConstraint(
                condition=Q(done_at__isnull=True) | (Q(done_by__isnull=False) & ~Q(done_note="")),
                name="task_done_by_somebody_with_a_note",
            )
        ]

    def __str__(self) -> str:
        return self.title
