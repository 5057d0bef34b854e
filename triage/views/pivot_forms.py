"""What people send when they ask: how far to look, over which hosts, for what."""

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from detections.stores.base import Window
from triage.enums import PivotOrigin, PivotScope
from triage.errors import TriageError
from triage.models import Case, PivotRun
from triage.own_queries import OPERATORS, FilterRow
from triage.pivot_windows import Reach, shown_reach, span_of, span_text, usual_reach

ROWS = 5
_OF_GUIDE = (PivotScope.WRITTEN, PivotScope.ALL)
_OF_PEOPLE = (PivotScope.OTHERS, PivotScope.ALL, PivotScope.HOST)


class SpanField(forms.CharField):
    """A length of time as people write it: 30m, 48h, 7d."""

    def clean(self, value: Any) -> timedelta:
        text = super().clean(value)
        try:
            return span_of(text)
        except TriageError as refused:
            raise ValidationError(str(refused)) from refused


class ReachForm(forms.Form):
    """How far before the first event and after the last one, and on which hosts."""

    use_required_attribute = False

    before = SpanField(max_length=40, label="Before the first event")
    after = SpanField(max_length=40, label="After the last event")
    scope = forms.ChoiceField(label="Hosts")

    def __init__(self, *arguments: Any, of_guide: bool, case: Case, **named: Any) -> None:
        super().__init__(*arguments, **named)
        scopes: tuple[PivotScope, ...] = _OF_GUIDE if of_guide else _OF_PEOPLE
        if not of_guide and not case.host_id:
            scopes = (PivotScope.ALL,)
        field = self.fields["scope"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(scope.value, str(scope.label).capitalize()) for scope in scopes]

    @property
    def reach(self) -> Reach:
        """What was chosen, of a valid form."""
        given = self.cleaned_data
        return Reach(given["before"], given["after"], PivotScope(given["scope"]))


def reach_form(run: PivotRun, data: QueryDict | None = None, *, prefix: str = "") -> ReachForm:
    """The form of a run, filled with what it has now."""
    of_guide = run.origin == PivotOrigin.GUIDE
    return ReachForm(
        data,
        of_guide=of_guide,
        case=run.case,
        initial=_of_run(run),
        auto_id=f"{prefix or run.key}-%s",
    )


def _of_run(run: PivotRun) -> dict[str, str]:
    if run.reach_before is not None and run.reach_after is not None:
        before, after = (span_text(timedelta(seconds=one)) for one in (run.reach_before, run.reach_after))
    elif run.window_start is not None and run.window_end is not None:
        before, after = _whole(run)
    else:
        before, after = "24h", "1h"
    return {"before": before, "after": after, "scope": run.scope}


def _whole(run: PivotRun) -> tuple[str, str]:
    assert run.window_start is not None
    assert run.window_end is not None
    return shown_reach(run.case, Window(run.window_start, run.refills_at or run.window_end))


def asking_form(
    case: Case, data: QueryDict | None = None, *, scope: PivotScope = PivotScope.OTHERS
) -> ReachForm:
    """The form of a new question of a person."""
    usual = usual_reach(scope if case.host_id else PivotScope.ALL)
    assert usual.before is not None
    assert usual.after is not None
    initial = {
        "before": span_text(usual.before),
        "after": span_text(usual.after),
        "scope": usual.scope.value,
    }
    return ReachForm(data, of_guide=False, case=case, initial=initial, auto_id="ask-%s")


def typed_rows(data: QueryDict) -> list[FilterRow]:
    """The filter rows as they were sent, at least as many as the form shows."""
    fields, operators, values = (data.getlist(name) for name in ("field", "operator", "value"))
    rows = [
        FilterRow(*(part[:4000] for part in parts)) for parts in zip(fields, operators, values, strict=False)
    ][:20]
    return rows + [FilterRow("", "is", "")] * max(0, ROWS - len(rows))


def operators() -> list[tuple[str, str]]:
    return list(OPERATORS.items())
