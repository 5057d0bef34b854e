"""Searches of the past that somebody asked for."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from detections.enums import BackSearchState
from detections.models.rule import Rule
from detections.models.run import RuleRun
from detections.models.visibility import VisibleQuerySet


class BackSearch(models.Model):
    """One search of a rule over a stretch of the past, done in slices.

    The slices lie in (from_time, to_time]; what is searched ends at `searched_until`, None before the first.
    Only the transaction that stores a slice's alerts moves it. run: the execution that holds its counts.
    """

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="back_searches")
    run = models.OneToOneField(RuleRun, on_delete=models.PROTECT, related_name="back_search")
    from_time = models.DateTimeField()
    to_time = models.DateTimeField()
    slice_seconds = models.PositiveIntegerField()
    searched_until = models.DateTimeField(null=True)
    slices_done = models.PositiveIntegerField(default=0)
    attempts_failed = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=BackSearchState.choices, default=BackSearchState.WAITING)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    cancelled_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects = VisibleQuerySet["BackSearch"].as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(from_time__lt=F("to_time")), name="back_search_forwards"),
            models.UniqueConstraint(
                fields=["rule"],
                condition=Q(state__in=["waiting", "running"]),
                name="one_back_search_a_rule",
            ),
        ]

    @property
    def is_open(self) -> bool:
        return self.state in {BackSearchState.WAITING, BackSearchState.RUNNING}

    @property
    def percent(self) -> int:
        """How much of the stretch is searched, 0 to 100."""
        if self.searched_until is None:
            return 0
        return int(100 * (self.searched_until - self.from_time) / (self.to_time - self.from_time))
