"""Where evidence came from."""

from django import template

from triage import evidence_origin
from triage.models import Evidence, PivotRun

register = template.Library()


@register.filter
def came_from(row: Evidence) -> str:
    """The place of one row, "" where there is only one."""
    return evidence_origin.of_row(row.pivot.segments, row.position)


@register.filter
def searched(run: PivotRun) -> str:
    """`3 segments`, `2 index patterns and 1 segment`."""
    return evidence_origin.searched(run.segments)


@register.filter
def places(run: PivotRun) -> str:
    """How many rows came from where, "" where there is only one place."""
    return evidence_origin.came_from(run.segments, run.kept)
