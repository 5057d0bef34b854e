"""Scope: which hosts have a case's indicators, and which of them could have told."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from detections.models.visibility import VisibleQuerySet
from triage.enums import ScopeColumnState, ScopeRunState
from triage.models.case import Case


class ScopeRunQuerySet(VisibleQuerySet["ScopeRun"]):
    def finished(self) -> "ScopeRunQuerySet":
        """What has a result, be it with holes."""
        return self.filter(state__in=[ScopeRunState.SUCCEEDED, ScopeRunState.PARTIAL])

    def under_way(self) -> "ScopeRunQuerySet":
        return self.filter(state__in=[ScopeRunState.WAITING, ScopeRunState.RUNNING])


class ScopeRun(models.Model):
    """One search for indicators of a case over all hosts. Its result is never changed.

    has_hosts: which hosts report what is stored already, so that a worker that was killed goes on from there.
    hosts_reporting: all of them, also past the cap. unread: parts of the store that could not be read for
    it. sha256: over window, columns and hosts, once it ended.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="scope_runs")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=ScopeRunState.choices, default=ScopeRunState.WAITING)
    reason = models.TextField(blank=True)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    has_hosts = models.BooleanField(default=False)
    hosts_reporting = models.PositiveIntegerField(default=0)
    unread = models.JSONField(default=list)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)

    objects: ClassVar[ScopeRunQuerySet] = ScopeRunQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["case", "number"]
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="scope_run_number"),
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(state__in=["waiting", "running"]),
                name="one_scope_run_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["partial", "failed"]) | ~Q(reason=""), name="scope_run_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"Scope {self.number} of {self.case.number}"

    @property
    def is_under_way(self) -> bool:
        return self.state in (ScopeRunState.WAITING, ScopeRunState.RUNNING)


class ScopeColumn(models.Model):
    """One indicator of a run. key: the same for the same indicator in a later run.

    query: the structured filters as they were sent. needs: what a host must report for its silence to mean
    something: telemetry kinds, `share` or `pipe`. sha256: over query, state and cells, once searched.
    """

    run = models.ForeignKey(ScopeRun, on_delete=models.PROTECT, related_name="columns")
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=80)
    field = models.CharField(max_length=100)
    value = models.TextField()
    query = models.JSONField(default=list)
    needs = models.JSONField(default=list)
    state = models.CharField(
        max_length=10, choices=ScopeColumnState.choices, default=ScopeColumnState.WAITING
    )
    reason = models.TextField(blank=True)
    hosts_hit = models.PositiveIntegerField(default=0)
    searched_at = models.DateTimeField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="scope_column_once"),
            models.CheckConstraint(
                condition=~Q(state__in=["partial", "blocked", "failed"]) | ~Q(reason=""),
                name="scope_column_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.field} {self.value}"


class ScopeHost(models.Model):
    """A host of a run. reports: what it sent around the window. columns_hit, events, first_at, last_at: of
    all indicators together, to sort by."""

    run = models.ForeignKey(ScopeRun, on_delete=models.PROTECT, related_name="hosts")
    host_id = models.CharField(max_length=255)
    host_name = models.CharField(max_length=255, blank=True)
    reports = models.JSONField(default=list)
    columns_hit = models.PositiveSmallIntegerField(default=0)
    events = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-columns_hit", "-events", "host_name", "host_id"]
        constraints = [models.UniqueConstraint(fields=["run", "host_id"], name="scope_host_once")]
        indexes = [models.Index(fields=["run", "-columns_hit", "-events"], name="scope_host_by_hits")]

    def __str__(self) -> str:
        return self.host_name or self.host_id


class ScopeCell(models.Model):
    """What one host sent of one indicator; there is no row where it sent nothing.

    samples: the first events as `{"identity", "at", "document", "sha256"}`; many hits keep none.
    """

    column = models.ForeignKey(ScopeColumn, on_delete=models.PROTECT, related_name="cells")
    host = models.ForeignKey(ScopeHost, on_delete=models.PROTECT, related_name="cells")
    events = models.PositiveBigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    samples = models.JSONField(default=list)

    class Meta:
        ordering = ["column", "host"]
        constraints = [models.UniqueConstraint(fields=["column", "host"], name="scope_cell_once")]
