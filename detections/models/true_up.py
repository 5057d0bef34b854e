"""How far covered time of a cluster was searched again for events that came late."""

from datetime import timedelta

from django.db import models

from detections.models.rule import Rule


class TrueUp(models.Model):
    """One pass of a rule. Everything up to searched_until was searched again once it was `delay_seconds` old.

    Only the transaction that stores a pass's alerts moves it. error: why its last try failed, "" if it did
    not; tried_at: when that was.
    """

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="true_ups")
    delay_seconds = models.PositiveIntegerField()
    searched_until = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["rule", "delay_seconds"]
        constraints = [models.UniqueConstraint(fields=["rule", "delay_seconds"], name="true_up_pass")]

    def __str__(self) -> str:
        return f"{self.rule}, after {self.delay}"

    @property
    def delay(self) -> timedelta:
        return timedelta(seconds=self.delay_seconds)
