"""Forms of detection's admin pages."""

from typing import TYPE_CHECKING, Any

from django import forms

from detections.errors import CasewrightError
from detections.models import Rule
from detections.schedules import refuse_schedule, refuse_unrunnable

if TYPE_CHECKING:
    RuleFormBase = forms.ModelForm[Rule]
else:
    RuleFormBase = forms.ModelForm


class RuleForm(RuleFormBase):
    """A rule's schedule, and whether it is enabled: what an admin may change."""

    class Meta:
        model = Rule
        fields = [
            "enabled",
            "interval_seconds",
            "lookback_seconds",
            "max_cases",
            "settle_seconds",
            "true_up",
            "clock_repaired",
            "version",
        ]
        widgets = {"version": forms.HiddenInput}
        labels = {
            "interval_seconds": "Runs every (seconds)",
            "lookback_seconds": "Look-back (seconds)",
            "settle_seconds": "Settle time (seconds)",
        }
        help_texts = {
            "lookback_seconds": "How late events may come and still be matched; at least the interval.",
            "max_cases": "More alerts than this in one run are stored too; their cases are capped.",
            "settle_seconds": "How long telemetry may take to arrive before its time is searched.",
            "true_up": (
                "Covered time is searched again after 1, 8 and 48 hours. Without it, an event that arrives "
                "later than the settle time is found by a back-search alone."
            ),
            "clock_repaired": (
                "For sequences whose event times are wrong. Doubles the rule's searches, and needs "
                "event.created in every index that it reads."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = self.instance.current
        # js/rule_form.js works the lag tolerance out while somebody types.
        maxspan = version.maxspan_seconds if version else None
        for name in ("interval_seconds", "lookback_seconds"):
            if name in self.fields:
                self.fields[name].widget.attrs["data-maxspan"] = f"{maxspan or 0:g}"

    def clean_version(self) -> int:
        """Refuse an edit of a rule that somebody else changed meanwhile."""
        version: int = self.cleaned_data["version"]
        if Rule.objects.filter(pk=self.instance.pk).exclude(version=version).exists():
            raise forms.ValidationError(
                "Somebody else changed this rule meanwhile. Reload the page and make your change again."
            )
        return version

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        interval, lookback = cleaned.get("interval_seconds"), cleaned.get("lookback_seconds")
        if interval is not None and lookback is not None:
            try:
                refuse_schedule(interval, lookback)
            except CasewrightError as error:
                self.add_error("lookback_seconds", str(error))
        if cleaned.get("enabled"):
            try:
                refuse_unrunnable(self.instance)
            except CasewrightError as error:
                self.add_error("enabled", str(error))
        return cleaned
