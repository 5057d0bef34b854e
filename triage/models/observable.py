"""What frozen evidence says, in columns: each event in short, and the typed values of a case."""

from typing import ClassVar

from django.db import models

from detections.models.visibility import VisibleQuerySet
from triage.enums import ObservableType
from triage.models.case import Case
from triage.models.evidence import Evidence, PivotRun


class EventSummary(models.Model):
    """A frozen event in short, so that a page of thousands reads no document.

    Derived from the evidence alone; it can be made anew at any time. kind: its telemetry kind, or "". what:
    one line that tells the event from its neighbours. process_key, parent_key: the entity id, else the
    process id on its host. remote: `address port` of what the case's host connected out to.
    """

    evidence = models.OneToOneField(
        Evidence, primary_key=True, on_delete=models.PROTECT, related_name="summary"
    )
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="event_summaries")
    pivot = models.ForeignKey(PivotRun, on_delete=models.PROTECT, related_name="summaries")
    identity = models.CharField(max_length=64)
    event_at = models.DateTimeField()
    host = models.CharField(max_length=255, blank=True)
    kind = models.CharField(max_length=15, blank=True)
    action = models.CharField(max_length=64, blank=True)
    is_start = models.BooleanField(default=False, help_text="of a process")
    is_end = models.BooleanField(default=False, help_text="of a process, connection or session")
    what = models.CharField(max_length=200, blank=True)
    process_name = models.CharField(max_length=255, blank=True)
    process_key = models.CharField(max_length=255, blank=True)
    pid = models.CharField(max_length=20, blank=True)
    parent_name = models.CharField(max_length=255, blank=True)
    parent_key = models.CharField(max_length=255, blank=True)
    parent_pid = models.CharField(max_length=20, blank=True)
    remote = models.CharField(max_length=80, blank=True)
    dns_name = models.CharField(max_length=255, blank=True)
    resolved = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "event summaries"
        indexes = [
            models.Index(fields=["case", "event_at"], name="summary_by_time"),
            models.Index(fields=["case", "identity"], name="summary_by_identity"),
            models.Index(fields=["case", "process_key"], name="summary_by_process"),
        ]


class ObservableQuerySet(VisibleQuerySet["Observable"]):
    pass


class Observable(models.Model):
    """A typed value that a case's evidence holds, once a case.

    value: in the one spelling that is compared, defanged only where it is shown. spelling: as telemetry
    first had it. digest: SHA-256 of the whole value. event_count: different events that hold it. sources:
    `{"pivot", "label", "field"}` of where it was found. evidence: ids of the first rows that hold it. hosts:
    the hosts that sent these events. marks: what is known of it at sight (public, system account, ...).
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="observables")
    type = models.CharField(max_length=10, choices=ObservableType.choices)
    value = models.TextField()
    spelling = models.TextField()
    digest = models.CharField(max_length=64)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    event_count = models.PositiveIntegerField(default=0)
    sources = models.JSONField(default=list)
    evidence = models.JSONField(default=list)
    hosts = models.JSONField(default=list)
    marks = models.JSONField(default=list)

    objects: ClassVar[ObservableQuerySet] = ObservableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["case", "type", "value"]
        constraints = [
            models.UniqueConstraint(fields=["case", "type", "digest"], name="observable_once_a_case")
        ]
        indexes = [models.Index(fields=["digest", "type"], name="observable_elsewhere")]

    def __str__(self) -> str:
        return f"{self.type} {self.value}"
